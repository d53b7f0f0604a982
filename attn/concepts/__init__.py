"""Concept vectors: made from class names, they identify the class of a map to the EnergyNet."""
