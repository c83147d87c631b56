r"""The weighted program of T frames, its feasible start and its objective.

Decoder gains K (lower triangular, :math:`\hat X = K u` + noise), noise covariance
:math:`S = H - K K^T \succ 0`, and the moments :math:`c_s = E \hat X_s \tilde X_s` that the loss SA
reads. The estimate is :math:`\tilde X = \tilde L u`, :math:`c_s` the product of row s of K with row
s of :math:`\tilde L`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rdp.mmse import estimate_factor, mmse_recursion
from rdp.problem import Problem
from rdp.solution import Status
from solvers.errors import SolverError

Array = np.ndarray

_SINGULAR = 1e-12  # innovation, relative to the variance, below which a frame has none


class Program(NamedTuple):
    """Frames up to the last threshold, in the units of the source."""

    joint: bool  # JD; else SA
    weights: Array  # (n,)
    estimate: Array  # (n, n) factor of the MMSE estimate
    root: Array  # (n, n) lower-triangular factor of the covariance of the source
    transition: Array  # (n, n)
    variance: Array  # (n,)
    constant: float  # sum_t w_t m_t
    compared: Array  # (k,) frames with a threshold that no later one implies
    levels: Array  # (k,) their thresholds

    @property
    def frames(self) -> int:
        """Number of frames."""
        return len(self.weights)

    @property
    def total(self) -> float:
        """Weighted variance of the source."""
        return float(self.weights @ self.variance)

    def objective(self, gains: Array, noise: Array) -> float:
        """Weighted distortion as a sum of squares."""
        error = ((gains - self.estimate) ** 2).sum(axis=1) + np.diag(noise)
        return self.constant + float(self.weights @ error)

    def cross(self, gains: Array) -> Array:
        """Moments c_s = E Xhat_s Xtil_s."""
        return np.einsum("st,st->s", gains, self.estimate)


def program_of(problem: Problem) -> Program:
    """Write a problem with weights as a program, or raise SolverError where it has no interior."""
    source, levels = problem.source, problem.thresholds
    if problem.weights is None:
        raise ValueError("weights: expected an array, got None")
    joint = problem.plf == "JD"
    bounded = np.isfinite(levels)
    n = int(np.flatnonzero(bounded)[-1]) + 1
    if not (levels > 0).all():
        raise SolverError(
            Status.UNSUPPORTED, "long horizon: weights and a threshold of zero; use 'lookahead'"
        )
    if joint and (source.innovation[:n] <= _SINGULAR * source.variance[:n]).any():
        raise SolverError(
            Status.UNSUPPORTED,
            "long horizon: a frame without innovation (|rho| = 1); use 'barrier'",
        )
    if not joint and not (bounded[:n] | (problem.weights[:n] > 0)).all():
        raise SolverError(
            Status.UNSUPPORTED,
            "long horizon: a frame with neither weight nor threshold; use 'barrier'",
        )
    mmse = mmse_recursion(source, problem.rates).mmse
    compared = _compared(levels[:n], joint)
    transition = source.transition()[:n, :n]
    return Program(
        joint=joint,
        weights=np.array(problem.weights[:n]),
        estimate=estimate_factor(source, problem.rates)[:n, :n],
        root=transition * np.sqrt(source.innovation[:n]),
        transition=transition,
        variance=np.array(source.variance[:n]),
        constant=float(problem.weights[:n] @ mmse[:n]),
        compared=compared,
        levels=np.array(levels[compared]),
    )


def joint_program(
    weights: Array, levels: Array, estimate: Array, root: Array, mmse: Array
) -> Program:
    """PLF-JD for a source of any order: the factors of its covariance and of its estimate enter.

    Parameters
    ----------
    weights, mmse : (T,) arrays
        w_t and m_t.
    levels : (T,) array, > 0
        Thresholds, not all inf.
    estimate, root : (T, T) arrays, lower triangular
        Factors of the covariances of the MMSE estimate and of the source; `root` has an inverse.
    """
    n = int(np.flatnonzero(np.isfinite(levels))[-1]) + 1
    compared = _compared(levels[:n], joint=True)
    return Program(
        joint=True,
        weights=np.array(weights[:n]),
        estimate=estimate[:n, :n],
        root=root[:n, :n],
        transition=np.zeros((n, n)),  # PLF-SA alone reads it
        variance=(root[:n, :n] ** 2).sum(axis=1),
        constant=float(weights[:n] @ mmse[:n]),
        compared=compared,
        levels=np.array(levels[compared]),
    )


def _compared(levels: Array, joint: bool) -> Array:
    """Frames with a threshold that no later one implies."""
    tail = np.minimum.accumulate(np.append(levels[1:], np.inf)[::-1])[::-1]
    return np.flatnonzero(np.isfinite(levels) & ((levels < tail) | (not joint)))


def start(program: Program, mmse: Array, shrink: float) -> tuple[Array, Array]:
    """Gains and noise of an interior point: a perfect-realism decoder, its gains times `shrink`."""
    variance = program.variance
    if program.joint:
        reference = np.cumsum(variance)[program.compared]
        room = min(0.1, 0.3 * float((program.levels / reference).min()))
        own = np.diag(program.root)
        gains = shrink * program.root * (np.clip(np.diag(program.estimate), 0.0, own) / own)
        noise = program.root @ program.root.T - gains @ gains.T + room * np.diag(variance)
        return gains, noise
    gains = program.estimate.copy()
    np.fill_diagonal(gains, np.sqrt(np.diag(gains) ** 2 + mmse))
    spread = gains @ gains.T
    noise = shrink * (1 - shrink) * spread + (1 - shrink) * np.diag(variance)
    return shrink * gains, noise
