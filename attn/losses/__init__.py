"""What the EnergyNet learns from: one loss per file, one value per sample."""
