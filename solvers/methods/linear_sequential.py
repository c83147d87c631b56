r"""Positive thresholds under the sequential objective, sources of any order: a program a frame.

The programs are those of :mod:`solvers._sdp.sequential`, which need the covariance of the source
and the estimate as forms of white variables, not the order of the source. Under PLF-JD the first
frames may use up the threshold of the later ones; the coupling of a frame is written around that of
the past, so that the program keeps an interior.

**Certificate.** Each frame given the ones before, with a multiplier and a slope as in
:mod:`solvers.certificate`, from second moments alone.
"""

from __future__ import annotations

import numpy as np

from rdp.gaussian import psd_cholesky
from rdp.problem import Problem
from solvers._sdp.dual_bounds import LIFTS
from solvers._sdp.sequential import Sequential
from solvers.certificate import Given, frame_bound
from solvers.linear.decoder import Reconstruction
from solvers.linear.measurement import Representation

Array = np.ndarray


def decode_in_turn(problem: Problem, sent: Representation) -> tuple[Reconstruction, float]:
    """Best frame after frame within the thresholds, and the sum of the bounds of the frames.

    Parameters
    ----------
    problem : Problem
        PLF-JD or PLF-SA.
    sent : Representation
        What the decoder receives.

    Raises
    ------
    SolverError
        The solver failed, or what it found exceeds the thresholds.
    """
    frames = _AnyOrder(problem, sent)
    scheme = frames.solve()
    count = frames.frames
    decoder, noise = frames.xhat[:, :count], frames.xhat[:, count:]
    return Reconstruction(frames.covariance, sent.factor, decoder, noise), scheme.lower_bound


class _AnyOrder(Sequential):
    """Frames whose representation is given."""

    def __init__(self, problem: Problem, sent: Representation) -> None:
        super().__init__(problem.with_(encoder="mmse"))
        self.sent, self.least = sent, sent.mmse
        self.covariance = problem.source.covariance()

    def receive(self, t: int) -> None:
        self.mmse[t] = self.least[t]
        self.known[t, : self.frames] = self.sent.factor[t]

    def factor(self, first: int, end: int) -> Array:
        return psd_cholesky(self.covariance[first:end, first:end])

    def bound(self, t: int, mu: float, slope: Array) -> float:
        seen, target = self.seen(t), self.target(t)
        past, known = self.xhat[seen], self.known[t]
        variance = float(self.covariance[t, t])
        given = Given(past @ past.T, past @ known, float(known @ known), variance)
        against = target @ target.T, float(self.levels[t])
        top = float(np.linalg.eigvalsh(slope)[-1])
        return max(
            frame_bound(given, against[0], max(mu, (1 + lift) * top), slope, against[1])
            for lift in LIFTS
        )

    def total_bound(self, cov_xhat: Array, cross: Array) -> float:
        total = 0.0
        for t in range(self.frames):
            block = slice(self.problem.first_seen(t), t + 1)
            found = self.bound(t, float(self.mu[t]), self.slope[t, block, block])
            total += max(found, float(self.least[t]) * (1 - 1e-12))
        return total
