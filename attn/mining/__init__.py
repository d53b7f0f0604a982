"""Which samples are learnt from: samplers and miners return indices, losses consume them."""
