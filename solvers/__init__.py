"""Solvers for rate-distortion-perception problems: how the quantities are computed."""

from solvers.errors import SolverError
from solvers.solve import solve
from solvers.sweep import Sweep, sweep

__all__ = ["SolverError", "Sweep", "solve", "sweep"]
