"""Solvers for rate-distortion-perception problems: how the quantities are computed."""

from solvers.errors import SolverError
from solvers.questions import allocate, minimum_rate, pareto, universality
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
