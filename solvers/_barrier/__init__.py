"""Compiled kernels of the barrier method."""
