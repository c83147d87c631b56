"""Families of random problems, ordinary and extreme, for `benchmarks.fuzz`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.fuzz_free_rates import free_rates
from rdp import FMD, JD, SA, GaussMarkov, Problem

Array = np.ndarray
INF = np.inf


def usual(rng: np.random.Generator) -> Problem:
    """|rho| <= .999999, rates up to 20 bits, thresholds 0 or above 1e-9, positive weights."""
    frames = int(rng.integers(2, 5))
    rho = rng.choice([rng.uniform(-0.99, 0.99), 0.9, 0.99, 0.999, 0.999999, 0.0])
    rates = rng.choice([rng.uniform(0.05, 3.0), rng.uniform(0.0, 20.0)], frames)
    levels = np.where(rng.random(frames) < 0.2, 0.0, 10 ** rng.uniform(-9, 0.5, frames))
    return _problem(rng, GaussMarkov.stationary(rho, frames), rates, levels, 0.0)


def extreme(rng: np.random.Generator) -> Problem:
    """Variances 24 orders apart, frames that repeat, rates and thresholds from 0 to inf mixed."""
    return _extreme(rng, int(rng.integers(1, 5)))


def long(rng: np.random.Generator) -> Problem:
    """Extreme problems of 5 to 8 frames with weights, 5 to 32 under the sequential objective."""
    weighted = bool(rng.random() < 0.5)
    return _extreme(rng, int(rng.integers(5, 9 if weighted else 33)), weighted)


def _extreme(rng: np.random.Generator, frames: int, weighted: bool | None = None) -> Problem:
    sigma = 10 ** rng.uniform(-6, 6, frames) if rng.random() < 0.5 else np.ones(frames)
    edge = [0.0, 1.0, -1.0, 1 - 1e-7, -1 + 1e-7, rng.uniform(-1, 1)]
    rho = rng.choice(edge, frames - 1)
    rates = rng.choice([0.0, 1e-9, 1e-3, rng.uniform(0, 3), 12.0, 30.0, INF], frames)
    levels = rng.choice([0.0, 1e-14, 1e-9, 1e-6, 0.01, rng.random(), 3.0, INF], frames)
    return _problem(rng, GaussMarkov(sigma, rho), rates, levels * sigma**2, 0.3, weighted)


def sequential(rng: np.random.Generator) -> Problem:
    """Many frames, sequential objective, rates that change: a group of pictures."""
    frames = int(rng.integers(8, 49))
    source = GaussMarkov.stationary(rng.choice([0.9, 0.97, 0.5]), frames)
    rates = rng.uniform(0.1, 2.0, frames)
    loss = rng.choice([JD, SA])(np.full(frames, rng.choice([0.01, 0.05, 0.2])))
    return Problem(source, rates, loss)


def _problem(
    rng: np.random.Generator,
    source: GaussMarkov,
    rates: Array,
    levels: Array,
    zeros: float,
    weighted: bool | None = None,
) -> Problem:
    loss = rng.choice([FMD, JD, SA])(levels)
    weights = None
    if weighted is None:
        weighted = bool(rng.random() < 0.6)
    if weighted:
        weights = np.where(rng.random(source.frames) < zeros, 0.0, rng.uniform(0.05, 1.0))
        weights[-1] = max(weights[-1], 0.05)
    return Problem(source, rates, loss, weights)


def compiled(rng: np.random.Generator) -> Problem:
    """Extreme problems under PLF-JD and PLF-SA that have no closed form."""
    while True:
        problem = extreme(rng)
        some = (problem.thresholds > 0) & np.isfinite(problem.thresholds)
        if problem.plf != "FMD" and some.any():
            return problem


FAMILIES: dict[str, Callable[[np.random.Generator], Problem]] = {
    "usual": usual,
    "extreme": extreme,
    "sequential": sequential,
    "compiled": compiled,
    "long": long,
    "rates": free_rates,
}
