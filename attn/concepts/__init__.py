"""Concept vectors: vectors made from class names, which tell the EnergyNet the class of a map."""
