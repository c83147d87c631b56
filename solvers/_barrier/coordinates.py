"""Coordinates of a Newton step: tied entries are eliminated before, and written after it."""

from __future__ import annotations

import numpy as np

from solvers._barrier.slots import tie_slot, tied_slot
from solvers._barrier.workspace import Big, Dim, Entry, Index, Matrix, Vector
from solvers._parts import part

Array = np.ndarray


@part
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


@part
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


@part
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
