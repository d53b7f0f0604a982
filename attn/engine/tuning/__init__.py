"""Hyperparameter search for EnergyNets, on Ray Tune."""
