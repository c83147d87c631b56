r"""Primal-dual barrier method for least distortion under Wasserstein thresholds.

minimise    sum_i w_i (|K_i - E_i|^2 + S_ii),   S = H - K K^T > 0   (active block of H)
subject to  f_k = W2^2(A_k, H[:t_k, :t_k]) <= P_k

over the decoder gains K (row i uses its first width[i] columns) and the covariance H = Cov Xhat.
E is the factor of the MMSE estimate. A_k is fixed (JD; one frame given its past), or shares the
past of H (SA). Entries of H are free, fixed, or linear in one row of K.

A step solves the Newton equations of sum_i w_i(...) - tau (log det S + sum_k log(P_k - f_k)), in
which tau S^-1 (.) S^-1 is replaced by its Nesterov-Todd scaling V (.) V, V S V = Q, and tau / slack
by the multiplier mu: Q and mu are the dual variables. The direction descends on the barrier
function, so a backtracking search makes the method converge from any interior point.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from solvers._barrier.linear_algebra import (
    cholesky,
    orthogonalise_rows,
    solve_lower,
    solve_lower_transposed,
)
from solvers._barrier.newton_step import kind_of, newton_direction, tied_row
from solvers._barrier.workspace import (
    BACK,
    COVARIANCE,
    DIMS,
    DUAL,
    ESTIMATE,
    FACTOR,
    FIXED,
    FIXED_VECS,
    GAINS,
    INVERSE,
    LEVEL,
    MU,
    NOISE,
    OTHER,
    OWN,
    PHI,
    PRODUCT,
    RANK,
    ROOT,
    ROTATION,
    SCALED,
    SCALING,
    SCRATCH,
    SHOWN,
    SIZE,
    SLACK,
    SLOPE,
    STEP_DUAL,
    STEP_GAINS,
    STEP_MU,
    STEP_NOISE,
    TIED,
    TRIAL_GAINS,
    TRIAL_NOISE,
    TURN,
    VARIANCE,
    WEAVE,
    WEIGHTS,
    threshold_slot,
    tie_slot,
)

Array = np.ndarray

SOLVED, STALLED, LIMIT = 0, 1, 2
ROOM = 0.98  # share of the way to the boundary that a step may take


@njit(cache=True, error_model="numpy")
def fill_shown(ints: Array, mats: Array, vecs: Array, gains: int, noise: int) -> None:
    """H and C[s, s] of a point (K, S): S + K K^T where free, ties, what is fixed."""
    n, columns, m, moving = ints[DIMS, 0], ints[DIMS, 1], ints[DIMS, 2], ints[DIMS, 4]
    past = m - n
    for i in range(m):
        for j in range(i + 1):
            kind = FIXED if i < past else kind_of(ints, mats, i, j)
            if kind == FIXED:
                value = mats[COVARIANCE, i, j]
            elif kind == TIED:
                value = 0.0
                row = tied_row(ints, mats, i, j)
                for k in range(columns):
                    value += mats[tie_slot(mats, i), j, k] * mats[gains, row, k]
            else:
                value = mats[noise, i - past, j - past]
                for k in range(columns):
                    value += mats[gains, i - past, k] * mats[gains, j - past, k]
            mats[SHOWN, i, j] = value
            mats[SHOWN, j, i] = value
    if moving:
        for i in range(m):
            value = 0.0
            for k in range(columns):
                value += mats[ESTIMATE, i, k] * mats[gains, i, k]
            vecs[OWN, i] = value


@njit(cache=True, error_model="numpy")
def forget_turns(ints: Array, mats: Array) -> None:
    """Let the next evaluation begin without singular vectors of one before."""
    m = ints[DIMS, 2]
    for k in range(ints[DIMS, 3]):
        for i in range(m):
            for j in range(m):
                mats[threshold_slot(k) + TURN, i, j] = 1.0 if i == j else 0.0


@njit(cache=True, error_model="numpy")
def evaluate(ints: Array, mats: Array, vecs: Array) -> bool:
    """Slacks, gradients and factors of all thresholds at SHOWN; False outside the domain.

    The singular vectors of the last evaluation are a first guess.
    """
    m = ints[DIMS, 2]
    for i in range(m):
        for j in range(i + 1):
            mats[ROOT, i, j] = mats[SHOWN, i, j]
    if not cholesky(mats, ROOT, m):
        return False
    for k in range(ints[DIMS, 3]):
        if not evaluate_one(ints, mats, vecs, k):
            return False
    return True


@njit(cache=True, error_model="numpy")
def evaluate_one(ints: Array, mats: Array, vecs: Array, k: int) -> bool:
    """Threshold k: f = tr A + tr H - 2 |B^T R|_*, A = B B^T, H = R R^T, with U = B V.

    V holds the left singular vectors of B^T R; Phi^-1 = U diag(1 / values) U^T.
    """
    moving = ints[DIMS, 4]
    size, row = ints[SIZE, k], FIXED_VECS + k
    rank = size if moving else ints[RANK, k]
    slot = threshold_slot(k)
    slope, scaled, weave, turn = slot + SLOPE, slot + SCALED, slot + WEAVE, slot + TURN
    total = 0.0
    for i in range(size):
        total += mats[SHOWN, i, i]
    if moving:
        if not moving_factor(mats, vecs, size):
            return False
        for i in range(size - 1):
            total += mats[SHOWN, i, i]
        total += vecs[VARIANCE, size - 1]
    else:
        for i in range(size):
            for j in range(rank):
                value = mats[FACTOR, i, j]
                mats[BACK, i, j] = value
                total += value * value
    # (B V)^T R with the V of the last evaluation
    for i in range(size):
        for a in range(rank):
            value = 0.0
            for b in range(i + 1 if moving else rank):
                value += mats[BACK, i, b] * mats[turn, b, a]
            mats[weave, i, a] = value
    for a in range(rank):
        for j in range(size):
            value = 0.0
            for i in range(j, size):
                value += mats[weave, i, a] * mats[ROOT, i, j]
            mats[PRODUCT, a, j] = value
    orthogonalise_rows(mats, PRODUCT, turn, vecs, row, rank, size, True)
    for a in range(rank):
        total -= 2.0 * vecs[row, a]
        if not vecs[row, a] > 0.0:
            return False
    vecs[SLACK, k] = vecs[LEVEL, k] - total
    if not vecs[SLACK, k] > 0.0:
        return False
    for i in range(size):
        for a in range(rank):
            value = 0.0
            for b in range(i + 1 if moving else rank):
                value += mats[BACK, i, b] * mats[turn, b, a]
            mats[weave, i, a] = value  # U
            mats[scaled, i, a] = value / vecs[row, a]
    for i in range(size):
        for j in range(i + 1):
            value = 1.0 if i == j else 0.0
            for a in range(rank):
                value -= mats[weave, i, a] * mats[scaled, j, a]
            mats[slope, i, j] = value
            mats[slope, j, i] = value
    if moving:
        fill_other(mats, vecs, slot, row, size)
    return True


@njit(cache=True, error_model="numpy")
def moving_factor(mats: Array, vecs: Array, size: int) -> bool:
    """BACK = factor of [[H', c], [c^T, sigma^2]]: all but its last row is that of H, ROOT."""
    last = size - 1
    for i in range(last):
        for j in range(i + 1):
            mats[BACK, i, j] = mats[ROOT, i, j]
    for j in range(last):
        mats[BACK, last, j] = mats[PHI, last, j] * vecs[OWN, j]
    solve_lower(mats, ROOT, BACK, last, last)
    pivot = vecs[VARIANCE, last]
    for j in range(last):
        pivot -= mats[BACK, last, j] * mats[BACK, last, j]
    if not pivot > 0.0:
        return False
    mats[BACK, last, last] = math.sqrt(pivot)
    return True


@njit(cache=True, error_model="numpy")
def fill_other(mats: Array, vecs: Array, slot: int, row: int, size: int) -> None:
    """W = U^-T = B^-T V and the gradient I - W diag(values) W^T in a moving target."""
    weave, other, turn = slot + WEAVE, slot + OTHER, slot + TURN
    for a in range(size):
        for i in range(size):
            mats[PRODUCT, a, i] = mats[turn, i, a]
        solve_lower_transposed(mats, BACK, PRODUCT, a, size)
        for i in range(size):
            mats[weave, i, a] = mats[PRODUCT, a, i]
    for i in range(size):
        for j in range(i + 1):
            value = 1.0 if i == j else 0.0
            for a in range(size):
                value -= vecs[row, a] * mats[weave, i, a] * mats[weave, j, a]
            mats[other, i, j] = value
            mats[other, j, i] = value


@njit(cache=True, error_model="numpy")
def scaling(mats: Array, vecs: Array, n: int) -> bool:
    """SCALING V with V S V = Q, and INVERSE S^-1.

    With S = R R^T, Q = C C^T and R^T C = U D Z^T: V = X D X^T, S^-1 = X X^T, X = R^-T U.
    """
    for i in range(n):
        for j in range(i + 1):
            mats[ROOT, i, j] = mats[NOISE, i, j]
            mats[BACK, i, j] = mats[DUAL, i, j]
    if not (cholesky(mats, ROOT, n) and cholesky(mats, BACK, n)):
        return False
    for i in range(n):
        for j in range(n):
            value = 0.0
            for k in range(max(i, j), n):
                value += mats[ROOT, k, i] * mats[BACK, k, j]
            mats[PRODUCT, i, j] = value
    orthogonalise_rows(mats, PRODUCT, ROTATION, vecs, SCRATCH, n, n)
    for j in range(n):
        for i in range(n):
            mats[PRODUCT, j, i] = mats[ROTATION, i, j]
        solve_lower_transposed(mats, ROOT, PRODUCT, j, n)
    for i in range(n):
        for j in range(i + 1):
            total, plain = 0.0, 0.0
            for k in range(n):
                term = mats[PRODUCT, k, i] * mats[PRODUCT, k, j]
                plain += term
                total += term * vecs[SCRATCH, k]
            mats[SCALING, i, j] = total
            mats[SCALING, j, i] = total
            mats[INVERSE, i, j] = plain
            mats[INVERSE, j, i] = plain
    return True


@njit(cache=True, error_model="numpy")
def objective_of(ints: Array, mats: Array, vecs: Array, gains: int, noise: int) -> float:
    """sum_i w_i (|K_i - E_i|^2 + S_ii)."""
    total = 0.0
    for i in range(ints[DIMS, 0]):
        value = mats[noise, i, i]
        for a in range(ints[DIMS, 1]):
            value += (mats[gains, i, a] - mats[ESTIMATE, i, a]) ** 2
        total += vecs[WEIGHTS, i] * value
    return total


@njit(cache=True, error_model="numpy")
def log_barrier(ints: Array, mats: Array, vecs: Array, noise: int) -> float:
    """-log det S - sum_k log(slack_k) at the evaluated point; nan outside the domain."""
    n = ints[DIMS, 0]
    for i in range(n):
        for j in range(i + 1):
            mats[BACK, i, j] = mats[noise, i, j]
    if not cholesky(mats, BACK, n):
        return np.nan
    total = 0.0
    for i in range(n):
        total -= 2.0 * math.log(mats[BACK, i, i])
    for k in range(ints[DIMS, 3]):
        total -= math.log(vecs[SLACK, k])
    return total


@njit(cache=True, error_model="numpy")
def dual_length(ints: Array, mats: Array, vecs: Array) -> float:
    """Longest step, up to one, that keeps Q > 0 and mu > 0 with some room."""
    n = ints[DIMS, 0]
    step = 1.0
    for k in range(ints[DIMS, 3]):
        if vecs[STEP_MU, k] < 0.0:
            step = min(step, -0.995 * vecs[MU, k] / vecs[STEP_MU, k])
    while step > 1e-10:
        for i in range(n):
            for j in range(i + 1):
                move = (step / 0.995) * mats[STEP_DUAL, i, j]
                mats[BACK, i, j] = mats[DUAL, i, j] + move
        if cholesky(mats, BACK, n):
            break
        step *= 0.7
    return step


@njit(cache=True, error_model="numpy")
def complementarity(ints: Array, mats: Array, vecs: Array) -> float:
    """Mean of the products that vanish at the optimum: (tr S Q + sum_k mu_k slack_k) / nu."""
    n, thresholds = ints[DIMS, 0], ints[DIMS, 3]
    total = 0.0
    for i in range(n):
        for j in range(n):
            total += mats[NOISE, i, j] * mats[DUAL, i, j]
    for k in range(thresholds):
        total += vecs[MU, k] * vecs[SLACK, k]
    return total / (n + thresholds)


@njit(cache=True, error_model="numpy")
def start_dual(ints: Array, mats: Array, vecs: Array, tau: float) -> bool:
    """Evaluate the point (GAINS, NOISE) and set Q = tau S^-1, mu = tau / slack."""
    n = ints[DIMS, 0]
    fill_shown(ints, mats, vecs, GAINS, NOISE)
    forget_turns(ints, mats)
    if not evaluate(ints, mats, vecs):
        return False
    for i in range(n):
        for j in range(i + 1):
            mats[BACK, i, j] = mats[NOISE, i, j]
    if not cholesky(mats, BACK, n):
        return False
    for i in range(n):
        for j in range(n):
            mats[PRODUCT, i, j] = tau if i == j else 0.0
        solve_lower(mats, BACK, PRODUCT, i, n)
        solve_lower_transposed(mats, BACK, PRODUCT, i, n)
        for j in range(i + 1):
            mats[DUAL, i, j] = mats[PRODUCT, i, j]
            mats[DUAL, j, i] = mats[PRODUCT, i, j]
    for k in range(ints[DIMS, 3]):
        vecs[MU, k] = tau / vecs[SLACK, k]
    return True


@njit(cache=True, error_model="numpy")
def fill_trial_noise(ints: Array, mats: Array, step: float) -> None:
    """TRIAL_NOISE = S at `step`, in which H and K move on straight lines."""
    n, columns = ints[DIMS, 0], ints[DIMS, 1]
    for i in range(n):
        for j in range(i + 1):
            value = mats[NOISE, i, j] + step * mats[STEP_NOISE, i, j]
            for a in range(columns):
                value -= step * step * mats[STEP_GAINS, i, a] * mats[STEP_GAINS, j, a]
            mats[TRIAL_NOISE, i, j] = value
            mats[TRIAL_NOISE, j, i] = value


@njit(cache=True, error_model="numpy")
def primal_length(ints: Array, mats: Array) -> float:
    """Longest step, up to one, that keeps S > 0 with some room: nearly always what ends a step."""
    n = ints[DIMS, 0]
    step = 1.0
    while step > 1e-8:
        fill_trial_noise(ints, mats, step / ROOM)
        for i in range(n):
            for j in range(i + 1):
                mats[BACK, i, j] = mats[TRIAL_NOISE, i, j]
        if cholesky(mats, BACK, n):
            break
        step *= 0.9
    return step


@njit(cache=True, error_model="numpy")
def try_step(ints: Array, mats: Array, vecs: Array, step: float) -> bool:
    """TRIAL point at `step`, evaluated; False outside the domain."""
    for i in range(ints[DIMS, 0]):
        for a in range(ints[DIMS, 1]):
            mats[TRIAL_GAINS, i, a] = mats[GAINS, i, a] + step * mats[STEP_GAINS, i, a]
    fill_trial_noise(ints, mats, step)
    fill_shown(ints, mats, vecs, TRIAL_GAINS, TRIAL_NOISE)
    return evaluate(ints, mats, vecs)


@njit(cache=True, error_model="numpy")
def accept(ints: Array, mats: Array, vecs: Array, dual: float) -> None:
    """Move to the TRIAL point, and Q and mu by `dual`."""
    n, columns = ints[DIMS, 0], ints[DIMS, 1]
    for i in range(n):
        for a in range(columns):
            mats[GAINS, i, a] = mats[TRIAL_GAINS, i, a]
        for j in range(n):
            mats[NOISE, i, j] = mats[TRIAL_NOISE, i, j]
            mats[DUAL, i, j] += dual * mats[STEP_DUAL, i, j]
    for k in range(ints[DIMS, 3]):
        vecs[MU, k] += dual * vecs[STEP_MU, k]


@njit(cache=True, error_model="numpy")
def rounding(ints: Array, vecs: Array, objective: float, tau: float) -> float:
    """What rounding may add to the barrier function: a slack is a difference of traces."""
    slip = 1e-15 * objective
    for k in range(ints[DIMS, 3]):
        total = 0.0
        for a in range(ints[SIZE, k] if ints[DIMS, 4] else ints[RANK, k]):
            total += vecs[FIXED_VECS + k, a]
        slip += 1e-15 * tau * total / vecs[SLACK, k]
    return slip


@njit(cache=True, error_model="numpy")
def next_tau(mean: float, step: float) -> float:
    """Aim of the next step: bold after a long step, centring after a short one."""
    return max(0.03, 1.0 - step) * mean


@njit(cache=True, error_model="numpy")
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
    """Follow the path until nu * complementarity <= tolerance * objective + floor; a status."""
    nu = ints[DIMS, 0] + ints[DIMS, 3]
    objective = objective_of(ints, mats, vecs, GAINS, NOISE)
    step, mean = 1.0, complementarity(ints, mats, vecs)
    for iteration in range(limit):
        wanted = tolerance * (constant + objective) + floor
        if nu * mean <= wanted and step >= 0.5:
            return SOLVED
        if iteration > 0:
            tau = max(next_tau(mean, step), 0.2 * wanted / nu)
        if not scaling(mats, vecs, ints[DIMS, 0]):
            return STALLED
        merit = objective + tau * log_barrier(ints, mats, vecs, NOISE)
        slope = newton_direction(ints, mats, vecs, big, tau)
        if not slope <= 0.0:
            return STALLED
        dual = dual_length(ints, mats, vecs)
        slip = rounding(ints, vecs, constant + objective, tau)
        step = primal_length(ints, mats)
        while True:
            if try_step(ints, mats, vecs, step):
                objective = objective_of(ints, mats, vecs, TRIAL_GAINS, TRIAL_NOISE)
                value = objective + tau * log_barrier(ints, mats, vecs, TRIAL_NOISE)
                if value <= merit + 1e-4 * step * slope + slip:
                    break
            step *= 0.7
            if step < 1e-8:
                fill_shown(ints, mats, vecs, GAINS, NOISE)
                evaluate(ints, mats, vecs)
                return STALLED
        accept(ints, mats, vecs, dual)
        mean = complementarity(ints, mats, vecs)
        step = min(step, dual)
    return LIMIT
