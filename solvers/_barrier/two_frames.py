r"""Two frames, JD, weighted: the method of :mod:`solvers._barrier.path` in closed 2 x 2 form.

With K = [[a, 0], [b, c]], S = [[s, u], [u, v]], H = K K^T + S = [[x, y], [y, z]]:

    W2^2(Sigma, H) = tr Sigma + tr H - 2 F,  F^2 = tr Sigma H + 2 sqrt(det Sigma det H)
    det H = a^2 c^2 + s (b^2 + c^2) - 2 u a b + v a^2 + det S        (no cancellation)
    V S V = Q:  V ~ Q / sqrt(det Q) + adj(S) / sqrt(det S)

The six variables (a, b, c, x, y, z) are numbers, not arrays. This is several times faster than the
general kernel, at the size that most sweeps have.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

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
from solvers._barrier.workspace import Big, Matrix, Vector

Array = np.ndarray
Pair = tuple[float, float]
Target = tuple[float, float, float, float]  # p, q, r of Sigma and sqrt(det Sigma)
Three = tuple[float, float, float]


class TwoFrames(NamedTuple):
    """One point. The threshold of the first frame may be inf."""

    target: Target
    weights: Pair
    levels: Pair
    estimate: Three  # factor of the MMSE estimate


@njit(cache=True, error_model="numpy")
def determinant(k: Three, noise: Three) -> float:
    """Determinant of K K^T + S, as a sum of non-negative terms."""
    a, b, c = k
    s, u, v = noise
    mixed = max(s * b * b - 2.0 * u * a * b + v * a * a, 0.0)
    return a * a * c * c + s * c * c + mixed + max(s * v - u * u, 0.0)


@njit(cache=True, error_model="numpy")
def covariance_of(k: Three, noise: Three) -> Three:
    """Entries x, y, z of H = K K^T + S."""
    a, b, c = k
    s, u, v = noise
    return a * a + s, a * b + u, b * b + c * c + v


@njit(cache=True, error_model="numpy")
def fidelity(target: Target, h: Three, det: float) -> float:
    """F = sqrt(tr Sigma H + 2 sqrt(det Sigma det H)); target = (p, q, r, sqrt(det Sigma))."""
    p, q, r, root = target
    x, y, z = h
    return math.sqrt(p * x + 2.0 * q * y + r * z + 2.0 * root * math.sqrt(det))


@njit(cache=True, error_model="numpy")
def slacks(target: Target, levels: Pair, h: Three, det: float) -> Pair:
    """P_1 - (sigma_1 - sqrt x)^2, 1 where P_1 = inf, and P_2 - W2^2(Sigma, H)."""
    first = 1.0
    if levels[0] < np.inf:
        first = levels[0] - (math.sqrt(target[0]) - math.sqrt(h[0])) ** 2
    return first, levels[1] - (target[0] + target[2] + h[0] + h[2] - 2.0 * fidelity(target, h, det))


@njit(cache=True, error_model="numpy")
def gradient_of(target: Target, h: Three, det: float) -> Target:
    """Derivatives of F^2 in x, y, z, and F."""
    p, q, r, root = target
    x, y, z = h
    ratio = root / math.sqrt(det)
    return p + ratio * z, 2.0 * q - 2.0 * ratio * y, r + ratio * x, fidelity(target, h, det)


@njit(cache=True, error_model="numpy")
def scaling_of(dual: Three, noise: Three) -> Target:
    """V with V S V = Q, and det S."""
    q1, q2, q3 = dual
    s, u, v = noise
    det_s = s * v - u * u
    det_q = q1 * q3 - q2 * q2
    ds, dq = math.sqrt(det_s), math.sqrt(det_q)
    c1, c2, c3 = q1 / dq + v / ds, q2 / dq - u / ds, q3 / dq + s / ds
    factor = math.sqrt(dq / ds / (c1 * c3 - c2 * c2))
    return factor * c1, factor * c2, factor * c3, det_s


@njit(cache=True, error_model="numpy")
def fill_system(
    problem: TwoFrames,
    k: Three,
    noise: Three,
    dual: Three,
    mu: Pair,
    slack: Pair,
    tau: float,
    big: Array,
) -> Three:
    """Newton matrix and, below it, minus the gradient, in (a, b, c, x, y, z); returns V."""
    target, weights, levels, estimate = problem
    a, b, c = k
    v1, v2, v3, det_s = scaling_of(dual, noise)
    x, y, z = covariance_of(k, noise)
    det = determinant(k, noise)
    y1, y2 = v1 * a + v2 * b, v2 * c
    y3, y4 = v2 * a + v3 * b, v3 * c
    g1, g2, g3 = a * y1 + b * y3, c * y3, c * y4
    q1, q2, q3 = dual
    m = Big.SYSTEM
    big[m, 0, 0] = 2.0 * (y1 * y1 + v1 * g1 + q1)
    big[m, 1, 0] = 2.0 * (y3 * y1 + v2 * g1 + q2)
    big[m, 1, 1] = 2.0 * (y3 * y3 + v3 * g1 + q3)
    big[m, 2, 0] = 2.0 * (y3 * y2 + v2 * g2)
    big[m, 2, 1] = 2.0 * (y3 * y4 + v3 * g2)
    big[m, 2, 2] = 2.0 * (y4 * y4 + v3 * g3 + q3)
    big[m, 3, 0] = -2.0 * y1 * v1
    big[m, 3, 1] = -2.0 * y1 * v2
    big[m, 3, 2] = -2.0 * y2 * v2
    big[m, 4, 0] = -2.0 * (y1 * v2 + y3 * v1)
    big[m, 4, 1] = -2.0 * (y1 * v3 + y3 * v2)
    big[m, 4, 2] = -2.0 * (y2 * v3 + y4 * v2)
    big[m, 5, 0] = -2.0 * y3 * v2
    big[m, 5, 1] = -2.0 * y3 * v3
    big[m, 5, 2] = -2.0 * y4 * v3
    # squared W2: f'' = root / (F d) (det' det'^T / (2 d^2) - det'') + T' T'^T / (2 F^3)
    t1, t2, t3, f = gradient_of(target, (x, y, z), det)
    e1, e2, e3 = 1.0 - t1 / f, -t2 / f, 1.0 - t3 / f
    inner = mu[1] * target[3] / (f * math.sqrt(det))
    outer = 0.5 * mu[1] / (f * f * f)
    bend = 0.5 * inner / det
    push = mu[1] / slack[1]
    big[m, 3, 3] = v1 * v1 + bend * z * z + outer * t1 * t1 + push * e1 * e1
    big[m, 4, 3] = 2.0 * v1 * v2 - 2.0 * bend * z * y + outer * t1 * t2 + push * e1 * e2
    big[m, 5, 3] = v2 * v2 + bend * z * x - inner + outer * t1 * t3 + push * e1 * e3
    big[m, 4, 4] = 2.0 * (v1 * v3 + v2 * v2) + 4.0 * bend * y * y + 2.0 * inner
    big[m, 4, 4] += outer * t2 * t2 + push * e2 * e2
    big[m, 5, 4] = 2.0 * v2 * v3 - 2.0 * bend * y * x + outer * t2 * t3 + push * e2 * e3
    big[m, 5, 5] = v3 * v3 + bend * x * x + outer * t3 * t3 + push * e3 * e3
    i1, i2, i3 = noise[2] / det_s, -noise[1] / det_s, noise[0] / det_s
    pull = tau / slack[1]
    big[m, 6, 0] = 2.0 * (weights[0] * estimate[0] - tau * (i1 * a + i2 * b))
    big[m, 6, 1] = 2.0 * (weights[1] * estimate[1] - tau * (i2 * a + i3 * b))
    big[m, 6, 2] = 2.0 * (weights[1] * estimate[2] - tau * i3 * c)
    big[m, 6, 3] = tau * i1 - weights[0] - pull * e1
    big[m, 6, 4] = 2.0 * tau * i2 - pull * e2
    big[m, 6, 5] = tau * i3 - weights[1] - pull * e3
    if levels[0] < np.inf:
        sigma, deviation = math.sqrt(target[0]), math.sqrt(x)
        slope = 1.0 - sigma / deviation
        big[m, 3, 3] += mu[0] * (0.5 * sigma / (deviation * x) + slope * slope / slack[0])
        big[m, 6, 3] -= tau / slack[0] * slope
    return v1, v2, v3


@njit(cache=True, error_model="numpy")
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


@njit(cache=True, error_model="numpy")
def next_tau(mean: float, step: float) -> float:
    """Barrier parameter of the next step, smaller than in the general kernel: it saves a step."""
    rest = 1.0 - step
    return max(0.01, rest * math.sqrt(rest)) * mean


@njit(cache=True, error_model="numpy")
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
        if not cholesky(big, Big.SYSTEM, 6, 1):
            return (a, b, c), (s, u, v), mu, objective, STALLED
        slope = 0.0
        for i in range(6):
            slope -= big[Big.SYSTEM, 6, i] ** 2
        solve_lower_transposed(big, Big.SYSTEM, Big.SYSTEM, 6, 6)
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


@njit(cache=True, error_model="numpy")
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
        mats[slope_slot(mats, 0), 0, 0] = mu[0] * (1.0 - ratio)
        vecs[Vector.BOUND_COST, 0] = mu[0] * p * (1.0 - 1.0 / ratio)
    slot = slope_slot(mats, 1)
    mats[slot, 0, 0], mats[slot, 1, 1] = mu[1] * (1.0 - t1 / f), mu[1] * (1.0 - t3 / f)
    mats[slot, 0, 1] = mats[slot, 1, 0] = -0.5 * mu[1] * t2 / f
    vecs[Vector.BOUND_COST, 1] = mu[1] * (p + r - f)
    plf, frames = int(np.int64(JD)), int(np.int64(2))  # no literals: see solve_sequential
    return best_bound(plf, frames, enough, ints, mats, vecs)


@njit(cache=True, error_model="numpy")
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


@njit(cache=True, error_model="numpy")
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
    perception[1] = max(p + r + h[0] + h[2] - 2.0 * fidelity(target, h, det), 0.0)
    mats[Matrix.FULL_GAINS, 0, 0], mats[Matrix.FULL_GAINS, 0, 1] = k[0], 0.0
    mats[Matrix.FULL_GAINS, 1, 0], mats[Matrix.FULL_GAINS, 1, 1] = k[1], k[2]
    first = math.sqrt(h[0])
    mats[Matrix.FULL_FACTOR, 0, 0], mats[Matrix.FULL_FACTOR, 0, 1] = first, 0.0
    mats[Matrix.FULL_FACTOR, 1, 0] = h[1] / first if first > 0.0 else 0.0
    mats[Matrix.FULL_FACTOR, 1, 1] = math.sqrt(det) / first if first > 0.0 else math.sqrt(h[2])
    limit = ACCEPTED * (constant + objective) + 10 * FLOOR * total
    return bound, SOLVED if gap <= limit else UNCERTIFIED
