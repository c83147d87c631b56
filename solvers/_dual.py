r"""Compiled lower bounds: the Lagrangian of the weighted and of the one-frame program.

With white u, Xtil = Ltil u and Xhat = K u + noise, K lower triangular, H = Cov Xhat >= K K^T,
sum_t w_t D_t = sum_t w_t (sigma_t^2 + H_tt) - 2 <diag(w) Ltil, K>. Squared W2 is a supremum,
mu W2^2(A, B) >= tr A L + tr B N with N = mu (I - Phi^-1), L = mu (I - Phi) = -N (I - N/mu)^-1,
so the Lagrangian is linear in (K, H): const + tr Q H - 2 <diag(omega) Ltil, K>. For Q > 0 its
minimum is at H = K K^T, column by column:
bound = const - sum_s M_s^T Q[s:, s:]^-1 M_s,  M_s = (diag(omega) Ltil)[s:, s].
"""

from __future__ import annotations

import numpy as np
from numba import njit

from solvers._dense import cholesky, reverse_cholesky, solve_lower, solve_lower_transposed

Array = np.ndarray

FMD, JD, SA = 0, 1, 2
_EPS = np.finfo(np.float64).eps


@njit(cache=True)
def conjugate_slope(slope: Array, mu: float, size: int, out: Array, root: Array) -> bool:
    """L = -N (I - N/mu)^-1, or -N at mu = inf; False unless I - N/mu > 0. root is scratch."""
    if mu == np.inf:
        for i in range(size):
            for j in range(size):
                out[i, j] = -slope[i, j]
        return True
    for i in range(size):
        for j in range(size):
            root[i, j] = -slope[i, j] / mu
        root[i, i] += 1.0
    if not cholesky(root, size):
        return False
    for i in range(size):
        for j in range(size):
            out[i, j] = -slope[i, j]
        solve_lower(root, out[i], size)
        solve_lower_transposed(root, out[i], size)
    return True


@njit(cache=True)
def weighted_bound(
    plf: int,
    covariance: Array,
    phi: Array,
    estimate: Array,
    weights: Array,
    levels: Array,
    mu: Array,
    slope: Array,
) -> float:
    """Lower bound on the least sum_t w_t D_t from multipliers mu_t and slopes N_t.

    slope[t] uses its leading block ((t, t) alone for FMD); mu_t = inf is allowed where P_t = 0.
    Returns -inf when the point is not dual feasible. Less a bound on the rounding of the sum.
    """
    frames = len(weights)
    q = np.zeros((frames, frames))
    u = np.empty((frames, frames))
    other = np.empty((frames, frames))
    omega = weights.copy()
    value, scale = 0.0, 0.0
    for t in range(frames):
        q[t, t] += weights[t]
        value += weights[t] * covariance[t, t]
        scale += weights[t] * covariance[t, t]
        if mu[t] == 0.0:
            continue
        start = t if plf == FMD else 0
        size = t + 1 - start
        block = slope[t, start:, start:]
        if not conjugate_slope(block, mu[t], size, other, u):
            return -np.inf
        if levels[t] > 0.0:
            value -= mu[t] * levels[t]
            scale += mu[t] * levels[t]
        for i in range(size):
            for j in range(size):
                q[start + i, start + j] += block[i, j]
                if plf == SA:
                    if i < t and j < t:
                        q[i, j] += 0.5 * (other[i, j] + other[j, i])
                else:
                    term = covariance[start + i, start + j] * other[i, j]
                    value += term
                    scale += abs(term)
        if plf == SA:
            value += covariance[t, t] * other[t, t]
            scale += abs(covariance[t, t] * other[t, t])
            for s in range(t):
                omega[s] -= phi[t, s] * 0.5 * (other[s, t] + other[t, s])
    # frames that nothing refers to leave the program
    kept = np.empty(frames, dtype=np.int64)
    count = 0
    for t in range(frames):
        used = omega[t] != 0.0
        for s in range(frames):
            used = used or q[t, s] != 0.0
        if used:
            kept[count] = t
            count += 1
    for i in range(count):
        for j in range(count):
            other[i, j] = q[kept[i], kept[j]]
    if not reverse_cholesky(other, u, count):
        return -np.inf
    column = np.empty(frames)
    for s in range(frames):
        for i in range(count - 1, -1, -1):
            t = kept[i]
            if t < s:
                break
            entry = omega[t] * estimate[t, s]
            for k in range(i + 1, count):
                entry -= u[i, k] * column[k]
            column[i] = entry / u[i, i]
            value -= column[i] * column[i]
            scale += column[i] * column[i]
    return value - 4 * (frames + 2) * _EPS * scale


@njit(cache=True)
def frame_bound(
    target: Array,
    cov_past: Array,
    cross: Array,
    variance: float,
    mmse: float,
    level: float,
    mu: float,
    slope: Array,
) -> float:
    """Lower bound on D_t, t the last frame, given the frames before.

    target is the law compared with (JD: Cov X^t; SA: Cov(Xhat^{t-1}, X_t)), cov_past the
    covariance of Xhat^{t-1}, cross[s] = E[Xhat_s Xtil_t], variance that of Xtil_t.
    With slope N = [[N', y], [y^T, kappa - 1]] the minimum over Xhat_t is
    const - (variance - 2 y^T cross + y^T cov_past y) / kappa.
    """
    size = len(target)
    other = np.empty((size, size))
    if not conjugate_slope(slope, mu, size, other, np.empty((size, size))):
        return -np.inf
    last = size - 1
    kappa = 1.0 + slope[last, last]
    if not kappa > 0.0:
        return -np.inf
    value = mmse + variance
    scale = value
    if level > 0.0:
        value -= mu * level
        scale += mu * level
    fit = variance
    fit_scale = variance
    for i in range(size):
        for j in range(size):
            term = target[i, j] * other[i, j]
            value += term
            scale += abs(term)
            if i < last and j < last:
                term = cov_past[i, j] * slope[i, j]
                value += term
                scale += abs(term)
                term = cov_past[i, j] * slope[last, i] * slope[last, j]
                fit += term
                fit_scale += abs(term)
        if i < last:
            term = 2 * slope[last, i] * cross[i]
            fit -= term
            fit_scale += abs(term)
    scale += fit_scale / kappa
    return value - fit / kappa - 4 * (size + 2) * _EPS * scale
