r"""Weighted objective: take out the frames that leave the program without interior.

- After the last threshold the MMSE estimate is best, whatever the weights.
- JD, P_t0 = 0: the distribution up to t0 is given. A frame with q_t = 0 repeats the frame before
  it, Xhat_t = a_t Xhat_(t-1) and D_t = a_t^2 D_(t-1). Frames that repeat one another become one
  frame sqrt(gamma) Xhat_b, gamma = 1 + sum of squared gains, which keeps W2. The rate of the
  repeats counts for the next frame.
- SA: a frame with neither weight nor threshold is reconstructed by zero.

The rest is a Gauss-Markov program with fewer frames. JD thresholds that a later, smaller one
implies are dropped: W2 grows with the number of frames compared.
"""

from __future__ import annotations

import math

import numpy as np

from solvers._barrier.constants import JD
from solvers._barrier.linear_algebra import cholesky
from solvers._barrier.source import Source
from solvers._barrier.workspace import Index, Matrix, Number, Vector
from solvers._parts import part

Array = np.ndarray

# OWNER of a frame that is not in the program
RECONSTRUCTS_ESTIMATE, RECONSTRUCTS_ZERO = -2, -1


@part
def reduce_frames(
    source: Source, levels: Array, weights: Array, ints: Array, mats: Array, vecs: Array
) -> tuple[int, int]:
    """Number of frames that are left, and of those among them whose distribution is given.

    Fills OWNER, FRAME, SCALE, STRETCH, and the weights, thresholds and matrices of the frames left.
    """
    # 1. last threshold, and the frames before a JD threshold of zero
    frames, is_jd = len(levels), source.plf == JD
    last, given = -1, 0
    for t in range(frames):
        ints[Index.OWNER, t] = RECONSTRUCTS_ESTIMATE
        if levels[t] < np.inf:
            last = t
            if levels[t] == 0.0 and is_jd:
                given = t + 1
    # 2. frames: repeat the frame before, stay, or be zero
    n, exact = int(np.int64(0)), 0  # no literal: see solve_sequential
    for t in range(last + 1):
        vecs[Vector.SCALE, t] = 1.0
        if 0 < t < given and source.innovation[t] <= 1e-14 * source.variance[t]:
            ints[Index.OWNER, t] = n - 1
            vecs[Vector.SCALE, t] = source.gain[t] * vecs[Vector.SCALE, t - 1]
            vecs[Vector.STRETCH, n - 1] += vecs[Vector.SCALE, t] ** 2
            vecs[Vector.WEIGHTS, n - 1] += weights[t] * vecs[Vector.SCALE, t] ** 2
        elif is_jd or weights[t] > 0.0 or levels[t] < np.inf:
            ints[Index.OWNER, t] = n
            ints[Index.FRAME, n] = t
            vecs[Vector.STRETCH, n] = 1.0
            vecs[Vector.WEIGHTS, n] = weights[t]
            vecs[Vector.FRAME_LEVEL, n] = levels[t]
            n += 1
        else:
            ints[Index.OWNER, t] = RECONSTRUCTS_ZERO
        if t < given:
            exact = n
    # 3. thresholds that matter
    least = np.inf
    for i in range(n - 1, -1, -1):
        if is_jd:
            if not vecs[Vector.FRAME_LEVEL, i] < least or i < exact:
                vecs[Vector.FRAME_LEVEL, i] = np.inf
            least = min(least, vecs[Vector.FRAME_LEVEL, i])
        vecs[Vector.WEIGHTS, i] /= vecs[Vector.STRETCH, i]
        vecs[Vector.STRETCH, i] = math.sqrt(vecs[Vector.STRETCH, i])
    if exact > 0:
        vecs[Vector.FRAME_LEVEL, exact - 1] = 0.0
    fill_reduced(source, n, ints, mats, vecs)
    return n, exact


@part
def fill_reduced(source: Source, n: int, ints: Array, mats: Array, vecs: Array) -> None:
    """TRANSITION, ESTIMATE, SOURCE_FACTOR and COVARIANCE of the frames that are left."""
    start = 0
    for j in range(n):
        at = ints[Index.FRAME, j]
        fresh = 0.0
        for c in range(start, at + 1):
            fresh += (source.transition[at, c] * mats[Matrix.FULL_ESTIMATE, c, c]) ** 2
        start = at + 1
        fresh = math.sqrt(fresh)
        for i in range(n):
            frame, stretch = ints[Index.FRAME, i], vecs[Vector.STRETCH, i]
            ratio = source.transition[frame, at] if i >= j else 0.0
            mats[Matrix.TRANSITION, i, j] = ratio * stretch / vecs[Vector.STRETCH, j]
            mats[Matrix.ESTIMATE, i, j] = stretch * ratio * fresh
            mats[Matrix.SOURCE_FACTOR, i, j] = stretch * source.root[frame, at] if i >= j else 0.0
            if i >= j:
                value = stretch * vecs[Vector.STRETCH, j] * ratio * source.variance[at]
                mats[Matrix.COVARIANCE, i, j] = value
                mats[Matrix.COVARIANCE, j, i] = value


@part
def restore_frames(source: Source, n: int, ints: Array, mats: Array, vecs: Array) -> None:
    """FULL_GAINS and FULL_NOISE_FACTOR of all frames from GAINS and NOISE of the frames left."""
    frames = len(source.gain)
    for i in range(n):
        for j in range(i + 1):
            mats[Matrix.ROOT, i, j] = mats[Matrix.NOISE, i, j]
    cholesky(mats, Matrix.ROOT, n, Number.ZERO)
    for t in range(frames):
        i = ints[Index.OWNER, t]
        if i == RECONSTRUCTS_ESTIMATE:
            continue
        for c in range(frames):
            mats[Matrix.FULL_GAINS, t, c] = 0.0
        if i == RECONSTRUCTS_ZERO:
            continue
        ratio = vecs[Vector.SCALE, t] / vecs[Vector.STRETCH, i]
        start = 0
        for j in range(i + 1):
            at = ints[Index.FRAME, j]
            fresh = mats[Matrix.ESTIMATE, j, j] / vecs[Vector.STRETCH, j]
            for c in range(start, at + 1):
                share = 1.0 if c == at else 0.0
                if fresh > 0.0:
                    share = source.transition[at, c] * mats[Matrix.FULL_ESTIMATE, c, c] / fresh
                mats[Matrix.FULL_GAINS, t, c] = ratio * mats[Matrix.GAINS, i, j] * share
            start = at + 1
            mats[Matrix.FULL_NOISE_FACTOR, t, j] = ratio * mats[Matrix.ROOT, i, j]
