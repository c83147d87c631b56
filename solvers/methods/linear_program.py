r"""Thresholds and weights for sources of any order, by a semidefinite program with its own bound.

The representation is given, :math:`\tilde X = E u`, and so is Cov X. Unknowns are the decoder K,
lower triangular, and :math:`H = \operatorname{Cov} \hat X \succeq K K^T`:

.. math:: \min \sum_t w_t (\sigma_t^2 + H_{tt} - 2 (K E^T)_{tt}) \quad\text{s.t.}\quad
          W_2^2(A_t, B_t) \le P_t .

:math:`B_t` is a block of H. :math:`A_t` is the same block of Cov X for PLF-JD; for PLF-SA it has
the earlier reconstructions and :math:`E[\hat X_s X_t] = \sum_{k \le s} K_{sk} E_{tk}`, which is
linear in K. A threshold 0 is an equality of both.

**Certificate.** With slopes :math:`N_t` and multipliers :math:`\mu_t` of the thresholds as in
`solvers.certificate`, and :math:`L_t = -N_t (I - N_t/\mu_t)^{-1}`, the Lagrangian is
:math:`\text{const} + \operatorname{tr} Q H - 2 \langle M, K \rangle` with

.. math:: Q = \operatorname{diag}(w) + \sum_t N_t \; (+ \sum_t L_t \text{ on the past for SA}),
          \qquad M_{ik} = w_i E_{ik} \; (- \sum_{t > i} (L_t)_{ti} E_{tk} \text{ for SA}),

and its minimum over K and H is explicit. Any point with Q > 0 gives a bound on all decoders of this
representation; the multipliers of the solver (CLARABEL) are moved towards a strictly feasible
point, and the best of some steps is kept. For sources of first order this is the bound of
`solvers.certificate`, with E and Cov X in the place of its recursions.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rdp._threads import one_thread
from rdp.gaussian import psd_cholesky
from rdp.perception import JD
from rdp.problem import Problem
from rdp.solution import Status
from solvers._long_horizon.program import joint_program
from solvers.errors import SolverError
from solvers.linear.decoder import Reconstruction
from solvers.linear.information import solve_program
from solvers.linear.measurement import Representation
from solvers.methods.long_horizon import follow_from_starts

Array = np.ndarray

_SHARES = (0.0, *(10.0**power for power in range(-12, 0)))
FEW_FRAMES = 12  # of the semidefinite program, where Newton steps could take its place
_SINGULAR = 1e-10  # innovation, relative to the variance, below which a frame has none
_LEAST_SHARE = 1e-9  # weight of a frame over the largest one in the program
_SHRINK = 1e-9  # of a threshold, so that what the solver leaves does not exceed it


class Bound(NamedTuple):
    """The threshold of one frame, its multiplier and its slope on the frames it compares."""

    frame: int
    seen: slice
    level: float
    mu: float
    slope: Array


def decode_within(problem: Problem, factor: Array) -> tuple[Reconstruction, float]:
    """Best decoder of a representation at weights and thresholds, and the bound of all of them.

    Parameters
    ----------
    problem : Problem
        PLF-JD, with a window or not, or PLF-SA, and weights; tens of frames at most.
    factor : (T, T) array
        E, with Xtil = E u.

    Raises
    ------
    SolverError
        The solver failed.
    """
    import cvxpy as cp

    scale = float(problem.source.variance.max())
    unit = np.sqrt(scale)
    cov, estimate = problem.source.covariance() / scale, factor / unit
    levels, weights = problem.thresholds / scale, problem.frame_weights
    frames = len(cov)
    k = cp.Variable((frames, frames))
    h = cp.Variable((frames, frames), symmetric=True)
    constraints: list[Any] = [cp.bmat([[np.eye(frames), k.T], [k, h]]) >> 0]
    if frames > 1:
        constraints.append(cp.upper_tri(k) == 0)
    own = cp.diag(h) - 2 * cp.diag(k @ estimate.T)
    top = float(weights.max())
    # a frame that nothing bounds and nothing weighs would drift away
    shares = np.maximum(weights / top, _LEAST_SHARE)
    # a bound without the least weights is one with them, and needs fewer digits
    counted = np.where(weights < _LEAST_SHARE * top, 0.0, weights / top)
    thresholds = [
        _threshold(problem, t, float(levels[t]), cov, estimate, k, h) for t in _binding(problem)
    ]
    for threshold in thresholds:
        constraints += threshold.constraints
    solve_program(cp.Problem(cp.Minimize(shares @ own), constraints), "linear")
    bounds = [threshold.bound() for threshold in thresholds]
    dual = _best_bound(bounds, counted, cov, estimate, problem.plf == "SA")
    made = _repaired(np.asarray(k.value), np.asarray(h.value))
    decoder, noise = unit * made[0], unit * made[1]
    return Reconstruction(cov * scale, factor, decoder, noise), top * scale * dual


def _binding(problem: Problem) -> list[int]:
    """Frames whose threshold is not implied: W2 of more frames is no smaller, PLF-JD."""
    levels = problem.thresholds
    found = [int(t) for t in np.flatnonzero(np.isfinite(levels))]
    if problem.plf == "JD":
        found = [t for t in found if not (levels[t + 1 :] <= levels[t]).any()]
    return found


def decode_many(problem: Problem, sent: Representation) -> tuple[Reconstruction, float]:
    """Best decoder under PLF-JD at positive thresholds with weights, over tens of frames.

    The Newton steps of :mod:`solvers.methods.long_horizon`: under PLF-JD they need the factors of
    the covariance and of the estimate only, not the order of the source.

    Parameters
    ----------
    problem : Problem
        PLF-JD, weights, positive thresholds.
    sent : Representation

    Raises
    ------
    SolverError
        A frame without innovation, no weight up to the last threshold, or no certificate.
    """
    unit = 2.0 ** np.round(0.5 * np.log2(problem.source.variance.max()))
    covariance, m = problem.source.covariance(), sent.mmse / unit**2
    root = psd_cholesky(covariance) / unit
    estimate, weights = sent.factor / unit, problem.frame_weights
    program = joint_program(weights, problem.thresholds / unit**2, estimate, root, m)
    n = program.frames
    if (np.diag(root)[:n] ** 2 <= _SINGULAR * program.variance).any() or program.total == 0:
        raise SolverError(
            Status.UNSUPPORTED,
            "linear: expected frames with innovations, and a weight up to the last threshold, over "
            f"more than {FEW_FRAMES} frames",
        )
    with one_thread():
        found = follow_from_starts(program, m[:n])
    decoder, noise = estimate.copy(), np.zeros_like(estimate)
    decoder[:n, :n], noise[:n, :n] = found.gains, psd_cholesky(found.noise)
    slip = 4 * (len(m) + 2) * np.finfo(np.float64).eps * abs(found.bound)
    bound = found.bound - slip + float(weights[n:] @ m[n:])
    made = Reconstruction(covariance, sent.factor, unit * decoder, unit * noise)
    return made, unit**2 * bound


class _Near:
    """Constraints of a threshold above 0, and what their multipliers say."""

    def __init__(self, frame: int, seen: slice, level: float, target: Any, given: Any) -> None:
        import cvxpy as cp

        self.frame, self.seen, self.level = frame, seen, level
        size = seen.stop - seen.start
        y = cp.Variable((size, size))
        self.constraints: list[Any] = [
            cp.bmat([[target, y], [y.T, given]]) >> 0,
            cp.trace(target) + cp.trace(given) - 2 * cp.trace(y) <= level * (1 - _SHRINK),
        ]

    def bound(self) -> Bound:
        """Multiplier and slope at the answer of the solver."""
        size = self.seen.stop - self.seen.start
        mu = max(float(self.constraints[1].dual_value), 0.0)
        low = np.asarray(self.constraints[0].dual_value)[size:, size:]
        slope = mu * np.eye(size) - 0.5 * (low + low.T)
        return Bound(self.frame, self.seen, self.level, mu, slope)


class _Equal:
    """Threshold 0 of PLF-JD: both covariances are the same."""

    def __init__(self, frame: int, seen: slice, target: Any, given: Any) -> None:
        self.frame, self.seen = frame, seen
        self.constraints: list[Any] = [given - target == 0]

    def bound(self) -> Bound:
        """Slope at the answer of the solver."""
        value = np.asarray(self.constraints[0].dual_value)
        return Bound(self.frame, self.seen, 0.0, np.inf, 0.5 * (value + value.T))


class _EqualRow:
    """Threshold 0 of PLF-SA: the row of the new frame is bound, the past is on both sides."""

    def __init__(self, frame: int, along: Any, variance: float, h: Any) -> None:
        self.frame, self.seen = frame, slice(0, frame + 1)
        self.constraints: list[Any] = [
            h[frame, frame] == variance,
            *([] if frame == 0 else [h[:frame, frame : frame + 1] - along == 0]),
        ]

    def bound(self) -> Bound:
        """Slope at the answer of the solver."""
        slope = np.zeros((self.frame + 1, self.frame + 1))
        for constraint in self.constraints[1:]:
            row = 0.5 * np.asarray(constraint.dual_value)[:, 0]
            slope[:-1, -1] = slope[-1, :-1] = row
        slope[-1, -1] = float(self.constraints[0].dual_value)
        return Bound(self.frame, self.seen, 0.0, np.inf, slope)


def _threshold(
    problem: Problem, t: int, level: float, cov: Array, e: Array, k: Any, h: Any
) -> _Near | _Equal | _EqualRow:
    """Constraints of the threshold of frame t."""
    import cvxpy as cp

    seen = slice(problem.first_seen(t), t + 1)
    if isinstance(problem.perception, JD):
        if level == 0:
            return _Equal(t, seen, cov[seen, seen], h[seen, seen])
        return _Near(t, seen, level, cov[seen, seen], h[seen, seen])
    along: Any = k[:t, :] @ e[t : t + 1, :].T if t else None  # E[Xhat_s X_t]
    if level == 0:
        return _EqualRow(t, along, float(cov[t, t]), h)
    fresh = cov[t : t + 1, t : t + 1]
    target = fresh if t == 0 else cp.bmat([[h[:t, :t], along], [along.T, fresh]])
    return _Near(t, seen, level, target, h[seen, seen])


def _repaired(k: Array, h: Array) -> tuple[Array, Array]:
    """Decoder and its noise, causal and with the nearest positive remainder."""
    decoder = np.tril(k)
    rest = h - decoder @ decoder.T
    values, vectors = np.linalg.eigh(0.5 * (rest + rest.T))
    return decoder, psd_cholesky((vectors * np.maximum(values, 0.0)) @ vectors.T)


def _best_bound(bounds: list[Bound], weights: Array, cov: Array, e: Array, own: bool) -> float:
    """Best bound on the way from the multipliers of the solver to a strictly feasible point."""
    best = -np.inf
    for share in _SHARES:
        moved = [
            point._replace(
                mu=point.mu if np.isinf(point.mu) else (1 - share) * point.mu + share,
                slope=(1 - share) * point.slope,
            )
            for point in bounds
        ]
        for t in np.flatnonzero(weights == 0):  # a slope of its own for a frame without weight
            for i, point in enumerate(moved):
                if point.seen.start <= t < point.seen.stop:
                    lifted = point.slope.copy()
                    lifted[t - point.seen.start, t - point.seen.start] += 0.5 * share
                    moved[i] = point._replace(slope=lifted)
                    break
        best = max(best, dual_value(moved, weights, cov, e, own))
    return best


def dual_value(bounds: list[Bound], weights: Array, cov: Array, e: Array, own: bool) -> float:
    """Bound on the least weighted distortion at a dual point; -inf where it is not feasible.

    Parameters
    ----------
    bounds : list of Bound
        Thresholds with their multipliers and slopes.
    weights : (T,) array
    cov, e : (T, T) arrays
        Covariance of the source and factor of the estimate.
    own : bool
        PLF-SA, whose target has the earlier reconstructions.
    """
    q, m = np.diag(weights.astype(np.float64)), weights[:, None] * e
    value = float(weights @ np.diag(cov))
    scale = value
    for point in bounds:
        if point.mu == 0:
            continue
        conjugate = -point.slope
        if np.isfinite(point.mu):
            inner = np.eye(len(point.slope)) - point.slope / point.mu
            if not np.linalg.eigvalsh(inner)[0] > 0:
                return -np.inf
            conjugate = -np.linalg.solve(inner, point.slope)
            conjugate = 0.5 * (conjugate + conjugate.T)
            value -= point.mu * point.level
            scale += point.mu * point.level
        q[point.seen, point.seen] += point.slope
        t = point.frame
        if own:
            q[:t, :t] += conjugate[:-1, :-1]
            m[:t] -= np.outer(conjugate[-1, :-1], e[t])
            terms = conjugate[-1, -1] * cov[t, t]
        else:
            terms = conjugate * cov[point.seen, point.seen]
        value += float(np.sum(terms))
        scale += float(np.sum(np.abs(terms)))
    used = np.flatnonzero((np.abs(q).max(axis=1) > 0) | (np.abs(np.tril(m)).max(axis=1) > 0))
    q, m = q[np.ix_(used, used)], np.tril(m)[used]
    # with q = U U', U upper triangular, the columns are whitened once for all blocks
    try:
        upper = np.linalg.cholesky(q[::-1, ::-1])[::-1, ::-1]
    except np.linalg.LinAlgError:
        return -np.inf
    for s in range(m.shape[1]):
        rows = used >= s
        white = np.linalg.solve(upper[np.ix_(rows, rows)], m[rows, s])
        value -= float(white @ white)
        scale += float(white @ white)
    return value - 64 * (len(weights) + 2) * np.finfo(np.float64).eps * scale
