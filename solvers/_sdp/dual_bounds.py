"""Certified bounds from the multipliers of a semidefinite program, and the check of thresholds."""

from __future__ import annotations

import numpy as np

from rdp.measure import distortion_of, perception_of
from rdp.problem import Problem
from rdp.solution import Status
from solvers.certificate import Given, frame_bound, lower_bound, sequential_bounds
from solvers.errors import SolverError
from solvers.scheme import Scheme

Array = np.ndarray
Entries = dict[tuple[int, int], int]  # multiplier of each entry of a covariance

_PRICE = 1e-6  # of the objective: what a violation of the thresholds may be worth
# How far a multiplier is lifted above the largest slope; much, where a tiny threshold makes it free
LIFTS = (1e-9, 1e-7, 1e-5, 1e-2, 1.0, 1e3)


def best_bound(problem: Problem, mu: Array, slope: Array) -> float:
    """Best certified bound of a few multipliers, lifted so that I - N / mu > 0.

    Where the target covariance is singular the optimal multiplier leaves I - N / mu singular.
    """
    return max(lower_bound(problem, values, slope) for values in _lifted(mu, slope))


def best_bounds(
    problem: Problem, mu: Array, slope: Array, cov_xhat: Array, cross: Array
) -> Array:
    """Best certified bounds of the frames under the sequential objective, (T,) array."""
    found = [
        sequential_bounds(problem, values, slope, cov_xhat, cross)
        for values in _lifted(mu, slope)
    ]
    return np.max(found, axis=0)


def best_frame_bound(
    given: Given, target: Array, mu: float, slope: Array, level: float
) -> float:
    """Best certified bound of one frame, given the ones before.

    Parameters
    ----------
    given : Given
        The scheme before the frame.
    target : (k + 1, k + 1) array
        Covariance that the reconstructions are compared with.
    mu : float
        Multiplier.
    slope : (k + 1, k + 1) array
        N.
    level : float
        P_t.
    """
    top = float(np.linalg.eigvalsh(slope)[-1])
    lifted = {max(mu, (1 + lift) * top) for lift in LIFTS}
    return max(frame_bound(given, target, value, slope, level) for value in lifted)


def _lifted(mu: Array, slope: Array) -> list[Array]:
    top = np.linalg.eigvalsh(slope)[:, -1]
    return list(np.unique([np.maximum(mu, (1 + lift) * top) for lift in LIFTS], axis=0))


def check_thresholds(problem: Problem, scheme: Scheme, levels: Array, mu: Array) -> None:
    """Refuse a scheme whose losses exceed the thresholds by what the objective can feel.

    A residual that is small next to the variance may be large next to a small threshold; its price
    is the multiplier.
    """
    if problem.perception is None or problem.perception.metric == "kl":
        return
    source = problem.source
    loss = perception_of(source, scheme.cov_xhat, scheme.cross, problem.perception)
    rounding = 1e-13 * float(source.variance.sum())
    near = np.isfinite(mu) & np.isfinite(levels) & (levels > 0)
    beyond = np.maximum(loss[near] - levels[near] - rounding, 0.0)
    weights = problem.frame_weights
    objective = weights @ distortion_of(source, scheme.mmse, scheme.cov_xhat, scheme.cross)
    price = float(mu[near] @ beyond)
    if price > _PRICE * objective + 1e-10 * float(weights @ source.variance):
        raise SolverError(
            Status.INACCURATE,
            f"sdp: thresholds exceeded by {beyond.max():.1e}, which lowers the objective by about "
            f"{price:.1e} ({scheme.message})",
        )


def symmetric(entries: Entries, multipliers: Array, size: int) -> Array:
    """Multipliers of the entries of a covariance, as a symmetric matrix."""
    out = np.zeros((size, size))
    for (i, j), row in entries.items():
        out[i, j] += 0.5 * multipliers[row]
        out[j, i] += 0.5 * multipliers[row]
    return out


def pulled_back(factor: Array, pull: Array, null: float, sigma: Array) -> Array:
    """N with factor^T N factor = pull, and curvature `null` along what factor cannot reach."""
    inverse = np.linalg.pinv(factor / sigma[:, None], rcond=1e-10)
    unreached = np.eye(len(factor)) - factor / sigma[:, None] @ inverse
    scaled = inverse.T @ pull @ inverse + null * 0.5 * (unreached + unreached.T)
    return scaled / np.outer(sigma, sigma)
