r"""Primal-dual barrier method for least distortion under Wasserstein thresholds.

minimise    sum_i w_i (|K_i - E_i|^2 + S_ii),   S = H - K K^T > 0   (active block of H)
subject to  f_k = W2^2(A_k, H[:t_k, :t_k]) <= P_k

over the decoder gains K (row i uses its first width[i] columns) and the covariance H = Cov Xhat.
E is the factor of the MMSE estimate. A_k is fixed (JD; one frame given its past), or shares the
past of H (SA). Entries of H are free, fixed, or linear in one row of K.

A step solves the Newton equations of sum_i w_i(...) - tau (log det S + sum_k log(P_k - f_k)), in
which tau S^-1 (.) S^-1 is replaced by its Nesterov-Todd scaling V (.) V, V S V = Q, and tau / slack
by the multiplier mu: Q and mu are the dual variables. The direction descends on the barrier
function, so a backtracking search makes the method converge from any interior point.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from solvers._dense import cholesky, orthogonalise_rows, solve_lower, solve_lower_transposed
from solvers._layout import (
    BACK,
    COVARIANCE,
    DIMS,
    DUAL,
    ESTIMATE,
    FACTOR,
    FEATURE,
    FIXED,
    FIXED_INTS,
    FIXED_VECS,
    FREE,
    GAINS,
    GRADIENT,
    INVERSE,
    KEPT,
    LEVEL,
    MATRIX,
    MIDDLE,
    MU,
    NOISE,
    OTHER,
    OWN,
    PHI,
    PRODUCT,
    RANK,
    ROOT,
    ROTATION,
    SCALED,
    SCALING,
    SCRATCH,
    SHOWN,
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
    TRIAL_GAINS,
    TRIAL_NOISE,
    VARIANCE,
    WEAVE,
    WEIGHTED,
    WEIGHTS,
    WIDTH,
    threshold_slot,
    tie_slot,
)

Array = np.ndarray

SOLVED, STALLED, LIMIT = 0, 1, 2


@njit(cache=True, error_model="numpy")
def kind_of(ints: Array, mats: Array, i: int, j: int) -> int:
    """FREE, FIXED or TIED, for entry (i, j) of H, j <= i."""
    return ints[FIXED_INTS + i, j]


@njit(cache=True, error_model="numpy")
def tied_row(ints: Array, mats: Array, i: int, j: int) -> int:
    """Row of K that a TIED entry (i, j) of H is linear in."""
    return ints[FIXED_INTS + mats.shape[1] + i, j]


@njit(cache=True, error_model="numpy")
def fill_shown(ints: Array, mats: Array, vecs: Array, gains: int, noise: int) -> None:
    """H and C[s, s] of a point (K, S): S + K K^T where free, ties, what is fixed."""
    n, columns, m, moving = ints[DIMS, 0], ints[DIMS, 1], ints[DIMS, 2], ints[DIMS, 4]
    past = m - n
    for i in range(m):
        for j in range(i + 1):
            kind = FIXED if i < past else kind_of(ints, mats, i, j)
            if kind == FIXED:
                value = mats[COVARIANCE, i, j]
            elif kind == TIED:
                value = 0.0
                row = tied_row(ints, mats, i, j)
                for k in range(columns):
                    value += mats[tie_slot(mats, i), j, k] * mats[gains, row, k]
            else:
                value = mats[noise, i - past, j - past]
                for k in range(columns):
                    value += mats[gains, i - past, k] * mats[gains, j - past, k]
            mats[SHOWN, i, j] = value
            mats[SHOWN, j, i] = value
    if moving:
        for i in range(m):
            value = 0.0
            for k in range(columns):
                value += mats[ESTIMATE, i, k] * mats[gains, i, k]
            vecs[OWN, i] = value


@njit(cache=True, error_model="numpy")
def evaluate(ints: Array, mats: Array, vecs: Array) -> bool:
    """Slacks, gradients and factors of all thresholds at SHOWN; False outside the domain."""
    m, thresholds = ints[DIMS, 2], ints[DIMS, 3]
    for i in range(m):
        for j in range(i + 1):
            mats[ROOT, i, j] = mats[SHOWN, i, j]
    if not cholesky(mats, ROOT, m):
        return False
    for k in range(thresholds):
        if not evaluate_one(ints, mats, vecs, k):
            return False
    return True


@njit(cache=True, error_model="numpy")
def evaluate_one(ints: Array, mats: Array, vecs: Array, k: int) -> bool:
    """Threshold k: f = tr A + tr H - 2 |B^T R|_*, A = B B^T, H = R R^T, with U = B V.

    V holds the left singular vectors of B^T R; Phi^-1 = U diag(1 / values) U^T.
    """
    moving = ints[DIMS, 4]
    size, row = ints[SIZE, k], FIXED_VECS + k
    rank = size if moving else ints[RANK, k]
    slot = threshold_slot(k)
    slope, scaled, weave = slot + SLOPE, slot + SCALED, slot + WEAVE
    total = 0.0
    for i in range(size):
        total += mats[SHOWN, i, i]
    if moving:
        if not moving_factor(mats, vecs, size):
            return False
        for i in range(size - 1):
            total += mats[SHOWN, i, i]
        total += vecs[VARIANCE, size - 1]
    else:
        for i in range(size):
            for j in range(rank):
                value = mats[FACTOR, i, j]
                mats[BACK, i, j] = value
                total += value * value
    for a in range(rank):
        for j in range(size):
            value = 0.0
            for i in range(max(a, j) if moving else j, size):
                value += mats[BACK, i, a] * mats[ROOT, i, j]
            mats[PRODUCT, a, j] = value
    orthogonalise_rows(mats, PRODUCT, ROTATION, vecs, row, rank, size)
    for a in range(rank):
        total -= 2.0 * vecs[row, a]
        if not vecs[row, a] > 0.0:
            return False
    vecs[SLACK, k] = vecs[LEVEL, k] - total
    if not vecs[SLACK, k] > 0.0:
        return False
    for i in range(size):
        for a in range(rank):
            value = 0.0
            for b in range(i + 1 if moving else rank):
                value += mats[BACK, i, b] * mats[ROTATION, b, a]
            mats[weave, i, a] = value  # U
            mats[scaled, i, a] = value / vecs[row, a]
    for i in range(size):
        for j in range(i + 1):
            value = 1.0 if i == j else 0.0
            for a in range(rank):
                value -= mats[weave, i, a] * mats[scaled, j, a]
            mats[slope, i, j] = value
            mats[slope, j, i] = value
    if moving:
        fill_other(mats, vecs, slot, row, size)
    return True


@njit(cache=True, error_model="numpy")
def moving_factor(mats: Array, vecs: Array, size: int) -> bool:
    """BACK = factor of [[H', c], [c^T, sigma^2]]: all but its last row is that of H, ROOT."""
    last = size - 1
    for i in range(last):
        for j in range(i + 1):
            mats[BACK, i, j] = mats[ROOT, i, j]
    for j in range(last):
        mats[BACK, last, j] = mats[PHI, last, j] * vecs[OWN, j]
    solve_lower(mats, ROOT, BACK, last, last)
    pivot = vecs[VARIANCE, last]
    for j in range(last):
        pivot -= mats[BACK, last, j] * mats[BACK, last, j]
    if not pivot > 0.0:
        return False
    mats[BACK, last, last] = math.sqrt(pivot)
    return True


@njit(cache=True, error_model="numpy")
def fill_other(mats: Array, vecs: Array, slot: int, row: int, size: int) -> None:
    """W = U^-T = B^-T V and the gradient I - W diag(values) W^T in a moving target."""
    weave, other = slot + WEAVE, slot + OTHER
    for a in range(size):
        for i in range(size):
            mats[PRODUCT, a, i] = mats[ROTATION, i, a]
        solve_lower_transposed(mats, BACK, PRODUCT, a, size)
        for i in range(size):
            mats[weave, i, a] = mats[PRODUCT, a, i]
    for i in range(size):
        for j in range(i + 1):
            value = 1.0 if i == j else 0.0
            for a in range(size):
                value -= vecs[row, a] * mats[weave, i, a] * mats[weave, j, a]
            mats[other, i, j] = value
            mats[other, j, i] = value


@njit(cache=True, error_model="numpy")
def scaling(mats: Array, vecs: Array, n: int) -> bool:
    """SCALING V with V S V = Q, and INVERSE S^-1.

    With S = R R^T, Q = C C^T and R^T C = U D Z^T: V = X D X^T, S^-1 = X X^T, X = R^-T U.
    """
    for i in range(n):
        for j in range(i + 1):
            mats[ROOT, i, j] = mats[NOISE, i, j]
            mats[BACK, i, j] = mats[DUAL, i, j]
    if not (cholesky(mats, ROOT, n) and cholesky(mats, BACK, n)):
        return False
    for i in range(n):
        for j in range(n):
            value = 0.0
            for k in range(max(i, j), n):
                value += mats[ROOT, k, i] * mats[BACK, k, j]
            mats[PRODUCT, i, j] = value
    orthogonalise_rows(mats, PRODUCT, ROTATION, vecs, SCRATCH, n, n)
    for j in range(n):
        for i in range(n):
            mats[PRODUCT, j, i] = mats[ROTATION, i, j]
        solve_lower_transposed(mats, ROOT, PRODUCT, j, n)
    for i in range(n):
        for j in range(i + 1):
            total, plain = 0.0, 0.0
            for k in range(n):
                term = mats[PRODUCT, k, i] * mats[PRODUCT, k, j]
                plain += term
                total += term * vecs[SCRATCH, k]
            mats[SCALING, i, j] = total
            mats[SCALING, j, i] = total
            mats[INVERSE, i, j] = plain
            mats[INVERSE, j, i] = plain
    return True


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


@njit(cache=True, error_model="numpy")
def objective_of(ints: Array, mats: Array, vecs: Array, gains: int, noise: int) -> float:
    """sum_i w_i (|K_i - E_i|^2 + S_ii)."""
    total = 0.0
    for i in range(ints[DIMS, 0]):
        value = mats[noise, i, i]
        for a in range(ints[DIMS, 1]):
            value += (mats[gains, i, a] - mats[ESTIMATE, i, a]) ** 2
        total += vecs[WEIGHTS, i] * value
    return total


@njit(cache=True, error_model="numpy")
def log_barrier(ints: Array, mats: Array, vecs: Array, noise: int) -> float:
    """-log det S - sum_k log(slack_k) at the evaluated point; nan outside the domain."""
    n = ints[DIMS, 0]
    for i in range(n):
        for j in range(i + 1):
            mats[BACK, i, j] = mats[noise, i, j]
    if not cholesky(mats, BACK, n):
        return np.nan
    total = 0.0
    for i in range(n):
        total -= 2.0 * math.log(mats[BACK, i, i])
    for k in range(ints[DIMS, 3]):
        total -= math.log(vecs[SLACK, k])
    return total


@njit(cache=True, error_model="numpy")
def dual_length(ints: Array, mats: Array, vecs: Array) -> float:
    """Longest step, up to one, that keeps Q > 0 and mu > 0 with some room."""
    n = ints[DIMS, 0]
    step = 1.0
    for k in range(ints[DIMS, 3]):
        if vecs[STEP_MU, k] < 0.0:
            step = min(step, -0.995 * vecs[MU, k] / vecs[STEP_MU, k])
    while step > 1e-10:
        for i in range(n):
            for j in range(i + 1):
                move = (step / 0.995) * mats[STEP_DUAL, i, j]
                mats[BACK, i, j] = mats[DUAL, i, j] + move
        if cholesky(mats, BACK, n):
            break
        step *= 0.7
    return step


@njit(cache=True, error_model="numpy")
def complementarity(ints: Array, mats: Array, vecs: Array) -> float:
    """Mean of the products that vanish at the optimum: (tr S Q + sum_k mu_k slack_k) / nu."""
    n, thresholds = ints[DIMS, 0], ints[DIMS, 3]
    total = 0.0
    for i in range(n):
        for j in range(n):
            total += mats[NOISE, i, j] * mats[DUAL, i, j]
    for k in range(thresholds):
        total += vecs[MU, k] * vecs[SLACK, k]
    return total / (n + thresholds)


@njit(cache=True, error_model="numpy")
def start_dual(ints: Array, mats: Array, vecs: Array, tau: float) -> bool:
    """Evaluate the point (GAINS, NOISE) and set Q = tau S^-1, mu = tau / slack."""
    n = ints[DIMS, 0]
    fill_shown(ints, mats, vecs, GAINS, NOISE)
    if not evaluate(ints, mats, vecs):
        return False
    for i in range(n):
        for j in range(i + 1):
            mats[BACK, i, j] = mats[NOISE, i, j]
    if not cholesky(mats, BACK, n):
        return False
    for i in range(n):
        for j in range(n):
            mats[PRODUCT, i, j] = tau if i == j else 0.0
        solve_lower(mats, BACK, PRODUCT, i, n)
        solve_lower_transposed(mats, BACK, PRODUCT, i, n)
        for j in range(i + 1):
            mats[DUAL, i, j] = mats[PRODUCT, i, j]
            mats[DUAL, j, i] = mats[PRODUCT, i, j]
    for k in range(ints[DIMS, 3]):
        vecs[MU, k] = tau / vecs[SLACK, k]
    return True


@njit(cache=True, error_model="numpy")
def try_step(ints: Array, mats: Array, vecs: Array, step: float) -> bool:
    """TRIAL point at `step`, evaluated; False outside the domain."""
    n, columns = ints[DIMS, 0], ints[DIMS, 1]
    for i in range(n):
        for a in range(columns):
            mats[TRIAL_GAINS, i, a] = mats[GAINS, i, a] + step * mats[STEP_GAINS, i, a]
        for j in range(i + 1):
            value = mats[NOISE, i, j] + step * mats[STEP_NOISE, i, j]
            for a in range(columns):
                value -= step * step * mats[STEP_GAINS, i, a] * mats[STEP_GAINS, j, a]
            mats[TRIAL_NOISE, i, j] = value
            mats[TRIAL_NOISE, j, i] = value
    fill_shown(ints, mats, vecs, TRIAL_GAINS, TRIAL_NOISE)
    return evaluate(ints, mats, vecs)


@njit(cache=True, error_model="numpy")
def accept(ints: Array, mats: Array, vecs: Array, dual: float) -> None:
    """Move to the TRIAL point, and Q and mu by `dual`."""
    n, columns = ints[DIMS, 0], ints[DIMS, 1]
    for i in range(n):
        for a in range(columns):
            mats[GAINS, i, a] = mats[TRIAL_GAINS, i, a]
        for j in range(n):
            mats[NOISE, i, j] = mats[TRIAL_NOISE, i, j]
            mats[DUAL, i, j] += dual * mats[STEP_DUAL, i, j]
    for k in range(ints[DIMS, 3]):
        vecs[MU, k] += dual * vecs[STEP_MU, k]


@njit(cache=True, error_model="numpy")
def rounding(ints: Array, vecs: Array, objective: float, tau: float) -> float:
    """What rounding may add to the barrier function: a slack is a difference of traces."""
    slip = 1e-15 * objective
    for k in range(ints[DIMS, 3]):
        total = 0.0
        for a in range(ints[SIZE, k] if ints[DIMS, 4] else ints[RANK, k]):
            total += vecs[FIXED_VECS + k, a]
        slip += 1e-15 * tau * total / vecs[SLACK, k]
    return slip


@njit(cache=True, error_model="numpy")
def next_tau(mean: float, step: float) -> float:
    """Aim of the next step: bold after a long step, centring after a short one."""
    if step > 0.9:
        return 0.02 * mean
    if step > 0.5:
        return 0.1 * mean
    return 0.5 * mean if step > 0.1 else mean


@njit(cache=True, error_model="numpy")
def minimise(
    ints: Array,
    mats: Array,
    vecs: Array,
    big: Array,
    tau: float,
    constant: float,
    tolerance: float,
    floor: float,
    limit: int,
) -> int:
    """Follow the path until nu * complementarity <= tolerance * objective + floor; a status."""
    nu = ints[DIMS, 0] + ints[DIMS, 3]
    objective = objective_of(ints, mats, vecs, GAINS, NOISE)
    step, mean = 1.0, complementarity(ints, mats, vecs)
    for iteration in range(limit):
        wanted = tolerance * (constant + objective) + floor
        if nu * mean <= wanted and step >= 0.5:
            return SOLVED
        if iteration > 0:
            tau = max(next_tau(mean, step), 0.2 * wanted / nu)
        if not scaling(mats, vecs, ints[DIMS, 0]):
            return STALLED
        merit = objective + tau * log_barrier(ints, mats, vecs, NOISE)
        slope = newton_direction(ints, mats, vecs, big, tau)
        if not slope <= 0.0:
            return STALLED
        dual = dual_length(ints, mats, vecs)
        slip = rounding(ints, vecs, constant + objective, tau)
        step = 1.0
        while True:
            if try_step(ints, mats, vecs, step):
                objective = objective_of(ints, mats, vecs, TRIAL_GAINS, TRIAL_NOISE)
                value = objective + tau * log_barrier(ints, mats, vecs, TRIAL_NOISE)
                if value <= merit + 1e-4 * step * slope + slip:
                    break
            step *= 0.7
            if step < 1e-8:
                fill_shown(ints, mats, vecs, GAINS, NOISE)
                evaluate(ints, mats, vecs)
                return STALLED
        accept(ints, mats, vecs, dual)
        mean = complementarity(ints, mats, vecs)
        step = min(step, dual)
    return LIMIT
