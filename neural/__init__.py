"""Codecs: networks, their training, their bytes and their measurement (needs torch)."""
