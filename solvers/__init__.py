"""Solvers for rate-distortion-perception problems: how the quantities are computed."""

from solvers.allocation import allocate, minimum_rate, pareto, universality
from solvers.errors import SolverError
from solvers.solve import solve
from solvers.sweep import Sweep, sweep

__all__ = [
    "SolverError",
    "Sweep",
    "allocate",
    "minimum_rate",
    "pareto",
    "solve",
    "sweep",
    "universality",
]
