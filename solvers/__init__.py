"""Solvers for rate-distortion-perception problems: how the quantities are computed."""

from rdp.solution import Status
from solvers.allocation import (
    MinimumRate,
    Pareto,
    RateAllocation,
    allocate,
    minimum_rate,
    pareto,
)
from solvers.errors import SolverError
from solvers.solve import solve
from solvers.sweep import Sweep, sweep
from solvers.universality import Universality, universality
from solvers.validation import Check, Validation, validate

__all__ = [
    "Check",
    "MinimumRate",
    "Pareto",
    "RateAllocation",
    "SolverError",
    "Status",
    "Sweep",
    "Universality",
    "Validation",
    "allocate",
    "minimum_rate",
    "pareto",
    "solve",
    "sweep",
    "universality",
    "validate",
]
