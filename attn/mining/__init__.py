"""Choice of training samples: samplers and miners return indices, losses consume them."""
