r"""Weighted objective, one point: program, start, path, certificate.

minimise sum_t w_t D_t subject to the thresholds, over K and H of the frames that
:mod:`solvers._barrier.reduction` leaves. The path is followed until the gap to the lower bound of
:mod:`solvers._barrier.dual_bound`, at the multipliers of the path, is within tolerance.
"""

from __future__ import annotations

import math

import numpy as np

from solvers._barrier.central_path import minimise, start_dual
from solvers._barrier.constants import (
    ACCEPTED,
    CERTIFIED,
    FLOOR,
    JD,
    NO_START,
    ROUNDING,
    SHRINK,
    SOLVED,
    START,
    TOLERANCE,
    UNCERTIFIED,
)
from solvers._barrier.dual_bound import best_bound
from solvers._barrier.line_search import objective_of
from solvers._barrier.losses import squared_w2
from solvers._barrier.reduction import reduce_frames, restore_frames
from solvers._barrier.slots import slope_slot, threshold_slot, tie_slot, tied_slot
from solvers._barrier.source import Source
from solvers._barrier.workspace import Dim, Entry, Index, Matrix, PerThreshold, Vector
from solvers._parts import part

Array = np.ndarray


@part
def solve_weighted(
    source: Source, levels: Array, weights: Array, ints: Array, mats: Array, vecs: Array, big: Array
) -> tuple[float, int]:
    """Least weighted distortion; its lower bound and a status.

    Fills FULL_GAINS K and FULL_NOISE_FACTOR N, H = K K^T + N N^T.
    """
    # 1. frames of the program
    plf, frames = source.plf, len(levels)
    n, exact = reduce_frames(source, levels, weights, ints, mats, vecs)
    # 2. MMSE part of the objective, of frames in the program and of the others; the estimate
    inside, outside, total = 0.0, 0.0, 0.0
    for t in range(frames):
        part = weights[t] * vecs[Vector.MMSE, t]
        if ints[Index.OWNER, t] >= 0:
            inside += part
            total += weights[t] * source.variance[t]
        else:
            outside += part
        for j in range(frames):
            mats[Matrix.FULL_GAINS, t, j] = mats[Matrix.FULL_ESTIMATE, t, j]
            mats[Matrix.FULL_NOISE_FACTOR, t, j] = 0.0
    if estimate_suffices(plf, n, ints, mats, vecs):
        return inside + outside, SOLVED
    # 3. program, start and path
    set_program(plf, n, exact, ints, mats, vecs)
    bound, status = outside, SOLVED
    shrink, start = SHRINK, START
    for _ in range(2):
        set_start(plf, n, exact, shrink, ints, mats, vecs)
        if total > 0.0:
            bound, status = follow_path(
                plf, n, inside, outside, total, start, ints, mats, vecs, big
            )
        if status == SOLVED:
            break
        shrink, start = 0.6, 0.3  # from farther inside
    # 4. scheme of all frames
    restore_frames(source, n, ints, mats, vecs)
    return bound, status


@part
def follow_path(
    plf: int,
    n: int,
    inside: float,
    outside: float,
    total: float,
    start: float,
    ints: Array,
    mats: Array,
    vecs: Array,
    big: Array,
) -> tuple[float, int]:
    """Run the barrier method until its certificate suffices; bound and status."""
    nu = n + ints[Index.DIMS, Dim.THRESHOLDS]
    tau, tolerance, bound = start * total / nu, TOLERANCE, -np.inf
    if not start_dual(ints, mats, vecs, tau):
        return bound, NO_START
    objective = np.inf
    for _ in range(3):
        minimise(ints, mats, vecs, big, tau, inside, tolerance, 0.1 * FLOOR * total, 60)
        set_bound_point(plf, n, ints, mats, vecs)
        objective = outside + inside + objective_of(ints, mats, vecs, Matrix.GAINS, Matrix.NOISE)
        enough = objective * (1.0 - CERTIFIED) - outside
        bound = max(bound, outside + best_bound(plf, n, enough, ints, mats, vecs))
        if objective - bound <= CERTIFIED * objective + FLOOR * total:
            break
        tolerance *= 0.1
        tau = 0.1 * tolerance * objective / nu
    gap = objective - bound
    limit = ACCEPTED * objective + 10 * FLOOR * total
    return bound, SOLVED if gap <= limit else UNCERTIFIED


@part
def estimate_suffices(plf: int, n: int, ints: Array, mats: Array, vecs: Array) -> bool:
    """Whether the MMSE estimate meets every threshold."""
    target = Matrix.SOURCE_FACTOR if plf == JD else Matrix.FULL_TARGET_FACTOR
    for t in range(n):
        if vecs[Vector.FRAME_LEVEL, t] == np.inf:
            continue
        if plf != JD:
            for i in range(t + 1):
                for j in range(i + 1):
                    mats[target, i, j] = mats[Matrix.ESTIMATE, i, j]
            own = mats[Matrix.ESTIMATE, t, t]
            variance = own * own + vecs[Vector.MMSE, ints[Index.FRAME, t]]
            mats[target, t, t] = math.sqrt(variance)
        loss = math.sqrt(squared_w2(mats, target, Matrix.ESTIMATE, t + 1, vecs))
        level, deviation = vecs[Vector.FRAME_LEVEL, t], math.sqrt(mats[Matrix.COVARIANCE, t, t])
        if loss > math.sqrt(level) + ROUNDING * deviation:
            return False
    return True


@part
def set_program(plf: int, n: int, exact: int, ints: Array, mats: Array, vecs: Array) -> None:
    """Write the program of the frames that are left: kinds of entries of H, targets, thresholds."""
    count, rank = 0, 0
    for i in range(n):
        ints[Index.WIDTH, i] = i + 1
        vecs[Vector.VARIANCE, i] = mats[Matrix.COVARIANCE, i, i]
        for j in range(i + 1):
            ints[Index.KIND + i, j] = Entry.FIXED if i < exact else Entry.FREE
    for j in range(n):
        if plf == JD and mats[Matrix.SOURCE_FACTOR, j, j] > 0.0:
            for i in range(n):
                mats[Matrix.TARGET_FACTOR, i, rank] = mats[Matrix.SOURCE_FACTOR, i, j]
            rank += 1
        if 0.0 < vecs[Vector.FRAME_LEVEL, j] < np.inf:
            ints[Index.RANK, count] = rank
            ints[Index.SIZE, count] = j + 1
            vecs[Vector.LEVEL, count] = vecs[Vector.FRAME_LEVEL, j]
            count += 1
        elif vecs[Vector.FRAME_LEVEL, j] == 0.0 and plf != JD:
            # H[j, :j] = E[Xhat^(j-1) X_j], H[j, j] = sigma_j^2
            ints[Index.KIND + j, j] = Entry.FIXED
            for s in range(j):
                ints[Index.KIND + j, s] = Entry.TIED
                ints[tied_slot(mats, j), s] = s
                for k in range(n):
                    value = mats[Matrix.TRANSITION, j, s] * mats[Matrix.ESTIMATE, s, k]
                    mats[tie_slot(mats, j), s, k] = value
    ints[Index.DIMS, Dim.ROWS], ints[Index.DIMS, Dim.COLUMNS] = n, n
    ints[Index.DIMS, Dim.FRAMES] = n
    ints[Index.DIMS, Dim.THRESHOLDS], ints[Index.DIMS, Dim.MOVING] = count, 0 if plf == JD else 1


@part
def set_start(
    plf: int, n: int, exact: int, shrink: float, ints: Array, mats: Array, vecs: Array
) -> None:
    """Interior point: the gains of a perfect-realism decoder times `shrink`, the rest noise."""
    room, root = 0.1, Matrix.SOURCE_FACTOR
    for k in range(ints[Index.DIMS, Dim.THRESHOLDS]):
        total = 0.0
        for i in range(ints[Index.SIZE, k]):
            total += mats[Matrix.COVARIANCE, i, i]
        room = min(room, 0.3 * vecs[Vector.LEVEL, k] / total)
    for j in range(n):
        own = mats[Matrix.ESTIMATE, j, j]
        if plf == JD:
            gain = shrink * min(mats[root, j, j], own)
        else:
            gain = shrink * math.sqrt(own * own + vecs[Vector.MMSE, ints[Index.FRAME, j]])
        for i in range(n):
            value = 0.0
            if i == j:
                value = gain
            elif i > j:
                if plf == JD:
                    value = mats[Matrix.TRANSITION, i, j] * gain
                else:
                    value = shrink * mats[Matrix.ESTIMATE, i, j]
            mats[Matrix.GAINS, i, j] = value
    for i in range(n):
        for j in range(i + 1):
            value = 0.0
            for k in range(j + 1):
                square = mats[Matrix.GAINS, i, k] * mats[Matrix.GAINS, j, k]
                if plf == JD:
                    value += mats[root, i, k] * mats[root, j, k] - square
                else:
                    value += (1.0 - shrink) / shrink * square
            mats[Matrix.NOISE, i, j] = value
            mats[Matrix.NOISE, j, i] = value
        if plf != JD:
            mats[Matrix.NOISE, i, i] += (1.0 - shrink) * mats[Matrix.COVARIANCE, i, i]
        elif i >= exact:
            mats[Matrix.NOISE, i, i] += room * mats[Matrix.COVARIANCE, i, i]


@part
def set_bound_point(plf: int, n: int, ints: Array, mats: Array, vecs: Array) -> None:
    """BOUND_MU, BOUND_COST and the slopes N_t at the iterate.

    At an equality of covariances, P_t = 0, the slope is Q less the weights and the other slopes.
    """
    for i in range(n):
        vecs[Vector.BOUND_MU, i] = 0.0
        for j in range(n):
            mats[Matrix.PRODUCT, i, j] = mats[Matrix.DUAL, i, j]
        mats[Matrix.PRODUCT, i, i] -= vecs[Vector.WEIGHTS, i]
    for k in range(ints[Index.DIMS, Dim.THRESHOLDS]):
        size, mu, slot = ints[Index.SIZE, k], vecs[Vector.MU, k], threshold_slot(k)
        vecs[Vector.BOUND_MU, size - 1] = mu
        # tr A L = mu (tr A - tr A Phi), and tr A Phi is the sum of the singular values
        cost = 0.0
        for i in range(size):
            singular = vecs[Vector.SINGULAR_VALUES + k, i] if i < ints[Index.RANK, k] else 0.0
            cost += mats[Matrix.COVARIANCE, i, i] - singular
        vecs[Vector.BOUND_COST, size - 1] = mu * cost
        for i in range(size):
            for j in range(size):
                value = mu * mats[slot + PerThreshold.SLOPE, i, j]
                mats[slope_slot(mats, size - 1), i, j] = value
                mats[Matrix.PRODUCT, i, j] -= value
                if plf != JD and i < size - 1 and j < size - 1:
                    mats[Matrix.PRODUCT, i, j] -= mu * mats[slot + PerThreshold.TARGET_SLOPE, i, j]
    for t in range(n):
        if vecs[Vector.FRAME_LEVEL, t] != 0.0:
            continue
        vecs[Vector.BOUND_MU, t] = np.inf
        vecs[Vector.BOUND_COST, t] = np.nan
        for i in range(t + 1):
            for j in range(t + 1):
                free = plf == JD or i == t or j == t
                mats[slope_slot(mats, t), i, j] = mats[Matrix.PRODUCT, i, j] if free else 0.0
