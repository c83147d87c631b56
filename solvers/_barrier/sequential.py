r"""Sequential objective, one point: frame after frame, each given the ones before.

The past is Xhat_s = sum_i G_si y_i with orthonormal y: innovations of the estimate where there are
any, else decoder noise. Frame t is Xhat_t = sum_i x_i y_i + b y_new. The best y_new is the
innovation of Xtil_t given y, scaled to variance one. Then D_t = m_t + |x - x0|^2 + (b - r0)^2 with
x0 = E[y Xtil_t] and r0^2 the variance of that innovation. A threshold compares the covariance of
Xhat^t with a fixed target A (JD: of X^t; SA: of Xhat^(t-1), X_t). In the variables (y, Xhat_t) this
is a program with one row of gains (:mod:`solvers._barrier.one_frame`).
"""

from __future__ import annotations

import math

import numpy as np

from solvers._barrier.constants import (
    ACCEPTED_SEQUENTIAL,
    FLOOR_SEQUENTIAL,
    JD,
    ROUNDING,
    SOLVED,
    UNCERTIFIED,
)
from solvers._barrier.continuation import continuation, frame_loss, meet_threshold, set_target
from solvers._barrier.one_frame import solve_frame
from solvers._barrier.source import Source
from solvers._barrier.workspace import Matrix, Vector
from solvers._parts import part

Array = np.ndarray


@part
def solve_sequential(
    source: Source,
    levels: Array,
    distortion: Array,
    perception: Array,
    bounds: Array,
    ints: Array,
    mats: Array,
    vecs: Array,
    big: Array,
) -> tuple[float, int]:
    """Least D_1, then least D_2 given frame 1, ...; the sum of the bounds and a status.

    Fills FULL_GAINS K, FULL_FACTOR G, the losses and the bound of each frame.
    """
    frames, is_jd = len(levels), source.plf == JD
    unspanned, bound, compared = 0.0, 0.0, 0.0
    status = int(np.int64(SOLVED))
    rank = int(np.int64(0))  # not a literal, for which all kernels would be compiled once more
    for t in range(frames):
        vecs[Vector.INNOVATION, t] = 0.0
        for j in range(frames):
            mats[Matrix.FULL_FACTOR, t, j] = 0.0
    for t in range(frames):
        # 1. threshold: under JD a past beyond a later threshold could not be continued
        level = levels[t]
        if is_jd:
            for later in range(t + 1, frames):
                level = min(level, levels[later])
        # 2. innovation of Xtil_t given the past, of variance r0^2
        fresh = mats[Matrix.FULL_ESTIMATE, t, t]
        for j in range(frames):
            vecs[Vector.INNOVATION, j] *= source.gain[t]
        vecs[Vector.INNOVATION, t] += fresh
        r0 = math.sqrt(source.gain[t] ** 2 * unspanned + fresh * fresh)
        # 3. the estimate, where it meets the threshold
        set_target(source, t, rank, r0, mats, vecs)
        b, least = r0, vecs[Vector.MMSE, t]
        loss = frame_loss(t, rank, b, mats, vecs)
        if math.sqrt(loss) > math.sqrt(level) + ROUNDING * math.sqrt(source.variance[t]):
            # 4. else a continuation that adds nothing to the loss, and from it the best one
            spare = vecs[Vector.MMSE, t] + r0 * r0
            if is_jd:
                spare = continuation(source, t, rank, mats, vecs)
            before = perception[t - 1] if is_jd and t > 0 else 0.0
            b, least = solve_frame(
                t, rank, r0, spare, source.variance[t], level, before, ints, mats, vecs, big
            )
            b = meet_threshold(source.variance[t], t, rank, b, r0, level, mats, vecs)
            loss = frame_loss(t, rank, b, mats, vecs)
        # 5. losses and bounds
        distortion[t] = vecs[Vector.MMSE, t] + (b - r0) ** 2
        for i in range(rank):
            distortion[t] += (vecs[Vector.X, i] - vecs[Vector.X0, i]) ** 2
        perception[t] = loss
        bounds[t] = min(least, distortion[t])
        bound += bounds[t]
        # each frame by itself: a small one is not lost among large ones
        compared += source.variance[t]
        gap = distortion[t] - bounds[t]
        known = gap <= ACCEPTED_SEQUENTIAL * distortion[t] + FLOOR_SEQUENTIAL * source.variance[t]
        if not known or math.sqrt(loss) > math.sqrt(level) + ROUNDING * math.sqrt(compared):
            status = UNCERTIFIED
        # 6. gains in u; y_new joins the past
        for j in range(frames):
            new = vecs[Vector.INNOVATION, j] / r0 if r0 > 0.0 else 0.0
            value = b * new
            for i in range(rank):
                value += vecs[Vector.X, i] * mats[Matrix.PAST_BASIS, i, j]
            mats[Matrix.FULL_GAINS, t, j] = value
            if b > 0.0:
                mats[Matrix.PAST_BASIS, rank, j] = new
                vecs[Vector.INNOVATION, j] = 0.0
        unspanned = r0 * r0
        if b > 0.0:
            unspanned = 0.0
            rank += 1
    return bound, status
