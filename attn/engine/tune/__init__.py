"""Trials on Ray Tune: searcher, trial and progress."""
