"""Attention maps of a frame, one per class, and how strongly they speak."""
