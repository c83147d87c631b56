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

from solvers._barrier.dual_bound import JD, frame_bound
from solvers._barrier.linear_algebra import (
    append_row,
    cholesky,
    orthogonalise_rows,
    solve_lower,
    solve_lower_transposed,
    squared_w2,
)
from solvers._barrier.path import (
    SOLVED,
    evaluate,
    fill_shown,
    forget_turns,
    minimise,
    objective_of,
    start_dual,
)
from solvers._barrier.weighted import CERTIFIED, FLOOR, TOLERANCE, Source
from solvers._barrier.workspace import (
    ASIDE,
    BACK,
    BASIS,
    COVARIANCE,
    DIMS,
    ESTIMATE,
    FACTOR,
    FEATURE,
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
    ROOT,
    ROTATION,
    SCRATCH,
    SIZE,
    SLOPE,
    STEP_OWN,
    TARGET,
    TIED,
    TURN,
    WEIGHTED,
    WEIGHTS,
    WIDTH,
    X0,
    X,
    slope_slot,
    threshold_slot,
    tie_slot,
)

Array = np.ndarray

# A frame that meets its threshold leaves to the next a slack of the order of rounding, to whose
# root the next distortion is sensitive: the certificate is no sharper than that.
ACCEPTED = 1e-5
ROOM = 1e-14  # slack, relative to the variances, below which a threshold leaves no choice


@njit(cache=True, error_model="numpy")
def continuation(source: Source, t: int, rank: int, mats: Array, vecs: Array) -> float:
    """JD: a frame that adds nothing to W2, X_t in the best coupling so far.

    With B, G factors of X^(t-1), Xhat^(t-1) and B^T G = V S Z^T, the coupling is B V Z^T against G
    and X = E[y X_t]. What X_t keeps besides, whose variance is returned, can be made of y_new and
    of ASIDE, the part of X0 = E[y Xtil_t] outside Z.
    """
    for i in range(rank):
        vecs[X, i] = 0.0
        vecs[ASIDE, i] = vecs[X0, i]
    if t == 0:
        return source.variance[t]
    for i in range(t):
        for j in range(rank):
            value = 0.0
            for k in range(max(i, j), t):
                value += source.root[k, i] * mats[FULL_ROOT, k, j]
            mats[PRODUCT, i, j] = value
    orthogonalise_rows(mats, PRODUCT, ROTATION, vecs, SCRATCH, t, rank)
    top, used, wanted = 0.0, 0, 0
    for i in range(t):
        top = max(top, vecs[SCRATCH, i])
        wanted += 1 if source.root[i, i] > 0.0 else 0
    for i in range(t):
        if vecs[SCRATCH, i] <= 1e-14 * top:
            continue
        used += 1
        along, inside = 0.0, 0.0
        for k in range(t):
            along += source.root[t - 1, k] * mats[ROTATION, k, i]
        for j in range(rank):
            mats[PRODUCT, i, j] /= vecs[SCRATCH, i]
            vecs[X, j] += source.gain[t] * along * mats[PRODUCT, i, j]
            inside += mats[PRODUCT, i, j] * vecs[ASIDE, j]
        for j in range(rank):
            vecs[ASIDE, j] -= inside * mats[PRODUCT, i, j]
    square = 0.0
    for j in range(rank):
        square += vecs[X, j] ** 2
        if used == rank:
            vecs[ASIDE, j] = 0.0
    hidden = source.gain[t] ** 2 * source.variance[t - 1] - square
    return source.innovation[t] + (0.0 if used == wanted else max(hidden, 0.0))


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
    inner, row = int(np.int64(0)), m + 1  # no literal: see solve_frames
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
def set_target(rank: int, r0: float, mats: Array, vecs: Array) -> float:
    """MIDDLE = law A of the program; returns Var Xtil_t."""
    variance = r0 * r0
    for i in range(rank + 1):
        if i < rank:
            variance += vecs[X0, i] ** 2
        for j in range(rank + 1):
            value = 0.0
            for k in range(rank + 1):
                value += mats[FACTOR, i, k] * mats[FACTOR, j, k]
            mats[MIDDLE, i, j] = value
    return variance


@njit(cache=True, error_model="numpy")
def bound_here(rank: int, r0: float, mmse: float, ints: Array, mats: Array, vecs: Array) -> float:
    """Lower bound on D_t from the iterate of the program of :func:`set_frame`."""
    m, slope = rank + 1, slope_slot(mats, 0)
    variance, mu, level = set_target(rank, r0, mats, vecs), vecs[MU, 0], vecs[LEVEL, 0]
    cost, scale = 0.0, 0.0
    for i in range(m):
        # tr A Phi is the sum of the singular values
        scale += mu * mats[MIDDLE, i, i]
        cost += mats[MIDDLE, i, i] - (vecs[FIXED_VECS, i] if i < ints[RANK, 0] else 0.0)
        for j in range(m):
            mats[slope, i, j] = mu * mats[threshold_slot(0) + SLOPE, i, j]
    cost *= mu
    best, share = -np.inf, 1e-15
    while share < 1.0:
        fit = residual(rank, r0, slope, mats, vecs)
        value = frame_bound(
            mats, MIDDLE, COVARIANCE, slope, m, fit, mmse + variance, level, mu, (cost, scale)
        )
        best = max(best, value)
        # towards the dual point 0
        mu, cost = (1.0 - share) * mu, (1.0 - share) * cost
        for i in range(m):
            for j in range(m):
                mats[slope, i, j] *= 1.0 - share
        share *= 10.0
    return best


@njit(cache=True, error_model="numpy")
def residual(rank: int, r0: float, slope: int, mats: Array, vecs: Array) -> tuple[float, float]:
    """E(Xtil_t - y . past)^2 in orthonormal variables, a sum of squares."""
    value = r0 * r0
    for i in range(rank):
        value += (vecs[X0, i] - mats[slope, rank, i]) ** 2
    return value, value


@njit(cache=True, error_model="numpy")
def equality_slope(rank: int, r0: float, b: float, ints: Array, mats: Array, vecs: Array) -> None:
    """Symmetric Z in PRODUCT whose slope N* = B Z B^T makes (X, b) the best continuation.

    N* e_t = B v with v = Z c, c the last row of B. Stationarity, kappa x = x0 - y and
    kappa b = r0 with [y, kappa - 1] = B v, determines v by least squares.
    """
    inner = ints[RANK, 0]
    for i in range(inner):
        for j in range(inner):
            mats[ROOT, i, j] = 0.0
    for k in range(rank + 1):
        own = vecs[X, k] if k < rank else b
        # kappa > 0 even where there is no news
        wanted = (vecs[X0, k] if k < rank else max(r0, 1e-7 * b)) - own
        for j in range(inner):
            vecs[SCRATCH, j] = own * mats[FACTOR, rank, j]
            if k < rank:
                vecs[SCRATCH, j] += mats[FACTOR, k, j]
        for i in range(inner):
            for j in range(i + 1):
                mats[ROOT, i, j] += vecs[SCRATCH, i] * vecs[SCRATCH, j]
            vecs[STEP_OWN, i] = vecs[SCRATCH, i] * wanted + (vecs[STEP_OWN, i] if k > 0 else 0.0)
    solve_shifted(inner, mats, vecs)
    least_symmetric(rank, inner, mats, vecs)


@njit(cache=True, error_model="numpy")
def solve_shifted(n: int, mats: Array, vecs: Array) -> None:
    """Overwrite STEP_OWN by the solution of the positive semidefinite system in ROOT."""
    top = 0.0
    for i in range(n):
        top = max(top, mats[ROOT, i, i])
        mats[PRODUCT, 0, i] = vecs[STEP_OWN, i]
    for i in range(n):
        mats[ROOT, i, i] += 1e-14 * top
    cholesky(mats, ROOT, n)
    solve_lower(mats, ROOT, PRODUCT, 0, n)
    solve_lower_transposed(mats, ROOT, PRODUCT, 0, n)
    for i in range(n):
        vecs[STEP_OWN, i] = mats[PRODUCT, 0, i]


@njit(cache=True, error_model="numpy")
def least_symmetric(rank: int, n: int, mats: Array, vecs: Array) -> None:
    """Z in PRODUCT with Z c = STEP_OWN, c the last row of B, that costs the bound the least.

    The cost is tr(H N* Phi N*) / mu. With Z = V z V^T, V the singular vectors and s the values, it
    is sum_ij weight_ij z_ij^2, weight_ij = s_i s_j (s_i + s_j) / 2, hence
    z_ij = (a_i c_j + a_j c_i) / weight_ij in the basis V.
    """
    turn, values = threshold_slot(0) + TURN, FIXED_VECS
    for i in range(n):
        own, wanted = 0.0, 0.0
        for k in range(n):
            own += mats[turn, k, i] * mats[FACTOR, rank, k]
            wanted += mats[turn, k, i] * vecs[STEP_OWN, k]
        vecs[FEATURE, i] = own
        vecs[SCRATCH, i] = wanted
    for i in range(n):
        vecs[STEP_OWN, i] = vecs[SCRATCH, i]
        for j in range(n):
            si, sj = vecs[values, i], vecs[values, j]
            mats[WEIGHTED, i, j] = 2.0 / (si * sj * (si + sj))
            mats[ROOT, i, j] = vecs[FEATURE, i] * vecs[FEATURE, j] * mats[WEIGHTED, i, j]
        for k in range(n):
            mats[ROOT, i, i] += vecs[FEATURE, k] ** 2 * mats[WEIGHTED, i, k]
    solve_shifted(n, mats, vecs)
    for i in range(n):
        for j in range(n):
            cross = vecs[STEP_OWN, i] * vecs[FEATURE, j] + vecs[STEP_OWN, j] * vecs[FEATURE, i]
            mats[WEIGHTED, i, j] *= cross
    for i in range(n):
        for j in range(n):
            value = 0.0
            for k in range(n):
                for z in range(n):
                    value += mats[turn, i, k] * mats[WEIGHTED, k, z] * mats[turn, j, z]
            mats[PRODUCT, i, j] = value


@njit(cache=True, error_model="numpy")
def tight_bound(rank: int, r0: float, b: float, ints: Array, mats: Array, vecs: Array) -> float:
    """Bound on D_t - m_t where the threshold admits the continuation (X, b) alone.

    Psi = mu I - N = B (mu M0 - Z) B^T, with Phi^-1 = B M0 B^T at the continuation and Z of
    :func:`equality_slope`, is short of the optimum by the order 1 / mu. tr A L = mu tr A -
    mu^2 tr (mu M0 - Z)^-1.
    """
    m, slope, inner = rank + 1, slope_slot(mats, 0), ints[RANK, 0]
    level = vecs[LEVEL, 0]
    fill_shown(ints, mats, vecs, GAINS, NOISE)
    vecs[LEVEL, 0] = np.inf
    forget_turns(ints, mats)
    if not evaluate(ints, mats, vecs):
        return 0.0
    turn = threshold_slot(0) + TURN
    for i in range(inner):
        for j in range(inner):
            mats[BACK, i, j] = 0.0
            for a in range(inner):
                term = mats[turn, i, a] * mats[turn, j, a]
                mats[BACK, i, j] += term / vecs[FIXED_VECS, a]
    equality_slope(rank, r0, b, ints, mats, vecs)
    variance = set_target(rank, r0, mats, vecs)
    total = 0.0
    for i in range(m):
        total += mats[MIDDLE, i, i]
    best, mu = 0.0, 1e2
    while mu < 1e11:
        for i in range(inner):
            for j in range(inner):
                value = mu * mats[BACK, i, j] - mats[PRODUCT, i, j]
                mats[ROTATION, i, j] = value
                mats[ROOT, i, j] = value
        mu *= 3.0
        if not cholesky(mats, ROOT, inner):
            continue
        for i in range(m):
            for j in range(m):
                value = mu / 3.0 if i == j else 0.0
                for k in range(inner):
                    for z in range(inner):
                        weight = mats[FACTOR, i, k] * mats[FACTOR, j, z]
                        value -= weight * mats[ROTATION, k, z]
                mats[slope, i, j] = value
        inverse = 0.0
        for i in range(inner):
            for j in range(inner):
                mats[WEIGHTED, 0, j] = 1.0 if i == j else 0.0
            solve_lower(mats, ROOT, WEIGHTED, 0, inner)
            for j in range(inner):
                inverse += mats[WEIGHTED, 0, j] ** 2
        own = mu / 3.0
        cost = (own * total - own * own * inverse, own * total)
        fit = residual(rank, r0, slope, mats, vecs)
        value = frame_bound(mats, MIDDLE, COVARIANCE, slope, m, fit, variance, level, own, cost)
        best = max(best, value)
    return best


@njit(cache=True, error_model="numpy")
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

    The continuation has variance `spare` to spend on ASIDE and y_new.
    """
    mmse, total, free = vecs[MMSE, t], 0.0, r0 * r0
    for i in range(t + 1):
        for j in range(t + 1):
            total += mats[TARGET, i, j] ** 2
    for i in range(rank):
        free += vecs[ASIDE, i] ** 2
    room = level - before
    tight = not room > ROOM * total
    room = max(room, ROOM * total)
    set_frame(t, rank, r0, level, ints, mats, vecs, big)
    scale = math.sqrt(spare / free) if free > 0.0 else 0.0
    share = 1.0 if tight else 0.7
    # noise of variance d adds at most 2 sqrt(before d) + d to W2^2
    slip = 1e-6 * math.sqrt(variance)
    if not tight:
        slip = math.sqrt(before + 0.5 * room) - math.sqrt(before)
    for i in range(rank):
        vecs[X, i] += share * scale * vecs[ASIDE, i]
        mats[GAINS, 0, i] = vecs[X, i]
    b = share * scale * r0
    mats[GAINS, 0, rank] = b
    rest = spare * (1.0 - share * share) if free > 0.0 else spare
    mats[NOISE, 0, 0] = max(rest, slip * slip)
    if tight:
        b = math.sqrt(b * b + rest)
        return b, mmse + tight_bound(rank, r0, b, ints, mats, vecs)
    return follow_frame(rank, r0, variance, room, mmse, ints, mats, vecs, big)


@njit(cache=True, error_model="numpy")
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
    """Run the barrier method until its certificate is good; fills X, returns b and the bound."""
    floor, bound, tolerance = FLOOR * variance, mmse, TOLERANCE
    # little room, little to gain
    tau = 0.15 * math.sqrt(variance * min(variance, room))
    if not start_dual(ints, mats, vecs, tau):
        return math.sqrt(mats[GAINS, 0, rank] ** 2 + mats[NOISE, 0, 0]), bound
    for _ in range(3):
        minimise(ints, mats, vecs, big, tau, mmse, tolerance, 0.1 * floor, 60)
        bound = max(bound, bound_here(rank, r0, mmse, ints, mats, vecs))
        objective = mmse + objective_of(ints, mats, vecs, GAINS, NOISE)
        if objective - bound <= CERTIFIED * objective + floor:
            break
        tolerance *= 0.1
        tau = 0.05 * tolerance * objective
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
        vecs[ASIDE, i] = 0.0
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
def touch(
    variance: float, t: int, rank: int, b: float, r0: float, level: float, mats: Array, vecs: Array
) -> float:
    """Move (X, b) towards (X0, r0) until the threshold is met exactly; returns b.

    Slack d left at a frame changes later frames by the order of sqrt(d), so an interior point is
    not enough. Regula falsi (Illinois) on the way, which lowers D_t.
    """
    low, high, side = 0.0, 1.0, 0
    below = loss_of(t, rank, b, mats, vecs) - level
    if below >= 0.0:
        return b
    for i in range(rank):
        vecs[STEP_OWN, i] = vecs[X, i]
        vecs[X, i] = vecs[X0, i]
    above = loss_of(t, rank, r0, mats, vecs) - level
    for _ in range(60):
        share = (low * above - high * below) / (above - below)
        if not low < share < high:
            break
        for i in range(rank):
            vecs[X, i] = vecs[STEP_OWN, i] + share * (vecs[X0, i] - vecs[STEP_OWN, i])
        value = loss_of(t, rank, b + share * (r0 - b), mats, vecs) - level
        if value > 0.0:
            high, above = share, value
            below *= 0.5 if side == 1 else 1.0
            side = 1
        else:
            low, below = share, value
            above *= 0.5 if side == -1 else 1.0
            side = -1
            if value > -4e-16 * variance:
                break
    for i in range(rank):
        vecs[X, i] = vecs[STEP_OWN, i] + low * (vecs[X0, i] - vecs[STEP_OWN, i])
    return b + low * (r0 - b)


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
    unspanned, bound, total, weight = 0.0, 0.0, 0.0, 0.0
    rank = int(np.int64(0))  # not a literal, for which all kernels would be compiled once more
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
            spare = vecs[MMSE, t] + r0 * r0
            if joint:
                spare = continuation(source, t, rank, mats, vecs)
            b = math.sqrt(spare)
            if level == 0.0:
                least = np.inf  # the law leaves no choice but how to use what is new
            else:
                before = perception[t - 1] if joint and t > 0 else 0.0
                b, least = solve_frame(
                    t, rank, r0, spare, source.variance[t], level, before, ints, mats, vecs, big
                )
                b = touch(source.variance[t], t, rank, b, r0, level, mats, vecs)
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
