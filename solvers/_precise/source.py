"""The source, the MMSE estimate and thresholds in decimal arithmetic."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import numpy as np

from rdp.problem import Problem
from solvers._precise.arithmetic import exact, roots, zeros

Array = np.ndarray

# Squared W2 that stands for 0, relative to the variance of the smallest frame: an optimum moves by
# about its root.
ALLOWED = Decimal("1e-38")
# Variance that stands for 0, relative to that of the smallest frame: next to nothing beside what
# stands for a threshold 0, and beside the least of the others, whose digits it must not change.
NOISE = Decimal("1e-48")
BESIDE = Decimal("1e-38")
# Frame by frame: a frame that repeats the one before it may tell more of the source, which is of no
# use to its own threshold. Its reconstruction can be told apart by no more than that threshold. Who
# comes after it has more room, to forget that: in deviations of the noise, the root of squared W2.
# The noise is this much relative to the smallest frame and to the least threshold.
FAINT = Decimal("1e-60")
FORGOTTEN = Decimal("1e11")


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


def exact_problem(
    problem: Problem, stake: Decimal = Decimal(1), frame_by_frame: bool = False
) -> Exact:
    """Return what the problem gives, in decimals.

    A threshold 0 becomes a little more, and those of a source with noise too: what keeps the
    thresholds of the problem keeps these, so that bounds hold for the problem.

    Parameters
    ----------
    problem : Problem
    stake : Decimal
        What stands for 0 is less by this factor: where distortions are next to 0 themselves.
    frame_by_frame : bool
        A frame that repeats the one before it leaves more room to those after it than it has.
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
    most = max(min(asked, default=Decimal("Infinity")), ALLOWED * stake * min(variance))
    levels, noise = zeros(frames), zeros(frames)
    for t in range(frames):
        least = stake * min(variance[: t + 1])
        if fresh[t] == 0:
            usual = min(NOISE * least, BESIDE * most)
            noise[t] = FAINT * min(least, most) if frame_by_frame else usual
            covariance[t, t] += noise[t]
        levels[t] = _raised(problem.thresholds[t], least, noise[: t + 1], frame_by_frame)
    return Exact(variance, gain * gain, fresh, noise, mmse, phi, phi * root, covariance, levels)


def _raised(level: float, least: Decimal, noise: Array, forget: bool) -> Decimal | None:
    """The threshold of a frame; noise of it and those before, (t + 1,)."""
    if np.isinf(level):
        return None
    deviations = roots(noise)
    added, zero = 2 * deviations.sum(), (ALLOWED * least).sqrt()
    if forget:
        added += FORGOTTEN * deviations[:-1].sum()
        zero *= 1 + int(np.count_nonzero(noise[:-1]))
    return max(Decimal(level).sqrt() + added, zero) ** 2
