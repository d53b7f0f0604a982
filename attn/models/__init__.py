"""CNN backbones and EnergyNet. The map layer splits a backbone into a trunk (up to and including it) and a head."""
