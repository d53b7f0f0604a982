"""Confined process that decodes videos: protocol, limits and guard."""
