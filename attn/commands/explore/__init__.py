"""Explorer: videos of a store with their maps, logits and energies, served to a browser on this machine."""
