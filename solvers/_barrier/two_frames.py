r"""Two frames, JD, weighted: the method of :mod:`solvers._barrier.path` in closed 2 x 2 form.

With K = [[a, 0], [b, c]], S = [[s, u], [u, v]], H = K K^T + S = [[x, y], [y, z]]:

    W2^2(Sigma, H) = tr Sigma + tr H - 2 F,  F^2 = tr Sigma H + 2 sqrt(det Sigma det H)
    det H = a^2 c^2 + s (b^2 + c^2) - 2 u a b + v a^2 + det S        (no cancellation)
    V S V = Q:  V ~ Q / sqrt(det Q) + adj(S) / sqrt(det S)

Six variables (a, b, c, x, y, z), numbers instead of arrays: several times faster than the general
kernel at the size that most sweeps have.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from solvers._barrier.dual_bound import JD, best_bound
from solvers._barrier.linear_algebra import cholesky, solve_lower_transposed
from solvers._barrier.path import LIMIT, SOLVED, STALLED
from solvers._barrier.weighted import ACCEPTED, CERTIFIED, FLOOR, SHRINK, START, TOLERANCE, Source
from solvers._barrier.workspace import (
    BOUND_COST,
    BOUND_MU,
    COVARIANCE,
    ESTIMATE,
    FULL_ESTIMATE,
    FULL_GAINS,
    FULL_ROOT,
    LEVELS,
    MMSE,
    SYSTEM,
    WEIGHTS,
    slope_slot,
)

Array = np.ndarray
Pair = tuple[float, float]
Law = tuple[float, float, float, float]  # p, q, r of Sigma and sqrt(det Sigma)
Three = tuple[float, float, float]


@njit(cache=True, error_model="numpy")
def determinant(k: Three, noise: Three) -> float:
    """Determinant of K K^T + S, as a sum of non-negative terms."""
    a, b, c = k
    s, u, v = noise
    mixed = max(s * b * b - 2.0 * u * a * b + v * a * a, 0.0)
    return a * a * c * c + s * c * c + mixed + max(s * v - u * u, 0.0)


@njit(cache=True, error_model="numpy")
def shown(k: Three, noise: Three) -> Three:
    """Entries x, y, z of H = K K^T + S."""
    a, b, c = k
    s, u, v = noise
    return a * a + s, a * b + u, b * b + c * c + v


@njit(cache=True, error_model="numpy")
def fidelity(law: Law, h: Three, det: float) -> float:
    """F = sqrt(tr Sigma H + 2 sqrt(det Sigma det H)); law = (p, q, r, sqrt(det Sigma))."""
    p, q, r, root = law
    x, y, z = h
    return math.sqrt(p * x + 2.0 * q * y + r * z + 2.0 * root * math.sqrt(det))


@njit(cache=True, error_model="numpy")
def slacks(law: Law, levels: Pair, h: Three, det: float) -> Pair:
    """P_1 - (sigma_1 - sqrt x)^2, 1 where P_1 = inf, and P_2 - W2^2(Sigma, H)."""
    first = 1.0
    if levels[0] < np.inf:
        first = levels[0] - (math.sqrt(law[0]) - math.sqrt(h[0])) ** 2
    return first, levels[1] - (law[0] + law[2] + h[0] + h[2] - 2.0 * fidelity(law, h, det))


@njit(cache=True, error_model="numpy")
def gradient_of(law: Law, h: Three, det: float) -> Law:
    """Derivatives of F^2 in x, y, z, and F."""
    p, q, r, root = law
    x, y, z = h
    ratio = root / math.sqrt(det)
    return p + ratio * z, 2.0 * q - 2.0 * ratio * y, r + ratio * x, fidelity(law, h, det)


@njit(cache=True, error_model="numpy")
def scaling_of(dual: Three, noise: Three) -> Law:
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
    law: Law,
    weights: Pair,
    estimate: Three,
    k: Three,
    noise: Three,
    dual: Three,
    mu: Pair,
    slack: Pair,
    tau: float,
    bounded: bool,
    big: Array,
) -> Three:
    """Newton matrix and, below it, minus the gradient, in (a, b, c, x, y, z); returns V."""
    a, b, c = k
    v1, v2, v3, det_s = scaling_of(dual, noise)
    x, y, z = shown(k, noise)
    det = determinant(k, noise)
    y1, y2 = v1 * a + v2 * b, v2 * c
    y3, y4 = v2 * a + v3 * b, v3 * c
    g1, g2, g3 = a * y1 + b * y3, c * y3, c * y4
    q1, q2, q3 = dual
    m = SYSTEM
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
    t1, t2, t3, f = gradient_of(law, (x, y, z), det)
    e1, e2, e3 = 1.0 - t1 / f, -t2 / f, 1.0 - t3 / f
    inner = mu[1] * law[3] / (f * math.sqrt(det))
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
    if bounded:
        sigma, deviation = math.sqrt(law[0]), math.sqrt(x)
        slope = 1.0 - sigma / deviation
        big[m, 3, 3] += mu[0] * (0.5 * sigma / (deviation * x) + slope * slope / slack[0])
        big[m, 6, 3] -= tau / slack[0] * slope
    return v1, v2, v3


@njit(cache=True, error_model="numpy")
def longest(start: Three, move: Three) -> float:
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
def next_aim(mean: float, step: float) -> float:
    """Aim of the next step, bolder than that of the general kernel, which here saves a step."""
    rest = 1.0 - step
    return max(0.01, rest * math.sqrt(rest)) * mean


@njit(cache=True, error_model="numpy")
def minimise_two(
    law: Law,
    weights: Pair,
    levels: Pair,
    estimate: Three,
    k: Three,
    noise: Three,
    tau: float,
    constant: float,
    tolerance: float,
    floor: float,
    big: Array,
) -> tuple[Three, Three, Pair, float, int]:
    """Follow the barrier path from an interior point; K, S, mu, objective and a status."""
    e1, e2, e3 = estimate
    w1, w2 = weights
    bounded = levels[0] < np.inf
    nu = 4.0 if bounded else 3.0
    a, b, c = k
    s, u, v = noise
    det_s = s * v - u * u
    slack = slacks(law, levels, shown(k, noise), determinant(k, noise))
    objective = w1 * ((a - e1) ** 2 + s) + w2 * ((b - e2) ** 2 + (c - e3) ** 2 + v)
    if not (slack[0] > 0.0 and slack[1] > 0.0 and det_s > 0.0):
        return k, noise, (0.0, 0.0), objective, STALLED
    q1, q2, q3 = tau * v / det_s, -tau * u / det_s, tau * s / det_s
    mu = (tau / slack[0] if bounded else 0.0, tau / slack[1])
    barrier = -math.log(det_s * slack[0] * slack[1])
    step, mean = 1.0, tau
    for iteration in range(60):
        wanted = tolerance * (constant + objective) + floor
        if nu * mean <= wanted and step >= 0.5:
            return (a, b, c), (s, u, v), mu, objective, SOLVED
        if iteration > 0:
            tau = max(next_aim(mean, step), 0.2 * wanted / nu)
        v1, v2, v3 = fill_system(
            law, weights, estimate, (a, b, c), (s, u, v), (q1, q2, q3), mu, slack, tau, bounded, big
        )
        x, y, z = shown((a, b, c), (s, u, v))
        t1, t2, t3, f = gradient_of(law, (x, y, z), determinant((a, b, c), (s, u, v)))
        if not cholesky(big, SYSTEM, 6, 1):
            return (a, b, c), (s, u, v), mu, objective, STALLED
        slope = 0.0
        for i in range(6):
            slope -= big[SYSTEM, 6, i] ** 2
        solve_lower_transposed(big, SYSTEM, SYSTEM, 6, 6)
        da, db, dc = big[SYSTEM, 6, 0], big[SYSTEM, 6, 1], big[SYSTEM, 6, 2]
        dx, dy, dz = big[SYSTEM, 6, 3], big[SYSTEM, 6, 4], big[SYSTEM, 6, 5]
        ds = dx - 2.0 * a * da
        du = dy - a * db - b * da
        dv = dz - 2.0 * (b * db + c * dc)
        # dQ = tau S^-1 - Q - V dS V
        det_s = s * v - u * u
        r1, r2, r3 = v1 * ds + v2 * du, v1 * du + v2 * dv, v2 * du + v3 * dv
        r4 = v2 * ds + v3 * du
        d1 = tau * v / det_s - q1 - (r1 * v1 + r2 * v2)
        d2 = -tau * u / det_s - q2 - (r1 * v2 + r2 * v3)
        d3 = tau * s / det_s - q3 - (r4 * v2 + r3 * v3)
        moved = (1.0 - t1 / f) * dx - t2 / f * dy + (1.0 - t3 / f) * dz
        dmu2 = (tau + mu[1] * moved) / slack[1] - mu[1]
        dual = longest((q1, q2, q3), (d1, d2, d3))
        if dmu2 < 0.0:
            dual = min(dual, -0.995 * mu[1] / dmu2)
        dmu1 = 0.0
        if bounded:
            moved = (1.0 - math.sqrt(law[0] / x)) * dx
            dmu1 = (tau + mu[0] * moved) / slack[0] - mu[0]
            if dmu1 < 0.0:
                dual = min(dual, -0.995 * mu[0] / dmu1)
        slip = 1e-15 * (constant + objective + tau * f / slack[1])
        merit = objective + tau * barrier + slip
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
                trial = slacks(law, levels, shown(k, noise), determinant(k, noise))
                if trial[0] > 0.0 and trial[1] > 0.0:
                    objective = w1 * ((k[0] - e1) ** 2 + noise[0])
                    objective += w2 * ((k[1] - e2) ** 2 + (k[2] - e3) ** 2 + noise[2])
                    barrier = -math.log(det_s * trial[0] * trial[1])
                    if objective + tau * barrier <= merit + 1e-4 * step * slope:
                        break
            step *= 0.7
            if step < 1e-8:
                return (a, b, c), (s, u, v), mu, objective, STALLED
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
    law: Law,
    weights: Pair,
    levels: Pair,
    estimate: Three,
    k: Three,
    noise: Three,
    mu: Pair,
    enough: float,
    ints: Array,
    mats: Array,
    vecs: Array,
) -> float:
    """Lower bound from the multipliers and the slopes at (K, S)."""
    p, q, r, _ = law
    h = shown(k, noise)
    t1, t2, t3, f = gradient_of(law, h, determinant(k, noise))
    mats[COVARIANCE, 0, 0], mats[COVARIANCE, 1, 1] = p, r
    mats[COVARIANCE, 0, 1], mats[COVARIANCE, 1, 0] = q, q
    mats[ESTIMATE, 0, 0], mats[ESTIMATE, 0, 1] = estimate[0], 0.0
    mats[ESTIMATE, 1, 0], mats[ESTIMATE, 1, 1] = estimate[1], estimate[2]
    for t in range(2):
        vecs[WEIGHTS, t], vecs[LEVELS, t] = weights[t], levels[t]
        vecs[BOUND_MU, t], vecs[BOUND_COST, t] = mu[t], 0.0
    if levels[0] < np.inf:
        ratio = math.sqrt(p / h[0])
        mats[slope_slot(mats, 0), 0, 0] = mu[0] * (1.0 - ratio)
        vecs[BOUND_COST, 0] = mu[0] * p * (1.0 - 1.0 / ratio)
    slot = slope_slot(mats, 1)
    mats[slot, 0, 0], mats[slot, 1, 1] = mu[1] * (1.0 - t1 / f), mu[1] * (1.0 - t3 / f)
    mats[slot, 0, 1] = mats[slot, 1, 0] = -0.5 * mu[1] * t2 / f
    vecs[BOUND_COST, 1] = mu[1] * (p + r - f)
    plf, frames = int(np.int64(JD)), int(np.int64(2))  # no literals: see solve_frames in _frames
    return best_bound(plf, frames, enough, ints, mats, vecs)


@njit(cache=True, error_model="numpy")
def start_two(law: Law, levels: Pair, estimate: Three) -> tuple[Three, Three]:
    """Interior point: the gains of a perfect-realism decoder shrunk, the rest noise."""
    p, q, r, root = law
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
    p, r = source.variance[0], source.variance[1]
    q = source.phi[1, 0] * p
    law = (p, q, r, source.root[0, 0] * source.root[1, 1])
    level = levels[0] if levels[0] < levels[1] else np.inf
    pair, weight = (level, levels[1]), (weights[0], weights[1])
    e = FULL_ESTIMATE
    estimate = (mats[e, 0, 0], mats[e, 1, 0], mats[e, 1, 1])
    constant = weight[0] * vecs[MMSE, 0] + weight[1] * vecs[MMSE, 1]
    total = weight[0] * p + weight[1] * r
    k, noise, objective, bound = estimate, (0.0, 0.0, 0.0), 0.0, constant
    slack = slacks(law, pair, shown(k, noise), determinant(k, noise))
    if slack[0] < 0.0 or slack[1] < 0.0:
        nu = 3.0 if level == np.inf else 4.0
        k, noise = start_two(law, pair, estimate)
        tau, tolerance, bound = START * total / nu, TOLERANCE, -np.inf
        for _ in range(3):
            k, noise, mu, objective, _ = minimise_two(
                law,
                weight,
                pair,
                estimate,
                k,
                noise,
                tau,
                constant,
                tolerance,
                0.1 * FLOOR * total,
                big,
            )
            enough = (constant + objective) * (1.0 - CERTIFIED)
            found = certify(law, weight, pair, estimate, k, noise, mu, enough, ints, mats, vecs)
            bound = max(bound, found)
            if constant + objective - bound <= CERTIFIED * (constant + objective) + FLOOR * total:
                break
            tolerance *= 0.1
            tau = 0.1 * tolerance * (constant + objective) / nu
    gap = constant + objective - bound
    h = shown(k, noise)
    det = determinant(k, noise)
    e1, e2, e3 = estimate
    distortion[0] = vecs[MMSE, 0] + (k[0] - e1) ** 2 + noise[0]
    distortion[1] = vecs[MMSE, 1] + (k[1] - e2) ** 2 + (k[2] - e3) ** 2 + noise[2]
    perception[0] = (math.sqrt(p) - math.sqrt(h[0])) ** 2
    perception[1] = max(p + r + h[0] + h[2] - 2.0 * fidelity(law, h, det), 0.0)
    mats[FULL_GAINS, 0, 0], mats[FULL_GAINS, 0, 1] = k[0], 0.0
    mats[FULL_GAINS, 1, 0], mats[FULL_GAINS, 1, 1] = k[1], k[2]
    first = math.sqrt(h[0])
    mats[FULL_ROOT, 0, 0], mats[FULL_ROOT, 0, 1] = first, 0.0
    mats[FULL_ROOT, 1, 0] = h[1] / first if first > 0.0 else 0.0
    mats[FULL_ROOT, 1, 1] = math.sqrt(det) / first if first > 0.0 else math.sqrt(h[2])
    limit = ACCEPTED * (constant + objective) + 10 * FLOOR * total
    return bound, SOLVED if gap <= limit else 1
