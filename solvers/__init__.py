"""Solvers for rate-distortion-perception problems: how the quantities are computed."""

from solvers.errors import SolverError
from solvers.solve import solve

__all__ = ["SolverError", "solve"]
