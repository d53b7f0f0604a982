"""How good the scores are: fusion over frames, accuracy, average precision, how sure we can be, where attention falls.

numpy only; arrays in, numbers out.
"""
