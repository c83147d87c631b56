"""Constructive codecs: container and entropy coder, lattices, dithered quantisation, evaluation."""
