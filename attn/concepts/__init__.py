"""From class names to the vectors that tell the EnergyNet which class a map is of."""
