r"""Sequential objective, one point: frame after frame, each given the ones before.

The past is Xhat_s = sum_i G_si y_i with orthonormal y (new information about the source while
there is any, decoder noise otherwise). Frame t is Xhat_t = sum_i x_i y_i + b y_new, best with
y_new the part of Xtil_t that is new given y, so that
D_t = m_t + |x - x0|^2 + (b - r0)^2, x0 = E[y Xtil_t], r0^2 what is left of Var Xtil_t.
A threshold compares the fixed law A (JD: X^t; SA: Xhat^(t-1), X_t) with that of Xhat^t. In the
variables (y, Xhat_t) this is a program with one row of gains.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from solvers._barrier import SOLVED, minimise, objective_of, start_dual
from solvers._dense import append_row, orthogonalise_rows, squared_w2
from solvers._dual import JD, frame_bound
from solvers._joint import ACCEPTED, CERTIFIED, FLOOR, TOLERANCE, Source
from solvers._layout import (
    BASIS,
    COVARIANCE,
    DIMS,
    ESTIMATE,
    FACTOR,
    FIXED_INTS,
    FIXED_VECS,
    FREE,
    FULL_ESTIMATE,
    FULL_GAINS,
    FULL_ROOT,
    GAINS,
    LEFT,
    LEVEL,
    MEANING,
    MIDDLE,
    MMSE,
    MU,
    NOISE,
    PRODUCT,
    RANK,
    ROTATION,
    SCRATCH,
    SIZE,
    SLOPE,
    TARGET,
    TIED,
    WEIGHTS,
    WIDTH,
    X0,
    X,
    slope_slot,
    threshold_slot,
    tie_slot,
)

Array = np.ndarray

ROOM = 1e-13  # slack, relative to the variances, below which a threshold leaves no choice


@njit(cache=True, error_model="numpy")
def continuation(source: Source, t: int, rank: int, mats: Array, vecs: Array) -> None:
    """JD: x of the frame that adds nothing to W2, E[y X_t] in the best coupling so far.

    With B, G factors of X^(t-1), Xhat^(t-1) and B^T G = V S Z^T, the coupling is B V Z^T against G.
    """
    for i in range(rank):
        vecs[X, i] = 0.0
    if t == 0:
        return
    for i in range(t):
        for j in range(rank):
            value = 0.0
            for k in range(max(i, j), t):
                value += source.root[k, i] * mats[FULL_ROOT, k, j]
            mats[PRODUCT, i, j] = value
    orthogonalise_rows(mats, PRODUCT, ROTATION, vecs, SCRATCH, t, rank)
    top = 0.0
    for i in range(t):
        top = max(top, vecs[SCRATCH, i])
    for i in range(t):
        if vecs[SCRATCH, i] <= 1e-14 * top:
            continue
        along = 0.0
        for k in range(t):
            along += source.root[t - 1, k] * mats[ROTATION, k, i]
        for j in range(rank):
            direction = mats[PRODUCT, i, j] / vecs[SCRATCH, i]
            vecs[X, j] += source.gain[t] * along * direction


@njit(cache=True, error_model="numpy")
def set_frame(
    t: int, rank: int, r0: float, level: float, ints: Array, mats: Array, vecs: Array, big: Array
) -> None:
    """Program in (y, Xhat_t). TARGET holds the factor of the law A compared with.

    W2^2(A, H) differs from W2^2(J^T A J, J^+ H J^+T), J = diag(G, 1), by the traces alone.
    """
    m = rank + 1
    traces = 0.0
    for i in range(t + 1):
        for j in range(t + 1):
            traces += mats[TARGET, i, j] ** 2
            if i < t:
                traces += mats[FULL_ROOT, i, j] ** 2
    inner, row = 0, m + 1
    reduced = float(rank)
    for i in range(m):
        for c in range(t + 1):
            value = mats[TARGET, t, c]
            if i < rank:
                value = 0.0
                for k in range(t):
                    value += mats[FULL_ROOT, k, i] * mats[TARGET, k, c]
            big[BASIS, row, c] = value
        inner = append_row(big, BASIS, inner, row, t + 1, mats, FACTOR, i)
        for c in range(m):
            reduced += mats[FACTOR, i, c] ** 2
            mats[COVARIANCE, i, c] = 1.0 if i == c else 0.0
    for i in range(rank):
        mats[ESTIMATE, 0, i] = vecs[X0, i]
        ints[FIXED_INTS + rank, i] = TIED
        ints[FIXED_INTS + mats.shape[1] + rank, i] = 0
        for c in range(m):
            mats[tie_slot(mats, rank), i, c] = 1.0 if c == i else 0.0
    mats[ESTIMATE, 0, rank] = r0
    ints[FIXED_INTS + rank, rank] = FREE
    ints[WIDTH, 0], vecs[WEIGHTS, 0] = m, 1.0
    ints[SIZE, 0], ints[RANK, 0], vecs[LEVEL, 0] = m, inner, level - (traces - reduced)
    ints[DIMS, 0], ints[DIMS, 1], ints[DIMS, 2], ints[DIMS, 3], ints[DIMS, 4] = 1, m, m, 1, 0


@njit(cache=True, error_model="numpy")
def bound_here(
    rank: int, r0: float, mmse: float, level: float, ints: Array, mats: Array, vecs: Array
) -> float:
    """Lower bound on D_t from the iterate of the program of :func:`set_frame`."""
    m, slope = rank + 1, slope_slot(mats, 0)
    variance = r0 * r0
    for i in range(m):
        if i < rank:
            variance += vecs[X0, i] ** 2
        for j in range(m):
            value = 0.0
            for k in range(m):
                value += mats[FACTOR, i, k] * mats[FACTOR, j, k]
            mats[MIDDLE, i, j] = value
            mats[slope, i, j] = vecs[MU, 0] * mats[threshold_slot(0) + SLOPE, i, j]
    cost = 0.0
    for i in range(m):
        cost += mats[MIDDLE, i, i] - (vecs[FIXED_VECS, i] if i < ints[RANK, 0] else 0.0)
    mu = vecs[MU, 0]
    cost *= mu
    best, share = -np.inf, 1e-15
    while share < 1.0:
        value = frame_bound(
            mats, MIDDLE, COVARIANCE, slope, vecs, X0, m, variance, mmse, level, mu, cost
        )
        if value < best:
            break
        best = value
        # towards the dual point 0
        mu, cost = (1.0 - share) * mu, (1.0 - share) * cost
        for i in range(m):
            for j in range(m):
                mats[slope, i, j] *= 1.0 - share
        share *= 10.0
    return best


@njit(cache=True, error_model="numpy")
def solve_frame(
    t: int,
    rank: int,
    r0: float,
    variance: float,
    level: float,
    before: float,
    ints: Array,
    mats: Array,
    vecs: Array,
    big: Array,
) -> tuple[float, float]:
    """Replace the continuation in X by the best x; returns b and a lower bound on D_t."""
    mmse, floor = vecs[MMSE, t], FLOOR * variance
    spare, total = variance, 0.0
    for i in range(rank):
        spare -= vecs[X, i] ** 2
    for i in range(t + 1):
        for j in range(t + 1):
            total += mats[TARGET, i, j] ** 2
    spare = max(spare, 0.0)
    keep = math.sqrt(spare)
    room = level - before
    tight = not room > ROOM * total
    room = max(room, ROOM * total)
    set_frame(t, rank, r0, before + room, ints, mats, vecs, big)
    threshold = vecs[LEVEL, 0] + (level - before - room)
    gain = 0.7 * min(r0, keep)
    # noise of variance d adds at most 2 sqrt(before d) + d to W2^2
    slip = math.sqrt(before + 0.5 * room) - math.sqrt(before)
    for i in range(rank):
        mats[GAINS, 0, i] = vecs[X, i]
    mats[GAINS, 0, rank] = gain
    mats[NOISE, 0, 0] = max(spare - gain * gain, slip * slip)
    bound, tau, tolerance = mmse, 0.15 * variance, TOLERANCE
    if not start_dual(ints, mats, vecs, tau):
        return keep, bound
    for _ in range(3):
        minimise(ints, mats, vecs, big, tau, mmse, tolerance, 0.1 * floor, 60)
        bound = max(bound, bound_here(rank, r0, mmse, threshold, ints, mats, vecs))
        objective = mmse + objective_of(ints, mats, vecs, GAINS, NOISE)
        if objective - bound <= CERTIFIED * objective + floor:
            break
        tolerance *= 0.1
        tau = 0.05 * tolerance * objective
    if tight:
        return keep, bound
    for i in range(rank):
        vecs[X, i] = mats[GAINS, 0, i]
    return math.sqrt(mats[GAINS, 0, rank] ** 2 + mats[NOISE, 0, 0]), bound


@njit(cache=True, error_model="numpy")
def describe(source: Source, t: int, rank: int, r0: float, mats: Array, vecs: Array) -> None:
    """X0 = E[y Xtil_t] and TARGET = factor of the law that frame t is compared with."""
    for i in range(rank):
        value = 0.0
        for j in range(t + 1):
            value += mats[MEANING, i, j] * mats[FULL_ESTIMATE, t, j]
        vecs[X0, i] = value
        vecs[X, i] = value
    for s in range(t + 1):
        for j in range(len(source.gain)):
            mats[TARGET, s, j] = source.root[s, j] if source.plf == JD else mats[FULL_ROOT, s, j]
    if source.plf != JD:
        for i in range(rank):
            mats[TARGET, t, i] = vecs[X0, i]
        mats[TARGET, t, rank] = math.sqrt(vecs[MMSE, t] + r0 * r0)


@njit(cache=True, error_model="numpy")
def loss_of(t: int, rank: int, b: float, mats: Array, vecs: Array) -> float:
    """Squared W2 up to frame t with Xhat_t = x . y + b y_new, which is written to FULL_ROOT."""
    for i in range(rank):
        mats[FULL_ROOT, t, i] = vecs[X, i]
    mats[FULL_ROOT, t, rank] = b
    return squared_w2(mats, TARGET, FULL_ROOT, t + 1, PRODUCT, ROTATION, vecs, SCRATCH)


@njit(cache=True, error_model="numpy")
def solve_frames(
    source: Source,
    levels: Array,
    ints: Array,
    mats: Array,
    vecs: Array,
    big: Array,
    distortion: Array,
    perception: Array,
) -> tuple[float, int]:
    """Least D_1, then D_2 given that, ...: fills FULL_GAINS K, FULL_ROOT G and the losses.

    Returns the sum of the bounds of the frames and a status.
    """
    frames, joint = len(levels), source.plf == JD
    rank, unspanned, bound, total, weight = 0, 0.0, 0.0, 0.0, 0.0
    for t in range(frames):
        vecs[LEFT, t] = 0.0
        for j in range(frames):
            mats[FULL_ROOT, t, j] = 0.0
    for t in range(frames):
        level = levels[t]
        if joint:
            # a past beyond a later threshold could not be continued
            for later in range(t + 1, frames):
                level = min(level, levels[later])
        fresh = mats[FULL_ESTIMATE, t, t]
        for j in range(frames):
            vecs[LEFT, j] *= source.gain[t]
        vecs[LEFT, t] += fresh
        r0 = math.sqrt(source.gain[t] ** 2 * unspanned + fresh * fresh)
        describe(source, t, rank, r0, mats, vecs)
        b, least = r0, vecs[MMSE, t]
        loss = loss_of(t, rank, b, mats, vecs)
        if loss > level + 1e-15 * source.variance[t]:
            if joint:
                continuation(source, t, rank, mats, vecs)
            if level == 0.0:
                b = math.sqrt(source.innovation[t]) if joint else mats[TARGET, t, rank]
                least = np.inf  # the law leaves no choice but how to use what is new
            else:
                before = perception[t - 1] if joint and t > 0 else 0.0
                b, least = solve_frame(
                    t, rank, r0, source.variance[t], level, before, ints, mats, vecs, big
                )
            loss = loss_of(t, rank, b, mats, vecs)
        distortion[t] = vecs[MMSE, t] + (b - r0) ** 2
        for i in range(rank):
            distortion[t] += (vecs[X, i] - vecs[X0, i]) ** 2
        perception[t] = loss
        bound += min(least, distortion[t])
        total += distortion[t]
        weight += source.variance[t]
        for j in range(frames):
            new = vecs[LEFT, j] / r0 if r0 > 0.0 else 0.0
            value = b * new
            for i in range(rank):
                value += vecs[X, i] * mats[MEANING, i, j]
            mats[FULL_GAINS, t, j] = value
            if b > 0.0:
                mats[MEANING, rank, j] = new
                vecs[LEFT, j] = 0.0
        unspanned = r0 * r0
        if b > 0.0:
            unspanned = 0.0
            rank += 1
    solved = total - bound <= ACCEPTED * total + 10 * FLOOR * weight
    return bound, SOLVED if solved else 1
