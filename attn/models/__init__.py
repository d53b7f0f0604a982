"""The networks. Of a backbone everything up to the map layer is its trunk, everything after is its head."""
