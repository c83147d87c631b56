r"""Newton direction of the barrier method of :mod:`solvers._barrier.path`.

The equations are set up in all coordinates, the gains K, the entries of H and the products C[s, s];
entries of H that are fixed or linear in a row of K are then folded away, and what is left is scaled
to a unit diagonal and factored. The step of the dual variables follows from that of the primal
ones: DQ = tau S^-1 - Q - V dS V, and dmu from the change of the thresholds.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from solvers._barrier.linear_algebra import cholesky, solve_lower_transposed
from solvers._barrier.workspace import (
    DIMS,
    DUAL,
    ESTIMATE,
    FEATURE,
    FIXED_INTS,
    FIXED_VECS,
    FREE,
    GAINS,
    GRADIENT,
    INVERSE,
    KEPT,
    MATRIX,
    MIDDLE,
    MU,
    OTHER,
    PHI,
    PRODUCT,
    RANK,
    SCALED,
    SCALING,
    SIZE,
    SLACK,
    SLOPE,
    STEP_DUAL,
    STEP_GAINS,
    STEP_MU,
    STEP_NOISE,
    STEP_OWN,
    STEP_SHOWN,
    SYSTEM,
    TIED,
    WEAVE,
    WEIGHTED,
    WEIGHTS,
    WIDTH,
    threshold_slot,
    tie_slot,
)

Array = np.ndarray


@njit(cache=True, error_model="numpy")
def kind_of(ints: Array, mats: Array, i: int, j: int) -> int:
    """FREE, FIXED or TIED, for entry (i, j) of H, j <= i."""
    return ints[FIXED_INTS + i, j]


@njit(cache=True, error_model="numpy")
def tied_row(ints: Array, mats: Array, i: int, j: int) -> int:
    """Row of K that a TIED entry (i, j) of H is linear in."""
    return ints[FIXED_INTS + mats.shape[1] + i, j]


@njit(cache=True, error_model="numpy")
def assemble(ints: Array, mats: Array, vecs: Array, big: Array, tau: float) -> int:
    """Newton matrix and gradient in all coordinates: K, then H, then C[s, s]; their number."""
    n, columns, m, moving = ints[DIMS, 0], ints[DIMS, 1], ints[DIMS, 2], ints[DIMS, 4]
    for i in range(n):
        for a in range(columns):
            value = 0.0
            for j in range(n):
                value += mats[SCALING, i, j] * mats[GAINS, j, a]
            mats[WEIGHTED, i, a] = value
    for a in range(columns):
        for b in range(a + 1):
            value = 0.0
            for i in range(n):
                value += mats[GAINS, i, a] * mats[WEIGHTED, i, b]
            mats[MIDDLE, a, b] = value
            mats[MIDDLE, b, a] = value
    first = assemble_gains(ints, mats, vecs, big, tau)
    row = assemble_shown(ints, mats, vecs, big, tau, first)
    if moving:
        for _ in range(m):
            vecs[GRADIENT, row] = 0.0
            for column in range(row + 1):
                big[MATRIX, row, column] = 0.0
            row += 1
    for k in range(ints[DIMS, 3]):
        add_threshold(ints, mats, vecs, big, k, tau, first)
    return row


@njit(cache=True, error_model="numpy")
def assemble_gains(ints: Array, mats: Array, vecs: Array, big: Array, tau: float) -> int:
    """Rows of K: 2 tr(Q dK dK^T) + tr(V dS V dS), dS = -(dK K^T + K dK^T); their number."""
    n = ints[DIMS, 0]
    row = 0
    for i in range(n):
        for a in range(ints[WIDTH, i]):
            value = 0.0
            for j in range(n):
                value += mats[INVERSE, i, j] * mats[GAINS, j, a]
            pull = vecs[WEIGHTS, i] * mats[ESTIMATE, i, a]
            vecs[GRADIENT, row] = 2.0 * (tau * value - pull)
            column = 0
            for j in range(i + 1):
                for b in range(ints[WIDTH, j] if j < i else a + 1):
                    value = mats[WEIGHTED, i, b] * mats[WEIGHTED, j, a]
                    value += mats[SCALING, i, j] * mats[MIDDLE, a, b]
                    if a == b:
                        value += mats[DUAL, i, j]
                    big[MATRIX, row, column] = 2.0 * value
                    column += 1
            row += 1
    return row


@njit(cache=True, error_model="numpy")
def assemble_shown(
    ints: Array, mats: Array, vecs: Array, big: Array, tau: float, first: int
) -> int:
    """Rows of H: tr(V dS V dS), dS = dH - dK K^T - K dK^T on the active block; the next row."""
    n, m = ints[DIMS, 0], ints[DIMS, 2]
    past = m - n
    row = first
    for i in range(past, m):
        for j in range(i + 1):
            vecs[GRADIENT, row] = 0.0
            if j < past:
                for column in range(row + 1):
                    big[MATRIX, row, column] = 0.0
                row += 1
                continue
            x, y = i - past, j - past
            twice = 1.0 if x == y else 2.0
            own = vecs[WEIGHTS, x] if x == y else 0.0
            vecs[GRADIENT, row] = own - tau * twice * mats[INVERSE, x, y]
            column = 0
            for k in range(n):
                for a in range(ints[WIDTH, k]):
                    value = mats[WEIGHTED, x, a] * mats[SCALING, y, k]
                    value += mats[WEIGHTED, y, a] * mats[SCALING, x, k]
                    big[MATRIX, row, column] = -twice * value
                    column += 1
            for k in range(past, i + 1):
                for z in range(k + 1 if k < i else j + 1):
                    value = 0.0
                    if z >= past:
                        value = mats[SCALING, x, k - past] * mats[SCALING, y, z - past]
                        value += mats[SCALING, x, z - past] * mats[SCALING, y, k - past]
                        value *= 0.5 * twice if k == z else twice
                    big[MATRIX, row, column] = value
                    column += 1
            row += 1
    return row


@njit(cache=True, error_model="numpy")
def add_threshold(
    ints: Array, mats: Array, vecs: Array, big: Array, k: int, tau: float, first: int
) -> None:
    """Add threshold k: its gradient, and mu (f'' + f' f'^T / slack) as a sum of squares.

    With Y = U / lambda^1/2, W = U^-T: f'' = sum_ab theta_ab (W^T dA W - Y^T dH Y)_ab^2,
    theta_ab = 1 / (lambda_a^-1/2 + lambda_b^-1/2), lambda^1/2 the singular values.
    """
    m, moving = ints[DIMS, 2], ints[DIMS, 4]
    past = m - ints[DIMS, 0]
    size, values = ints[SIZE, k], FIXED_VECS + k
    rank = size if moving else ints[RANK, k]
    skip = past * (past + 1) // 2
    stop = first + size * (size + 1) // 2 - skip
    own = first + m * (m + 1) // 2 - skip
    slot, last = threshold_slot(k), size - 1
    slope, other, y, w = slot + SLOPE, slot + OTHER, slot + SCALED, slot + WEAVE
    owned = last if moving else 0
    weight = tau / vecs[SLACK, k]
    scale = math.sqrt(vecs[MU, k] / vecs[SLACK, k])
    index = first
    for i in range(past, size):
        for j in range(i + 1):
            value = mats[slope, i, j]
            if i < owned:
                value += mats[other, i, j]
            if i != j:
                value *= 2.0
            vecs[GRADIENT, index] += weight * value
            vecs[FEATURE, index] = scale * value
            index += 1
    for i in range(owned):
        value = 2.0 * mats[other, i, last] * mats[PHI, last, i]
        vecs[GRADIENT, own + i] += weight * value
        vecs[FEATURE, own + i] = scale * value
    add_square(vecs, big, first, stop, own, owned)
    for a in range(rank):
        for b in range(a + 1):
            theta = vecs[values, a] * vecs[values, b] / (vecs[values, a] + vecs[values, b])
            scale = math.sqrt(vecs[MU, k] * theta * (1.0 if a == b else 2.0))
            index = first
            for i in range(past, size):
                for j in range(i + 1):
                    value = -mats[y, i, a] * mats[y, j, b] - mats[y, i, b] * mats[y, j, a]
                    if i < owned:
                        value += mats[w, i, a] * mats[w, j, b] + mats[w, i, b] * mats[w, j, a]
                    vecs[FEATURE, index] = scale * (value if i != j else 0.5 * value)
                    index += 1
            for i in range(owned):
                value = mats[w, i, a] * mats[w, last, b] + mats[w, i, b] * mats[w, last, a]
                vecs[FEATURE, own + i] = scale * mats[PHI, last, i] * value
            add_square(vecs, big, first, stop, own, owned)


@njit(cache=True, error_model="numpy")
def add_square(vecs: Array, big: Array, first: int, stop: int, own: int, owned: int) -> None:
    """Add FEATURE FEATURE^T to the lower triangle, on [first, stop) and [own, own + owned)."""
    for row in range(first, stop):
        value = vecs[FEATURE, row]
        for column in range(first, row + 1):
            big[MATRIX, row, column] += value * vecs[FEATURE, column]
    for row in range(own, own + owned):
        value = vecs[FEATURE, row]
        for column in range(first, stop):
            big[MATRIX, row, column] += value * vecs[FEATURE, column]
        for column in range(own, row + 1):
            big[MATRIX, row, column] += value * vecs[FEATURE, column]


@njit(cache=True, error_model="numpy")
def fold(ints: Array, mats: Array, vecs: Array, big: Array, total: int) -> int:
    """Substitute ties, drop what is fixed; number of coordinates left, listed in KEPT."""
    n, m, moving = ints[DIMS, 0], ints[DIMS, 2], ints[DIMS, 4]
    past = m - n
    count = 0
    for i in range(n):
        for _ in range(ints[WIDTH, i]):
            ints[KEPT, count] = count
            count += 1
    index = count
    for i in range(past, m):
        for j in range(i + 1):
            if kind_of(ints, mats, i, j) == FREE:
                ints[KEPT, count] = index
                count += 1
            index += 1
    if moving:
        for i in range(m - 1, -1, -1):
            fold_one(ints, mats, vecs, big, index + i, i, ESTIMATE, i, total)
    for i in range(m - 1, past - 1, -1):
        for j in range(i, -1, -1):
            index -= 1
            if kind_of(ints, mats, i, j) == TIED:
                row = tied_row(ints, mats, i, j)
                fold_one(ints, mats, vecs, big, index, row, tie_slot(mats, i), j, total)
    return count


@njit(cache=True, error_model="numpy")
def fold_one(
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
        start += ints[WIDTH, i]
    width = ints[WIDTH, row]
    corner = big[MATRIX, index, index]
    for a in range(width):
        vecs[GRADIENT, start + a] += mats[slot, at, a] * vecs[GRADIENT, index]
    for other in range(total):
        if other == index or start <= other < start + width:
            continue
        entry = big[MATRIX, index, other] if other < index else big[MATRIX, other, index]
        if entry == 0.0:
            continue
        for a in range(width):
            if other < start + a:
                big[MATRIX, start + a, other] += mats[slot, at, a] * entry
            else:
                big[MATRIX, other, start + a] += mats[slot, at, a] * entry
    for a in range(width):
        for b in range(a + 1):
            x, y = mats[slot, at, a], mats[slot, at, b]
            value = x * big[MATRIX, index, start + b] + y * big[MATRIX, index, start + a]
            big[MATRIX, start + a, start + b] += value + x * y * corner


@njit(cache=True, error_model="numpy")
def newton_direction(ints: Array, mats: Array, vecs: Array, big: Array, tau: float) -> float:
    """Steps of K, S, Q and mu; returns the slope of the barrier function, nan on failure."""
    total = assemble(ints, mats, vecs, big, tau)
    count = fold(ints, mats, vecs, big, total)
    for i in range(count):
        at = ints[KEPT, i]
        vecs[FEATURE, i] = 1.0 / math.sqrt(big[MATRIX, at, at])
    lift = 0.0
    while True:
        for i in range(count):
            at = ints[KEPT, i]
            for j in range(i):
                value = big[MATRIX, at, ints[KEPT, j]]
                big[SYSTEM, i, j] = value * vecs[FEATURE, i] * vecs[FEATURE, j]
            big[SYSTEM, i, i] = 1.0 + lift
            big[SYSTEM, count, i] = -vecs[GRADIENT, at] * vecs[FEATURE, i]
        if cholesky(big, SYSTEM, count, 1):
            break
        lift = 1e-15 if lift == 0.0 else 100.0 * lift
        if not lift < 1e-6:
            return np.nan
    slope = 0.0
    for i in range(count):
        slope -= big[SYSTEM, count, i] ** 2
    solve_lower_transposed(big, SYSTEM, SYSTEM, count, count)
    for i in range(count):
        big[SYSTEM, count, i] *= vecs[FEATURE, i]
    spread(ints, mats, vecs, big, count)
    step_dual(ints, mats, vecs, tau)
    return slope


@njit(cache=True, error_model="numpy")
def spread(ints: Array, mats: Array, vecs: Array, big: Array, count: int) -> None:
    """Write the direction as steps of K, H, C[s, s] and S."""
    n, columns, m = ints[DIMS, 0], ints[DIMS, 1], ints[DIMS, 2]
    past = m - n
    index = 0
    for i in range(n):
        for a in range(columns):
            mats[STEP_GAINS, i, a] = 0.0
        for a in range(ints[WIDTH, i]):
            mats[STEP_GAINS, i, a] = big[SYSTEM, count, index]
            index += 1
    for i in range(past, m):
        for j in range(i + 1):
            value = 0.0
            kind = kind_of(ints, mats, i, j)
            if kind == FREE:
                value = big[SYSTEM, count, index]
                index += 1
            elif kind == TIED:
                row = tied_row(ints, mats, i, j)
                for a in range(columns):
                    value += mats[tie_slot(mats, i), j, a] * mats[STEP_GAINS, row, a]
            mats[STEP_SHOWN, i, j] = value
    if ints[DIMS, 4]:
        for i in range(m):
            value = 0.0
            for a in range(columns):
                value += mats[ESTIMATE, i, a] * mats[STEP_GAINS, i, a]
            vecs[STEP_OWN, i] = value
    for i in range(n):
        for j in range(i + 1):
            value = mats[STEP_SHOWN, i + past, j + past]
            for a in range(columns):
                value -= mats[STEP_GAINS, i, a] * mats[GAINS, j, a]
                value -= mats[GAINS, i, a] * mats[STEP_GAINS, j, a]
            mats[STEP_NOISE, i, j] = value
            mats[STEP_NOISE, j, i] = value


@njit(cache=True, error_model="numpy")
def step_dual(ints: Array, mats: Array, vecs: Array, tau: float) -> None:
    """DQ = tau S^-1 - Q - V dS V and dmu = (tau + mu df) / slack - mu."""
    n, m, moving = ints[DIMS, 0], ints[DIMS, 2], ints[DIMS, 4]
    for i in range(n):
        for j in range(n):
            value = 0.0
            for k in range(n):
                value += mats[STEP_NOISE, i, k] * mats[SCALING, k, j]
            mats[PRODUCT, i, j] = value
    for i in range(n):
        for j in range(i + 1):
            value = tau * mats[INVERSE, i, j] - mats[DUAL, i, j]
            for k in range(n):
                value -= mats[SCALING, i, k] * mats[PRODUCT, k, j]
            mats[STEP_DUAL, i, j] = value
            mats[STEP_DUAL, j, i] = value
    for k in range(ints[DIMS, 3]):
        slot, last = threshold_slot(k), ints[SIZE, k] - 1
        owned = last if moving else 0
        moved = 0.0
        for i in range(m - n, last + 1):
            for j in range(i + 1):
                value = mats[slot + SLOPE, i, j]
                if i < owned:
                    value += mats[slot + OTHER, i, j]
                moved += (1.0 if i == j else 2.0) * value * mats[STEP_SHOWN, i, j]
        for i in range(owned):
            moved += 2.0 * mats[slot + OTHER, i, last] * mats[PHI, last, i] * vecs[STEP_OWN, i]
        vecs[STEP_MU, k] = (tau + vecs[MU, k] * moved) / vecs[SLACK, k] - vecs[MU, k]
