"""Causal reconstructions of a stationary source in the long run, over frequencies."""
