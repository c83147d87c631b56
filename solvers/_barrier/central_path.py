r"""Primal-dual barrier method for least distortion under Wasserstein thresholds.

minimise    sum_i w_i (|K_i - E_i|^2 + S_ii),   S = H - K K^T > 0   (active block of H)
subject to  f_k = W2^2(A_k, H[:t_k, :t_k]) <= P_k

over the decoder gains K (row i uses its first width[i] columns) and the covariance H = Cov Xhat.
E is the factor of the MMSE estimate. The target A_k is fixed (JD; one frame given its past) or
shares the past of H (SA). An entry of H is free, fixed, or linear in one row of K.

A step solves the Newton equations of sum_i w_i(...) - tau (log det S + sum_k log(P_k - f_k)). In
them, tau S^-1 (.) S^-1 is replaced by the Nesterov-Todd scaling V (.) V, V S V = Q, and tau / slack
by the multiplier mu. Q and mu are the dual variables. The direction descends on the barrier
function, so with a backtracking line search the method converges from any interior point.
"""

from __future__ import annotations

import numpy as np

from solvers._barrier.constants import LIMIT, SOLVED, STALLED
from solvers._barrier.line_search import (
    accept_step,
    dual_length,
    line_search,
    log_barrier,
    objective_of,
    rounding_error,
)
from solvers._barrier.linear_algebra import (
    cholesky,
    multiply_factors,
    orthogonalise_rows,
    solve_lower,
    solve_lower_transposed,
)
from solvers._barrier.newton_step import newton_direction
from solvers._barrier.thresholds import (
    evaluate_thresholds,
    fill_reconstruction,
    reset_singular_vectors,
)
from solvers._barrier.workspace import Dim, Index, Matrix, Number, Vector
from solvers._parts import part

Array = np.ndarray


@part
def minimise(
    ints: Array,
    mats: Array,
    vecs: Array,
    big: Array,
    tau: float,
    constant: float,
    tolerance: float,
    floor: float,
    limit: int,
) -> int:
    """Follow the path until nu * complementarity <= tolerance * objective + floor; a status.

    `constant` is the part of the objective that the program does not contain.
    """
    nu = ints[Index.DIMS, Dim.ROWS] + ints[Index.DIMS, Dim.THRESHOLDS]
    objective = objective_of(ints, mats, vecs, Matrix.GAINS, Matrix.NOISE)
    step, mean = 1.0, complementarity(ints, mats, vecs)
    for iteration in range(limit):
        # 1. stop at the wanted gap, after a long step
        wanted = tolerance * (constant + objective) + floor
        if nu * mean <= wanted and step >= 0.5:
            return SOLVED
        # 2. barrier parameter of the step; the first step has the given one
        if iteration > 0:
            tau = max(next_tau(mean, step), 0.2 * wanted / nu)
        # 3. scaling V with V S V = Q
        if not nesterov_todd(mats, vecs, ints[Index.DIMS, Dim.ROWS]):
            return STALLED
        # 4. merit at the iterate and Newton direction
        merit = objective + tau * log_barrier(ints, mats, vecs, Matrix.NOISE)
        slope = newton_direction(ints, mats, vecs, big, tau)
        if not slope <= 0.0:
            return STALLED
        # 5. step lengths
        dual = dual_length(ints, mats, vecs)
        error = rounding_error(ints, vecs, constant + objective, tau)
        step, found = line_search(ints, mats, vecs, tau, merit, slope, error)
        if step == 0.0:
            return STALLED
        # 6. the next iterate
        accept_step(ints, mats, vecs, dual)
        objective, mean = found, complementarity(ints, mats, vecs)
        step = min(step, dual)
    return LIMIT


@part
def start_dual(ints: Array, mats: Array, vecs: Array, tau: float) -> bool:
    """Evaluate the point (GAINS, NOISE) and set Q = tau S^-1, mu = tau / slack."""
    n = ints[Index.DIMS, Dim.ROWS]
    fill_reconstruction(ints, mats, vecs, Matrix.GAINS, Matrix.NOISE)
    reset_singular_vectors(ints, mats)
    if not evaluate_thresholds(ints, mats, vecs):
        return False
    for i in range(n):
        for j in range(i + 1):
            mats[Matrix.SECOND_ROOT, i, j] = mats[Matrix.NOISE, i, j]
    if not cholesky(mats, Matrix.SECOND_ROOT, n, Number.ZERO):
        return False
    for i in range(n):
        for j in range(n):
            mats[Matrix.PRODUCT, i, j] = tau if i == j else 0.0
        solve_lower(mats, Matrix.SECOND_ROOT, Matrix.PRODUCT, i, n)
        solve_lower_transposed(mats, Matrix.SECOND_ROOT, Matrix.PRODUCT, i, n)
        for j in range(i + 1):
            mats[Matrix.DUAL, i, j] = mats[Matrix.PRODUCT, i, j]
            mats[Matrix.DUAL, j, i] = mats[Matrix.PRODUCT, i, j]
    for k in range(ints[Index.DIMS, Dim.THRESHOLDS]):
        vecs[Vector.MU, k] = tau / vecs[Vector.SLACK, k]
    return True


@part
def nesterov_todd(mats: Array, vecs: Array, n: int) -> bool:
    """SCALING V with V S V = Q, and NOISE_INVERSE S^-1; False unless S > 0 and Q > 0.

    With S = R R^T, Q = C C^T and R^T C = U D Z^T: V = X D X^T, S^-1 = X X^T, X = R^-T U.
    """
    for i in range(n):
        for j in range(i + 1):
            mats[Matrix.ROOT, i, j] = mats[Matrix.NOISE, i, j]
            mats[Matrix.SECOND_ROOT, i, j] = mats[Matrix.DUAL, i, j]
    if not (
        cholesky(mats, Matrix.ROOT, n, Number.ZERO)
        and cholesky(mats, Matrix.SECOND_ROOT, n, Number.ZERO)
    ):
        return False
    multiply_factors(mats, Matrix.ROOT, Matrix.SECOND_ROOT, Matrix.PRODUCT, n)
    orthogonalise_rows(
        mats, Matrix.PRODUCT, Matrix.ROTATION, vecs, Vector.SCRATCH, n, n, Number.ZERO
    )
    for j in range(n):
        for i in range(n):
            mats[Matrix.PRODUCT, j, i] = mats[Matrix.ROTATION, i, j]
        solve_lower_transposed(mats, Matrix.ROOT, Matrix.PRODUCT, j, n)
    for i in range(n):
        for j in range(i + 1):
            total, plain = 0.0, 0.0
            for k in range(n):
                term = mats[Matrix.PRODUCT, k, i] * mats[Matrix.PRODUCT, k, j]
                plain += term
                total += term * vecs[Vector.SCRATCH, k]
            mats[Matrix.SCALING, i, j] = total
            mats[Matrix.SCALING, j, i] = total
            mats[Matrix.NOISE_INVERSE, i, j] = plain
            mats[Matrix.NOISE_INVERSE, j, i] = plain
    return True


@part
def complementarity(ints: Array, mats: Array, vecs: Array) -> float:
    """Mean of the products that vanish at the optimum: (tr S Q + sum_k mu_k slack_k) / nu."""
    n, thresholds = ints[Index.DIMS, Dim.ROWS], ints[Index.DIMS, Dim.THRESHOLDS]
    total = 0.0
    for i in range(n):
        for j in range(n):
            total += mats[Matrix.NOISE, i, j] * mats[Matrix.DUAL, i, j]
    for k in range(thresholds):
        total += vecs[Vector.MU, k] * vecs[Vector.SLACK, k]
    return total / (n + thresholds)


@part
def next_tau(mean: float, step: float) -> float:
    """Barrier parameter of the next step: small after a long step, large after a short one."""
    return max(0.03, 1.0 - step) * mean
