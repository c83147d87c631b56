"""Method "precise": the barrier method with 140 decimal digits, for what double precision leaves.

Variances 24 orders apart, thresholds of 1e-14 of the variance, frames that repeat one another and
30 bits have optima that double precision does not resolve. Here thresholds 0 and sources of lower
rank are problems with an interior like the others: a threshold 0 stands for 1e-38 of the smallest
variance, and noise of 1e-48 of it, or less, for an innovation of 0. Both make the problem easier,
so that the bound holds for the problem itself. Nothing is chosen by the kind of problem. Where
rounding ends the path, 240 digits are taken.

The weighted objective is one barrier problem (:mod:`solvers._precise.weighted`), the sequential
objective one for each frame (:mod:`solvers._precise.sequential`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar

import numpy as np

from rdp.mmse import mmse_recursion
from rdp.problem import Problem
from rdp.solution import Status
from solvers._precise import free_rates, sequential, weighted
from solvers._precise.arithmetic import DIGITS, MORE_DIGITS, Array, many_digits
from solvers._precise.source import exact_problem
from solvers.errors import SolverError
from solvers.methods.registry import METHODS
from solvers.scheme import Scheme

T = TypeVar("T")


def solve_precise(problem: Problem) -> Scheme:
    """Return the scheme of a problem with up to 12 or 32 scalar frames, PLF-JD or PLF-SA.

    One core takes a few seconds for 8 frames with weights or 12 under the sequential objective, and
    5 to 100 seconds for 12 or 32.

    Parameters
    ----------
    problem : Problem
        At least one threshold is finite. Up to 12 frames with weights, 32 without.

    Raises
    ------
    SolverError
        The path does not end, or the numbers leave the range of this arithmetic.

    Examples
    --------
    >>> from rdp import JD, GaussMarkov
    >>> from solvers import solve
    >>> problem = Problem(GaussMarkov([1e5, 1e-4], [-1.0]), 0.5, JD([np.inf, 1e-12]))
    >>> found = solve(problem, method="precise")
    >>> bool(found.gap <= 1e-12 * found.objective)
    True
    """
    solve = _sequential if problem.weights is None else _weighted
    return _in_decimals(lambda: solve(problem))


def covers_rates(problem: Problem) -> bool:
    """Whether :func:`solve_rates` covers a problem whose rates are free."""
    given = problem.simplest().with_(weights=problem.frame_weights)
    levels = given.thresholds
    reasons = METHODS["precise"].refusals(given, problem.rates[None], levels[None])
    return not any(np.any(refused) for refused in reasons.values())


def solve_rates(
    problem: Problem, targets: Array | None
) -> tuple[Scheme, Array, float]:
    """Return scheme, rates and bound of the least total rate, or of the best split.

    Parameters
    ----------
    problem : Problem
        Its rates are the budget where there are no targets.
    targets : (T,) array or None
        Distortions that are allowed, inf included.
    """
    if free_rates.needs_more_digits(problem, targets):
        return _with_digits(MORE_DIGITS, lambda: _rates(problem, targets))
    return _in_decimals(lambda: _rates(problem, targets))


def _in_decimals(solve: Callable[[], T]) -> T:
    """Call a function with many digits, and with more where that fails.

    Raises
    ------
    SolverError
        Both fail. Numbers that leave the range of the arithmetic are a failure.
    """
    try:
        return _with_digits(DIGITS, solve)
    except SolverError:
        return _with_digits(MORE_DIGITS, solve)


def _with_digits(digits: int, solve: Callable[[], T]) -> T:
    try:
        with many_digits(digits):
            return solve()
    except ArithmeticError as error:
        reason = f"precise: {type(error).__name__} {error}"
        raise SolverError(Status.FAILED, reason) from error


def _rates(problem: Problem, targets: Array | None) -> tuple[Scheme, Array, float]:
    found = free_rates.free_rates(problem.simplest(), targets)
    scheme = Scheme(
        cov_xhat=found.cov.astype(np.float64),
        cross=found.cross.astype(np.float64),
        mmse=found.mmse.astype(np.float64),
        lower_bound=math.nextafter(float(found.bound), -math.inf),
        message="barrier in decimal arithmetic",
        distortion=found.distortion.astype(np.float64),
        perception=found.perception.astype(np.float64),
    )
    return scheme, found.rates.astype(np.float64), scheme.lower_bound


def _sequential(problem: Problem) -> Scheme:
    found = sequential.solve_sequential(problem)
    total = sum(found.bound, Decimal(0))
    scheme = _scheme(problem, found, found.factor @ found.factor.T, total)
    return scheme._replace(frame_bounds=found.bound.astype(np.float64))


def _weighted(problem: Problem) -> Scheme:
    found = weighted.solve_weighted(problem)
    cov = found.gains @ found.gains.T + found.noise @ found.noise.T
    return _scheme(problem, found, cov, found.bound)


def _scheme(
    problem: Problem, found: weighted.Found | sequential.Found, cov: Array, bound: Decimal
) -> Scheme:
    estimate = exact_problem(problem).estimate
    return Scheme(
        cov_xhat=cov.astype(np.float64),
        cross=(found.gains @ estimate.T).astype(np.float64),
        mmse=mmse_recursion(problem.source, problem.rates).mmse,
        lower_bound=math.nextafter(float(bound), -math.inf),
        message="barrier in decimal arithmetic",
        distortion=found.distortion.astype(np.float64),
        perception=found.perception.astype(np.float64),
    )
