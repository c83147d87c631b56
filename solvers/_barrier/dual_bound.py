r"""Compiled lower bounds: the Lagrangian of the weighted and of the one-frame program.

With white u, Xtil = E u and Xhat = K u + noise, K lower triangular, H = Cov Xhat >= K K^T,
sum_t w_t D_t = sum_t w_t (sigma_t^2 + H_tt) - 2 <diag(w) E, K>. Squared W2 is a supremum,
mu W2^2(A, B) >= tr A L + tr B N with N = mu (I - Phi^-1), L = mu (I - Phi) = -N (I - N/mu)^-1,
so the Lagrangian is linear in (K, H): const + tr Q H - 2 <diag(omega) E, K>. For Q > 0 its
minimum is at H = K K^T, column by column:
bound = const - sum_s M_s^T Q[s:, s:]^-1 M_s,  M_s = (diag(omega) E)[s:, s].
"""

from __future__ import annotations

import numpy as np

from solvers._barrier.constants import JD
from solvers._barrier.linear_algebra import (
    cholesky,
    reverse_cholesky,
    solve_lower,
    solve_lower_transposed,
)
from solvers._barrier.slots import slope_slot
from solvers._barrier.workspace import Index, Matrix, Number, Vector
from solvers._parts import part

Array = np.ndarray

_EPS = np.finfo(np.float64).eps


@part
def conjugate_slope(mats: Array, slot: int, mu: float, size: int) -> bool:
    """CONJUGATE = L = -N (I - N/mu)^-1, or -N at mu = inf, N = mats[slot].

    False unless I - N/mu > 0.
    """
    for i in range(size):
        for j in range(size):
            mats[Matrix.CONJUGATE, i, j] = -mats[slot, i, j]
    if mu == np.inf:
        return True
    for i in range(size):
        for j in range(i + 1):
            mats[Matrix.ROOT, i, j] = -mats[slot, i, j] / mu
        mats[Matrix.ROOT, i, i] += 1.0
    if not cholesky(mats, Matrix.ROOT, size, Number.ZERO):
        return False
    for i in range(size):
        solve_lower(mats, Matrix.ROOT, Matrix.CONJUGATE, i, size)
        solve_lower_transposed(mats, Matrix.ROOT, Matrix.CONJUGATE, i, size)
    for i in range(size):
        for j in range(i):
            mean = 0.5 * (mats[Matrix.CONJUGATE, i, j] + mats[Matrix.CONJUGATE, j, i])
            mats[Matrix.CONJUGATE, i, j] = mean
            mats[Matrix.CONJUGATE, j, i] = mean
    return True


@part
def weighted_bound(plf: int, frames: int, ints: Array, mats: Array, vecs: Array) -> float:
    """Lower bound on the least sum_t w_t D_t from BOUND_MU and the slopes N_t.

    Reads ESTIMATE, COVARIANCE (of the source), TRANSITION, WEIGHTS and FRAME_LEVEL. N_t is in the
    leading block of its matrix; mu_t = inf is allowed where P_t = 0. BOUND_COST is tr A_t L_t for
    JD, or nan to have it computed. Returns -inf when the point is not dual feasible. A bound on the
    rounding error of the sum is subtracted.
    """
    q, omega, column = Matrix.PRODUCT, Vector.SCRATCH, Matrix.COLUMN
    # 1. Q = diag(w) and omega = w; the constant
    value = 0.0
    for i in range(frames):
        vecs[omega, i] = vecs[Vector.WEIGHTS, i]
        for j in range(frames):
            mats[q, i, j] = 0.0
        mats[q, i, i] = vecs[Vector.WEIGHTS, i]
        value += vecs[Vector.WEIGHTS, i] * mats[Matrix.COVARIANCE, i, i]
    # 2. terms of the thresholds
    scale = value
    for t in range(frames):
        mu = vecs[Vector.BOUND_MU, t]
        if mu == 0.0:
            continue
        slope, cost = slope_slot(mats, t), vecs[Vector.BOUND_COST, t]
        known = plf == JD and not np.isnan(cost)
        if known:
            value += cost
            scale += mu * mats[Matrix.COVARIANCE, t, t] + abs(cost)
        elif not conjugate_slope(mats, slope, mu, t + 1):
            return -np.inf
        if mu < np.inf:
            value -= mu * vecs[Vector.FRAME_LEVEL, t]
            scale += mu * vecs[Vector.FRAME_LEVEL, t]
        for i in range(t + 1):
            for j in range(t + 1):
                mats[q, i, j] += mats[slope, i, j]
                term = 0.0
                if known:
                    continue
                if plf == JD:
                    term = mats[Matrix.COVARIANCE, i, j] * mats[Matrix.CONJUGATE, i, j]
                elif i < t and j < t:
                    mats[q, i, j] += mats[Matrix.CONJUGATE, i, j]
                elif i == j:
                    term = mats[Matrix.COVARIANCE, t, t] * mats[Matrix.CONJUGATE, t, t]
                value += term
                scale += abs(term)
            if plf != JD and i < t:
                vecs[omega, i] -= mats[Matrix.TRANSITION, t, i] * mats[Matrix.CONJUGATE, t, i]
    # 3. factor Q, without the frames that have no term
    count = int(np.int64(0))  # no literal: see solve_sequential
    for t in range(frames):
        used = vecs[omega, t] != 0.0
        for s in range(frames):
            used = used or mats[q, t, s] != 0.0
        if used:
            ints[Index.KEPT, count] = t
            count += 1
    for i in range(count):
        for j in range(i, count):
            mats[Matrix.ROOT, i, j] = mats[q, ints[Index.KEPT, i], ints[Index.KEPT, j]]
    if not reverse_cholesky(mats, Matrix.ROOT, count):
        return -np.inf
    # 4. minimum over K, column by column
    for s in range(frames):
        for i in range(count - 1, -1, -1):
            t = ints[Index.KEPT, i]
            if t < s:
                break
            entry = vecs[omega, t] * mats[Matrix.ESTIMATE, t, s]
            for k in range(i + 1, count):
                entry -= mats[Matrix.ROOT, i, k] * mats[column, 0, k]
            entry /= mats[Matrix.ROOT, i, i]
            mats[column, 0, i] = entry
            value -= entry * entry
            scale += entry * entry
    return value - 4 * (frames + 2) * _EPS * scale


@part
def move_to_feasible(plf: int, frames: int, share: float, mats: Array, vecs: Array) -> None:
    """Move BOUND_MU, the slopes and BOUND_COST by `share` towards a strictly feasible point.

    At that point every finite mu is the largest weight and the slopes are zero. Only a frame
    without weight has a slope, in its own threshold (SA) or in the last one (JD).
    """
    top, last = 0.0, -1
    for t in range(frames):
        top = max(top, vecs[Vector.WEIGHTS, t])
        if vecs[Vector.FRAME_LEVEL, t] < np.inf:
            last = t
    keep = 1.0 - share
    for t in range(last + 1):
        if vecs[Vector.FRAME_LEVEL, t] == np.inf:
            continue
        vecs[Vector.BOUND_COST, t] *= keep
        if vecs[Vector.BOUND_MU, t] < np.inf:
            vecs[Vector.BOUND_MU, t] = keep * vecs[Vector.BOUND_MU, t] + share * top
        for i in range(t + 1):
            for j in range(t + 1):
                mats[slope_slot(mats, t), i, j] *= keep
    for t in range(last + 1):
        home = last if plf == JD else t
        if vecs[Vector.WEIGHTS, t] == 0.0 and vecs[Vector.FRAME_LEVEL, home] < np.inf:
            mats[slope_slot(mats, home), t, t] += 0.5 * share * top
            vecs[Vector.BOUND_COST, home] -= share * top * mats[Matrix.COVARIANCE, t, t]


@part
def best_bound(
    plf: int, frames: int, enough: float, ints: Array, mats: Array, vecs: Array
) -> float:
    """Best weighted bound on the way to a strictly feasible point; the bound is concave there.

    Stops at the first value of at least `enough`.
    """
    best, share = weighted_bound(plf, frames, ints, mats, vecs), 1e-15
    while best < enough and share < 2.0:
        move_to_feasible(plf, frames, min(share, 1.0), mats, vecs)
        best = max(best, weighted_bound(plf, frames, ints, mats, vecs))
        share *= 10.0
    return best


@part
def prediction_error(
    mats: Array, past: int, slope: int, cross: Array, row: int, size: int, variance: float
) -> tuple[float, float]:
    """E(Xtil_t - y . Xhat^(t-1))^2, y the last row of the slope, and the scale of its terms.

    mats[past] is the covariance of the past, cross[row, s] = E[Xhat_s Xtil_t].
    """
    last = size - 1
    value, scale = variance, variance
    for i in range(last):
        term = 2 * mats[slope, last, i] * cross[row, i]
        value -= term
        scale += abs(term)
        for j in range(last):
            term = mats[past, i, j] * mats[slope, last, i] * mats[slope, last, j]
            value += term
            scale += abs(term)
    return value, scale


@part
def frame_bound(
    mats: Array,
    target: int,
    past: int,
    slope: int,
    size: int,
    residual: tuple[float, float],
    base: float,
    level: float,
    mu: float,
    cost: tuple[float, float],
) -> float:
    """Lower bound on D_t of the last of `size` frames, given those before.

    mats[target] is the covariance A of the target, mats[past] that of the past, and mats[slope]
    the slope N = [[N', y], [y^T, kappa - 1]]. residual is :func:`prediction_error` and base is
    sigma_t^2. cost is tr A L with the scale of its terms, or nan to have it computed. The minimum
    over Xhat_t is const - residual / kappa.
    """
    last = size - 1
    kappa = 1.0 + mats[slope, last, last]
    known = not np.isnan(cost[0])
    if not kappa > 0.0 or not (known or conjugate_slope(mats, slope, mu, size)):
        return -np.inf
    value, scale = base, base
    if known:
        value += cost[0]
        scale += cost[1]
    if mu < np.inf:
        value -= mu * level
        scale += mu * abs(level)
    for i in range(size):
        for j in range(size):
            term = 0.0 if known else mats[target, i, j] * mats[Matrix.CONJUGATE, i, j]
            if i < last and j < last:
                term += mats[past, i, j] * mats[slope, i, j]
            value += term
            scale += abs(term)
    scale += residual[1] / kappa
    return value - residual[0] / kappa - 4 * (size + 2) * _EPS * scale
