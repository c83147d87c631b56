"""PLF-SA at threshold 0: the best decoder by a barrier method with tridiagonal Newton steps."""

from __future__ import annotations

import numpy as np

from solvers._lookahead.decoder import Decoder, Frames, innovations, shifted

Array = np.ndarray

_BARRIER_GAP = 1e-10  # relative gap at which the barrier method stops
_NEWTON_STEPS = 400


def sequential_self_adaptive(frames: Frames) -> Decoder:
    """Follow all that is known at once."""
    g, y = innovations(frames, np.full(frames.power.shape, np.inf))
    distortion = self_adaptive_distortion(frames, y)
    # frame by frame the largest g_t is optimal, so the scheme is its own bound
    return Decoder(distortion, g, y, float(distortion.sum()))


def weighted_self_adaptive(frames: Frames, weights: Array) -> Decoder:
    """Best decoder of one point."""
    distortion, g, y, bound = weighted_self_adaptive_points(frames.at(None), weights)
    return Decoder(distortion[0], g[0], y[0], float(bound[0]))


def weighted_self_adaptive_points(frames: Frames, weights: Array) -> tuple[Array, ...]:
    """D_t, g_t and y_t (N, T), and bounds (N,), of N points.

    Barrier method in y_1..y_{T-1}; holding nothing back is the other candidate.
    """
    candidates = [np.zeros_like(frames.power), _barrier(frames, weights)]
    values = [self_adaptive_distortion(frames, y) @ weights for y in candidates]
    y = np.where(np.argmin(values, axis=0)[:, None] == 0, *candidates)
    _, g = _self_adaptive_scale(frames, y)
    bounds = [_self_adaptive_bound(frames, weights, point) for point in candidates]
    return self_adaptive_distortion(frames, y), g, y, np.max(bounds, axis=0)


def _self_adaptive_scale(frames: Frames, y: Array) -> tuple[Array, Array]:
    """Return omega_t = v_t + a_t^2 y_{t-1} and g_t = sqrt(omega_t - m_t - y_t)."""
    held = frames.gain2 * shifted(y)
    return frames.prediction_error + held, np.sqrt(np.maximum(held + frames.power - y, 0.0))


def self_adaptive_distortion(frames: Frames, y: Array) -> Array:
    """D_t = m + y + (sqrt(omega) - g)^2, where omega - g^2 = m + y leaves no cancellation."""
    omega, g = _self_adaptive_scale(frames, y)
    missing, root = frames.mmse + y, np.sqrt(omega) + g
    return missing + np.divide(missing, root, out=np.zeros_like(root), where=root > 0) ** 2


def _self_adaptive_bound(frames: Frames, weights: Array, y: Array) -> Array:
    r"""Dual value at the slopes alpha_t = g_t / sqrt(omega_t) of a primal point.

    2 g sqrt(omega) <= alpha omega + g^2 / alpha, for every alpha > 0, leaves a linear programme in
    y. Its dual is max sum_t w_t (2 - alpha_t) v_t - x_t p_t over x_t >= w_t / alpha_t and
    x_t >= a_{t+1}^2 (x_{t+1} - w_{t+1} (2 - alpha_{t+1})); the least x is best. With
    x_t = w_t / alpha_t + extra_t and p = v - m nothing cancels.
    """
    omega, g = _self_adaptive_scale(frames, y)
    total, least = np.zeros(len(y)), np.zeros(len(y))
    void = np.zeros(len(y), dtype=bool)
    root = np.sqrt(omega)
    ratio = np.divide(g, root, out=np.ones_like(g), where=root > 0)
    for t in range(len(weights) - 1, -1, -1):
        w, v, m, p = weights[t], *(x[:, t] for x in frames[2:5])
        known = frames.estimate[:, t] > 0
        if w == 0:
            extra, used = np.where(known, least, 0.0), np.zeros(len(y))
            total -= extra * p
        else:
            unbounded = known & (ratio[:, t] == 0)
            void |= unbounded
            alpha = np.where(unbounded | ~known, 1.0, ratio[:, t])
            extra = np.where(known, np.maximum(0.0, least - w / alpha), 0.0)
            used = np.where(known, w * (1 - alpha) ** 2 / alpha, 0.0)
            near = w / alpha * m - used * v  # both are w ((2 - alpha) v - p / alpha)
            gained = np.where(alpha > 0.5, near, w * ((2 - alpha) * v - p / alpha))
            # where nothing is known, nothing held back helps: D_t = 2 v_t
            total += np.where(known, gained - extra * p, 2 * w * v)
        least = frames.gain2[t] * (extra + used)
    return np.where(void, -np.inf, total)


def _barrier(frames: Frames, weights: Array) -> Array:
    """Follow the central paths of sum_t w_t D_t - tau [sum log y_t + sum log g_t^2]."""
    free = _useful_to_hold(frames)
    y = np.zeros_like(frames.power)
    for t in range(y.shape[1] - 1):  # half of what is known is held back: strictly feasible
        past = frames.gain2[t] * y[:, t - 1] if t else 0.0
        y[:, t] = np.where(free[:, t], 0.5 * (past + frames.power[:, t]), 0.0)
    value = self_adaptive_distortion(frames, y) @ weights
    count = free.sum(axis=1)
    active = (value > 0) & (count > 0)
    tau = value / np.maximum(count, 1)
    for _ in range(_NEWTON_STEPS):
        rows = np.flatnonzero(active)
        if not rows.size:
            break
        now = frames.at(rows)
        state = now, weights, y[rows]
        step, decrement = _newton_step(*state, tau[rows], free[rows])
        y[rows] += _length(*state, step, tau[rows], free[rows], decrement)[:, None] * step
        centred = decrement < 0.1 * tau[rows]
        value = self_adaptive_distortion(now, y[rows]) @ weights
        done = centred & (2 * count[rows] * tau[rows] < _BARRIER_GAP * value)
        active[rows[done]] = False
        tau[rows[centred & ~done]] *= 0.1
    return y


def _useful_to_hold(frames: Frames) -> Array:
    """Frames where something is known that the next frame could use."""
    out = frames.estimate > 0
    out[:, :-1] &= frames.gain2[1:] > 0
    out[:, -1] = False
    return out


def _newton_step(
    frames: Frames, weights: Array, y: Array, tau: Array, free: Array
) -> tuple[Array, Array]:
    r"""Newton step and squared decrement; the Hessian is tridiagonal.

    D_t depends on (y_{t-1}, y_t) with gradient (-a^2 (1 - alpha)^2, 1) / alpha and the rank-one
    Hessian b b^T / (2 g sqrt(omega)), b = (a^2 (1/alpha - alpha), -1/alpha), alpha = g/sqrt(omega).
    """
    from scipy.linalg import solveh_banded

    omega, g = _self_adaptive_scale(frames, y)
    known, a2 = g > 0, frames.gain2
    root, g = np.sqrt(np.where(known, omega, 1.0)), np.where(known, g, 1.0)
    alpha = g / root
    short = (frames.mmse + y) / (root * (root + g))  # 1 - alpha
    w, barrier = np.where(known, weights, 0.0), np.where(known, tau[:, None], 0.0)
    curve, pull = 0.5 * w / (g * root), barrier / g**4
    b_before, b_now = a2 * short * (1 + alpha) / alpha, -1 / alpha
    gradient = w / alpha + barrier / g**2
    gradient[:, :-1] -= (a2 * (w * short**2 / alpha + barrier / g**2))[:, 1:]
    diagonal = curve * b_now**2 + pull
    diagonal[:, :-1] += (curve * b_before**2 + pull * a2**2)[:, 1:]
    beside = (curve * b_before * b_now - pull * a2)[:, 1:]
    inverse = np.divide(1.0, y, out=np.zeros_like(y), where=free)
    gradient = np.where(free, gradient - tau[:, None] * inverse, 0.0)
    diagonal = np.where(free, diagonal + tau[:, None] * inverse**2, 1.0)
    beside = np.where(free[:, 1:] & free[:, :-1], beside, 0.0)
    # Jacobi scaling: the frames may differ by many orders of magnitude
    scale = 1 / np.sqrt(diagonal)
    coupling = np.zeros_like(y)  # none between points, so that all are one system
    coupling[:, 1:] = beside * scale[:, 1:] * scale[:, :-1]
    bands = np.stack([coupling.ravel(), np.ones(y.size)])
    step = -scale * solveh_banded(bands, (scale * gradient).ravel()).reshape(y.shape)
    return step, -(gradient * step).sum(axis=1)


def _length(
    frames: Frames,
    weights: Array,
    y: Array,
    step: Array,
    tau: Array,
    free: Array,
    decrement: Array,
) -> Array:
    """Largest tried step of each point that stays inside and decreases the barrier function."""

    def value(point: Array) -> Array:
        _, g = _self_adaptive_scale(frames, point)
        barrier = np.log(np.where(free, point, 1.0)).sum(axis=1)
        barrier += 2 * np.log(np.where(inside, g, 1.0)).sum(axis=1)
        return np.asarray(self_adaptive_distortion(frames, point) @ weights - tau * barrier)

    inside = _self_adaptive_scale(frames, y)[1] > 0
    held = frames.gain2 * shifted(y)
    change = frames.gain2 * shifted(step) - step
    room = np.hstack([y, held + frames.power - y])
    closing = np.where(np.hstack([free, inside]), -np.hstack([step, change]), 0.0)
    with np.errstate(over="ignore"):  # a coordinate that hardly moves has room without end
        most = np.divide(room, closing, out=np.full_like(room, np.inf), where=closing > 0)
    length = np.minimum(1.0, 0.99 * most.min(axis=1))
    start = value(y)
    slack = 1e-13 * np.abs(start)
    while True:
        reached = value(y + length[:, None] * step)
        failed = reached > start - 0.1 * length * decrement + slack
        if not failed.any():
            return length
        length[failed] *= 0.5
