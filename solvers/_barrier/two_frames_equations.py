r"""Two frames, JD, weighted: losses, scaling and Newton equations in numbers.

With K = [[a, 0], [b, c]], S = [[s, u], [u, v]], H = K K^T + S = [[x, y], [y, z]]:

    W2^2(Sigma, H) = tr Sigma + tr H - 2 F,  F^2 = tr Sigma H + 2 sqrt(det Sigma det H)
    det H = a^2 c^2 + s (b^2 + c^2) - 2 u a b + v a^2 + det S        (no cancellation)
    V S V = Q:  V ~ Q / sqrt(det Q) + adj(S) / sqrt(det S)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from solvers._barrier.workspace import Big
from solvers._parts import part

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


@part
def determinant(k: Three, noise: Three) -> float:
    """Determinant of K K^T + S, as a sum of non-negative terms."""
    a, b, c = k
    s, u, v = noise
    mixed = max(s * b * b - 2.0 * u * a * b + v * a * a, 0.0)
    return a * a * c * c + s * c * c + mixed + max(s * v - u * u, 0.0)


@part
def covariance_of(k: Three, noise: Three) -> Three:
    """Entries x, y, z of H = K K^T + S."""
    a, b, c = k
    s, u, v = noise
    return a * a + s, a * b + u, b * b + c * c + v


@part
def squared_w2_of_two(left: Array, right: Array) -> float:
    """Squared W2 of L L^T and M M^T, lower triangular, as |L U - M|^2; U is a rotation.

    Where both determinants are positive, the polar factor of L^T M is its sum with its cofactors.
    """
    a, b, c = left[0, 0], left[1, 0], left[1, 1]
    x, y, z = right[0, 0], right[1, 0], right[1, 1]
    cosine, sine = a * x + b * y + c * z, b * z - c * y
    length = math.sqrt(cosine * cosine + sine * sine)
    if length > 0.0:
        cosine, sine = cosine / length, sine / length
    first = (a * cosine - x) ** 2 + (a * sine) ** 2
    return first + (b * cosine - c * sine - y) ** 2 + (b * sine + c * cosine - z) ** 2


@part
def fidelity(target: Target, h: Three, det: float) -> float:
    """F = sqrt(tr Sigma H + 2 sqrt(det Sigma det H)); target = (p, q, r, sqrt(det Sigma))."""
    p, q, r, root = target
    x, y, z = h
    return math.sqrt(p * x + 2.0 * q * y + r * z + 2.0 * root * math.sqrt(det))


@part
def slacks(target: Target, levels: Pair, h: Three, det: float) -> Pair:
    """P_1 - (sigma_1 - sqrt x)^2, 1 where P_1 = inf, and P_2 - W2^2(Sigma, H)."""
    first = 1.0
    if levels[0] < np.inf:
        first = levels[0] - (math.sqrt(target[0]) - math.sqrt(h[0])) ** 2
    return first, levels[1] - (target[0] + target[2] + h[0] + h[2] - 2.0 * fidelity(target, h, det))


@part
def gradient_of(target: Target, h: Three, det: float) -> Target:
    """Derivatives of F^2 in x, y, z, and F."""
    p, q, r, root = target
    x, y, z = h
    ratio = root / math.sqrt(det)
    return p + ratio * z, 2.0 * q - 2.0 * ratio * y, r + ratio * x, fidelity(target, h, det)


@part
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


@part
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
