"""What counts as solved: the tolerances, and the checks that every answer passes.

`solve`, `sweep`, `minimum_rate`, `allocate` and what builds on them refuse what fails here. Nothing
else in the package holds a tolerance on an answer.
"""

from __future__ import annotations

import numpy as np

from rdp.problem import Problem
from rdp.solution import Solution, Status
from solvers.errors import SolverError

Array = np.ndarray

RESIDUAL = 1e-6  # of moments and perception, relative to the variance of the source
GAP = 1e-5  # of the objective, relative to it
GAP_FLOOR = 1e-8  # relative to the weighted variance: what a solver can resolve at high rates
ROUNDING = 1e-12  # of the objective: errors of sums in an exact method
BITS = 1e-5  # gap of a total rate, bits, and relative to it
MISSED = 1e-6  # of an allowed distortion, relative to it
AGREEMENT = 1e-9  # of a distortion and the moments it belongs to, relative to the variance


def gap_allowed(problem: Problem, objective: Array | float) -> Array | float:
    """Return the certified gap that counts as solved, at one objective or several."""
    variance = problem.source.variance.reshape(problem.source.frames, -1).sum(axis=1)
    return GAP * objective + GAP_FLOOR * float(problem.frame_weights @ variance)


def certified(problem: Problem, objective: Array, bound: Array) -> Array:
    """Whether objectives and bounds (n,) are as near to each other as solved problems are."""
    return np.asarray(np.abs(objective - bound) <= gap_allowed(problem, objective))


def within_thresholds(problem: Problem, perception: Array, levels: Array) -> Array:
    """Whether schemes keep their thresholds; perception and levels (n, T), answer (n,)."""
    unit = 1.0
    if problem.perception is None or problem.perception.metric != "kl":
        unit = float(problem.source.variance.sum())
    asked = np.isfinite(levels)
    beyond = np.where(asked, perception - np.where(asked, levels, 0.0), 0.0)
    return np.asarray((beyond <= RESIDUAL * unit).all(axis=1))


def outward(objective: Array | float, bound: Array | float) -> Array:
    """Return bounds; those that exceed their objectives by rounding only are equal to them."""
    rounding = ROUNDING * np.abs(objective)
    return np.where(bound <= objective + rounding, np.minimum(bound, objective), bound)


def status_of(problem: Problem, objective: float, bound: float) -> Status:
    """Achievable if a scheme and a bound are known and the bound is not met, else solved."""
    open_gap = objective - bound > float(gap_allowed(problem, objective))
    return Status.ACHIEVABLE if problem.scheme_and_bound and open_gap else Status.SOLVED


def check_solution(solution: Solution) -> None:
    """Raise SolverError for a solution that breaks a constraint, or whose gap is too large."""
    for name, value in solution.residuals.items():
        if not value <= RESIDUAL:  # nan counts as a failure too
            raise SolverError(
                Status.INACCURATE,
                f"{solution.method}: residual of {name} is {value:.2e}, tolerance {RESIDUAL:.0e}"
                f" ({solution.message})",
            )
    if solution.status == Status.ACHIEVABLE:
        return
    allowed = float(gap_allowed(solution.problem, solution.objective))
    if not -allowed <= solution.gap <= allowed:
        raise SolverError(
            Status.INACCURATE,
            f"{solution.method}: certified gap is {solution.gap:.2e}, tolerance {allowed:.2e}"
            f" ({solution.message})",
        )


def precise_distortion(problem: Problem, given: Array | None, moments: Array) -> Array:
    """Return the distortions that a method computed without cancellation, where it may be believed.

    The difference of second moments has an absolute error of rounding times the variance, which is
    more than the distortion itself from 25 bits on. Where the two differ by more than that, the
    moments are right, as they are those of the scheme that is returned.

    Parameters
    ----------
    problem : Problem
    given : (T,) array or None
        What the method computed.
    moments : (T,) array
        The distortions from the second moments of its scheme.
    """
    if given is None:
        return moments
    variance = problem.source.variance.reshape(problem.source.frames, -1).sum(axis=1)
    return np.where(np.abs(given - moments) <= AGREEMENT * variance, given, moments)


def check_bits(name: str, total: float, bound: float) -> None:
    """Raise SolverError unless a total rate and its bound agree, and both are numbers."""
    allowed = BITS * (1 + abs(total))
    if not abs(total - bound) <= allowed:
        raise SolverError(
            Status.INACCURATE,
            f"{name}: certified gap is {total - bound:.2e} bits, tolerance {allowed:.2e}",
        )


def check_reached(name: str, reached: Array, asked: Array) -> None:
    """Raise SolverError where distortions exceed what was asked for."""
    if not (reached <= asked * (1 + MISSED)).all():
        raise SolverError(
            Status.INACCURATE, f"{name}: distortions {reached}, asked for {asked}"
        )
