"""PLF-JD at threshold 0: the best decoder by isotonic regression."""

from __future__ import annotations

import numpy as np

from solvers._lookahead.decoder import Decoder, Frames, innovations, shifted

Array = np.ndarray

_NO_GAIN = 1e-200  # a product of gains below it changes no distortion by more than rounding


def sequential_joint(frames: Frames) -> Decoder:
    """Follow all that is known at once; frames without innovation follow nothing."""
    wanted = np.where(frames.innovation == 0, 0.0, np.inf)
    g, y = innovations(frames, wanted)
    distortion = joint_distortion(frames, g, y)
    # frame by frame the largest g_t is optimal, so the scheme is its own bound
    return Decoder(distortion, g, y, float(distortion.sum()))


def weighted_joint(frames: Frames, weights: Array) -> Decoder:
    """Primal from the dual: g_r = S_r sqrt(q_r) / (2 beta_r)."""
    future = _future_weight(frames.gain2, weights)
    beta = _pool(future * np.sqrt(frames.innovation), frames.power, frames.gain2)
    demand = future * np.sqrt(frames.innovation)
    wanted = np.divide(demand, 2 * beta, out=np.zeros_like(beta), where=beta > 0)
    # what no weighted frame repeats follows all that is known, as in the sequential rule
    wanted[(future == 0) & (frames.innovation > 0)] = np.inf
    g, y = innovations(frames, wanted)
    bound = _joint_bound(frames, weights, future, beta)
    return Decoder(joint_distortion(frames, g, y), g, y, bound)


def _future_weight(gain2: Array, weights: Array) -> Array:
    """S_r = w_r + a_{r+1}^2 S_{r+1}: weight of all frames that repeat the innovation of frame r."""
    out, later = np.empty_like(weights), 0.0
    for r in range(len(weights) - 1, -1, -1):
        later = weights[r] + (gain2[r + 1] * later if r + 1 < len(weights) else 0.0)
        out[r] = later
    return out


def _pool(demand: Array, power: Array, gain2: Array) -> Array:
    """Minimise sum_r demand_r^2 / (4 beta_r) + beta_r power_r over beta_r >= a_{r+1}^2 beta_{r+1}.

    Pool adjacent violators. In a block the constraints are equalities, beta_r = f_r beta_last with
    f the product of the gains in between, so the block is one frame of demand^2 A = sum
    demand_r^2 / f_r and power B = sum f_r power_r, and beta_last = sqrt(A / B) / 2.
    """
    blocks: list[tuple[float, float, int, float]] = []  # A, B, first frame, f of the first frame
    for r in range(len(power)):
        block = (demand[r] ** 2, power[r], r, 1.0)
        while blocks:
            before = blocks[-1]
            to_last = gain2[block[2]] * block[3]
            if to_last < _NO_GAIN or _price(before) >= to_last * _price(block):
                break
            block = (
                before[0] / to_last + block[0],
                before[1] * to_last + block[1],
                before[2],
                before[3] * to_last,
            )
            blocks.pop()
        blocks.append(block)
    beta, end = np.empty_like(power), len(power)
    for block in reversed(blocks):
        first = block[2]
        beta[end - 1] = _price(block)
        for r in range(end - 1, first, -1):
            beta[r - 1] = beta[r] * gain2[r]
        end = first
    return beta


def _price(block: tuple[float, float, int, float]) -> float:
    """Multiplier beta of the last frame of a block: infinite where no power is."""
    return float(0.5 * np.sqrt(block[0]) / np.sqrt(block[1])) if block[1] > 0 else np.inf


def _joint_bound(frames: Frames, weights: Array, future: Array, beta: Array) -> float:
    """Dual value sum_t w_t m_t + sum_r S_r (x_r - 1)(q_r - x_r p_r) / x_r, x_r = 2 beta_r / S_r.

    Near x = 1, the case of high rates, q_r - p_r = m_r - a_r^2 m_{r-1} avoids the cancellation.
    """
    before = shifted(frames.mmse)
    surplus = frames.mmse - frames.gain2 * before
    total = float(weights @ frames.mmse)
    for r, weight in enumerate(future):
        if frames.power[r] == 0:  # beta may be infinite
            total += weight * frames.innovation[r] - (
                weight**2 * frames.innovation[r] / (2 * beta[r]) if beta[r] > 0 else 0.0
            )
        elif weight == 0:
            total -= 2 * beta[r] * frames.power[r]
        elif beta[r] > 0:
            x = 2 * beta[r] / weight
            near = abs(x - 1) < 0.5
            less = surplus[r] - (x - 1) * frames.power[r]
            rest = less if near else frames.innovation[r] - x * frames.power[r]
            total += weight * (x - 1) / x * rest
        else:  # no demand and a free price
            total += weight * (frames.innovation[r] + frames.power[r])
    return total


def joint_distortion(frames: Frames, g: Array, y: Array) -> Array:
    """D_t of JD as m_t + E(Xtil_t - Xhat_t)^2, the excess split into its own recursion.

    Xtil_t - Xhat_t = Y_t + Z_t, with Y_t the part held back (variance y_t, orthogonal to Xhat)
    and Z_t = a_t Z_{t-1} + (g_t - sqrt(q_t)) e_t. As q_t - p_t = m_t - a_t^2 m_{t-1},
    q_t - g_t^2 is m_t + y_t - a_t^2 (m_{t-1} + y_{t-1}), whose terms are small at high rates.
    """
    out, total = np.empty_like(g), 0.0
    unsaid = frames.mmse + y
    short = unsaid - frames.gain2 * shifted(unsaid)
    both = np.sqrt(frames.innovation) + g
    short = np.divide(short, both, out=np.zeros_like(g), where=both > 0)
    for t, gain2 in enumerate(frames.gain2):
        total = gain2 * total + short[t] ** 2
        out[t] = total
    return frames.mmse + y + out
