"""Optical flow of pairs of frames: algorithms, and the 8-bit form in which a flow store keeps it."""
