r"""Newton direction of the barrier method of :mod:`solvers._barrier.central_path`.

The equations are set up in all coordinates (:mod:`solvers._barrier.newton_matrix`). Entries of H
that are fixed or linear in a row of K are eliminated. The rest is scaled to a unit diagonal and
factored. The step of the dual variables follows from the step of the primal ones:
dQ = tau S^-1 - Q - V dS V, and dmu from the change of the losses.
"""

from __future__ import annotations

import math

import numpy as np

from solvers._barrier.coordinates import eliminate, unpack_step
from solvers._barrier.linear_algebra import cholesky, multiply, solve_lower_transposed
from solvers._barrier.newton_matrix import assemble
from solvers._barrier.slots import threshold_slot
from solvers._barrier.workspace import Big, Dim, Index, Matrix, Number, PerThreshold, Vector
from solvers._parts import part

Array = np.ndarray


@part
def newton_direction(ints: Array, mats: Array, vecs: Array, big: Array, tau: float) -> float:
    """Steps of K, S, Q and mu; returns the slope of the barrier function, nan on failure."""
    # 1. Newton matrix and gradient, without the coordinates that depend on others
    total = assemble(ints, mats, vecs, big, tau)
    count = eliminate(ints, mats, vecs, big, total)
    # 2. scale to a unit diagonal and factor; add to the diagonal where rounding prevents it
    for i in range(count):
        at = ints[Index.KEPT, i]
        vecs[Vector.DIAGONAL, i] = 1.0 / math.sqrt(big[Big.MATRIX, at, at])
    lift = 0.0
    while True:
        for i in range(count):
            at = ints[Index.KEPT, i]
            for j in range(i):
                value = big[Big.MATRIX, at, ints[Index.KEPT, j]]
                big[Big.SYSTEM, i, j] = value * vecs[Vector.DIAGONAL, i] * vecs[Vector.DIAGONAL, j]
            big[Big.SYSTEM, i, i] = 1.0 + lift
            big[Big.SYSTEM, count, i] = -vecs[Vector.GRADIENT, at] * vecs[Vector.DIAGONAL, i]
        if cholesky(big, Big.SYSTEM, count, Number.ONE):
            break
        lift = 1e-15 if lift == 0.0 else 100.0 * lift
        if not lift < 1e-6:
            return np.nan
    # 3. solve: slope of the barrier function along the direction, and the direction
    slope = 0.0
    for i in range(count):
        slope -= big[Big.SYSTEM, count, i] ** 2
    solve_lower_transposed(big, Big.SYSTEM, Big.SYSTEM, count, count)
    for i in range(count):
        big[Big.SYSTEM, count, i] *= vecs[Vector.DIAGONAL, i]
    # 4. steps of the primal variables, then of the dual ones
    unpack_step(ints, mats, vecs, big, count)
    fill_dual_step(ints, mats, vecs, tau)
    return slope


@part
def fill_dual_step(ints: Array, mats: Array, vecs: Array, tau: float) -> None:
    """DQ = tau S^-1 - Q - V dS V and dmu = (tau + mu df) / slack - mu."""
    n, m = ints[Index.DIMS, Dim.ROWS], ints[Index.DIMS, Dim.FRAMES]
    moving = ints[Index.DIMS, Dim.MOVING]
    multiply(mats, Matrix.STEP_NOISE, Matrix.SCALING, Matrix.PRODUCT, n, n)
    for i in range(n):
        for j in range(i + 1):
            value = tau * mats[Matrix.NOISE_INVERSE, i, j] - mats[Matrix.DUAL, i, j]
            for k in range(n):
                value -= mats[Matrix.SCALING, i, k] * mats[Matrix.PRODUCT, k, j]
            mats[Matrix.STEP_DUAL, i, j] = value
            mats[Matrix.STEP_DUAL, j, i] = value
    for k in range(ints[Index.DIMS, Dim.THRESHOLDS]):
        last = ints[Index.SIZE, k] - 1
        slope = threshold_slot(k) + PerThreshold.SLOPE
        target_slope = threshold_slot(k) + PerThreshold.TARGET_SLOPE
        owned = last if moving else 0
        change = 0.0  # of the loss
        for i in range(m - n, last + 1):
            for j in range(i + 1):
                value = mats[slope, i, j]
                if i < owned:
                    value += mats[target_slope, i, j]
                change += (1.0 if i == j else 2.0) * value * mats[Matrix.STEP_RECONSTRUCTION, i, j]
        for i in range(owned):
            value = 2.0 * mats[target_slope, i, last] * mats[Matrix.TRANSITION, last, i]
            change += value * vecs[Vector.STEP_CROSS, i]
        mu = vecs[Vector.MU, k]
        vecs[Vector.STEP_MU, k] = (tau + mu * change) / vecs[Vector.SLACK, k] - mu
