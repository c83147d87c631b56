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
from numba import njit

from solvers._barrier.linear_algebra import (
    cholesky,
    reverse_cholesky,
    solve_lower,
    solve_lower_transposed,
)
from solvers._barrier.workspace import (
    BACK,
    BOUND_COST,
    BOUND_MU,
    COVARIANCE,
    ESTIMATE,
    KEPT,
    LEVELS,
    PHI,
    PRODUCT,
    ROOT,
    SCRATCH,
    WEIGHTED,
    WEIGHTS,
    slope_slot,
)

Array = np.ndarray

JD, SA = 1, 2
_EPS = np.finfo(np.float64).eps


@njit(cache=True, error_model="numpy")
def conjugate_slope(mats: Array, slot: int, mu: float, size: int) -> bool:
    """L = -N (I - N/mu)^-1 in BACK, or -N at mu = inf, N = mats[slot].

    False unless I - N/mu > 0. Uses ROOT.
    """
    for i in range(size):
        for j in range(size):
            mats[BACK, i, j] = -mats[slot, i, j]
    if mu == np.inf:
        return True
    for i in range(size):
        for j in range(i + 1):
            mats[ROOT, i, j] = -mats[slot, i, j] / mu
        mats[ROOT, i, i] += 1.0
    if not cholesky(mats, ROOT, size):
        return False
    for i in range(size):
        solve_lower(mats, ROOT, BACK, i, size)
        solve_lower_transposed(mats, ROOT, BACK, i, size)
    for i in range(size):
        for j in range(i):
            mean = 0.5 * (mats[BACK, i, j] + mats[BACK, j, i])
            mats[BACK, i, j] = mean
            mats[BACK, j, i] = mean
    return True


@njit(cache=True, error_model="numpy")
def weighted_bound(plf: int, frames: int, ints: Array, mats: Array, vecs: Array) -> float:
    """Lower bound on the least sum_t w_t D_t from BOUND_MU and the slopes N_t.

    Reads ESTIMATE, COVARIANCE (of the source), PHI, WEIGHTS, LEVELS. N_t is in the leading block
    of its matrix; mu_t = inf is allowed where P_t = 0. BOUND_COST is tr A_t L_t for JD, or nan to
    have it computed. Returns -inf when the point is not dual feasible, else the value less a bound
    on the rounding of the sum.
    """
    q, omega, column = PRODUCT, SCRATCH, WEIGHTED
    value = 0.0
    for i in range(frames):
        vecs[omega, i] = vecs[WEIGHTS, i]
        for j in range(frames):
            mats[q, i, j] = 0.0
        mats[q, i, i] = vecs[WEIGHTS, i]
        value += vecs[WEIGHTS, i] * mats[COVARIANCE, i, i]
    scale = value
    for t in range(frames):
        mu = vecs[BOUND_MU, t]
        if mu == 0.0:
            continue
        slope, cost = slope_slot(mats, t), vecs[BOUND_COST, t]
        known = plf == JD and not np.isnan(cost)
        if known:
            value += cost
            scale += mu * mats[COVARIANCE, t, t] + abs(cost)
        elif not conjugate_slope(mats, slope, mu, t + 1):
            return -np.inf
        if mu < np.inf:
            value -= mu * vecs[LEVELS, t]
            scale += mu * vecs[LEVELS, t]
        for i in range(t + 1):
            for j in range(t + 1):
                mats[q, i, j] += mats[slope, i, j]
                term = 0.0
                if known:
                    continue
                if plf == JD:
                    term = mats[COVARIANCE, i, j] * mats[BACK, i, j]
                elif i < t and j < t:
                    mats[q, i, j] += mats[BACK, i, j]
                elif i == j:
                    term = mats[COVARIANCE, t, t] * mats[BACK, t, t]
                value += term
                scale += abs(term)
            if plf != JD and i < t:
                vecs[omega, i] -= mats[PHI, t, i] * mats[BACK, t, i]
    # frames that nothing refers to leave the program
    count = 0
    for t in range(frames):
        used = vecs[omega, t] != 0.0
        for s in range(frames):
            used = used or mats[q, t, s] != 0.0
        if used:
            ints[KEPT, count] = t
            count += 1
    for i in range(count):
        for j in range(i, count):
            mats[ROOT, i, j] = mats[q, ints[KEPT, i], ints[KEPT, j]]
    if not reverse_cholesky(mats, ROOT, count):
        return -np.inf
    for s in range(frames):
        for i in range(count - 1, -1, -1):
            t = ints[KEPT, i]
            if t < s:
                break
            entry = vecs[omega, t] * mats[ESTIMATE, t, s]
            for k in range(i + 1, count):
                entry -= mats[ROOT, i, k] * mats[column, 0, k]
            entry /= mats[ROOT, i, i]
            mats[column, 0, i] = entry
            value -= entry * entry
            scale += entry * entry
    return value - 4 * (frames + 2) * _EPS * scale


@njit(cache=True, error_model="numpy")
def mix(plf: int, frames: int, share: float, mats: Array, vecs: Array) -> None:
    """Move BOUND_MU, the slopes and BOUND_COST by `share` towards a strictly feasible point.

    There every finite mu is the largest weight and the slopes vanish, but for frames without
    weight, which get curvature from their threshold (SA) or from the last one (JD).
    """
    top, last = 0.0, -1
    for t in range(frames):
        top = max(top, vecs[WEIGHTS, t])
        if vecs[LEVELS, t] < np.inf:
            last = t
    keep = 1.0 - share
    for t in range(last + 1):
        if vecs[LEVELS, t] == np.inf:
            continue
        vecs[BOUND_COST, t] *= keep
        if vecs[BOUND_MU, t] < np.inf:
            vecs[BOUND_MU, t] = keep * vecs[BOUND_MU, t] + share * top
        for i in range(t + 1):
            for j in range(t + 1):
                mats[slope_slot(mats, t), i, j] *= keep
    for t in range(last + 1):
        home = last if plf == JD else t
        if vecs[WEIGHTS, t] == 0.0 and vecs[LEVELS, home] < np.inf:
            mats[slope_slot(mats, home), t, t] += 0.5 * share * top
            vecs[BOUND_COST, home] -= share * top * mats[COVARIANCE, t, t]


@njit(cache=True, error_model="numpy")
def best_bound(
    plf: int, frames: int, enough: float, ints: Array, mats: Array, vecs: Array
) -> float:
    """Best weighted bound on the way to a strictly feasible point, along which it is concave.

    Stops at the first value of at least `enough`.
    """
    best, share = weighted_bound(plf, frames, ints, mats, vecs), 1e-15
    while best < enough and share < 2.0:
        mix(plf, frames, min(share, 1.0), mats, vecs)
        best = max(best, weighted_bound(plf, frames, ints, mats, vecs))
        share *= 10.0
    return best


@njit(cache=True, error_model="numpy")
def unexplained(
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


@njit(cache=True, error_model="numpy")
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

    mats[target] is the law compared with, mats[past] the covariance of the past, mats[slope] the
    slope N = [[N', y], [y^T, kappa - 1]]; residual is :func:`unexplained`, base sigma_t^2, cost
    tr A L and the scale of its terms, or nan to have it computed. The minimum over Xhat_t is
    const - residual / kappa.
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
            term = 0.0 if known else mats[target, i, j] * mats[BACK, i, j]
            if i < last and j < last:
                term += mats[past, i, j] * mats[slope, i, j]
            value += term
            scale += abs(term)
    scale += residual[1] / kappa
    return value - residual[0] / kappa - 4 * (size + 2) * _EPS * scale
