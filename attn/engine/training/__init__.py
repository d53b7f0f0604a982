"""Training of CNNs and EnergyNets on Ray Train: planning, the loop of each worker, checkpoints and progress."""
