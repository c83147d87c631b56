r"""Positive thresholds under the sequential objective, sources of any order: a program a frame.

Under PLF-JD and PLF-SA the frames are those of :mod:`solvers._long_horizon.sequential`, one number
searched for each: they need the factors of the covariance and of the estimate, not the order of the
source. PLF-JD(w), and up to 12 frames what has no certificate there, have the semidefinite programs
of :mod:`solvers._sdp.sequential`, written around the coupling of the past, so that they keep an
interior where the first frames use up the threshold of the later ones.

**Certificate.** Each frame given the ones before, from second moments alone.
"""

from __future__ import annotations

import numpy as np

from rdp._threads import one_thread
from rdp.gaussian import psd_cholesky
from rdp.perception import JD
from rdp.problem import Problem
from solvers._long_horizon.sequential import solve_given
from solvers._sdp.dual_bounds import best_frame_bound
from solvers._sdp.sequential import Sequential
from solvers.acceptance import check_frames
from solvers.certificate import Given
from solvers.errors import SolverError
from solvers.linear.decoder import Reconstruction
from solvers.linear.measurement import Representation
from solvers.methods.linear_program import FEW_FRAMES

Array = np.ndarray


def decode_in_turn(problem: Problem, sent: Representation) -> tuple[Reconstruction, float]:
    """Best frame after frame within the thresholds, and the sum of the bounds of the frames.

    Parameters
    ----------
    problem : Problem
        PLF-JD, with a window or not, or PLF-SA.
    sent : Representation
        What the decoder receives.

    Raises
    ------
    SolverError
        The solver failed, or what it found exceeds the thresholds.
    """
    if isinstance(problem.perception, JD) and problem.perception.window is not None:
        return by_programs(problem, sent)
    try:
        return by_multipliers(problem, sent)
    except (SolverError, np.linalg.LinAlgError):
        if problem.source.frames > FEW_FRAMES:
            raise
        return by_programs(problem, sent)


def by_multipliers(problem: Problem, sent: Representation) -> tuple[Reconstruction, float]:
    """One number searched for each frame; PLF-JD or PLF-SA.

    Parameters
    ----------
    problem : Problem
    sent : Representation
    """
    return decode_given(problem, sent.factor, problem.source.covariance(), sent.mmse)


def decode_given(
    problem: Problem, factor: Array, covariance: Array, mmse: Array
) -> tuple[Reconstruction, float]:
    """Decode an estimate of a source of any order, frame after frame.

    Parameters
    ----------
    problem : Problem
        PLF-JD or PLF-SA with its thresholds.
    factor, covariance : (T, T) arrays
        E with Xtil = E u, and the covariance of the source.
    mmse : (T,) array
        m_t.
    """
    assert problem.perception is not None
    variance = np.diag(covariance)
    unit = 2.0 ** np.round(0.5 * np.log2(variance.max()))
    scaled = problem.with_(perception=problem.perception.at(problem.thresholds / unit**2))
    with one_thread():
        found = solve_given(scaled, factor / unit, psd_cholesky(covariance) / unit, mmse / unit**2)
    check_frames("linear", variance / unit**2, found.distortion, found.bounds)
    informed = np.diag(factor) > 0
    decoder, noise = unit * found.root * informed, unit * found.root * ~informed
    made = Reconstruction(covariance, factor, decoder, noise)
    bound = float(found.bounds.sum())
    slip = 4 * (len(informed) + 2) * np.finfo(np.float64).eps * abs(bound)
    return made, unit**2 * (bound - slip)


def by_programs(problem: Problem, sent: Representation) -> tuple[Reconstruction, float]:
    """A semidefinite program for each frame.

    Parameters
    ----------
    problem : Problem
    sent : Representation
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

    def given(self, t: int) -> Given:
        past, known = self.xhat[self.seen(t)], self.known[t]
        return Given(past @ past.T, past @ known, float(known @ known), self.covariance[t, t])

    def frame_bounds(self, cov_xhat: Array, cross: Array) -> Array:
        bounds = np.empty(self.frames)
        for t in range(self.frames):
            block = slice(self.problem.first_seen(t), t + 1)
            target = self.target(t)
            found = best_frame_bound(
                self.given(t),
                target @ target.T,
                float(self.mu[t]),
                self.slope[t, block, block],
                float(self.levels[t]),
            )
            bounds[t] = max(found, float(self.least[t]) * (1 - 1e-12))
        return bounds
