"""Losses of the EnergyNet and of the soft-attention LSTM: one loss per file, one value per sample."""
