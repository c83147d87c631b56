"""Many points, one after the other, in one workspace; a function for each kind of problem.

The functions are separate so that a user waits only for the compilation of the kind in use. They
release the interpreter's lock, so chunks of points can run in threads.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvers._barrier.losses import measure_losses
from solvers._barrier.sequential import solve_sequential
from solvers._barrier.source import Source, set_backbone
from solvers._barrier.two_frames import solve_two
from solvers._barrier.weighted import solve_weighted
from solvers._barrier.workspace import Matrix, Number, new_work
from solvers._compiled import njit
from solvers._parts import part

Array = np.ndarray


class Points(NamedTuple):
    """Answers of N points, and the scheme of the last one: gains K, and G with H = G G^T."""

    distortion: Array  # (N, T)
    perception: Array  # (N, T)
    bound: Array  # (N,)
    frame_bounds: Array  # (N, T), of the sequential objective
    status: Array  # (N,)
    scheme: Array  # (2, T, T)


@njit(cache=True, error_model="numpy", nogil=True)
def sequential_points(
    source: Source, weights: Array, rates: Array, levels: Array, points: Points
) -> None:
    """Fill `points` for the sequential objective; `weights` is not used."""
    ints, mats, vecs, big = new_work(rates.shape[1])
    for i in range(len(rates)):
        set_backbone(source, rates[i], mats, vecs)
        distortion, perception = points.distortion[i], points.perception[i]
        bounds = points.frame_bounds[i]
        points.bound[i], points.status[i] = solve_sequential(
            source, levels[i], distortion, perception, bounds, ints, mats, vecs, big
        )
    store_scheme(mats, points)


@njit(cache=True, error_model="numpy", nogil=True)
def weighted_points(
    source: Source, weights: Array, rates: Array, levels: Array, points: Points
) -> None:
    """Fill `points` for the weighted sum of distortions."""
    ints, mats, vecs, big = new_work(rates.shape[1])
    for i in range(len(rates)):
        set_backbone(source, rates[i], mats, vecs)
        points.bound[i], points.status[i] = solve_weighted(
            source, levels[i], weights, ints, mats, vecs, big
        )
        measure_losses(source, mats, vecs, big, points.distortion[i], points.perception[i])
    store_scheme(mats, points)


@njit(cache=True, error_model="numpy", nogil=True)
def two_frame_points(
    source: Source, weights: Array, rates: Array, levels: Array, points: Points
) -> None:
    """Fill `points` for the weighted sum of two distortions, JD, 0 < P_1, 0 < P_2 < inf."""
    ints, mats, vecs, big = new_work(Number.TWO)
    for i in range(len(rates)):
        set_backbone(source, rates[i], mats, vecs)
        distortion, perception = points.distortion[i], points.perception[i]
        points.bound[i], points.status[i] = solve_two(
            source, levels[i], weights, ints, mats, vecs, big, distortion, perception
        )
    store_scheme(mats, points)


@part
def store_scheme(mats: Array, points: Points) -> None:
    """Scheme of the point in the workspace."""
    frames = mats.shape[1]
    for t in range(frames):  # an assignment of arrays takes two seconds to compile
        for i in range(frames):
            points.scheme[0, t, i] = mats[Matrix.FULL_GAINS, t, i]
            points.scheme[1, t, i] = mats[Matrix.FULL_FACTOR, t, i]
