"""Evaluation of scores: fusion over frames, accuracy, average precision, confidence intervals, localisation.

All functions use numpy only: they take arrays and return numbers.
"""
