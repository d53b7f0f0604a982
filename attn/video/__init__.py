"""Video input: listing, IDs and labels of videos, and decoding of their frames."""
