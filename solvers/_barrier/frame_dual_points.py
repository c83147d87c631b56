r"""Lower bounds on the distortion of one frame given its past, in orthonormal variables.

The program is that of :func:`solvers._barrier.one_frame.set_frame`: the past has covariance I, the
target is A = B B^T with B = TARGET_FACTOR. A dual point is a multiplier mu and a slope N, and
:func:`solvers._barrier.dual_bound.frame_bound` turns it into a bound. Two dual points are used:

- where the barrier method ran, its multiplier and the slope at its iterate (`iterate_bound`);
- where the threshold leaves no choice, a slope that makes the only continuation optimal
  (`tight_bound`).
"""

from __future__ import annotations

import numpy as np

from solvers._barrier.dual_bound import frame_bound
from solvers._barrier.linear_algebra import cholesky, solve_lower, solve_lower_transposed
from solvers._barrier.slots import slope_slot, threshold_slot
from solvers._barrier.thresholds import (
    evaluate_thresholds,
    fill_reconstruction,
    reset_singular_vectors,
)
from solvers._barrier.workspace import Index, Matrix, Number, PerThreshold, Vector
from solvers._parts import part

Array = np.ndarray


@part
def iterate_bound(
    rank: int, r0: float, mmse: float, ints: Array, mats: Array, vecs: Array
) -> float:
    """Lower bound on D_t from the iterate of the program of :func:`set_frame`."""
    m, slope = rank + 1, slope_slot(mats, Number.ZERO)
    variance = target_covariance(rank, r0, mats, vecs)
    mu, level = vecs[Vector.MU, 0], vecs[Vector.LEVEL, 0]
    target, own = Matrix.TARGET_COVARIANCE, threshold_slot(Number.ZERO) + PerThreshold.SLOPE
    cost, scale = 0.0, 0.0
    for i in range(m):
        # tr A Phi is the sum of the singular values
        scale += mu * mats[target, i, i]
        singular = vecs[Vector.SINGULAR_VALUES, i] if i < ints[Index.RANK, 0] else 0.0
        cost += mats[target, i, i] - singular
        for j in range(m):
            mats[slope, i, j] = mu * mats[own, i, j]
    cost *= mu
    best, share = -np.inf, 1e-15
    while share < 1.0:
        fit = orthonormal_prediction_error(rank, r0, slope, mats, vecs)
        base, costs = mmse + variance, (cost, scale)
        value = frame_bound(mats, target, Matrix.COVARIANCE, slope, m, fit, base, level, mu, costs)
        best = max(best, value)
        # on the way to the dual point 0, along which the bound is concave
        mu, cost = (1.0 - share) * mu, (1.0 - share) * cost
        for i in range(m):
            for j in range(m):
                mats[slope, i, j] *= 1.0 - share
        share *= 10.0
    return best


@part
def tight_bound(rank: int, r0: float, b: float, ints: Array, mats: Array, vecs: Array) -> float:
    """Lower bound on D_t - m_t where the threshold admits the continuation (X, b) alone.

    With Phi^-1 = B M0 B^T at the continuation and Z of :func:`equality_slope`, the dual point is
    mu I - N = B (mu M0 - Z) B^T. Its bound is below the optimum by the order 1 / mu. Its cost is
    tr A L = mu tr A - mu^2 tr (mu M0 - Z)^-1.
    """
    m, slope, inner = rank + 1, slope_slot(mats, Number.ZERO), ints[Index.RANK, 0]
    # 1. the continuation, evaluated without its threshold
    level = vecs[Vector.LEVEL, 0]
    fill_reconstruction(ints, mats, vecs, Matrix.GAINS, Matrix.NOISE)
    vecs[Vector.LEVEL, 0] = np.inf
    reset_singular_vectors(ints, mats)
    if not evaluate_thresholds(ints, mats, vecs):
        return 0.0
    # 2. M0 and Z
    v = threshold_slot(Number.ZERO) + PerThreshold.LEFT_SINGULAR
    for i in range(inner):
        for j in range(inner):
            mats[Matrix.INVERSE_ROOT, i, j] = 0.0
            for a in range(inner):
                term = mats[v, i, a] * mats[v, j, a]
                mats[Matrix.INVERSE_ROOT, i, j] += term / vecs[Vector.SINGULAR_VALUES, a]
    equality_slope(rank, r0, b, ints, mats, vecs)
    variance = target_covariance(rank, r0, mats, vecs)
    target, total = Matrix.TARGET_COVARIANCE, 0.0
    for i in range(m):
        total += mats[target, i, i]
    # 3. the best of several multipliers
    best, mu = 0.0, 1e2
    while mu < 1e11:
        for i in range(inner):
            for j in range(inner):
                value = mu * mats[Matrix.INVERSE_ROOT, i, j] - mats[Matrix.MULTIPLIER, i, j]
                mats[Matrix.CONJUGATE, i, j] = value
                mats[Matrix.ROOT, i, j] = value
        mu *= 3.0
        if not cholesky(mats, Matrix.ROOT, inner, Number.ZERO):
            continue
        for i in range(m):
            for j in range(m):
                value = mu / 3.0 if i == j else 0.0
                for k in range(inner):
                    for z in range(inner):
                        weight = mats[Matrix.TARGET_FACTOR, i, k] * mats[Matrix.TARGET_FACTOR, j, z]
                        value -= weight * mats[Matrix.CONJUGATE, k, z]
                mats[slope, i, j] = value
        inverse = 0.0
        for i in range(inner):
            for j in range(inner):
                mats[Matrix.COLUMN, 0, j] = 1.0 if i == j else 0.0
            solve_lower(mats, Matrix.ROOT, Matrix.COLUMN, Number.ZERO, inner)
            for j in range(inner):
                inverse += mats[Matrix.COLUMN, 0, j] ** 2
        own = mu / 3.0
        cost = (own * total - own * own * inverse, own * total)
        fit = orthonormal_prediction_error(rank, r0, slope, mats, vecs)
        value = frame_bound(
            mats, target, Matrix.COVARIANCE, slope, m, fit, variance, level, own, cost
        )
        best = max(best, value)
    return best


@part
def equality_slope(rank: int, r0: float, b: float, ints: Array, mats: Array, vecs: Array) -> None:
    """MULTIPLIER = symmetric Z whose slope N* = B Z B^T makes (X, b) the best continuation.

    N* e_t = B v with v = Z c, where c is the last row of B. The conditions of stationarity are
    kappa x = x0 - y and kappa b = r0 with [y, kappa - 1] = B v. Least squares gives v, SOLUTION.
    """
    inner = ints[Index.RANK, 0]
    for i in range(inner):
        for j in range(inner):
            mats[Matrix.ROOT, i, j] = 0.0
    for k in range(rank + 1):
        own = vecs[Vector.X, k] if k < rank else b
        # kappa > 0 even where the frame brings no innovation
        wanted = (vecs[Vector.X0, k] if k < rank else max(r0, 1e-7 * b)) - own
        for j in range(inner):
            vecs[Vector.SCRATCH, j] = own * mats[Matrix.TARGET_FACTOR, rank, j]
            if k < rank:
                vecs[Vector.SCRATCH, j] += mats[Matrix.TARGET_FACTOR, k, j]
        for i in range(inner):
            for j in range(i + 1):
                mats[Matrix.ROOT, i, j] += vecs[Vector.SCRATCH, i] * vecs[Vector.SCRATCH, j]
            before = vecs[Vector.SOLUTION, i] if k > 0 else 0.0
            vecs[Vector.SOLUTION, i] = vecs[Vector.SCRATCH, i] * wanted + before
    solve_shifted(inner, mats, vecs)
    least_symmetric(rank, inner, mats, vecs)


@part
def least_symmetric(rank: int, n: int, mats: Array, vecs: Array) -> None:
    """MULTIPLIER = symmetric Z with Z c = v, SOLUTION, that costs the bound the least.

    The cost is tr(H N* Phi N*) / mu. With the singular vectors V, the singular values s and
    Z = V z V^T it is sum_ij weight_ij z_ij^2, weight_ij = s_i s_j (s_i + s_j) / 2. Hence
    z_ij = (a_i c_j + a_j c_i) / weight_ij, with c in the basis V and a from Z c = v.
    """
    basis, values = threshold_slot(Number.ZERO) + PerThreshold.LEFT_SINGULAR, Vector.SINGULAR_VALUES
    z, a, c = Matrix.WEIGHTED, Vector.SOLUTION, Vector.LAST_ROW
    for i in range(n):
        own, wanted = 0.0, 0.0
        for k in range(n):
            own += mats[basis, k, i] * mats[Matrix.TARGET_FACTOR, rank, k]
            wanted += mats[basis, k, i] * vecs[Vector.SOLUTION, k]
        vecs[c, i] = own
        vecs[Vector.SCRATCH, i] = wanted
    for i in range(n):
        vecs[Vector.SOLUTION, i] = vecs[Vector.SCRATCH, i]
        for j in range(n):
            si, sj = vecs[values, i], vecs[values, j]
            mats[z, i, j] = 2.0 / (si * sj * (si + sj))
            mats[Matrix.ROOT, i, j] = vecs[c, i] * vecs[c, j] * mats[z, i, j]
        for k in range(n):
            mats[Matrix.ROOT, i, i] += vecs[c, k] ** 2 * mats[z, i, k]
    solve_shifted(n, mats, vecs)
    for i in range(n):
        for j in range(n):
            mats[z, i, j] *= vecs[a, i] * vecs[c, j] + vecs[a, j] * vecs[c, i]
    for i in range(n):
        for j in range(n):
            value = 0.0
            for k in range(n):
                for h in range(n):
                    value += mats[basis, i, k] * mats[z, k, h] * mats[basis, j, h]
            mats[Matrix.MULTIPLIER, i, j] = value


@part
def solve_shifted(n: int, mats: Array, vecs: Array) -> None:
    """Overwrite SOLUTION by the solution of the positive semidefinite system in ROOT."""
    top = 0.0
    for i in range(n):
        top = max(top, mats[Matrix.ROOT, i, i])
        mats[Matrix.PRODUCT, 0, i] = vecs[Vector.SOLUTION, i]
    for i in range(n):
        mats[Matrix.ROOT, i, i] += 1e-14 * top
    cholesky(mats, Matrix.ROOT, n, Number.ZERO)
    solve_lower(mats, Matrix.ROOT, Matrix.PRODUCT, Number.ZERO, n)
    solve_lower_transposed(mats, Matrix.ROOT, Matrix.PRODUCT, Number.ZERO, n)
    for i in range(n):
        vecs[Vector.SOLUTION, i] = mats[Matrix.PRODUCT, 0, i]


@part
def target_covariance(rank: int, r0: float, mats: Array, vecs: Array) -> float:
    """TARGET_COVARIANCE = A of the program; returns Var Xtil_t."""
    variance = r0 * r0
    for i in range(rank + 1):
        if i < rank:
            variance += vecs[Vector.X0, i] ** 2
        for j in range(rank + 1):
            value = 0.0
            for k in range(rank + 1):
                value += mats[Matrix.TARGET_FACTOR, i, k] * mats[Matrix.TARGET_FACTOR, j, k]
            mats[Matrix.TARGET_COVARIANCE, i, j] = value
    return variance


@part
def orthonormal_prediction_error(
    rank: int, r0: float, slope: int, mats: Array, vecs: Array
) -> tuple[float, float]:
    """E(Xtil_t - y . past)^2, y the last row of the slope, and the scale of its terms.

    In orthonormal variables it is a sum of squares: value and scale are equal.
    """
    value = r0 * r0
    for i in range(rank):
        value += (vecs[Vector.X0, i] - mats[slope, rank, i]) ** 2
    return value, value
