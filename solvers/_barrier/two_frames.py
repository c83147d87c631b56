r"""Two frames, JD, weighted: :mod:`solvers._barrier.central_path` in closed 2 x 2 form.

The six variables (a, b, c, x, y, z) of K and H are numbers, not arrays. This is several times
faster than the general kernel, at the size that most sweeps have. The formulas are in
:mod:`solvers._barrier.two_frames_equations`.
"""

from __future__ import annotations

import math

import numpy as np

from solvers._barrier.constants import (
    ACCEPTED,
    CERTIFIED,
    FLOOR,
    JD,
    LIMIT,
    SHRINK,
    SOLVED,
    STALLED,
    START,
    TOLERANCE,
    UNCERTIFIED,
)
from solvers._barrier.dual_bound import best_bound
from solvers._barrier.linear_algebra import cholesky, solve_lower_transposed
from solvers._barrier.slots import slope_slot
from solvers._barrier.source import Source
from solvers._barrier.two_frames_equations import (
    Pair,
    Three,
    TwoFrames,
    covariance_of,
    determinant,
    fill_system,
    gradient_of,
    slacks,
    squared_w2_of_two,
)
from solvers._barrier.workspace import Big, Matrix, Number, Vector
from solvers._parts import part

Array = np.ndarray


@part
def longest_step(start: Three, move: Three) -> float:
    """Largest step in (0, 1] that keeps a 2 x 2 matrix positive definite, with some room."""
    square = move[0] * move[2] - move[1] * move[1]
    linear = start[0] * move[2] + start[2] * move[0] - 2.0 * start[1] * move[1]
    value = start[0] * start[2] - start[1] * start[1]
    under = linear * linear - 4.0 * square * value
    if under < 0.0:
        return 1.0
    divisor = math.sqrt(under) - linear
    return min(1.0, 0.995 * 2.0 * value / divisor) if divisor > 0.0 else 1.0


@part
def next_tau(mean: float, step: float) -> float:
    """Barrier parameter of the next step, smaller than in the general kernel: it saves a step."""
    rest = 1.0 - step
    return max(0.01, rest * math.sqrt(rest)) * mean


@part
def minimise_two(
    problem: TwoFrames,
    k: Three,
    noise: Three,
    tau: float,
    constant: float,
    tolerance: float,
    floor: float,
    big: Array,
) -> tuple[Three, Three, Pair, float, int]:
    """Follow the barrier path from an interior point; K, S, mu, objective and a status."""
    target, (w1, w2), levels, (e1, e2, e3) = problem
    bounded = levels[0] < np.inf
    nu = 4.0 if bounded else 3.0
    a, b, c = k
    s, u, v = noise
    det_s = s * v - u * u
    slack = slacks(target, levels, covariance_of(k, noise), determinant(k, noise))
    objective = w1 * ((a - e1) ** 2 + s) + w2 * ((b - e2) ** 2 + (c - e3) ** 2 + v)
    if not (slack[0] > 0.0 and slack[1] > 0.0 and det_s > 0.0):
        return k, noise, (0.0, 0.0), objective, STALLED
    q1, q2, q3 = tau * v / det_s, -tau * u / det_s, tau * s / det_s
    mu = (tau / slack[0] if bounded else 0.0, tau / slack[1])
    barrier = -math.log(det_s * slack[0] * slack[1])
    step, mean = 1.0, tau
    for iteration in range(60):
        # 1. stop at the wanted gap, after a long step
        wanted = tolerance * (constant + objective) + floor
        if nu * mean <= wanted and step >= 0.5:
            return (a, b, c), (s, u, v), mu, objective, SOLVED
        # 2. barrier parameter of the step
        if iteration > 0:
            tau = max(next_tau(mean, step), 0.2 * wanted / nu)
        # 3. Newton equations, and steps of K, H, S
        v1, v2, v3 = fill_system(problem, (a, b, c), (s, u, v), (q1, q2, q3), mu, slack, tau, big)
        x, y, z = covariance_of((a, b, c), (s, u, v))
        t1, t2, t3, f = gradient_of(target, (x, y, z), determinant((a, b, c), (s, u, v)))
        if not cholesky(big, Big.SYSTEM, Number.SIX, Number.ONE):
            return (a, b, c), (s, u, v), mu, objective, STALLED
        slope = 0.0
        for i in range(6):
            slope -= big[Big.SYSTEM, 6, i] ** 2
        solve_lower_transposed(big, Big.SYSTEM, Big.SYSTEM, Number.SIX, Number.SIX)
        da, db, dc = big[Big.SYSTEM, 6, 0], big[Big.SYSTEM, 6, 1], big[Big.SYSTEM, 6, 2]
        dx, dy, dz = big[Big.SYSTEM, 6, 3], big[Big.SYSTEM, 6, 4], big[Big.SYSTEM, 6, 5]
        ds = dx - 2.0 * a * da
        du = dy - a * db - b * da
        dv = dz - 2.0 * (b * db + c * dc)
        # 4. dQ = tau S^-1 - Q - V dS V and dmu, and the longest step of both
        det_s = s * v - u * u
        r1, r2, r3 = v1 * ds + v2 * du, v1 * du + v2 * dv, v2 * du + v3 * dv
        r4 = v2 * ds + v3 * du
        d1 = tau * v / det_s - q1 - (r1 * v1 + r2 * v2)
        d2 = -tau * u / det_s - q2 - (r1 * v2 + r2 * v3)
        d3 = tau * s / det_s - q3 - (r4 * v2 + r3 * v3)
        change = (1.0 - t1 / f) * dx - t2 / f * dy + (1.0 - t3 / f) * dz
        dmu2 = (tau + mu[1] * change) / slack[1] - mu[1]
        dual = longest_step((q1, q2, q3), (d1, d2, d3))
        if dmu2 < 0.0:
            dual = min(dual, -0.995 * mu[1] / dmu2)
        dmu1 = 0.0
        if bounded:
            change = (1.0 - math.sqrt(target[0] / x)) * dx
            dmu1 = (tau + mu[0] * change) / slack[0] - mu[0]
            if dmu1 < 0.0:
                dual = min(dual, -0.995 * mu[0] / dmu1)
        # 5. line search from the full step
        error = 1e-15 * (constant + objective + tau * f / slack[1])
        merit = objective + tau * barrier + error
        step = 1.0
        while True:
            k = (a + step * da, b + step * db, c + step * dc)
            square = step * step
            noise = (
                s + step * ds - square * da * da,
                u + step * du - square * da * db,
                v + step * dv - square * (db * db + dc * dc),
            )
            det_s = noise[0] * noise[2] - noise[1] * noise[1]
            if noise[0] > 0.0 and det_s > 0.0:
                trial = slacks(target, levels, covariance_of(k, noise), determinant(k, noise))
                if trial[0] > 0.0 and trial[1] > 0.0:
                    objective = w1 * ((k[0] - e1) ** 2 + noise[0])
                    objective += w2 * ((k[1] - e2) ** 2 + (k[2] - e3) ** 2 + noise[2])
                    barrier = -math.log(det_s * trial[0] * trial[1])
                    if objective + tau * barrier <= merit + 1e-4 * step * slope:
                        break
            step *= 0.7
            if step < 1e-8:
                return (a, b, c), (s, u, v), mu, objective, STALLED
        # 6. the next iterate
        a, b, c = k
        s, u, v = noise
        slack = trial
        q1, q2, q3 = q1 + dual * d1, q2 + dual * d2, q3 + dual * d3
        mu = (mu[0] + dual * dmu1, mu[1] + dual * dmu2)
        mean = (q1 * s + 2.0 * q2 * u + q3 * v + mu[0] * slack[0] + mu[1] * slack[1]) / nu
        step = min(step, dual)
    return (a, b, c), (s, u, v), mu, objective, LIMIT


@part
def certify(
    problem: TwoFrames,
    k: Three,
    noise: Three,
    mu: Pair,
    enough: float,
    ints: Array,
    mats: Array,
    vecs: Array,
) -> float:
    """Lower bound from the multipliers and the slopes at (K, S)."""
    target, weights, levels, estimate = problem
    p, q, r, _ = target
    h = covariance_of(k, noise)
    t1, t2, t3, f = gradient_of(target, h, determinant(k, noise))
    mats[Matrix.COVARIANCE, 0, 0], mats[Matrix.COVARIANCE, 1, 1] = p, r
    mats[Matrix.COVARIANCE, 0, 1], mats[Matrix.COVARIANCE, 1, 0] = q, q
    mats[Matrix.ESTIMATE, 0, 0], mats[Matrix.ESTIMATE, 0, 1] = estimate[0], 0.0
    mats[Matrix.ESTIMATE, 1, 0], mats[Matrix.ESTIMATE, 1, 1] = estimate[1], estimate[2]
    for t in range(2):
        vecs[Vector.WEIGHTS, t], vecs[Vector.FRAME_LEVEL, t] = weights[t], levels[t]
        vecs[Vector.BOUND_MU, t], vecs[Vector.BOUND_COST, t] = mu[t], 0.0
    if levels[0] < np.inf:
        ratio = math.sqrt(p / h[0])
        slot = slope_slot(mats, Number.ZERO)
        mats[slot, 0, 0] = mu[0] * (1.0 - ratio)
        vecs[Vector.BOUND_COST, 0] = mu[0] * p * (1.0 - 1.0 / ratio)
    slot = slope_slot(mats, Number.ONE)
    mats[slot, 0, 0], mats[slot, 1, 1] = mu[1] * (1.0 - t1 / f), mu[1] * (1.0 - t3 / f)
    mats[slot, 0, 1] = mats[slot, 1, 0] = -0.5 * mu[1] * t2 / f
    vecs[Vector.BOUND_COST, 1] = mu[1] * (p + r - f)
    plf, frames = int(np.int64(JD)), int(np.int64(2))  # no literals: see solve_sequential
    return best_bound(plf, frames, enough, ints, mats, vecs)


@part
def start_two(problem: TwoFrames) -> tuple[Three, Three]:
    """Interior point: the gains of a perfect-realism decoder times SHRINK, the rest noise."""
    (p, q, r, root), _, levels, estimate = problem
    first = SHRINK * min(math.sqrt(p), estimate[0])
    k = (first, q / p * first, SHRINK * min(root / math.sqrt(p), estimate[2]))
    room = min(0.1, 0.3 * levels[1] / (p + r), 0.3 * levels[0] / p)
    noise = (
        (1.0 + room) * p - k[0] * k[0],
        q - k[0] * k[1],
        (1.0 + room) * r - k[1] * k[1] - k[2] * k[2],
    )
    return k, noise


@part
def solve_two(
    source: Source,
    levels: Array,
    weights: Array,
    ints: Array,
    mats: Array,
    vecs: Array,
    big: Array,
    distortion: Array,
    perception: Array,
) -> tuple[float, int]:
    """Least w_1 D_1 + w_2 D_2 for 0 < P_2 < inf: bound and status; fills the losses, K and G."""
    # 1. the point in numbers; a threshold that the second one implies is dropped
    p, r = source.variance[0], source.variance[1]
    q = source.transition[1, 0] * p
    target = (p, q, r, source.root[0, 0] * source.root[1, 1])
    level = levels[0] if levels[0] < levels[1] else np.inf
    e = Matrix.FULL_ESTIMATE
    estimate = (mats[e, 0, 0], mats[e, 1, 0], mats[e, 1, 1])
    problem = TwoFrames(target, (weights[0], weights[1]), (level, levels[1]), estimate)
    constant = weights[0] * vecs[Vector.MMSE, 0] + weights[1] * vecs[Vector.MMSE, 1]
    total = weights[0] * p + weights[1] * r
    # 2. the estimate, where it meets the thresholds
    k, noise, objective, bound = estimate, (0.0, 0.0, 0.0), 0.0, constant
    slack = slacks(target, problem.levels, covariance_of(k, noise), determinant(k, noise))
    if slack[0] < 0.0 or slack[1] < 0.0:
        # 3. else follow the path until the certificate suffices
        nu = 3.0 if level == np.inf else 4.0
        k, noise = start_two(problem)
        tau, tolerance, bound = START * total / nu, TOLERANCE, -np.inf
        floor = 0.1 * FLOOR * total
        for _ in range(3):
            k, noise, mu, objective, _ = minimise_two(
                problem, k, noise, tau, constant, tolerance, floor, big
            )
            value = constant + objective
            enough = value * (1.0 - CERTIFIED)
            bound = max(bound, certify(problem, k, noise, mu, enough, ints, mats, vecs))
            if value - bound <= CERTIFIED * value + FLOOR * total:
                break
            tolerance *= 0.1
            tau = 0.1 * tolerance * value / nu
    # 4. losses and scheme
    gap = constant + objective - bound
    h = covariance_of(k, noise)
    det = determinant(k, noise)
    e1, e2, e3 = estimate
    distortion[0] = vecs[Vector.MMSE, 0] + (k[0] - e1) ** 2 + noise[0]
    distortion[1] = vecs[Vector.MMSE, 1] + (k[1] - e2) ** 2 + (k[2] - e3) ** 2 + noise[2]
    perception[0] = (math.sqrt(p) - math.sqrt(h[0])) ** 2
    mats[Matrix.FULL_GAINS, 0, 0], mats[Matrix.FULL_GAINS, 0, 1] = k[0], 0.0
    mats[Matrix.FULL_GAINS, 1, 0], mats[Matrix.FULL_GAINS, 1, 1] = k[1], k[2]
    first = math.sqrt(h[0])
    mats[Matrix.FULL_FACTOR, 0, 0], mats[Matrix.FULL_FACTOR, 0, 1] = first, 0.0
    mats[Matrix.FULL_FACTOR, 1, 0] = h[1] / first if first > 0.0 else 0.0
    mats[Matrix.FULL_FACTOR, 1, 1] = math.sqrt(det) / first if first > 0.0 else math.sqrt(h[2])
    perception[1] = squared_w2_of_two(source.root, mats[Matrix.FULL_FACTOR])
    limit = ACCEPTED * (constant + objective) + 10 * FLOOR * total
    return bound, SOLVED if gap <= limit else UNCERTIFIED
