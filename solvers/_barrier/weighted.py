r"""Weighted objective, one point: reduction to a program with interior, start, certificate.

Before the barrier method runs, frames are taken out that leave the program without interior:

- after the last threshold the MMSE estimate is best, whatever the weights;
- JD, P_t0 = 0: the law up to t0 is given, and a frame with q_t = 0 repeats the frame before it,
  Xhat_t = a_t Xhat_(t-1) and D_t = a_t^2 D_(t-1). Frames that repeat one another are one frame
  sqrt(gamma) Xhat_b, gamma = 1 + sum of squared gains, which keeps W2; the rate of the repeats
  counts for the next frame;
- SA: a frame with neither weight nor threshold is not shown (Xhat_t = 0).

What is left is a Gauss-Markov program with fewer frames. JD thresholds that a later, smaller one
implies are dropped: W2 grows with the number of frames compared.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from solvers._barrier.dual_bound import JD, best_bound
from solvers._barrier.linear_algebra import append_row, cholesky, squared_w2
from solvers._barrier.path import (
    SOLVED,
    minimise,
    objective_of,
    start_dual,
)
from solvers._barrier.workspace import (
    BASIS,
    BOUND_COST,
    BOUND_MU,
    COVARIANCE,
    DIMS,
    DUAL,
    ESTIMATE,
    FACTOR,
    FIXED,
    FIXED_INTS,
    FIXED_VECS,
    FRAME,
    FREE,
    FULL_ESTIMATE,
    FULL_GAINS,
    FULL_NOISE,
    FULL_ROOT,
    GAINS,
    LAW,
    LEVEL,
    LEVELS,
    MMSE,
    MU,
    NOISE,
    OTHER,
    OWNER,
    PHI,
    PRODUCT,
    RANK,
    ROOT,
    ROTATION,
    SCALE,
    SCRATCH,
    SIZE,
    SLOPE,
    STRETCH,
    TARGET,
    TIED,
    VARIANCE,
    WEIGHTS,
    WIDTH,
    slope_slot,
    threshold_slot,
    tie_slot,
)

Array = np.ndarray

TOLERANCE = 1e-8  # of the barrier, relative to the objective
CERTIFIED = 1e-7  # gap, relative to the objective, that ends the search
ACCEPTED = 1e-6  # gap above which a point is reported as failed
FLOOR = 1e-13  # relative to the weighted variance: what double precision resolves
SHRINK = 0.9  # share of the gains of a perfect-realism decoder that the start uses
START = 0.03  # barrier parameter at the start, relative to the weighted variance of a constraint
SHOWS_ESTIMATE, SHOWS_NOTHING = -2, -1


class Source(NamedTuple):
    """What all points share."""

    plf: int
    gain: Array  # (T,)
    innovation: Array  # (T,)
    variance: Array  # (T,)
    phi: Array  # (T, T)
    root: Array  # (T, T) factor of the covariance, phi[t, s] sqrt(q_s)


@njit(cache=True, error_model="numpy")
def set_backbone(source: Source, rates: Array, mats: Array, vecs: Array) -> None:
    """m_t = 2^(-2 R_t) v_t, v_t = a_t^2 m_(t-1) + q_t; estimate phi[t, s] k_s sqrt(v_s)."""
    previous = 0.0
    for s in range(len(rates)):
        v = source.gain[s] * source.gain[s] * previous + source.innovation[s]
        exponent = -2.0 * math.log(2.0) * rates[s]
        previous = math.exp(exponent) * v
        vecs[MMSE, s] = previous
        scale = math.sqrt(-math.expm1(exponent) * v)
        for t in range(len(rates)):
            mats[FULL_ESTIMATE, t, s] = source.phi[t, s] * scale if t >= s else 0.0


@njit(cache=True, error_model="numpy")
def reduce(
    source: Source, levels: Array, weights: Array, ints: Array, mats: Array, vecs: Array
) -> tuple[int, int]:
    """Take degenerate frames out; returns how many are left and how many have a given law."""
    frames, joint = len(levels), source.plf == JD
    last, given = -1, 0
    for t in range(frames):
        ints[OWNER, t] = SHOWS_ESTIMATE
        if levels[t] < np.inf:
            last = t
            if levels[t] == 0.0 and joint:
                given = t + 1
    n, exact = int(np.int64(0)), 0  # no literal: see solve_frames
    for t in range(last + 1):
        vecs[SCALE, t] = 1.0
        if 0 < t < given and source.innovation[t] <= 1e-14 * source.variance[t]:
            ints[OWNER, t] = n - 1
            vecs[SCALE, t] = source.gain[t] * vecs[SCALE, t - 1]
            vecs[STRETCH, n - 1] += vecs[SCALE, t] ** 2
            vecs[WEIGHTS, n - 1] += weights[t] * vecs[SCALE, t] ** 2
        elif joint or weights[t] > 0.0 or levels[t] < np.inf:
            ints[OWNER, t] = n
            ints[FRAME, n] = t
            vecs[STRETCH, n] = 1.0
            vecs[WEIGHTS, n] = weights[t]
            vecs[LEVELS, n] = levels[t]
            n += 1
        else:
            ints[OWNER, t] = SHOWS_NOTHING
        if t < given:
            exact = n
    least = np.inf
    for i in range(n - 1, -1, -1):
        if joint:
            if not vecs[LEVELS, i] < least or i < exact:
                vecs[LEVELS, i] = np.inf
            least = min(least, vecs[LEVELS, i])
        vecs[WEIGHTS, i] /= vecs[STRETCH, i]
        vecs[STRETCH, i] = math.sqrt(vecs[STRETCH, i])
    if exact > 0:
        vecs[LEVELS, exact - 1] = 0.0
    fill_reduced(source, n, ints, mats, vecs)
    return n, exact


@njit(cache=True, error_model="numpy")
def fill_reduced(source: Source, n: int, ints: Array, mats: Array, vecs: Array) -> None:
    """Matrices of the Gauss-Markov program of the frames left."""
    start = 0
    for j in range(n):
        at = ints[FRAME, j]
        fresh = 0.0
        for c in range(start, at + 1):
            fresh += (source.phi[at, c] * mats[FULL_ESTIMATE, c, c]) ** 2
        start = at + 1
        fresh = math.sqrt(fresh)
        for i in range(n):
            frame, stretch = ints[FRAME, i], vecs[STRETCH, i]
            ratio = source.phi[frame, at] if i >= j else 0.0
            mats[PHI, i, j] = ratio * stretch / vecs[STRETCH, j]
            mats[ESTIMATE, i, j] = stretch * ratio * fresh
            mats[LAW, i, j] = stretch * source.root[frame, at] if i >= j else 0.0
            if i >= j:
                value = stretch * vecs[STRETCH, j] * ratio * source.variance[at]
                mats[COVARIANCE, i, j] = value
                mats[COVARIANCE, j, i] = value


@njit(cache=True, error_model="numpy")
def estimate_suffices(plf: int, n: int, ints: Array, mats: Array, vecs: Array) -> bool:
    """Whether showing the MMSE estimate meets every threshold."""
    target = LAW if plf == JD else TARGET
    for t in range(n):
        if vecs[LEVELS, t] == np.inf:
            continue
        if plf != JD:
            for i in range(t + 1):
                for j in range(i + 1):
                    mats[TARGET, i, j] = mats[ESTIMATE, i, j]
            own = mats[ESTIMATE, t, t]
            mats[TARGET, t, t] = math.sqrt(own * own + vecs[MMSE, ints[FRAME, t]])
        loss = squared_w2(mats, target, ESTIMATE, t + 1, PRODUCT, ROTATION, vecs, SCRATCH)
        if loss > vecs[LEVELS, t] + 1e-15 * mats[COVARIANCE, t, t]:
            return False
    return True


@njit(cache=True, error_model="numpy")
def set_program(plf: int, n: int, exact: int, ints: Array, mats: Array, vecs: Array) -> None:
    """Write the frames left as a program."""
    count, rank = 0, 0
    for i in range(n):
        ints[WIDTH, i] = i + 1
        vecs[VARIANCE, i] = mats[COVARIANCE, i, i]
        for j in range(i + 1):
            ints[FIXED_INTS + i, j] = FIXED if i < exact else FREE
    for j in range(n):
        if plf == JD and mats[LAW, j, j] > 0.0:
            for i in range(n):
                mats[FACTOR, i, rank] = mats[LAW, i, j]
            rank += 1
        if 0.0 < vecs[LEVELS, j] < np.inf:
            ints[RANK, count] = rank
            ints[SIZE, count] = j + 1
            vecs[LEVEL, count] = vecs[LEVELS, j]
            count += 1
        elif vecs[LEVELS, j] == 0.0 and plf != JD:
            # H[j, :j] = E[Xhat^(j-1) X_j], H[j, j] = sigma_j^2
            ints[FIXED_INTS + j, j] = FIXED
            for s in range(j):
                ints[FIXED_INTS + j, s] = TIED
                ints[FIXED_INTS + mats.shape[1] + j, s] = s
                for k in range(n):
                    mats[tie_slot(mats, j), s, k] = mats[PHI, j, s] * mats[ESTIMATE, s, k]
    ints[DIMS, 0], ints[DIMS, 1], ints[DIMS, 2] = n, n, n
    ints[DIMS, 3], ints[DIMS, 4] = count, 0 if plf == JD else 1


@njit(cache=True, error_model="numpy")
def set_start(
    plf: int, n: int, exact: int, shrink: float, ints: Array, mats: Array, vecs: Array
) -> None:
    """Interior point: the gains of a perfect-realism decoder shrunk, the rest noise."""
    room = 0.1
    for k in range(ints[DIMS, 3]):
        total = 0.0
        for i in range(ints[SIZE, k]):
            total += mats[COVARIANCE, i, i]
        room = min(room, 0.3 * vecs[LEVEL, k] / total)
    for j in range(n):
        own = mats[ESTIMATE, j, j]
        if plf == JD:
            gain = shrink * min(mats[LAW, j, j], own)
        else:
            gain = shrink * math.sqrt(own * own + vecs[MMSE, ints[FRAME, j]])
        for i in range(n):
            value = 0.0
            if i == j:
                value = gain
            elif i > j:
                value = mats[PHI, i, j] * gain if plf == JD else shrink * mats[ESTIMATE, i, j]
            mats[GAINS, i, j] = value
    for i in range(n):
        for j in range(i + 1):
            value = 0.0
            for k in range(j + 1):
                square = mats[GAINS, i, k] * mats[GAINS, j, k]
                if plf == JD:
                    value += mats[LAW, i, k] * mats[LAW, j, k] - square
                else:
                    value += (1.0 - shrink) / shrink * square
            mats[NOISE, i, j] = value
            mats[NOISE, j, i] = value
        if plf != JD:
            mats[NOISE, i, i] += (1.0 - shrink) * mats[COVARIANCE, i, i]
        elif i >= exact:
            mats[NOISE, i, i] += room * mats[COVARIANCE, i, i]


@njit(cache=True, error_model="numpy")
def set_dual(plf: int, n: int, ints: Array, mats: Array, vecs: Array) -> None:
    """Multipliers and slopes at the iterate; at equalities what is left of Q."""
    for i in range(n):
        vecs[BOUND_MU, i] = 0.0
        for j in range(n):
            mats[PRODUCT, i, j] = mats[DUAL, i, j]
        mats[PRODUCT, i, i] -= vecs[WEIGHTS, i]
    for k in range(ints[DIMS, 3]):
        size, mu, slot = ints[SIZE, k], vecs[MU, k], threshold_slot(k)
        vecs[BOUND_MU, size - 1] = mu
        # tr A L = mu (tr A - tr A Phi), and tr A Phi is the sum of the singular values
        cost = 0.0
        for i in range(size):
            cost += mats[COVARIANCE, i, i] - (vecs[FIXED_VECS + k, i] if i < ints[RANK, k] else 0.0)
        vecs[BOUND_COST, size - 1] = mu * cost
        for i in range(size):
            for j in range(size):
                value = mu * mats[slot + SLOPE, i, j]
                mats[slope_slot(mats, size - 1), i, j] = value
                mats[PRODUCT, i, j] -= value
                if plf != JD and i < size - 1 and j < size - 1:
                    mats[PRODUCT, i, j] -= mu * mats[slot + OTHER, i, j]
    for t in range(n):
        if vecs[LEVELS, t] != 0.0:
            continue
        vecs[BOUND_MU, t] = np.inf
        vecs[BOUND_COST, t] = np.nan
        for i in range(t + 1):
            for j in range(t + 1):
                free = plf == JD or i == t or j == t
                mats[slope_slot(mats, t), i, j] = mats[PRODUCT, i, j] if free else 0.0


@njit(cache=True, error_model="numpy")
def solve_joint(
    source: Source,
    levels: Array,
    weights: Array,
    ints: Array,
    mats: Array,
    vecs: Array,
    big: Array,
) -> tuple[float, int]:
    """Least weighted distortion: fills FULL_GAINS K and FULL_NOISE N, H = K K^T + N N^T.

    Returns the lower bound and a status.
    """
    plf, frames = source.plf, len(levels)
    n, exact = reduce(source, levels, weights, ints, mats, vecs)
    # MMSE part of the objective: of frames that are in the program, and of the others
    inside, outside, total = 0.0, 0.0, 0.0
    for t in range(frames):
        part = weights[t] * vecs[MMSE, t]
        if ints[OWNER, t] >= 0:
            inside += part
            total += weights[t] * source.variance[t]
        else:
            outside += part
        for j in range(frames):
            mats[FULL_GAINS, t, j] = mats[FULL_ESTIMATE, t, j]
            mats[FULL_NOISE, t, j] = 0.0
    if estimate_suffices(plf, n, ints, mats, vecs):
        return inside + outside, SOLVED
    set_program(plf, n, exact, ints, mats, vecs)
    bound, status = outside, SOLVED
    shrink, start = SHRINK, START
    for _ in range(2):
        set_start(plf, n, exact, shrink, ints, mats, vecs)
        if total > 0.0:
            bound, status = follow(plf, n, inside, outside, total, start, ints, mats, vecs, big)
        if status == SOLVED:
            break
        shrink, start = 0.6, 0.3  # from farther inside
    expand(source, n, ints, mats, vecs)
    return bound, status


@njit(cache=True, error_model="numpy")
def follow(
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
    """Run the barrier method until its certificate is good; bound and status."""
    nu = n + ints[DIMS, 3]
    tau, tolerance, bound = start * total / nu, TOLERANCE, -np.inf
    if not start_dual(ints, mats, vecs, tau):
        return bound, 2
    objective = np.inf
    for _ in range(3):
        minimise(ints, mats, vecs, big, tau, inside, tolerance, 0.1 * FLOOR * total, 60)
        set_dual(plf, n, ints, mats, vecs)
        objective = outside + inside + objective_of(ints, mats, vecs, GAINS, NOISE)
        enough = objective * (1.0 - CERTIFIED) - outside
        bound = max(bound, outside + best_bound(plf, n, enough, ints, mats, vecs))
        if objective - bound <= CERTIFIED * objective + FLOOR * total:
            break
        tolerance *= 0.1
        tau = 0.1 * tolerance * objective / nu
    gap = objective - bound
    return bound, SOLVED if gap <= ACCEPTED * objective + 10 * FLOOR * total else 1


@njit(cache=True, error_model="numpy")
def expand(source: Source, n: int, ints: Array, mats: Array, vecs: Array) -> None:
    """Gains and noise factor of all frames from those of the frames left."""
    frames = len(source.gain)
    for i in range(n):
        for j in range(i + 1):
            mats[ROOT, i, j] = mats[NOISE, i, j]
    cholesky(mats, ROOT, n)
    for t in range(frames):
        i = ints[OWNER, t]
        if i == SHOWS_ESTIMATE:
            continue
        for c in range(frames):
            mats[FULL_GAINS, t, c] = 0.0
        if i == SHOWS_NOTHING:
            continue
        ratio = vecs[SCALE, t] / vecs[STRETCH, i]
        start = 0
        for j in range(i + 1):
            at = ints[FRAME, j]
            fresh = mats[ESTIMATE, j, j] / vecs[STRETCH, j]
            for c in range(start, at + 1):
                share = 1.0 if c == at else 0.0
                if fresh > 0.0:
                    share = source.phi[at, c] * mats[FULL_ESTIMATE, c, c] / fresh
                mats[FULL_GAINS, t, c] = ratio * mats[GAINS, i, j] * share
            start = at + 1
            mats[FULL_NOISE, t, j] = ratio * mats[ROOT, i, j]


@njit(cache=True, error_model="numpy")
def measure(
    source: Source, mats: Array, vecs: Array, big: Array, distortion: Array, perception: Array
) -> None:
    """Losses of (FULL_GAINS K, FULL_NOISE N); FULL_ROOT becomes the factor of H.

    JD compares with X^t; SA with (Xhat^(t-1), X_t), X_t = Xtil_t plus an independent error.
    """
    frames = len(source.gain)
    columns, row = 2 * frames + 1, frames + 1
    rank = int(np.int64(0))  # no literal: see solve_frames
    for t in range(frames):
        distortion[t] = vecs[MMSE, t]
        for c in range(frames):
            distortion[t] += (mats[FULL_GAINS, t, c] - mats[FULL_ESTIMATE, t, c]) ** 2
            distortion[t] += mats[FULL_NOISE, t, c] ** 2
            big[BASIS, row, c] = mats[FULL_ESTIMATE, t, c]
            big[BASIS, row, frames + c] = 0.0
            mats[TARGET, t, c] = source.root[t, c]
        if source.plf != JD:
            big[BASIS, row, columns - 1] = math.sqrt(vecs[MMSE, t])
            append_row(big, BASIS, rank, row, columns, mats, TARGET, t)
        for c in range(frames):
            big[BASIS, row, c] = mats[FULL_GAINS, t, c]
            big[BASIS, row, frames + c] = mats[FULL_NOISE, t, c]
        big[BASIS, row, columns - 1] = 0.0
        rank = append_row(big, BASIS, rank, row, columns, mats, FULL_ROOT, t)
        perception[t] = squared_w2(mats, TARGET, FULL_ROOT, t + 1, PRODUCT, ROTATION, vecs, SCRATCH)
        if source.plf != JD:
            for c in range(frames):
                mats[TARGET, t, c] = mats[FULL_ROOT, t, c]
