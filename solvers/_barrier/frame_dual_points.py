r"""Lower bounds on the distortion of one frame given its past, in orthonormal variables.

The program is that of :func:`solvers._barrier.one_frame.set_frame`: the past has covariance I, the
target is A = B B^T with B = TARGET_FACTOR. A dual point is a multiplier mu and a slope N, and
:func:`solvers._barrier.dual_bound.frame_bound` turns it into a bound. Two dual points are used:

- where the barrier method ran, its multiplier and the slope at its iterate (`iterate_bound`);
- where the threshold leaves no choice, a slope that makes the only continuation optimal
  (`tight_bound`).
"""

from __future__ import annotations

import math

import numpy as np

from solvers._barrier.dual_bound import frame_bound
from solvers._barrier.linear_algebra import cholesky, solve_lower, solve_lower_transposed
from solvers._barrier.slots import slope_slot, threshold_slot
from solvers._barrier.thresholds import (
    evaluate_threshold,
    fill_reconstruction,
    reset_singular_vectors,
)
from solvers._barrier.workspace import Index, Matrix, Number, PerThreshold, Vector
from solvers._parts import part

Array = np.ndarray

DISTINCT = 1e-10  # least deviation of what a frame has besides the past, relative to its own


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
def tight_bound(
    rank: int, r0: float, b: float, slack: float, ints: Array, mats: Array, vecs: Array
) -> float:
    r"""Lower bound on D_t - m_t where (X, b) adds nothing to the loss, and leaves `slack`.

    With Phi^-1 = B M0 B^T at (X, b) and Z of :func:`equality_slope`, the dual point is
    mu I - N = B (mu M0 - Z) B^T. The terms of order mu and 1 of its bound are the distortion but
    for what is left of stationarity, r = (x0, r0) - (y, 0) - kappa (x, b):

    |x - x0|^2 + (b - r0)^2 - mu slack - |r|^2 / kappa - tr M0^-1 Z (mu M0 - Z)^-1 Z M0^-1,

    and the last term is at most C / (mu - f) with W = M0^-1/2 Z M0^-1/2, C = tr W^2 M0^-1 and
    f = |W|. Nothing cancels. Derived in this project.
    """
    inner = ints[Index.RANK, 0]
    # 1. the continuation with its factor R = [[I, 0], [X, b]], evaluated without its threshold
    level, variance = vecs[Vector.LEVEL, 0], 0.0
    for i in range(inner):
        variance += mats[Matrix.TARGET_FACTOR, rank, i] ** 2
    last = max(b, DISTINCT * math.sqrt(variance))
    for i in range(rank + 1):
        for j in range(i + 1):
            mats[Matrix.ROOT, i, j] = 1.0 if i == j else 0.0
    for j in range(rank):
        mats[Matrix.ROOT, rank, j] = vecs[Vector.X, j]
    mats[Matrix.ROOT, rank, rank] = last
    fill_reconstruction(ints, mats, vecs, Matrix.GAINS, Matrix.NOISE)
    vecs[Vector.LEVEL, 0] = np.inf
    reset_singular_vectors(ints, mats)
    inside = evaluate_threshold(ints, mats, vecs, Number.ZERO)
    vecs[Vector.LEVEL, 0] = level
    # 2. Z in the basis of the singular vectors, C, f^2, and what R^T makes of the last rows of N*
    # and of the slope of W2^2: Y s z c and R^T e_t - Y c, the second of them rounding
    if not inside or not equality_slope(rank, r0, b, ints, mats, vecs):
        return 0.0
    bend, norm = 0.0, 0.0
    for i in range(inner):
        vecs[Vector.SCRATCH, i] = 0.0
        for j in range(inner):
            z = mats[Matrix.WEIGHTED, i, j]
            product = vecs[Vector.SINGULAR_VALUES, i] * vecs[Vector.SINGULAR_VALUES, j] * z * z
            norm += product
            bend += product * vecs[Vector.SINGULAR_VALUES, i]
            vecs[Vector.SCRATCH, i] += z * vecs[Vector.LAST_ROW, j]
    for k in range(rank + 1):
        moved, rest = 0.0, vecs[Vector.X, k] if k < rank else last
        for i in range(inner):
            moved += mats[Matrix.PRODUCT, i, k] * vecs[Vector.SCRATCH, i]
            share = vecs[Vector.LAST_ROW, i] / vecs[Vector.SINGULAR_VALUES, i]
            rest -= mats[Matrix.PRODUCT, i, k] * share
        vecs[Vector.SOLUTION, k] = moved
        vecs[Vector.SQUARE, k] = rest
    # 3. the best of several multipliers
    distortion = (b - r0) ** 2
    for i in range(rank):
        distortion += (vecs[Vector.X, i] - vecs[Vector.X0, i]) ** 2
    best, norm = 0.0, math.sqrt(norm)
    mu = norm + math.sqrt(bend / slack)
    for _ in range(12):
        # R^T [y, kappa - 1] = [y + (kappa - 1) x, (kappa - 1) last]
        turned = vecs[Vector.SOLUTION, rank] + mu * vecs[Vector.SQUARE, rank]
        kappa, left = 1.0 + turned / last, 0.0
        for k in range(rank):
            turned = vecs[Vector.SOLUTION, k] + mu * vecs[Vector.SQUARE, k]
            left += (vecs[Vector.X0, k] - vecs[Vector.X, k] - turned) ** 2
        left += (r0 - kappa * b) ** 2
        if kappa > 0.0 and mu > norm:
            value = distortion - left / kappa - mu * slack - bend / (mu - norm)
            best = max(best, value)
        mu = norm + 0.03 * (mu - norm)
    return best


@part
def equality_slope(rank: int, r0: float, b: float, ints: Array, mats: Array, vecs: Array) -> bool:
    """WEIGHTED = z = V^T Z V, whose slope N* = B Z B^T makes (X, b) the best continuation.

    Stationarity asks R^T N* e_t = d = (x0 - x, r0 - b) with R the factor of H. As B^T R = V s Y^T,
    z c = v with v = s^-1 Y^T d and c the last row of B V. Of all such z this one has the least
    C = sum_ij z_ij^2 / w_ij, w_ij = 2 / (s_i s_j (s_i + s_j)): z_ij = (a_i c_j + a_j c_i) w_ij,
    with a from z c = v.
    """
    n, slot = ints[Index.RANK, 0], threshold_slot(Number.ZERO)
    z, a, c, s = Matrix.WEIGHTED, Vector.SOLUTION, Vector.LAST_ROW, Vector.SINGULAR_VALUES
    for i in range(n):
        vecs[c, i] = mats[slot + PerThreshold.TARGET_BASIS, rank, i]
        # kappa > 0 even where the frame brings no innovation; PRODUCT = s Y^T
        value = mats[Matrix.PRODUCT, i, rank] * (max(r0, 3e-7 * b) - b)
        for k in range(rank):
            value += mats[Matrix.PRODUCT, i, k] * (vecs[Vector.X0, k] - vecs[Vector.X, k])
        vecs[a, i] = value / vecs[s, i] ** 2
    for i in range(n):
        for j in range(n):
            mats[z, i, j] = 2.0 / (vecs[s, i] * vecs[s, j] * (vecs[s, i] + vecs[s, j]))
            mats[Matrix.ROOT, i, j] = vecs[c, i] * vecs[c, j] * mats[z, i, j]
        for k in range(n):
            mats[Matrix.ROOT, i, i] += vecs[c, k] ** 2 * mats[z, i, k]
        mats[Matrix.COLUMN, 0, i] = vecs[a, i]
    if not cholesky(mats, Matrix.ROOT, n, Number.ZERO):
        return False
    solve_lower(mats, Matrix.ROOT, Matrix.COLUMN, Number.ZERO, n)
    solve_lower_transposed(mats, Matrix.ROOT, Matrix.COLUMN, Number.ZERO, n)
    for i in range(n):
        vecs[a, i] = mats[Matrix.COLUMN, 0, i]
    for i in range(n):
        for j in range(n):
            mats[z, i, j] *= vecs[a, i] * vecs[c, j] + vecs[a, j] * vecs[c, i]
    return True


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
