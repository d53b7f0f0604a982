"""The search for the settings of an EnergyNet, on Ray Tune."""
