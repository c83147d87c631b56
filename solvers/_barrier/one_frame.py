r"""One frame of the sequential objective, given its past: a program with one row of gains.

In the variables (y, Xhat_t), Xhat_t = x . y + b y_new plus noise of variance S:

minimise    |x - x0|^2 + (b - r0)^2 + S,   the distortion D_t - m_t
subject to  W2^2(A, H) <= P,   H = [[I, x], [x^T, |x|^2 + b^2 + S]]

Noise and y_new have the same effect on the loss. At the end the noise is therefore added to b.
"""

from __future__ import annotations

import math

import numpy as np

from solvers._barrier.central_path import minimise, start_dual
from solvers._barrier.constants import CERTIFIED, FLOOR, TOLERANCE
from solvers._barrier.frame_dual_points import iterate_bound, tight_bound
from solvers._barrier.line_search import objective_of
from solvers._barrier.linear_algebra import append_row
from solvers._barrier.slots import tie_slot, tied_slot
from solvers._barrier.workspace import Big, Dim, Entry, Index, Matrix, Vector
from solvers._parts import part

Array = np.ndarray

# Relative to sqrt(threshold * variances), as squared W2 is a sum of squares, whose rounding is that
# of its root:
ROOM = 1e-13  # slack below which a threshold leaves no choice
LOSS = 1e-15  # rounding of squared W2


@part
def solve_frame(
    t: int,
    rank: int,
    r0: float,
    spare: float,
    variance: float,
    level: float,
    before: float,
    ints: Array,
    mats: Array,
    vecs: Array,
    big: Array,
) -> tuple[float, float]:
    """Replace the continuation in X by the best (X, b); returns b and a lower bound on D_t.

    The continuation may spend the variance `spare` on FREE_DIRECTION and y_new. `before` is the
    loss of the past.
    """
    # 1. room between the loss of the continuation and the threshold
    mmse, total, free = vecs[Vector.MMSE, t], 0.0, r0 * r0
    for i in range(t + 1):
        for j in range(t + 1):
            total += mats[Matrix.FULL_TARGET_FACTOR, i, j] ** 2
    for i in range(rank):
        free += vecs[Vector.FREE_DIRECTION, i] ** 2
    room, size = level - before, math.sqrt(level * total)
    tight = not room > ROOM * size
    # 2. program and start: noise of variance d adds at most 2 sqrt(before d) + d to W2^2
    set_frame(t, rank, r0, level, ints, mats, vecs, big)
    scale = math.sqrt(spare / free) if free > 0.0 else 0.0
    share = 1.0 if tight else 0.7
    slip = 0.0
    if not tight:
        slip = math.sqrt(before + 0.5 * room) - math.sqrt(before)
    for i in range(rank):
        vecs[Vector.X, i] += share * scale * vecs[Vector.FREE_DIRECTION, i]
        mats[Matrix.GAINS, 0, i] = vecs[Vector.X, i]
    b = share * scale * r0
    mats[Matrix.GAINS, 0, rank] = b
    rest = spare * (1.0 - share * share) if free > 0.0 else spare
    mats[Matrix.NOISE, 0, 0] = max(rest, slip * slip)
    # 3. where there is no room the continuation is the answer
    if tight:
        b = math.sqrt(b * b + rest)
        slack = max(room, 0.0) + LOSS * size + LOSS * LOSS * total
        return b, mmse + tight_bound(rank, r0, b, slack, ints, mats, vecs)
    return follow_frame(rank, r0, variance, room, mmse, ints, mats, vecs, big)


@part
def follow_frame(
    rank: int,
    r0: float,
    variance: float,
    room: float,
    mmse: float,
    ints: Array,
    mats: Array,
    vecs: Array,
    big: Array,
) -> tuple[float, float]:
    """Run the barrier method until its certificate suffices; fills X, returns b and the bound."""
    floor, bound, tolerance = FLOOR * variance, mmse, TOLERANCE
    # where there is little room there is little to gain
    tau = 0.15 * math.sqrt(variance * min(variance, room))
    if not start_dual(ints, mats, vecs, tau):
        return math.sqrt(mats[Matrix.GAINS, 0, rank] ** 2 + mats[Matrix.NOISE, 0, 0]), bound
    for _ in range(3):
        minimise(ints, mats, vecs, big, tau, mmse, tolerance, 0.1 * floor, 60)
        bound = max(bound, iterate_bound(rank, r0, mmse, ints, mats, vecs))
        objective = mmse + objective_of(ints, mats, vecs, Matrix.GAINS, Matrix.NOISE)
        if objective - bound <= CERTIFIED * objective + floor:
            break
        tolerance *= 0.1
        tau = 0.05 * tolerance * objective
    for i in range(rank):
        vecs[Vector.X, i] = mats[Matrix.GAINS, 0, i]
    return math.sqrt(mats[Matrix.GAINS, 0, rank] ** 2 + mats[Matrix.NOISE, 0, 0]), bound


@part
def set_frame(
    t: int, rank: int, r0: float, level: float, ints: Array, mats: Array, vecs: Array, big: Array
) -> None:
    """Write the program of frame t. FULL_TARGET_FACTOR holds the factor of its target A.

    With J = diag(G, 1), W2^2(A, H) differs from W2^2(J^T A J, J^+ H J^+T) by the traces alone.
    """
    m = rank + 1
    # 1. factor of J^T A J, and the traces
    traces = 0.0
    for i in range(t + 1):
        for j in range(t + 1):
            traces += mats[Matrix.FULL_TARGET_FACTOR, i, j] ** 2
            if i < t:
                traces += mats[Matrix.FULL_FACTOR, i, j] ** 2
    inner, row = int(np.int64(0)), m + 1  # no literal: see solve_sequential
    reduced = float(rank)
    for i in range(m):
        for c in range(t + 1):
            value = mats[Matrix.FULL_TARGET_FACTOR, t, c]
            if i < rank:
                value = 0.0
                for k in range(t):
                    value += mats[Matrix.FULL_FACTOR, k, i] * mats[Matrix.FULL_TARGET_FACTOR, k, c]
            big[Big.BASIS, row, c] = value
        inner = append_row(big, Big.BASIS, inner, row, t + 1, mats, Matrix.TARGET_FACTOR, i)
        for c in range(m):
            reduced += mats[Matrix.TARGET_FACTOR, i, c] ** 2
            mats[Matrix.COVARIANCE, i, c] = 1.0 if i == c else 0.0
    # 2. H: the past is fixed, the row of frame t is tied to x, its variance is free
    for i in range(rank):
        mats[Matrix.ESTIMATE, 0, i] = vecs[Vector.X0, i]
        ints[Index.KIND + rank, i] = Entry.TIED
        ints[tied_slot(mats, rank), i] = 0
        for c in range(m):
            mats[tie_slot(mats, rank), i, c] = 1.0 if c == i else 0.0
    mats[Matrix.ESTIMATE, 0, rank] = r0
    ints[Index.KIND + rank, rank] = Entry.FREE
    ints[Index.WIDTH, 0], vecs[Vector.WEIGHTS, 0] = m, 1.0
    # 3. one threshold
    ints[Index.SIZE, 0], ints[Index.RANK, 0] = m, inner
    vecs[Vector.LEVEL, 0] = level - (traces - reduced)
    ints[Index.DIMS, Dim.ROWS], ints[Index.DIMS, Dim.THRESHOLDS] = 1, 1
    ints[Index.DIMS, Dim.COLUMNS], ints[Index.DIMS, Dim.FRAMES] = m, m
    ints[Index.DIMS, Dim.MOVING] = 0
