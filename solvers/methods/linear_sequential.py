r"""Thresholds of PLF-SA under the sequential objective, sources of any order: a program a frame.

The earlier reconstructions are given as linear forms of the estimate and the decoder's noise. The
new one, :math:`\hat X_t`, is a form v of both and fresh noise of variance s:

.. math:: \min_{v,\, s \ge 0} \sigma_t^2 + E \hat X_t^2 - 2 E[\tilde X_t \hat X_t]
          \quad\text{s.t.}\quad W_2^2(A_t, B_t) \le P_t .

:math:`A_t`, the covariance of the earlier reconstructions and :math:`X_t`, is known. A threshold 0
has the explicit rule of `solvers.linear.decoder`. Under PLF-JD the first frames may use up the
threshold of the later ones, so that a program of one frame has no interior; it is not covered.

**Certificate.** With a multiplier :math:`\mu` and a slope :math:`N = [[N', y], [y^T, \kappa - 1]]`,

.. math:: D_t \ge \sigma_t^2 + \operatorname{tr} A_t L + \operatorname{tr} H N' - \mu P_t
          - E(\tilde X_t - y^T \hat X^{t-1})^2 / \kappa, \qquad L = -N (I - N/\mu)^{-1},

H the covariance of the earlier reconstructions: the bound of `solvers.certificate` for any source.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rdp import gaussian
from rdp.problem import Problem
from solvers.linear.decoder import Reconstruction
from solvers.linear.information import solve_program

Array = np.ndarray

_SHARES = (0.0, *(10.0**power for power in range(-12, 0)))
_SHRINK = 1e-9  # of a threshold, so that what the solver leaves does not exceed it
_NOTHING = 1e-12  # length that rounding alone explains, units of the largest deviation


def decode_in_turn(problem: Problem, factor: Array) -> tuple[Reconstruction, float]:
    """Best frame after frame within the thresholds, and the sum of the bounds of the frames.

    Parameters
    ----------
    problem : Problem
        PLF-SA.
    factor : (T, T) array
        E, with Xtil = E u.

    Raises
    ------
    SolverError
        The solver failed.
    """
    scale = float(problem.source.variance.max())
    cov, estimate = problem.source.covariance() / scale, factor / np.sqrt(scale)
    frames = len(cov)
    levels = problem.thresholds / scale
    given = np.hstack([estimate, np.zeros((frames, frames))])
    rows, bound = np.zeros((frames, 2 * frames)), 0.0
    for t in range(frames):
        past = rows[:t]
        along = past @ given[t]  # E[Xhat_s X_t]
        target = np.block([[past @ past.T, along[:, None]], [along[None], cov[t, t]]])
        rows[t], least = _frame(past, given[t], target, float(levels[t]), frames + t)
        bound += least
    made = Reconstruction(
        cov * scale, factor, rows[:, :frames] * np.sqrt(scale), rows[:, frames:] * np.sqrt(scale)
    )
    return made, bound * scale


def _frame(past: Array, new: Array, target: Array, level: float, noise: int) -> tuple[Array, float]:
    """Row of the best reconstruction of one frame, and the least distortion of that frame.

    `past` are the rows of the earlier frames, `new` is that of the estimate of this one, and
    `noise` the column of its own noise.
    """
    variance, power = float(target[-1, -1]), float(new @ new)
    if np.isinf(level) or _distance(past, new, target) <= level:
        return new, variance - power
    basis = _orthonormal(past)
    if level == 0:
        return _exact(past, basis, new, target, noise)
    # nothing outside the span of the past and the estimate helps, but noise
    directions = _orthonormal(np.vstack([basis, new]))
    row, slope, mu = _program(past, new, target, level, directions, noise)
    best = -np.inf
    for share in _SHARES:
        moved = (1 - share) * slope
        best = max(best, _bound(past, new, target, level, (1 - share) * mu + share, moved))
    return row, best


def _distance(past: Array, row: Array, target: Array) -> float:
    rows = np.vstack([past, row])
    return float(gaussian.bures(target, rows @ rows.T))


def _orthonormal(rows: Array) -> Array:
    """Orthonormal basis of the span of some rows."""
    _, values, right = np.linalg.svd(rows, full_matrices=False)
    return right[values > _NOTHING * max(float(values.max(initial=0.0)), 1.0)]


def _exact(past: Array, basis: Array, new: Array, target: Array, noise: int) -> tuple[Array, float]:
    """Threshold 0: the row of the target is met, and the rest follows the estimate."""
    wanted = target[-1, :-1]
    mean = np.linalg.lstsq(past, wanted, rcond=1e-13)[0] if len(past) else np.zeros_like(new)
    left = max(float(target[-1, -1] - mean @ mean), 0.0)
    rest = new - (basis @ new) @ basis
    length = float(np.linalg.norm(rest))
    row = mean.copy()
    if length > _NOTHING:
        row += np.sqrt(left) / length * rest
    else:
        row[noise] += np.sqrt(left)
        length = 0.0
    variance = float(target[-1, -1])
    return row, 2 * (variance - float(mean @ new) - np.sqrt(left) * length)


def _program(
    past: Array, new: Array, target: Array, level: float, directions: Array, noise: int
) -> tuple[Array, Array, float]:
    """Row of the solver, with the slope and the multiplier of the threshold."""
    import cvxpy as cp

    size, t = len(directions), len(past)
    v, s = cp.Variable(size), cp.Variable()
    y = cp.Variable((t + 1, t + 1))
    along = (past @ directions.T) @ v
    spread = cp.Variable()
    below = cp.reshape(along, (1, t), order="C")
    given: Any = cp.reshape(spread, (1, 1), order="C")
    if t:
        side = cp.reshape(along, (t, 1), order="C")
        given = cp.bmat([[past @ past.T, side], [below, given]])
    near = cp.bmat([[target, y], [y.T, given]]) >> 0
    total = float(np.trace(target) + (past**2).sum())
    cost = total + spread - 2 * cp.trace(y) <= level * (1 - _SHRINK)
    goal = cp.Minimize(spread - 2 * (directions @ new) @ v)
    constraints = [near, cost, spread >= cp.sum_squares(v) + s, s >= 0]
    solve_program(cp.Problem(goal, constraints), "linear")
    row = np.asarray(v.value) @ directions
    row[noise] += np.sqrt(max(float(np.asarray(spread.value)) - float(row @ row), 0.0))
    mu = max(float(cost.dual_value), 0.0)
    low = np.asarray(near.dual_value)[t + 1 :, t + 1 :]
    return row, mu * np.eye(t + 1) - 0.5 * (low + low.T), mu


def _bound(past: Array, new: Array, target: Array, level: float, mu: float, slope: Array) -> float:
    """Least distortion of the frame at a dual point; -inf where it is not feasible."""
    kappa = 1.0 + float(slope[-1, -1])
    inner = np.eye(len(slope)) - slope / mu
    if not kappa > 0 or not np.linalg.eigvalsh(inner)[0] > 0:
        return -np.inf
    conjugate = -np.linalg.solve(inner, slope)
    residual = new - slope[-1, :-1] @ past
    terms = [
        float(target[-1, -1]),
        float((target * conjugate).sum()),
        float((past @ past.T * slope[:-1, :-1]).sum()),
        -mu * level,
        -float(residual @ residual) / kappa,
    ]
    size = sum(map(abs, terms)) + float(np.abs(target * conjugate).sum())
    return sum(terms) - 64 * (len(slope) + 2) * np.finfo(np.float64).eps * size
