r"""Kernels of perceptual water-filling: one pass over the modes of a frame at one water level.

Mode i has the prediction error v, the variance h of its estimate before the frame, and the
correlation c that perfect realism needs (`aim`). At mean error m its estimate has the standard
deviation y = sqrt(h + v - m). Realism has the weight beta in [0, 1]. Each mode minimises, over its
rate r = ln(v/m)/2 >= 0,

    m + beta (c - y)^2 + 2 level r,   stationary at   m ((1 - beta) + beta c / y) = level,

strictly convex in r. beta = 0 is reverse water-filling; beta = 1 is perfect realism.
"""

from __future__ import annotations

import numpy as np

from solvers._compiled import njit


@njit(cache=True, nogil=True)
def stationary(total: float, aim: float, beta: float, level: float) -> float:
    """Root y > 0 of (total - y^2)((1 - beta) y + beta aim) = level y, total = h + v.

    The cubic (1-beta) y^3 + beta aim y^2 + (level - (1-beta) total) y - beta aim total changes
    sign once and is convex for y > 0. Each term alone bounds y from below. From there, one Newton
    step lands above the root, and the following ones decrease to it.
    """
    w, b = 1.0 - beta, beta * aim
    y = 0.0
    if b > 0.0:
        y = 2.0 * b * total / (level + np.sqrt(level * level + 4.0 * b * b * total))
    if w == 0.0:
        return y
    square = total - level / w
    if square > y * y:
        y = np.sqrt(square)
    if b == 0.0:
        return y
    for _ in range(60):
        value = ((w * y + b) * y + level - w * total) * y - b * total
        change = value / ((3.0 * w * y + 2.0 * b) * y + level - w * total)
        y -= change
        if abs(change) <= 1e-8 * y:  # quadratic: the next change is below rounding
            break
    return y


@njit(cache=True, nogil=True)
def mode(v, held, aim, beta, level):
    """Return (y, price, m, captured) of one mode: price = level / m, captured = v - m.

    captured is y^2 - h too; the difference of the smaller numbers is computed. It is not positive
    where the mode has no rate.
    """
    y = stationary(held + v, aim, beta, level)
    price = (1.0 - beta) + beta * aim / y if y > 0.0 else 0.0
    m = level / price if price > 0.0 else np.inf
    captured = y * y - held if y * y < 0.5 * v else v - m
    return y, price, m, captured


@njit(cache=True, nogil=True)
def rate_of(v: float, captured: float, price: float, log_level: float) -> float:
    """Rate ln(v / m) / 2 from captured = v - m, or from m = level / price, which may underflow."""
    if captured < 0.5 * v:
        return -0.5 * np.log1p(-captured / v)
    return 0.5 * (np.log(v * price) - log_level)


@njit(cache=True, nogil=True)
def totals(v, held, aim, beta, log_level):
    """Sum over modes of the rate r, and its derivative in ln(level).

    dr/dln(level) = -1/(2 e) with e = 1 + beta c m / (2 y^3 price): the total is convex and
    decreasing in ln(level).
    """
    rate, slope = 0.0, 0.0
    level = np.exp(log_level)
    for i in range(v.size):
        if beta == 0.0:  # reverse water-filling: m = level
            if v[i] > level:
                rate += rate_of(v[i], v[i] - level, 1.0, log_level)
                slope -= 0.5
            continue
        y, price, m, captured = mode(v[i], held[i], aim[i], beta, level)
        if captured > 0.0:
            rate += rate_of(v[i], captured, price, log_level)
            cube = 2.0 * y * y * y * price
            slope -= 0.5 * cube / (cube + beta * aim[i] * m)
    return rate, slope


@njit(cache=True, nogil=True)
def shortfall(v, held, aim, beta, log_level):
    """Rate and squared shortfall n2 = sum (c - y)^2 with their derivatives, for 0 <= beta < 1.

    Returns (rate, d rate/d ln level, d rate/d beta, n2, d n2/d ln level, d n2/d beta), from
    d ln m / d beta = -(c/y - 1) / (e price) and dy/dm = -1/(2y).
    """
    rate, rate_z, rate_b = 0.0, 0.0, 0.0
    n2, n2_z, n2_b = 0.0, 0.0, 0.0
    level = np.exp(log_level)
    for i in range(v.size):
        y, price, m, captured = mode(v[i], held[i], aim[i], beta, level)
        if captured > 0.0:
            rate += rate_of(v[i], captured, price, log_level)
            cube = 2.0 * y * y * y * price
            in_level = cube / (cube + beta * aim[i] * m)
            in_beta = -in_level * (aim[i] / y - 1.0) / price
            rate_z -= 0.5 * in_level
            rate_b -= 0.5 * in_beta
            short = aim[i] - y
            per_log_m = short * m / y
            n2 += short * short
            n2_z += per_log_m * in_level
            n2_b += per_log_m * in_beta
        else:
            n2 += (aim[i] - np.sqrt(held[i])) ** 2
    return rate, rate_z, rate_b, n2, n2_z, n2_b


@njit(cache=True, nogil=True)
def fill(v, held, aim, beta, log_level, rates):
    """Write the rate of each mode; return the Lagrangian without the term of the rate budget."""
    value = 0.0
    level = np.exp(log_level)
    for i in range(v.size):
        y, price, m, captured = mode(v[i], held[i], aim[i], beta, level)
        if captured > 0.0:
            rates[i] = rate_of(v[i], captured, price, log_level)
        else:
            rates[i], m, y = 0.0, v[i], np.sqrt(held[i])
        value += m + beta * (aim[i] - y) ** 2 + 2.0 * level * rates[i]
    return value


@njit(cache=True, nogil=True)
def start(v, held, aim, beta):
    """Sum of ln(v ((1-beta) + beta c / sqrt(h + v))) over the modes that may have a rate; count.

    At level = exp((sum - 2 rate) / count) the total rate is at least `rate`. This level is a start
    on the left of the root.
    """
    total, count = 0.0, 0
    for i in range(v.size):
        if v[i] > 0.0 and (beta == 0.0 or aim[i] > 0.0):
            total += np.log(v[i] * ((1.0 - beta) + beta * aim[i] / np.sqrt(held[i] + v[i])))
            count += 1
    return total, count
