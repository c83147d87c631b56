r"""Losses of the thresholds at a point, with gradients and the factors of their curvature.

f_k = W2^2(A, H) = tr A + tr H - 2 |B^T R|_*, A = B B^T, H = R R^T (leading blocks).

With B^T R = V diag(s) Z^T and U = B V, the map from H to A is Phi^-1 = U diag(1 / s) U^T, and the
gradient of f_k in H is I - Phi^-1.
"""

from __future__ import annotations

import math

import numpy as np

from solvers._barrier.linear_algebra import (
    cholesky,
    orthogonalise_rows,
    solve_lower,
    solve_lower_transposed,
)
from solvers._barrier.slots import threshold_slot, tie_slot, tied_slot
from solvers._barrier.workspace import Dim, Entry, Index, Matrix, Number, PerThreshold, Vector
from solvers._parts import part

Array = np.ndarray


@part
def fill_reconstruction(ints: Array, mats: Array, vecs: Array, gains: int, noise: int) -> None:
    """RECONSTRUCTION H and CROSS C[s, s] of a point (K, S): H = S + K K^T, ties, fixed entries."""
    n, columns = ints[Index.DIMS, Dim.ROWS], ints[Index.DIMS, Dim.COLUMNS]
    m, moving = ints[Index.DIMS, Dim.FRAMES], ints[Index.DIMS, Dim.MOVING]
    past = m - n
    for i in range(m):
        for j in range(i + 1):
            kind = Entry.FIXED if i < past else ints[Index.KIND + i, j]
            if kind == Entry.FIXED:
                value = mats[Matrix.COVARIANCE, i, j]
            elif kind == Entry.TIED:
                value = 0.0
                row = ints[tied_slot(mats, i), j]
                for k in range(columns):
                    value += mats[tie_slot(mats, i), j, k] * mats[gains, row, k]
            else:
                value = mats[noise, i - past, j - past]
                for k in range(columns):
                    value += mats[gains, i - past, k] * mats[gains, j - past, k]
            mats[Matrix.RECONSTRUCTION, i, j] = value
            mats[Matrix.RECONSTRUCTION, j, i] = value
    if moving:
        for i in range(m):
            value = 0.0
            for k in range(columns):
                value += mats[Matrix.ESTIMATE, i, k] * mats[gains, i, k]
            vecs[Vector.CROSS, i] = value


@part
def reset_singular_vectors(ints: Array, mats: Array) -> None:
    """Let the next evaluation start from V = I, not from the vectors of the last one."""
    m = ints[Index.DIMS, Dim.FRAMES]
    for k in range(ints[Index.DIMS, Dim.THRESHOLDS]):
        for i in range(m):
            for j in range(m):
                mats[threshold_slot(k) + PerThreshold.LEFT_SINGULAR, i, j] = 1.0 if i == j else 0.0


@part
def evaluate_thresholds(ints: Array, mats: Array, vecs: Array) -> bool:
    """Slacks, gradients and factors of all thresholds at RECONSTRUCTION; False outside the domain.

    The singular vectors of the last evaluation are a first guess.
    """
    m = ints[Index.DIMS, Dim.FRAMES]
    for i in range(m):
        for j in range(i + 1):
            mats[Matrix.ROOT, i, j] = mats[Matrix.RECONSTRUCTION, i, j]
    if not cholesky(mats, Matrix.ROOT, m, Number.ZERO):
        return False
    for k in range(ints[Index.DIMS, Dim.THRESHOLDS]):
        if not evaluate_threshold(ints, mats, vecs, k):
            return False
    return True


@part
def evaluate_threshold(ints: Array, mats: Array, vecs: Array, k: int) -> bool:
    """Slack, gradients and factors of threshold k; False where a singular value is not positive.

    B is in SECOND_ROOT and R in ROOT. TARGET_BASIS holds U until a moving target replaces it.
    """
    moving = ints[Index.DIMS, Dim.MOVING]
    size, row = ints[Index.SIZE, k], Vector.SINGULAR_VALUES + k
    rank = size if moving else ints[Index.RANK, k]
    slot = threshold_slot(k)
    slope, v = slot + PerThreshold.SLOPE, slot + PerThreshold.LEFT_SINGULAR
    y, u = slot + PerThreshold.RECONSTRUCTION_BASIS, slot + PerThreshold.TARGET_BASIS
    # 1. B, and tr A + tr H
    total = 0.0
    for i in range(size):
        total += mats[Matrix.RECONSTRUCTION, i, i]
    if moving:
        if not moving_target_factor(mats, vecs, size):
            return False
        for i in range(size - 1):
            total += mats[Matrix.RECONSTRUCTION, i, i]
        total += vecs[Vector.VARIANCE, size - 1]
    else:
        for i in range(size):
            for j in range(rank):
                value = mats[Matrix.TARGET_FACTOR, i, j]
                mats[Matrix.SECOND_ROOT, i, j] = value
                total += value * value
    # 2. singular values of B^T R, from (B V)^T R with the V of the last evaluation
    rotate_target(mats, v, u, size, rank, moving)
    for a in range(rank):
        for j in range(size):
            value = 0.0
            for i in range(j, size):
                value += mats[u, i, a] * mats[Matrix.ROOT, i, j]
            mats[Matrix.PRODUCT, a, j] = value
    orthogonalise_rows(mats, Matrix.PRODUCT, v, vecs, row, rank, size, Number.ONE)
    # 3. slack
    for a in range(rank):
        total -= 2.0 * vecs[row, a]
        if not vecs[row, a] > 0.0:
            return False
    vecs[Vector.SLACK, k] = vecs[Vector.LEVEL, k] - total
    if not vecs[Vector.SLACK, k] > 0.0:
        return False
    # 4. U, Y = U diag(1 / s) and the gradient I - U Y^T
    rotate_target(mats, v, u, size, rank, moving)
    for i in range(size):
        for a in range(rank):
            mats[y, i, a] = mats[u, i, a] / vecs[row, a]
    for i in range(size):
        for j in range(i + 1):
            value = 1.0 if i == j else 0.0
            for a in range(rank):
                value -= mats[u, i, a] * mats[y, j, a]
            mats[slope, i, j] = value
            mats[slope, j, i] = value
    if moving:
        fill_target_slope(mats, vecs, slot, row, size)
    return True


@part
def rotate_target(mats: Array, v: int, u: int, size: int, rank: int, moving: int) -> None:
    """U = B V in mats[u], B = SECOND_ROOT, which is lower triangular where the target moves."""
    for i in range(size):
        for a in range(rank):
            value = 0.0
            for b in range(i + 1 if moving else rank):
                value += mats[Matrix.SECOND_ROOT, i, b] * mats[v, b, a]
            mats[u, i, a] = value


@part
def moving_target_factor(mats: Array, vecs: Array, size: int) -> bool:
    """SECOND_ROOT = factor of A = [[H', c], [c^T, sigma^2]], the target of SA.

    H' is the covariance of the past and c = E[Xhat^(t-1) X_t]. All rows but the last are those of
    the factor of H, ROOT. False where A is not positive definite.
    """
    last = size - 1
    for i in range(last):
        for j in range(i + 1):
            mats[Matrix.SECOND_ROOT, i, j] = mats[Matrix.ROOT, i, j]
    for j in range(last):
        mats[Matrix.SECOND_ROOT, last, j] = mats[Matrix.TRANSITION, last, j] * vecs[Vector.CROSS, j]
    solve_lower(mats, Matrix.ROOT, Matrix.SECOND_ROOT, last, last)
    pivot = vecs[Vector.VARIANCE, last]
    for j in range(last):
        pivot -= mats[Matrix.SECOND_ROOT, last, j] * mats[Matrix.SECOND_ROOT, last, j]
    if not pivot > 0.0:
        return False
    mats[Matrix.SECOND_ROOT, last, last] = math.sqrt(pivot)
    return True


@part
def fill_target_slope(mats: Array, vecs: Array, slot: int, row: int, size: int) -> None:
    """W = U^-T = B^-T V and I - W diag(s) W^T, the gradient in A, of a moving target."""
    w, v = slot + PerThreshold.TARGET_BASIS, slot + PerThreshold.LEFT_SINGULAR
    target_slope = slot + PerThreshold.TARGET_SLOPE
    for a in range(size):
        for i in range(size):
            mats[Matrix.PRODUCT, a, i] = mats[v, i, a]
        solve_lower_transposed(mats, Matrix.SECOND_ROOT, Matrix.PRODUCT, a, size)
        for i in range(size):
            mats[w, i, a] = mats[Matrix.PRODUCT, a, i]
    for i in range(size):
        for j in range(i + 1):
            value = 1.0 if i == j else 0.0
            for a in range(size):
                value -= vecs[row, a] * mats[w, i, a] * mats[w, j, a]
            mats[target_slope, i, j] = value
            mats[target_slope, j, i] = value
