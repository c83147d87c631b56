r"""Newton direction of the barrier method of :mod:`solvers._barrier.central_path`.

The equations are set up in all coordinates (:mod:`solvers._barrier.newton_matrix`). Entries of H
that are fixed or linear in a row of K are eliminated. The rest is scaled to a unit diagonal and
factored. The step of the dual variables follows from the step of the primal ones:
dQ = tau S^-1 - Q - V dS V, and dmu from the change of the losses.
"""

from __future__ import annotations

import math

import numpy as np

from solvers._barrier.linear_algebra import cholesky, multiply, solve_lower_transposed
from solvers._barrier.newton_matrix import assemble
from solvers._barrier.slots import threshold_slot, tie_slot, tied_slot
from solvers._barrier.workspace import Big, Dim, Entry, Index, Matrix, PerThreshold, Vector
from solvers._compiled import njit

Array = np.ndarray


@njit(cache=True, error_model="numpy", inline="always")
def newton_direction(ints: Array, mats: Array, vecs: Array, big: Array, tau: float) -> float:
    """Steps of K, S, Q and mu; returns the slope of the barrier function, nan on failure."""
    # 1. Newton matrix and gradient, without the coordinates that depend on others
    total = assemble(ints, mats, vecs, big, tau)
    count = eliminate(ints, mats, vecs, big, total)
    # 2. scale to a unit diagonal and factor; add to the diagonal where rounding prevents it
    for i in range(count):
        at = ints[Index.KEPT, i]
        vecs[Vector.DIAGONAL, i] = 1.0 / math.sqrt(big[Big.MATRIX, at, at])
    lift = 0.0
    while True:
        for i in range(count):
            at = ints[Index.KEPT, i]
            for j in range(i):
                value = big[Big.MATRIX, at, ints[Index.KEPT, j]]
                big[Big.SYSTEM, i, j] = value * vecs[Vector.DIAGONAL, i] * vecs[Vector.DIAGONAL, j]
            big[Big.SYSTEM, i, i] = 1.0 + lift
            big[Big.SYSTEM, count, i] = -vecs[Vector.GRADIENT, at] * vecs[Vector.DIAGONAL, i]
        if cholesky(big, Big.SYSTEM, count, 1):
            break
        lift = 1e-15 if lift == 0.0 else 100.0 * lift
        if not lift < 1e-6:
            return np.nan
    # 3. solve: slope of the barrier function along the direction, and the direction
    slope = 0.0
    for i in range(count):
        slope -= big[Big.SYSTEM, count, i] ** 2
    solve_lower_transposed(big, Big.SYSTEM, Big.SYSTEM, count, count)
    for i in range(count):
        big[Big.SYSTEM, count, i] *= vecs[Vector.DIAGONAL, i]
    # 4. steps of the primal variables, then of the dual ones
    unpack_step(ints, mats, vecs, big, count)
    fill_dual_step(ints, mats, vecs, tau)
    return slope


@njit(cache=True, error_model="numpy")
def eliminate(ints: Array, mats: Array, vecs: Array, big: Array, total: int) -> int:
    """Eliminate the tied entries of H and C[s, s] and drop the fixed ones.

    Returns the number of coordinates that are left and lists them in KEPT.
    """
    n, m = ints[Index.DIMS, Dim.ROWS], ints[Index.DIMS, Dim.FRAMES]
    moving = ints[Index.DIMS, Dim.MOVING]
    past = m - n
    count = 0
    for i in range(n):
        for _ in range(ints[Index.WIDTH, i]):
            ints[Index.KEPT, count] = count
            count += 1
    index = count
    for i in range(past, m):
        for j in range(i + 1):
            if ints[Index.KIND + i, j] == Entry.FREE:
                ints[Index.KEPT, count] = index
                count += 1
            index += 1
    if moving:
        for i in range(m - 1, -1, -1):
            eliminate_one(ints, mats, vecs, big, index + i, i, Matrix.ESTIMATE, i, total)
    for i in range(m - 1, past - 1, -1):
        for j in range(i, -1, -1):
            index -= 1
            if ints[Index.KIND + i, j] == Entry.TIED:
                row = ints[tied_slot(mats, i), j]
                eliminate_one(ints, mats, vecs, big, index, row, tie_slot(mats, i), j, total)
    return count


@njit(cache=True, error_model="numpy")
def eliminate_one(
    ints: Array,
    mats: Array,
    vecs: Array,
    big: Array,
    index: int,
    row: int,
    slot: int,
    at: int,
    total: int,
) -> None:
    """Replace coordinate `index` by sum_a mats[slot, at, a] K[row, a] in matrix and gradient."""
    start = 0
    for i in range(row):
        start += ints[Index.WIDTH, i]
    width = ints[Index.WIDTH, row]
    corner = big[Big.MATRIX, index, index]
    for a in range(width):
        vecs[Vector.GRADIENT, start + a] += mats[slot, at, a] * vecs[Vector.GRADIENT, index]
    for other in range(total):
        if other == index or start <= other < start + width:
            continue
        entry = big[Big.MATRIX, index, other] if other < index else big[Big.MATRIX, other, index]
        if entry == 0.0:
            continue
        for a in range(width):
            if other < start + a:
                big[Big.MATRIX, start + a, other] += mats[slot, at, a] * entry
            else:
                big[Big.MATRIX, other, start + a] += mats[slot, at, a] * entry
    for a in range(width):
        for b in range(a + 1):
            x, y = mats[slot, at, a], mats[slot, at, b]
            value = x * big[Big.MATRIX, index, start + b] + y * big[Big.MATRIX, index, start + a]
            big[Big.MATRIX, start + a, start + b] += value + x * y * corner


@njit(cache=True, error_model="numpy")
def unpack_step(ints: Array, mats: Array, vecs: Array, big: Array, count: int) -> None:
    """Write the direction as steps of K, H, C[s, s] and S."""
    n, columns = ints[Index.DIMS, Dim.ROWS], ints[Index.DIMS, Dim.COLUMNS]
    m = ints[Index.DIMS, Dim.FRAMES]
    past = m - n
    index = 0
    for i in range(n):
        for a in range(columns):
            mats[Matrix.STEP_GAINS, i, a] = 0.0
        for a in range(ints[Index.WIDTH, i]):
            mats[Matrix.STEP_GAINS, i, a] = big[Big.SYSTEM, count, index]
            index += 1
    for i in range(past, m):
        for j in range(i + 1):
            value = 0.0
            kind = ints[Index.KIND + i, j]
            if kind == Entry.FREE:
                value = big[Big.SYSTEM, count, index]
                index += 1
            elif kind == Entry.TIED:
                row = ints[tied_slot(mats, i), j]
                for a in range(columns):
                    value += mats[tie_slot(mats, i), j, a] * mats[Matrix.STEP_GAINS, row, a]
            mats[Matrix.STEP_RECONSTRUCTION, i, j] = value
    if ints[Index.DIMS, Dim.MOVING]:
        for i in range(m):
            value = 0.0
            for a in range(columns):
                value += mats[Matrix.ESTIMATE, i, a] * mats[Matrix.STEP_GAINS, i, a]
            vecs[Vector.STEP_CROSS, i] = value
    for i in range(n):
        for j in range(i + 1):
            value = mats[Matrix.STEP_RECONSTRUCTION, i + past, j + past]
            for a in range(columns):
                value -= mats[Matrix.STEP_GAINS, i, a] * mats[Matrix.GAINS, j, a]
                value -= mats[Matrix.GAINS, i, a] * mats[Matrix.STEP_GAINS, j, a]
            mats[Matrix.STEP_NOISE, i, j] = value
            mats[Matrix.STEP_NOISE, j, i] = value


@njit(cache=True, error_model="numpy")
def fill_dual_step(ints: Array, mats: Array, vecs: Array, tau: float) -> None:
    """DQ = tau S^-1 - Q - V dS V and dmu = (tau + mu df) / slack - mu."""
    n, m = ints[Index.DIMS, Dim.ROWS], ints[Index.DIMS, Dim.FRAMES]
    moving = ints[Index.DIMS, Dim.MOVING]
    multiply(mats, Matrix.STEP_NOISE, Matrix.SCALING, Matrix.PRODUCT, n, n)
    for i in range(n):
        for j in range(i + 1):
            value = tau * mats[Matrix.NOISE_INVERSE, i, j] - mats[Matrix.DUAL, i, j]
            for k in range(n):
                value -= mats[Matrix.SCALING, i, k] * mats[Matrix.PRODUCT, k, j]
            mats[Matrix.STEP_DUAL, i, j] = value
            mats[Matrix.STEP_DUAL, j, i] = value
    for k in range(ints[Index.DIMS, Dim.THRESHOLDS]):
        last = ints[Index.SIZE, k] - 1
        slope = threshold_slot(k) + PerThreshold.SLOPE
        target_slope = threshold_slot(k) + PerThreshold.TARGET_SLOPE
        owned = last if moving else 0
        change = 0.0  # of the loss
        for i in range(m - n, last + 1):
            for j in range(i + 1):
                value = mats[slope, i, j]
                if i < owned:
                    value += mats[target_slope, i, j]
                change += (1.0 if i == j else 2.0) * value * mats[Matrix.STEP_RECONSTRUCTION, i, j]
        for i in range(owned):
            value = 2.0 * mats[target_slope, i, last] * mats[Matrix.TRANSITION, last, i]
            change += value * vecs[Vector.STEP_CROSS, i]
        mu = vecs[Vector.MU, k]
        vecs[Vector.STEP_MU, k] = (tau + mu * change) / vecs[Vector.SLACK, k] - mu
