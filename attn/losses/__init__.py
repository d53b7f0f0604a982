"""Losses of the EnergyNet: one loss per file, one value per sample."""
