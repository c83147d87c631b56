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
    """Barrier method in y_1..y_{T-1}; holding nothing back is the other candidate."""
    candidates = [np.zeros_like(frames.power), _barrier(frames, weights)]
    values = [float(weights @ self_adaptive_distortion(frames, y)) for y in candidates]
    y = candidates[int(np.argmin(values))]
    _, g = _self_adaptive_scale(frames, y)
    bound = max(_self_adaptive_bound(frames, weights, point) for point in candidates)
    return Decoder(self_adaptive_distortion(frames, y), g, y, bound)


def _self_adaptive_scale(frames: Frames, y: Array) -> tuple[Array, Array]:
    """Return omega_t = v_t + a_t^2 y_{t-1} and g_t = sqrt(omega_t - m_t - y_t)."""
    held = frames.gain2 * shifted(y)
    return frames.prediction_error + held, np.sqrt(np.maximum(held + frames.power - y, 0.0))


def self_adaptive_distortion(frames: Frames, y: Array) -> Array:
    """D_t = m + y + (sqrt(omega) - g)^2, where omega - g^2 = m + y leaves no cancellation."""
    omega, g = _self_adaptive_scale(frames, y)
    missing, root = frames.mmse + y, np.sqrt(omega) + g
    return missing + np.divide(missing, root, out=np.zeros_like(root), where=root > 0) ** 2


def _self_adaptive_bound(frames: Frames, weights: Array, y: Array) -> float:
    r"""Dual value at the slopes alpha_t = g_t / sqrt(omega_t) of a primal point.

    2 g sqrt(omega) <= alpha omega + g^2 / alpha, for every alpha > 0, leaves a linear programme in
    y. Its dual is max sum_t w_t (2 - alpha_t) v_t - x_t p_t over x_t >= w_t / alpha_t and
    x_t >= a_{t+1}^2 (x_{t+1} - w_{t+1} (2 - alpha_{t+1})); the least x is best. With
    x_t = w_t / alpha_t + extra_t and p = v - m nothing cancels.
    """
    omega, g = _self_adaptive_scale(frames, y)
    total, least = 0.0, 0.0
    for t in range(len(weights) - 1, -1, -1):
        w, v, m, p = weights[t], frames.prediction_error[t], frames.mmse[t], frames.power[t]
        if frames.estimate[t] == 0:  # nothing is known, and nothing held helps: D_t = 2 v_t
            total, extra, used = total + 2 * w * v, 0.0, 0.0
        elif w == 0:
            total, extra, used = total - least * p, least, 0.0
        elif omega[t] > 0 and g[t] == 0:
            return -np.inf
        else:
            alpha = g[t] / np.sqrt(omega[t]) if omega[t] > 0 else 1.0
            extra, used = max(0.0, least - w / alpha), w * (1 - alpha) ** 2 / alpha
            near = w / alpha * m - used * v  # both are w ((2 - alpha) v - p / alpha)
            total += (near if alpha > 0.5 else w * ((2 - alpha) * v - p / alpha)) - extra * p
        least = frames.gain2[t] * (extra + used)
    return total


def _barrier(frames: Frames, weights: Array) -> Array:
    """Follow the central path of sum_t w_t D_t - tau [sum log y_t + sum log g_t^2]."""
    free = _useful_to_hold(frames)
    y, before = np.zeros_like(frames.power), 0.0
    for t in np.flatnonzero(free):  # half of what is known is held back: strictly feasible
        before = y[t - 1] if t else 0.0
        y[t] = 0.5 * (frames.gain2[t] * before + frames.power[t])
    value = float(weights @ self_adaptive_distortion(frames, y))
    if value == 0 or not free.any():
        return y
    tau = value / free.sum()
    for _ in range(_NEWTON_STEPS):
        step, decrement = _newton_step(frames, weights, y, tau, free)
        y = y + _length(frames, weights, y, step, tau, free, decrement) * step
        if decrement < 0.1 * tau:
            value = float(weights @ self_adaptive_distortion(frames, y))
            if 2 * free.sum() * tau < _BARRIER_GAP * value:
                break
            tau *= 0.1
    return y


def _useful_to_hold(frames: Frames) -> Array:
    """Frames where something is known that the next frame could use."""
    out = frames.estimate > 0
    out[:-1] &= frames.gain2[1:] > 0
    out[-1] = False
    return out


def _newton_step(
    frames: Frames, weights: Array, y: Array, tau: float, free: Array
) -> tuple[Array, float]:
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
    w, barrier = np.where(known, weights, 0.0), np.where(known, tau, 0.0)
    curve, pull = 0.5 * w / (g * root), barrier / g**4
    b_before, b_now = a2 * short * (1 + alpha) / alpha, -1 / alpha
    gradient = w / alpha + barrier / g**2
    gradient[:-1] -= (a2 * (w * short**2 / alpha + barrier / g**2))[1:]
    diagonal = curve * b_now**2 + pull
    diagonal[:-1] += (curve * b_before**2 + pull * a2**2)[1:]
    beside = (curve * b_before * b_now - pull * a2)[1:]
    inverse = np.divide(1.0, y, out=np.zeros_like(y), where=free)
    gradient = np.where(free, gradient - tau * inverse, 0.0)
    diagonal = np.where(free, diagonal + tau * inverse**2, 1.0)
    beside = np.where(free[1:] & free[:-1], beside, 0.0)
    # Jacobi scaling: the frames may differ by many orders of magnitude
    scale = 1 / np.sqrt(diagonal)
    bands = np.stack([np.concatenate([[0.0], beside * scale[1:] * scale[:-1]]), np.ones_like(y)])
    step = -scale * solveh_banded(bands, scale * gradient)
    return step, float(-gradient @ step)


def _length(
    frames: Frames,
    weights: Array,
    y: Array,
    step: Array,
    tau: float,
    free: Array,
    decrement: float,
) -> float:
    """Largest tried step that stays inside and decreases the barrier function enough."""

    def value(point: Array) -> float:
        _, g = _self_adaptive_scale(frames, point)
        barrier = np.log(point[free]).sum() + 2 * np.log(g[inside]).sum()
        return float(weights @ self_adaptive_distortion(frames, point)) - tau * float(barrier)

    inside = _self_adaptive_scale(frames, y)[1] > 0
    held = frames.gain2 * shifted(y)
    change = frames.gain2 * shifted(step) - step
    room = np.concatenate([y[free], (held + frames.power - y)[inside]])
    closing = -np.concatenate([step[free], change[inside]])
    length = 1.0
    if (closing > 0).any():
        length = min(1.0, 0.99 * float((room[closing > 0] / closing[closing > 0]).min()))
    start = value(y)
    while value(y + length * step) > start - 0.1 * length * decrement + 1e-13 * abs(start):
        length *= 0.5
    return length
