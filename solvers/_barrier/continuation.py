r"""Continuations of the past by one frame: where a frame starts and where it meets its threshold.

The past is Xhat_s = sum_i G_si y_i with orthonormal y. A continuation is Xhat_t = x . y + b y_new,
with x in row X of the vectors. Its loss is squared W2 between Xhat^t and the target of frame t.
"""

from __future__ import annotations

import math

import numpy as np

from solvers._barrier.constants import JD
from solvers._barrier.linear_algebra import orthogonalise_rows
from solvers._barrier.losses import squared_w2
from solvers._barrier.source import Source
from solvers._barrier.workspace import Matrix, Number, Vector
from solvers._parts import part

Array = np.ndarray


@part
def continuation(source: Source, t: int, rank: int, mats: Array, vecs: Array) -> float:
    """JD: a frame that adds nothing to W2, which is X_t in the best coupling of the past.

    Let B and G be the factors of X^(t-1) and Xhat^(t-1), and B^T G = V S Z^T. The best coupling is
    B V Z^T against G, and X = E[y X_t]. The rest of X_t has the variance that is returned. It may
    be made of y_new and of FREE_DIRECTION, the part of X0 = E[y Xtil_t] outside Z.
    """
    for i in range(rank):
        vecs[Vector.X, i] = 0.0
        vecs[Vector.FREE_DIRECTION, i] = vecs[Vector.X0, i]
    if t == 0:
        return source.variance[t]
    for i in range(t):
        for j in range(rank):
            value = 0.0
            for k in range(max(i, j), t):
                value += source.root[k, i] * mats[Matrix.FULL_FACTOR, k, j]
            mats[Matrix.PRODUCT, i, j] = value
    orthogonalise_rows(
        mats, Matrix.PRODUCT, Matrix.ROTATION, vecs, Vector.SCRATCH, t, rank, Number.ZERO
    )
    top, used, wanted = 0.0, 0, 0
    for i in range(t):
        top = max(top, vecs[Vector.SCRATCH, i])
        wanted += 1 if source.root[i, i] > 0.0 else 0
    for i in range(t):
        if vecs[Vector.SCRATCH, i] <= 1e-14 * top:
            continue
        used += 1
        along, inside = 0.0, 0.0
        for k in range(t):
            along += source.root[t - 1, k] * mats[Matrix.ROTATION, k, i]
        for j in range(rank):
            mats[Matrix.PRODUCT, i, j] /= vecs[Vector.SCRATCH, i]
            vecs[Vector.X, j] += source.gain[t] * along * mats[Matrix.PRODUCT, i, j]
            inside += mats[Matrix.PRODUCT, i, j] * vecs[Vector.FREE_DIRECTION, j]
        for j in range(rank):
            vecs[Vector.FREE_DIRECTION, j] -= inside * mats[Matrix.PRODUCT, i, j]
    square = 0.0
    for j in range(rank):
        square += vecs[Vector.X, j] ** 2
        if used == rank:
            vecs[Vector.FREE_DIRECTION, j] = 0.0
    hidden = source.gain[t] ** 2 * source.variance[t - 1] - square
    return source.innovation[t] + (0.0 if used == wanted else max(hidden, 0.0))


@part
def meet_threshold(
    variance: float, t: int, rank: int, b: float, r0: float, level: float, mats: Array, vecs: Array
) -> float:
    """Move (X, b) towards (X0, r0) until the threshold is met exactly; returns b.

    A slack d of this frame changes later frames by the order of sqrt(d), so an interior point is
    not enough. D_t falls on the way. Regula falsi (Illinois) finds the share of the way.
    """
    low, high, side = 0.0, 1.0, 0
    below = frame_loss(t, rank, b, mats, vecs) - level
    if below >= 0.0:
        return b
    for i in range(rank):
        vecs[Vector.INTERIOR, i] = vecs[Vector.X, i]
        vecs[Vector.X, i] = vecs[Vector.X0, i]
    above = frame_loss(t, rank, r0, mats, vecs) - level
    for _ in range(60):
        share = (low * above - high * below) / (above - below)
        if not low < share < high:
            break
        for i in range(rank):
            start = vecs[Vector.INTERIOR, i]
            vecs[Vector.X, i] = start + share * (vecs[Vector.X0, i] - start)
        value = frame_loss(t, rank, b + share * (r0 - b), mats, vecs) - level
        if value > 0.0:
            high, above = share, value
            below *= 0.5 if side == 1 else 1.0
            side = 1
        else:
            low, below = share, value
            above *= 0.5 if side == -1 else 1.0
            side = -1
            if value > -4e-16 * math.sqrt(level * variance):
                break
    for i in range(rank):
        start = vecs[Vector.INTERIOR, i]
        vecs[Vector.X, i] = start + low * (vecs[Vector.X0, i] - start)
    return b + low * (r0 - b)


@part
def frame_loss(t: int, rank: int, b: float, mats: Array, vecs: Array) -> float:
    """Loss of frame t for Xhat_t = x . y + b y_new; writes the frame to row t of FULL_FACTOR."""
    for i in range(rank):
        mats[Matrix.FULL_FACTOR, t, i] = vecs[Vector.X, i]
    mats[Matrix.FULL_FACTOR, t, rank] = b
    return squared_w2(mats, Matrix.FULL_TARGET_FACTOR, Matrix.FULL_FACTOR, t + 1, vecs)


@part
def set_target(source: Source, t: int, rank: int, r0: float, mats: Array, vecs: Array) -> None:
    """X = X0 = E[y Xtil_t], and FULL_TARGET_FACTOR = factor of the target of frame t."""
    for i in range(rank):
        value = 0.0
        for j in range(t + 1):
            value += mats[Matrix.PAST_BASIS, i, j] * mats[Matrix.FULL_ESTIMATE, t, j]
        vecs[Vector.X0, i] = value
        vecs[Vector.X, i] = value
        vecs[Vector.FREE_DIRECTION, i] = 0.0
    for s in range(t + 1):
        for j in range(len(source.gain)):
            value = source.root[s, j] if source.plf == JD else mats[Matrix.FULL_FACTOR, s, j]
            mats[Matrix.FULL_TARGET_FACTOR, s, j] = value
    if source.plf != JD:
        for i in range(rank):
            mats[Matrix.FULL_TARGET_FACTOR, t, i] = vecs[Vector.X0, i]
        mats[Matrix.FULL_TARGET_FACTOR, t, rank] = math.sqrt(vecs[Vector.MMSE, t] + r0 * r0)
