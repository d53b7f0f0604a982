"""Hyperparameter search: options, plan and results."""
