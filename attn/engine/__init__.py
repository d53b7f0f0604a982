"""Chains, loops and actors that run the stages with Ray, on one machine or on many. No other package imports Ray.

Importing this package is cheap. Its modules import ray and torch; scripts import them after parsing their flags.
"""
