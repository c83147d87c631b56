r"""Best split of a bit budget where each frame is bound alone: no loss, or PLF-FMD.

Then :math:`D_t = m_t + (\hat s_t - \sqrt{\sigma_t^2 - m_t})_+^2` is convex in the error m_t alone.
At a price :math:`\lambda` of twice the rate in nats, minimise

.. math:: \sum_t \big[w_t D_t(m_t) + \lambda r_t(m_t)\big], \qquad
          r_t = \ln (a_{t+1}^2 + q_{t+1} / m_t), \quad r_T = -\ln m_T,

subject to :math:`m_t \le a_t^2 m_{t-1} + q_t`: the terms are separate and convex, and each
constraint ties a frame to the one before by an increasing function. So this is an isotonic
regression: frames that would get less than no rate are pooled with the frame before, until none
does. The price is found by a search in one number. The value at a price is the dual bound. Derived
in this project.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from rdp.closed_form import rate_for_distortion, smallest_sd
from rdp.perception import FMD
from rdp.problem import Problem
from rdp.source import GaussMarkov

Array = np.ndarray

_STEPS = 80  # of a bisection in a logarithm
_LOWEST = 1e-280  # errors, relative to the variance
_MOST_BITS = 400.0  # per frame; beyond it errors come near to the smallest numbers


class ExplicitSplit(NamedTuple):
    """Rates and the dual value of the price, which no split is below."""

    rates: Array
    lower_bound: float


class _Block(NamedTuple):
    """Frames first..last, of which only the first gets bits, and its error."""

    first: int
    last: int
    error: float


class _Priced:
    """The problem at prices of a bit."""

    def __init__(self, source: GaussMarkov, weights: Array, loss: FMD) -> None:
        self.source, self.weights, self.loss = source, weights, loss
        self.least = smallest_sd(source.sigma, loss.thresholds(source.frames), loss.metric)
        self.a2 = np.append(source.gain[1:] ** 2, 0.0)
        self.q = np.append(source.innovation[1:], 1.0)

    def slope(self, m: Array, t: slice, price: float) -> Array:
        """Derivative of the terms of frames t in their errors m."""
        known = np.sqrt(np.maximum(self.source.variance[t] - m, 0.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            felt = np.where(known < self.least[t], self.least[t] / known, 1.0)
            gained = np.where(self.q[t] > 0, self.q[t] / (m * (self.a2[t] * m + self.q[t])), 0.0)
            cost = np.where(self.weights[t] > 0, self.weights[t] * felt, 0.0)
        return cost - price * gained

    def alone(self, price: float) -> Array:
        """Best error of each frame without the constraints."""
        low, high = np.log(_LOWEST * self.source.variance), np.log(self.source.variance)
        for _ in range(_STEPS):
            middle = 0.5 * (low + high)
            rises = self.slope(np.exp(middle), slice(None), price) >= 0
            low, high = np.where(rises, low, middle), np.where(rises, middle, high)
        return np.exp(high)

    def along(self, first: int, last: int) -> tuple[Array, Array]:
        """Derivatives and constants of the errors of frames first..last, linear in the first."""
        change, fixed = [1.0], [0.0]
        for t in range(first + 1, last + 1):
            change.append(self.a2[t - 1] * change[-1])
            fixed.append(self.a2[t - 1] * fixed[-1] + self.source.innovation[t])
        return np.array(change), np.array(fixed)

    def pooled(self, first: int, last: int, price: float) -> _Block:
        """Best error of the first of some frames, of which the others get no bits."""
        variance, t = self.source.variance[first], slice(first, last + 1)
        change, fixed = self.along(first, last)

        def rise(log: float) -> float:
            error = np.exp(log)
            return float(error * self.slope(change * error + fixed, t, price) @ change)

        error = np.exp(_root(rise, float(np.log(_LOWEST * variance)), float(np.log(variance))))
        return _Block(first, last, float(error))

    def errors(self, price: float) -> Array:
        """Best errors m_t at a price, by pooling of frames."""
        blocks: list[_Block] = []
        for t, error in enumerate(self.alone(price).tolist()):
            block = _Block(t, t, error)
            while blocks and self.a2[block.first - 1] > 0 and self._tied(blocks[-1], block):
                block = self.pooled(blocks.pop().first, block.last, price)
            blocks.append(block)
        return np.concatenate([self._errors_of(block, block.last) for block in blocks])

    def _tied(self, before: _Block, block: _Block) -> bool:
        """Whether a block would get less than no rate."""
        return bool(block.error >= self._errors_of(before, block.first)[-1])

    def _errors_of(self, block: _Block, last: int) -> Array:
        """Errors from the first frame of a block to another frame, if these get no bits."""
        change, fixed = self.along(block.first, last)
        return change * block.error + fixed

    def distortion(self, m: Array) -> Array:
        """D_t of the errors."""
        known = np.sqrt(np.maximum(self.source.variance - m, 0.0))
        return np.asarray(m + np.maximum(self.least - known, 0.0) ** 2)


def frames_alone(problem: Problem) -> FMD | None:
    """Return the loss where each frame is bound alone, at thresholds inf without one; else None.

    Parameters
    ----------
    problem : Problem
    """
    if np.isinf(problem.thresholds).all():
        return FMD(np.inf)
    loss = problem.simplest().perception
    return loss if isinstance(loss, FMD) else None


def split_alone(source: GaussMarkov, total: float, weights: Array, loss: FMD) -> ExplicitSplit:
    """Return the best split of a budget.

    Parameters
    ----------
    source : GaussMarkov
        T scalar frames.
    total : float, > 0
        Bits of all frames.
    weights : (T,) array, >= 0
        Weights of the distortions, not all 0.
    loss : FMD
        Thresholds inf ask for no realism.

    Notes
    -----
    Of distortions that are next to the smallest numbers there are, the bound is 0.
    """
    most = _MOST_BITS * source.frames
    if total > most:
        fewer = split_alone(source, most, weights, loss).rates
        return ExplicitSplit(with_more_bits(fewer, total), 0.0)
    priced = _Priced(source, weights, loss)

    def missing(log: float) -> float:
        return total - float(rate_for_distortion(source, priced.errors(float(np.exp(log)))).sum())

    high = float(np.log(weights @ source.variance))
    while missing(high) < 0:
        high += 10.0
    price = float(np.exp(_root(missing, high - 2 * np.log(2) * total - 60.0, high)))
    m = priced.errors(price)
    rates = rate_for_distortion(source, m)
    used = float(rates.sum())
    bound = float(weights @ priced.distortion(m)) - 2 * np.log(2) * price * (total - used)
    # the logarithm of a price has fewer digits than a small budget
    return ExplicitSplit(rates * (total / used if used > 0 else 1.0), float(bound))


def with_more_bits(rates: Array, total: float) -> Array:
    """Return the best split of more bits, where those that there are leave next to no errors.

    There a bit more for each frame that receives divides all their distortions by four.

    Parameters
    ----------
    rates : (T,) array
        The best split of fewer bits, many to a frame.
    total : float
        Bits of all frames.
    """
    receives = rates > rates.mean() / 4
    return rates + np.where(receives, (total - rates.sum()) / receives.sum(), 0.0)


def _root(rising: Callable[[float], float], low: float, high: float) -> float:
    """Where a function that rises is 0 between two points, or the end next to it."""
    from scipy.optimize import brentq

    if rising(low) >= 0:
        return low
    if rising(high) <= 0:
        return high
    return float(brentq(rising, low, high, xtol=1e-15, rtol=1e-15))
