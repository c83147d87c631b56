"""Random problems whose rates are free, and what their answers must satisfy.

`allocate` and `minimum_rate` answer each problem. An answer must keep its bound, thresholds, budget
and distortions. The best decoders at its rates, found by another method, must neither be unable to
do what the answer claims nor be below its bound. More bits are never worse, looser distortions need
no more bits, no other split of the budget is below the bound, and the least rate of the distortions
that a split reaches is at most its budget.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from rdp import FMD, JD, SA, GaussMarkov, Problem
from solvers import MinimumRate, RateAllocation, SolverError, allocate, minimum_rate, solve

Array = np.ndarray
Faults = Callable[[Problem, Array, Array, float], Iterator[str]]

ORDER = 1e-6  # of an objective, next to the gaps: what two answers may be out of order
FLOOR = 1e-12  # of the variance: what double precision leaves where distortions vanish
BITS = 1e-5  # of a rate, and relative to it
INF = np.inf


def free_rates(rng: np.random.Generator) -> Problem:
    """Frames that may repeat, thresholds from 0 to inf, and 1e-9 to 50 bits a frame on average."""
    frames = int(rng.integers(1, 5))
    sigma = 10 ** rng.uniform(-2, 2, frames) if rng.random() < 0.3 else np.ones(frames)
    rho = rng.choice([0.0, 0.5, 0.9, 1.0, -1.0, 1 - 1e-7, rng.uniform(-1, 1)], frames - 1)
    mean = rng.choice([10 ** rng.uniform(-9, -2), rng.uniform(0.01, 3), rng.uniform(3, 50)])
    levels = rng.choice([0.0, 1e-9, 1e-6, 0.01, rng.random(), 3.0, INF], frames)
    if rng.random() < 0.5:
        levels[:] = levels[0]
    loss = rng.choice([FMD, JD, JD, SA])(levels * sigma**2)
    weights = np.where(rng.random(frames) < 0.2, 0.0, rng.uniform(0.05, 1.0, frames))
    weights[-1] = max(weights[-1], 0.05)
    return Problem(GaussMarkov(sigma, rho), mean, loss, weights)


def check_free_rates(
    problem: Problem, rng: np.random.Generator, faults: Faults
) -> Iterator[tuple[str, object]]:
    """Yield what is wrong with both answers, each with the question.

    Parameters
    ----------
    problem : Problem
        With weights; its rates are the budget.
    rng : numpy.random.Generator
        Where the distortions come from that are asked for, and another split.
    faults : callable
        Names what is wrong with a scheme: problem, distortions, losses, bound.
    """
    source = problem.source
    share = rng.choice([10 ** rng.uniform(-12, -3), 0.01, 0.3, 0.9, 1.2], source.frames)
    targets = share * source.variance
    if rng.random() < 0.2:
        targets[rng.integers(source.frames)] = INF
    if not np.isfinite(targets).any():
        targets[-1] = source.variance[-1]
    other = rng.dirichlet(np.ones(source.frames))
    total = float(problem.rates.sum())
    split = "allocate", source, total, problem.perception, problem.weights
    yield from _named(split, lambda: _split_faults(problem, other, faults))
    least = "minimum_rate", source, targets, problem.perception
    yield from _named(least, lambda: _rate_faults(problem, targets, faults))


def _named(
    asked: tuple[Any, ...], faults_of: Callable[[], Iterator[str]]
) -> Iterator[tuple[str, object]]:
    try:
        for fault in faults_of():
            yield fault, asked
    except SolverError as error:
        yield "unsolved", (*asked, str(error)[:200])
    except Exception as error:  # what the run looks for
        yield f"error: {type(error).__name__}", (*asked, str(error)[:200])


def _split_faults(problem: Problem, other: Array, faults: Faults) -> Iterator[str]:
    total, source, weights = float(problem.rates.sum()), problem.source, problem.weights
    found: RateAllocation = allocate(source, total, problem.perception, weights)
    answer = found.solution
    yield from faults(answer.problem, answer.distortion, answer.perception, found.lower_bound)
    if found.rates.sum() > total * (1 + 1e-12) or (found.rates < 0).any():
        yield "beyond the budget"
    slack = ORDER * found.objective + FLOOR * float(problem.frame_weights @ source.variance)
    at_rates = solve(answer.problem)
    if at_rates.lower_bound > found.objective + slack:
        yield "better than possible at its rates"
    if found.lower_bound > at_rates.objective + slack:
        yield "bound above what its rates reach"
    if solve(problem.with_(rates=other * total)).objective < found.lower_bound - slack:
        yield "another split is below the bound"
    more = allocate(source, 1.5 * total, problem.perception, weights)
    if more.lower_bound > found.objective + slack:
        yield "worse with more bits"
    asked = np.where(problem.frame_weights > 0, answer.distortion, INF)
    if (asked > 0).all():
        least = minimum_rate(source, asked, problem.perception)
        if least.lower_bound > total + BITS * (1 + total):
            yield "more bits needed than there are"


def _rate_faults(problem: Problem, targets: Array, faults: Faults) -> Iterator[str]:
    source, loss = problem.source, problem.perception
    found: MinimumRate = minimum_rate(source, targets, loss)
    asked = np.isfinite(targets)
    weights = np.where(asked, 1.0, 0.0)
    weights[asked] = targets[asked].min() / targets[asked]
    most = float(weights[asked] @ targets[asked])
    fixed = Problem(source, found.rates, loss, weights)
    reached = float(weights @ found.distortion)
    yield from faults(fixed, found.distortion, found.perception, reached)
    if not 0 <= found.gap <= BITS * (1 + found.total):
        yield "bound far below"
    if (found.distortion > targets * (1 + ORDER)).any():
        yield "distortion beyond what was asked for"
    slack = ORDER * most + FLOOR * float(weights @ source.variance)
    if solve(fixed).lower_bound > most + slack:
        yield "better than possible at its rates"
    looser = minimum_rate(source, 1.5 * targets, loss)
    if looser.lower_bound > found.total + BITS * (1 + found.total):
        yield "looser distortions need more bits"
