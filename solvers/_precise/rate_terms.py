r"""The total rate as a sum of functions of the errors m_t, in decimal arithmetic.

.. math:: 2 \ln 2 \sum_t R_t = \ln \sigma_1^2 + \sum_t r_t(m_t), \qquad
          r_t(m) = \ln (a_{t+1}^2 + q_{t+1} / m), \quad r_T(m) = - \ln m.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import numpy as np

from solvers._precise.arithmetic import joined
from solvers._precise.source import Exact

Array = np.ndarray


class RateTerms(NamedTuple):
    """a^2 and q of the next frame; (0, 1) after the last, whose term is -ln m."""

    squared_gain: Array
    innovation: Array
    variance: Array

    @classmethod
    def of(cls, given: Exact, frames: int) -> RateTerms:
        """Return the terms of the first frames of a source."""
        return cls(
            joined(given.squared_gain[1:frames], Decimal(0)),
            joined(given.innovation[1:frames], Decimal(1)),
            given.variance[:frames],
        )

    def total(self, errors: Array) -> Decimal:
        """2 ln 2 times the total rate."""
        logs = [(a2 + q / m).ln() for a2, q, m in zip(*self[:2], errors, strict=True)]
        return Decimal(self.variance[0].ln() + sum(logs, Decimal(0)))

    def least(self, gain: Array, price: Decimal) -> Decimal:
        """Minimum over 0 < m <= variance of price * total(m) + sum_t m_t (f_t - a_t+1^2 f_t+1).

        Each term is least at slope m (a^2 m + q) = q, or at an end.
        """
        slope = (gain - self.squared_gain * joined(gain[1:], Decimal(0))) / price
        least = self.variance[0].ln()
        for k, a2, q, most in zip(slope, *self, strict=True):
            if q == 0:
                least += a2.ln() + min(k * most, Decimal(0))
                continue
            m = most
            if k > 0:
                m = min(most, 2 * q / (k * q + (k * k * q * q + 4 * k * a2 * q).sqrt()))
            least += (a2 + q / m).ln() + k * m
        return Decimal(price * least)
