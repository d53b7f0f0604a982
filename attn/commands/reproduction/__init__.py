"""Reproduction of the paper's tables: data, plan, steps and results."""
