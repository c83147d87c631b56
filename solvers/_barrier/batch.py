"""Many points, one after the other, in one workspace; a function for each kind of problem.

They are apart so that a user waits only for the compilation of what is asked, and release the
interpreter's lock so that chunks of points can run in threads.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from solvers._barrier.sequential import solve_frames
from solvers._barrier.two_frames import solve_two
from solvers._barrier.weighted import Source, measure, set_backbone, solve_joint
from solvers._barrier.workspace import FULL_GAINS, FULL_ROOT, new_work

Array = np.ndarray


@njit(cache=True, error_model="numpy", nogil=True)
def sequential_points(
    source: Source,
    weights: Array,
    rates: Array,
    levels: Array,
    distortion: Array,
    perception: Array,
    bound: Array,
    status: Array,
    scheme: Array,
) -> None:
    """Frame after frame; scheme (2, T, T) is K and G, H = G G^T, of the last point."""
    ints, mats, vecs, big = new_work(rates.shape[1])
    for i in range(len(rates)):
        set_backbone(source, rates[i], mats, vecs)
        bound[i], status[i] = solve_frames(
            source, levels[i], ints, mats, vecs, big, distortion[i], perception[i]
        )
    scheme[0] = mats[FULL_GAINS]
    scheme[1] = mats[FULL_ROOT]


@njit(cache=True, error_model="numpy", nogil=True)
def weighted_points(
    source: Source,
    weights: Array,
    rates: Array,
    levels: Array,
    distortion: Array,
    perception: Array,
    bound: Array,
    status: Array,
    scheme: Array,
) -> None:
    """Weighted sum of distortions; scheme as in `sequential_points`."""
    ints, mats, vecs, big = new_work(rates.shape[1])
    for i in range(len(rates)):
        set_backbone(source, rates[i], mats, vecs)
        bound[i], status[i] = solve_joint(source, levels[i], weights, ints, mats, vecs, big)
        measure(source, mats, vecs, big, distortion[i], perception[i])
    scheme[0] = mats[FULL_GAINS]
    scheme[1] = mats[FULL_ROOT]


@njit(cache=True, error_model="numpy", nogil=True)
def two_frame_points(
    source: Source,
    weights: Array,
    rates: Array,
    levels: Array,
    distortion: Array,
    perception: Array,
    bound: Array,
    status: Array,
    scheme: Array,
) -> None:
    """Weighted sum of two distortions under JD, 0 < P_1, 0 < P_2 < inf; scheme as above."""
    ints, mats, vecs, big = new_work(2)
    for i in range(len(rates)):
        set_backbone(source, rates[i], mats, vecs)
        bound[i], status[i] = solve_two(
            source, levels[i], weights, ints, mats, vecs, big, distortion[i], perception[i]
        )
    scheme[0] = mats[FULL_GAINS]
    scheme[1] = mats[FULL_ROOT]
