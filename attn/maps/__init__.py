"""Attention maps of frames, one per class, and their energies."""
