r"""Line search of the barrier method: step lengths, trial points, backtracking.

The merit function is sum_i w_i (|K_i - E_i|^2 + S_ii) - tau (log det S + sum_k log slack_k). H and
K move on straight lines. S is quadratic in the step: S + step dS - step^2 dK dK^T.
"""

from __future__ import annotations

import math

import numpy as np

from solvers._barrier.linear_algebra import cholesky
from solvers._barrier.thresholds import evaluate_thresholds, fill_reconstruction
from solvers._barrier.workspace import Dim, Index, Matrix, Number, Vector
from solvers._parts import part

Array = np.ndarray

ROOM = 0.98  # share of the way to the boundary that a step may take


@part
def objective_of(ints: Array, mats: Array, vecs: Array, gains: int, noise: int) -> float:
    """sum_i w_i (|K_i - E_i|^2 + S_ii)."""
    total = 0.0
    for i in range(ints[Index.DIMS, Dim.ROWS]):
        value = mats[noise, i, i]
        for a in range(ints[Index.DIMS, Dim.COLUMNS]):
            value += (mats[gains, i, a] - mats[Matrix.ESTIMATE, i, a]) ** 2
        total += vecs[Vector.WEIGHTS, i] * value
    return total


@part
def log_barrier(ints: Array, mats: Array, vecs: Array, noise: int) -> float:
    """-log det S - sum_k log(slack_k) at the evaluated point; nan outside the domain."""
    n = ints[Index.DIMS, Dim.ROWS]
    for i in range(n):
        for j in range(i + 1):
            mats[Matrix.SECOND_ROOT, i, j] = mats[noise, i, j]
    if not cholesky(mats, Matrix.SECOND_ROOT, n, Number.ZERO):
        return np.nan
    total = 0.0
    for i in range(n):
        total -= 2.0 * math.log(mats[Matrix.SECOND_ROOT, i, i])
    for k in range(ints[Index.DIMS, Dim.THRESHOLDS]):
        total -= math.log(vecs[Vector.SLACK, k])
    return total


@part
def line_search(
    ints: Array, mats: Array, vecs: Array, tau: float, merit: float, slope: float, error: float
) -> tuple[float, float]:
    """Backtrack to a point of sufficient descent; its step, 0 where there is none, and objective.

    The trial point is in TRIAL_GAINS and TRIAL_NOISE. Where there is none, the thresholds are
    evaluated at the iterate again.
    """
    step = primal_length(ints, mats)
    while True:
        if try_step(ints, mats, vecs, step):
            objective = objective_of(ints, mats, vecs, Matrix.TRIAL_GAINS, Matrix.TRIAL_NOISE)
            value = objective + tau * log_barrier(ints, mats, vecs, Matrix.TRIAL_NOISE)
            if value <= merit + 1e-4 * step * slope + error:
                return step, objective
        step *= 0.7
        if step < 1e-8:
            break
    fill_reconstruction(ints, mats, vecs, Matrix.GAINS, Matrix.NOISE)
    evaluate_thresholds(ints, mats, vecs)
    return 0.0, np.inf


@part
def primal_length(ints: Array, mats: Array) -> float:
    """Longest step, up to one, that keeps S > 0 with some room; S nearly always limits the step."""
    n = ints[Index.DIMS, Dim.ROWS]
    step = 1.0
    while step > 1e-8:
        fill_trial_noise(ints, mats, step / ROOM)
        for i in range(n):
            for j in range(i + 1):
                mats[Matrix.SECOND_ROOT, i, j] = mats[Matrix.TRIAL_NOISE, i, j]
        if cholesky(mats, Matrix.SECOND_ROOT, n, Number.ZERO):
            break
        step *= 0.9
    return step


@part
def dual_length(ints: Array, mats: Array, vecs: Array) -> float:
    """Longest step, up to one, that keeps Q > 0 and mu > 0 with some room."""
    n = ints[Index.DIMS, Dim.ROWS]
    step = 1.0
    for k in range(ints[Index.DIMS, Dim.THRESHOLDS]):
        if vecs[Vector.STEP_MU, k] < 0.0:
            step = min(step, -0.995 * vecs[Vector.MU, k] / vecs[Vector.STEP_MU, k])
    while step > 1e-10:
        for i in range(n):
            for j in range(i + 1):
                move = (step / 0.995) * mats[Matrix.STEP_DUAL, i, j]
                mats[Matrix.SECOND_ROOT, i, j] = mats[Matrix.DUAL, i, j] + move
        if cholesky(mats, Matrix.SECOND_ROOT, n, Number.ZERO):
            break
        step *= 0.7
    return step


@part
def fill_trial_noise(ints: Array, mats: Array, step: float) -> None:
    """TRIAL_NOISE = S + step dS - step^2 dK dK^T."""
    n, columns = ints[Index.DIMS, Dim.ROWS], ints[Index.DIMS, Dim.COLUMNS]
    for i in range(n):
        for j in range(i + 1):
            value = mats[Matrix.NOISE, i, j] + step * mats[Matrix.STEP_NOISE, i, j]
            for a in range(columns):
                value -= step * step * mats[Matrix.STEP_GAINS, i, a] * mats[Matrix.STEP_GAINS, j, a]
            mats[Matrix.TRIAL_NOISE, i, j] = value
            mats[Matrix.TRIAL_NOISE, j, i] = value


@part
def try_step(ints: Array, mats: Array, vecs: Array, step: float) -> bool:
    """Write and evaluate the trial point at `step`; False outside the domain."""
    for i in range(ints[Index.DIMS, Dim.ROWS]):
        for a in range(ints[Index.DIMS, Dim.COLUMNS]):
            move = step * mats[Matrix.STEP_GAINS, i, a]
            mats[Matrix.TRIAL_GAINS, i, a] = mats[Matrix.GAINS, i, a] + move
    fill_trial_noise(ints, mats, step)
    fill_reconstruction(ints, mats, vecs, Matrix.TRIAL_GAINS, Matrix.TRIAL_NOISE)
    return evaluate_thresholds(ints, mats, vecs)


@part
def rounding_error(ints: Array, vecs: Array, objective: float, tau: float) -> float:
    """Rounding error of the merit function: a slack is a difference of traces."""
    error = 1e-15 * objective
    for k in range(ints[Index.DIMS, Dim.THRESHOLDS]):
        total = 0.0
        rank = ints[Index.SIZE, k] if ints[Index.DIMS, Dim.MOVING] else ints[Index.RANK, k]
        for a in range(rank):
            total += vecs[Vector.SINGULAR_VALUES + k, a]
        error += 1e-15 * tau * total / vecs[Vector.SLACK, k]
    return error


@part
def accept_step(ints: Array, mats: Array, vecs: Array, dual: float) -> None:
    """Move K and S to the trial point, and Q and mu by the step length `dual`."""
    n, columns = ints[Index.DIMS, Dim.ROWS], ints[Index.DIMS, Dim.COLUMNS]
    for i in range(n):
        for a in range(columns):
            mats[Matrix.GAINS, i, a] = mats[Matrix.TRIAL_GAINS, i, a]
        for j in range(n):
            mats[Matrix.NOISE, i, j] = mats[Matrix.TRIAL_NOISE, i, j]
            mats[Matrix.DUAL, i, j] += dual * mats[Matrix.STEP_DUAL, i, j]
    for k in range(ints[Index.DIMS, Dim.THRESHOLDS]):
        vecs[Vector.MU, k] += dual * vecs[Vector.STEP_MU, k]
