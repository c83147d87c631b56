"""Method "precise": the barrier method with 110 decimal digits, for what double precision leaves.

Variances 24 orders apart, thresholds of 1e-14 of the variance, frames that repeat one another and
30 bits have optima that double precision does not resolve. Here thresholds 0 and sources of lower
rank are problems with an interior like the others: a threshold 0 stands for 1e-44 of the smallest
variance, and noise of 1e-56 of it for an innovation of 0. Both make the problem easier, so that the
bound holds for the problem itself. Nothing is chosen by the kind of problem.

The weighted objective is one barrier problem (:mod:`solvers._precise.weighted`), the sequential
objective one for each frame (:mod:`solvers._precise.sequential`).
"""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np

from rdp.mmse import mmse_recursion
from rdp.problem import Problem
from rdp.solution import Status
from solvers._precise import sequential, weighted
from solvers._precise.arithmetic import Array, many_digits
from solvers._precise.source import exact_problem
from solvers.errors import SolverError
from solvers.scheme import Scheme


def solve_precise(problem: Problem) -> Scheme:
    """Return the scheme of a problem with few scalar frames, PLF-JD or PLF-SA.

    Parameters
    ----------
    problem : Problem
        At least one threshold is finite.

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
    try:
        with many_digits():
            if problem.weights is None:
                return _sequential(problem)
            return _weighted(problem)
    except ArithmeticError as error:
        reason = f"precise: {type(error).__name__} {error}"
        raise SolverError(Status.FAILED, reason) from error


def _sequential(problem: Problem) -> Scheme:
    found = sequential.solve_sequential(problem)
    total = sum(found.bound, Decimal(0))
    return _scheme(problem, found.gains, found.factor @ found.factor.T, found.distortion, total)


def _weighted(problem: Problem) -> Scheme:
    found = weighted.solve_weighted(problem)
    cov = found.gains @ found.gains.T + found.noise @ found.noise.T
    return _scheme(problem, found.gains, cov, found.distortion, found.bound)


def _scheme(
    problem: Problem, gains: Array, cov: Array, distortion: Array, bound: Decimal
) -> Scheme:
    estimate = exact_problem(problem).estimate
    return Scheme(
        cov_xhat=cov.astype(np.float64),
        cross=(gains @ estimate.T).astype(np.float64),
        mmse=mmse_recursion(problem.source, problem.rates).mmse,
        lower_bound=math.nextafter(float(bound), -math.inf),
        message="barrier in decimal arithmetic",
        distortion=distortion.astype(np.float64),
    )
