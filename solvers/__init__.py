"""Solvers for rate-distortion-perception problems: how the quantities are computed."""

from solvers.allocation import MinimumRate, RateAllocation, allocate, minimum_rate
from solvers.discounted import Discounted, discounted
from solvers.errors import SolverError
from solvers.frame_bounds import FrameBounds, frame_bounds
from solvers.schedule import PatternCost, Schedule, pattern_cost, schedule
from solvers.solve import solve
from solvers.steady_answer import SteadyState
from solvers.steady_rate import steady_rate
from solvers.steady_state import steady_state
from solvers.sweep import Sweep, sweep
from solvers.tradeoff import Pareto, pareto
from solvers.universality import Universality, universality
from solvers.validation import Check, Validation, validate

__all__ = [
    "Check",
    "Discounted",
    "FrameBounds",
    "MinimumRate",
    "Pareto",
    "PatternCost",
    "RateAllocation",
    "Schedule",
    "SolverError",
    "SteadyState",
    "Sweep",
    "Universality",
    "Validation",
    "allocate",
    "discounted",
    "frame_bounds",
    "minimum_rate",
    "pareto",
    "pattern_cost",
    "schedule",
    "solve",
    "steady_rate",
    "steady_state",
    "sweep",
    "universality",
    "validate",
]
