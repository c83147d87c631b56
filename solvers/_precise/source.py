"""The source, the MMSE estimate and thresholds in decimal arithmetic."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import numpy as np

from rdp.problem import Problem
from solvers._precise.arithmetic import exact, roots, zeros

Array = np.ndarray

# Squared W2 that stands for 0, and the variance that stands for 0, relative to the smallest frame.
# An optimum moves by about the root of the first; the second is next to nothing beside the first,
# and beside the least of the other thresholds, whose double-precision digits it must not change.
ALLOWED = Decimal("1e-38")
NOISE = Decimal("1e-48")
BESIDE = Decimal("1e-38")


class Exact(NamedTuple):
    """Variance, a_t^2, q_t, noise, errors m_t, phi(t, s), factor of the estimate, thresholds."""

    variance: Array
    squared_gain: Array
    innovation: Array
    noise: Array  # of frames that repeat the one before; 0 for others
    mmse: Array
    phi: Array
    estimate: Array  # Xtil = estimate u
    covariance: Array  # of the source, with the noise
    levels: Array  # None where there is no threshold


def exact_problem(problem: Problem, stake: Decimal = Decimal(1)) -> Exact:
    """Return what the problem gives, in decimals.

    A threshold 0 becomes a little more, and those of a source with noise too: what keeps the
    thresholds of the problem keeps these, so that bounds hold for the problem.

    Parameters
    ----------
    problem : Problem
    stake : Decimal
        What stands for 0 is less by this factor: where distortions are next to 0 themselves.
    """
    source, frames = problem.source, problem.source.frames
    sigma, rho = exact(source.sigma), exact(source.rho)
    variance = sigma * sigma
    gain, fresh = zeros(frames), variance.copy()
    gain[1:] = rho * sigma[1:] / sigma[:-1]
    fresh[1:] = variance[1:] * (1 - rho * rho)
    mmse, before = zeros(frames), Decimal(0)
    power = zeros(frames)
    for t, rate in enumerate(problem.rates.tolist()):
        error = gain[t] * gain[t] * before + fresh[t]
        kept = Decimal(0) if np.isinf(rate) else Decimal(2) ** (-2 * Decimal(rate))
        mmse[t] = before = error * kept
        power[t] = error * (1 - kept)
    phi = zeros(frames, frames)
    for t in range(frames):
        phi[t, t] = Decimal(1)
        for s in range(t):
            phi[t, s] = gain[t] * phi[t - 1, s]
    root = roots(power)
    covariance = phi * variance
    for t in range(frames):
        covariance[t, t + 1 :] = covariance[t + 1 :, t]
    asked = exact(problem.thresholds[problem.thresholds > 0])
    most = BESIDE * max(min(asked, default=Decimal("Infinity")), ALLOWED * stake * min(variance))
    levels, noise = zeros(frames), zeros(frames)
    for t in range(frames):
        least = min(variance[: t + 1])
        if fresh[t] == 0:
            noise[t] = min(NOISE * stake * least, most)
            covariance[t, t] += noise[t]
        levels[t] = _raised(problem.thresholds[t], stake * least, sum(noise, Decimal(0)))
    return Exact(variance, gain * gain, fresh, noise, mmse, phi, phi * root, covariance, levels)


def _raised(level: float, least: Decimal, added: Decimal) -> Decimal | None:
    """The threshold of a source that differs by noise of variance `added`."""
    if np.isinf(level):
        return None
    lowest = (ALLOWED * least).sqrt()
    root = Decimal(level).sqrt() + 2 * added.sqrt()
    return max(root, lowest) ** 2
