"""Many points at once: one workspace for each chunk, chunks in parallel."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from solvers._dual import JD
from solvers._frames import solve_frames
from solvers._joint import Source, measure, set_backbone, solve_joint
from solvers._layout import FULL_GAINS, FULL_ROOT, new_work
from solvers._two_frames import solve_two

Array = np.ndarray


@njit(cache=True, error_model="numpy")
def solve_points(
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
    """Solve points one after the other; scheme (2, T, T) is K and G, H = G G^T, of the last.

    Empty weights ask for the sequential objective.
    """
    frames = rates.shape[1]
    ints, mats, vecs, big = new_work(frames)
    for i in range(len(rates)):
        set_backbone(source, rates[i], mats, vecs)
        if len(weights) == 0:
            bound[i], status[i] = solve_frames(
                source, levels[i], ints, mats, vecs, big, distortion[i], perception[i]
            )
        elif frames == 2 and source.plf == JD and 0.0 < min(levels[i]) and levels[i, 1] < np.inf:
            bound[i], status[i] = solve_two(
                source, levels[i], weights, ints, mats, vecs, big, distortion[i], perception[i]
            )
        else:
            bound[i], status[i] = solve_joint(source, levels[i], weights, ints, mats, vecs, big)
            measure(source, mats, vecs, big, distortion[i], perception[i])
    scheme[0] = mats[FULL_GAINS]
    scheme[1] = mats[FULL_ROOT]


@njit(cache=True, parallel=True)
def solve_chunks(
    source: Source,
    weights: Array,
    rates: Array,
    levels: Array,
    distortion: Array,
    perception: Array,
    bound: Array,
    status: Array,
    chunk: int,
) -> None:
    """Solve points in parallel, `chunk` at a time."""
    count, frames = rates.shape
    for c in prange((count + chunk - 1) // chunk):
        start = c * chunk
        stop = min(start + chunk, count)
        solve_points(
            source,
            weights,
            rates[start:stop],
            levels[start:stop],
            distortion[start:stop],
            perception[start:stop],
            bound[start:stop],
            status[start:stop],
            np.zeros((2, frames, frames)),
        )
