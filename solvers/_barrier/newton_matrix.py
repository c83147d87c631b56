r"""Newton matrix and gradient of the barrier method of :mod:`solvers._barrier.central_path`.

The coordinates are the gains K, the entries of H on and below its diagonal, and, where the target
moves, the products C[s, s]. The matrix is that of the Nesterov-Todd scaled equations,

    2 tr(Q dK dK^T) + tr(V dS V dS) + sum_k mu_k (f_k'' + f_k' f_k'^T / slack_k),

in which dS = dH - dK K^T - K dK^T. Only its lower triangle is filled.
"""

from __future__ import annotations

import math

import numpy as np

from solvers._barrier.linear_algebra import multiply
from solvers._barrier.slots import threshold_slot
from solvers._barrier.workspace import Big, Dim, Index, Matrix, PerThreshold, Vector
from solvers._parts import part

Array = np.ndarray


@part
def assemble(ints: Array, mats: Array, vecs: Array, big: Array, tau: float) -> int:
    """Newton matrix and gradient in all coordinates, K, then H, then C[s, s]; their number."""
    n, columns = ints[Index.DIMS, Dim.ROWS], ints[Index.DIMS, Dim.COLUMNS]
    m, moving = ints[Index.DIMS, Dim.FRAMES], ints[Index.DIMS, Dim.MOVING]
    multiply(mats, Matrix.SCALING, Matrix.GAINS, Matrix.SCALED_GAINS, n, columns)
    for a in range(columns):
        for b in range(a + 1):
            value = 0.0
            for i in range(n):
                value += mats[Matrix.GAINS, i, a] * mats[Matrix.SCALED_GAINS, i, b]
            mats[Matrix.SCALED_GRAM, a, b] = value
            mats[Matrix.SCALED_GRAM, b, a] = value
    first = assemble_gains(ints, mats, vecs, big, tau)
    row = assemble_reconstruction(ints, mats, vecs, big, tau, first)
    if moving:
        for _ in range(m):
            vecs[Vector.GRADIENT, row] = 0.0
            for column in range(row + 1):
                big[Big.MATRIX, row, column] = 0.0
            row += 1
    for k in range(ints[Index.DIMS, Dim.THRESHOLDS]):
        add_threshold(ints, mats, vecs, big, k, tau, first)
    return row


@part
def assemble_gains(ints: Array, mats: Array, vecs: Array, big: Array, tau: float) -> int:
    """Rows of K: 2 tr(Q dK dK^T) + tr(V dS V dS), dS = -(dK K^T + K dK^T); their number."""
    n = ints[Index.DIMS, Dim.ROWS]
    row = 0
    for i in range(n):
        for a in range(ints[Index.WIDTH, i]):
            value = 0.0
            for j in range(n):
                value += mats[Matrix.NOISE_INVERSE, i, j] * mats[Matrix.GAINS, j, a]
            pull = vecs[Vector.WEIGHTS, i] * mats[Matrix.ESTIMATE, i, a]
            vecs[Vector.GRADIENT, row] = 2.0 * (tau * value - pull)
            column = 0
            for j in range(i + 1):
                for b in range(ints[Index.WIDTH, j] if j < i else a + 1):
                    value = mats[Matrix.SCALED_GAINS, i, b] * mats[Matrix.SCALED_GAINS, j, a]
                    value += mats[Matrix.SCALING, i, j] * mats[Matrix.SCALED_GRAM, a, b]
                    if a == b:
                        value += mats[Matrix.DUAL, i, j]
                    big[Big.MATRIX, row, column] = 2.0 * value
                    column += 1
            row += 1
    return row


@part
def assemble_reconstruction(
    ints: Array, mats: Array, vecs: Array, big: Array, tau: float, first: int
) -> int:
    """Rows of H: tr(V dS V dS), dS = dH - dK K^T - K dK^T on the active block; the next row."""
    n, m = ints[Index.DIMS, Dim.ROWS], ints[Index.DIMS, Dim.FRAMES]
    past = m - n
    row, v = first, Matrix.SCALING
    for i in range(past, m):
        for j in range(i + 1):
            vecs[Vector.GRADIENT, row] = 0.0
            if j < past:
                for column in range(row + 1):
                    big[Big.MATRIX, row, column] = 0.0
                row += 1
                continue
            x, y = i - past, j - past
            twice = 1.0 if x == y else 2.0
            own = vecs[Vector.WEIGHTS, x] if x == y else 0.0
            vecs[Vector.GRADIENT, row] = own - tau * twice * mats[Matrix.NOISE_INVERSE, x, y]
            column = 0
            for k in range(n):
                for a in range(ints[Index.WIDTH, k]):
                    value = mats[Matrix.SCALED_GAINS, x, a] * mats[v, y, k]
                    value += mats[Matrix.SCALED_GAINS, y, a] * mats[v, x, k]
                    big[Big.MATRIX, row, column] = -twice * value
                    column += 1
            for k in range(past, i + 1):
                for z in range(k + 1 if k < i else j + 1):
                    value = 0.0
                    if z >= past:
                        value = mats[v, x, k - past] * mats[v, y, z - past]
                        value += mats[v, x, z - past] * mats[v, y, k - past]
                        value *= 0.5 * twice if k == z else twice
                    big[Big.MATRIX, row, column] = value
                    column += 1
            row += 1
    return row


@part
def add_threshold(
    ints: Array, mats: Array, vecs: Array, big: Array, k: int, tau: float, first: int
) -> None:
    """Add threshold k: its gradient, and mu (f'' + f' f'^T / slack) as a sum of squares.

    With Y = U / lambda^1/2, W = U^-T: f'' = sum_ab theta_ab (W^T dA W - Y^T dH Y)_ab^2,
    theta_ab = 1 / (lambda_a^-1/2 + lambda_b^-1/2), lambda^1/2 the singular values.
    """
    m, moving = ints[Index.DIMS, Dim.FRAMES], ints[Index.DIMS, Dim.MOVING]
    past = m - ints[Index.DIMS, Dim.ROWS]
    size, values = ints[Index.SIZE, k], Vector.SINGULAR_VALUES + k
    rank = size if moving else ints[Index.RANK, k]
    skip = past * (past + 1) // 2
    stop = first + size * (size + 1) // 2 - skip
    own = first + m * (m + 1) // 2 - skip
    slot, last = threshold_slot(k), size - 1
    slope, target_slope = slot + PerThreshold.SLOPE, slot + PerThreshold.TARGET_SLOPE
    y, w = slot + PerThreshold.RECONSTRUCTION_BASIS, slot + PerThreshold.TARGET_BASIS
    owned = last if moving else 0
    weight = tau / vecs[Vector.SLACK, k]
    scale = math.sqrt(vecs[Vector.MU, k] / vecs[Vector.SLACK, k])
    index = first
    for i in range(past, size):
        for j in range(i + 1):
            value = mats[slope, i, j]
            if i < owned:
                value += mats[target_slope, i, j]
            if i != j:
                value *= 2.0
            vecs[Vector.GRADIENT, index] += weight * value
            vecs[Vector.SQUARE, index] = scale * value
            index += 1
    for i in range(owned):
        value = 2.0 * mats[target_slope, i, last] * mats[Matrix.TRANSITION, last, i]
        vecs[Vector.GRADIENT, own + i] += weight * value
        vecs[Vector.SQUARE, own + i] = scale * value
    add_rank_one(vecs, big, first, stop, own, owned)
    for a in range(rank):
        for b in range(a + 1):
            theta = vecs[values, a] * vecs[values, b] / (vecs[values, a] + vecs[values, b])
            scale = math.sqrt(vecs[Vector.MU, k] * theta * (1.0 if a == b else 2.0))
            index = first
            for i in range(past, size):
                for j in range(i + 1):
                    value = -mats[y, i, a] * mats[y, j, b] - mats[y, i, b] * mats[y, j, a]
                    if i < owned:
                        value += mats[w, i, a] * mats[w, j, b] + mats[w, i, b] * mats[w, j, a]
                    vecs[Vector.SQUARE, index] = scale * (value if i != j else 0.5 * value)
                    index += 1
            for i in range(owned):
                value = mats[w, i, a] * mats[w, last, b] + mats[w, i, b] * mats[w, last, a]
                vecs[Vector.SQUARE, own + i] = scale * mats[Matrix.TRANSITION, last, i] * value
            add_rank_one(vecs, big, first, stop, own, owned)


@part
def add_rank_one(vecs: Array, big: Array, first: int, stop: int, own: int, owned: int) -> None:
    """Add SQUARE SQUARE^T to the lower triangle, on [first, stop) and [own, own + owned)."""
    for row in range(first, stop):
        value = vecs[Vector.SQUARE, row]
        for column in range(first, row + 1):
            big[Big.MATRIX, row, column] += value * vecs[Vector.SQUARE, column]
    for row in range(own, own + owned):
        value = vecs[Vector.SQUARE, row]
        for column in range(first, stop):
            big[Big.MATRIX, row, column] += value * vecs[Vector.SQUARE, column]
        for column in range(own, row + 1):
            big[Big.MATRIX, row, column] += value * vecs[Vector.SQUARE, column]
