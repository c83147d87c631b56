"""The bound of a program with free rates, without rounding: in decimal arithmetic, rounded down.

Multipliers of semidefinite programs are large where a covariance is singular, and the terms of the
bound cancel: in double precision it once exceeded the optimum by one per cent.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from rdp.problem import Problem
from solvers._precise.arithmetic import (
    cholesky,
    exact,
    many_digits,
    solve_positive,
    zeros,
)
from solvers._precise.rate_terms import RateTerms
from solvers._precise.source import Exact, exact_problem

Array = np.ndarray


class DualPoint(NamedTuple):
    """Weights of the distortions, multipliers and slopes of the thresholds, f_s, price of a nat."""

    weights: Array
    mu: Array
    slope: Array
    gain: Array
    price: float


def exact_bound(
    problem: Problem, levels: Array, point: DualPoint, targets: Array | None, budget: float
) -> float:
    """Return the bound of a dual point: bits with targets, else the weighted distortion.

    Parameters
    ----------
    problem : Problem
        Source and loss function.
    levels : (T,) array
        Thresholds.
    point : DualPoint
        Any numbers; a larger f than that of the multipliers is valid as well.
    targets : (T,) array or None
        Distortions that are allowed.
    budget : float
        Total rate, bits, where there are no targets.

    Returns
    -------
    float
        -inf where the point is not dual feasible.
    """
    with many_digits():
        given = exact_problem(problem)
        found = _linear(problem, given, exact(levels), point)
        if found is None:
            return -math.inf
        constant, own = found
        gain = np.maximum(own, exact(point.gain))
        price, two = Decimal(point.price), 2 * Decimal(2).ln()
        value = constant - gain @ given.innovation
        value += RateTerms.of(given, len(gain)).least(gain, price)
        if targets is None:
            value -= price * two * Decimal(budget)
        else:
            asked = np.isfinite(targets) & (point.weights > 0)
            value -= exact(point.weights[asked]) @ exact(targets[asked])
            value /= two * price
        return math.nextafter(float(value), -math.inf)


def _linear(
    problem: Problem, given: Exact, levels: Array, point: DualPoint
) -> tuple[Decimal, Array] | None:
    """Constant and f of the minimum const - sum_s d_s f_s over schemes of errors m."""
    frames, phi = problem.source.frames, given.phi
    covariance = phi * given.variance
    covariance = np.tril(covariance) + np.tril(covariance, -1).T
    omega = exact(point.weights)
    quadratic, constant = zeros(frames, frames), omega @ given.variance
    quadratic[np.diag_indices(frames)] = omega
    for t in np.flatnonzero(point.mu > 0).tolist():
        block = slice(problem.first_seen(t), t + 1)
        own = exact(point.slope[t, block, block])
        own = (own + own.T) / 2
        other = -own
        if point.mu[t] < np.inf:
            mu = Decimal(float(point.mu[t]))
            room = exact(np.eye(len(own))) - own / mu
            solved = solve_positive(room, -own)
            if solved is None:
                return None
            other = (solved + solved.T) / 2
            constant -= mu * levels[t]
        quadratic[block, block] += own
        if problem.plf == "SA":
            quadratic[:t, :t] += other[:t, :t]
            omega[:t] = omega[:t] - phi[t, :t] * other[t, :t]
            constant += given.variance[t] * other[t, t]
        else:
            constant += (covariance[block, block] * other).sum()
    used = np.flatnonzero((omega != 0) | (quadratic != 0).any(axis=1))
    if cholesky(quadratic[np.ix_(used, used)]) is None:
        return None
    gain = zeros(frames)
    for s in range(frames):
        later = used[used >= s]
        if later.size:
            column = omega[later] * phi[later, s]
            best = solve_positive(quadratic[np.ix_(later, later)], column)
            if best is None:
                return None
            gain[s] = column @ best
    return Decimal(constant), gain
