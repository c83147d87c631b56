r"""A scalar quantiser whose dither takes few values, so that few random bits are shared.

The dither is uniform over :math:`0, 1/\Gamma, .., (\Gamma - 1)/\Gamma` of a step, the points of a
finer lattice within the cell of the coarse one, so encoder and decoder share
:math:`\log_2 \Gamma` bits a sample:

.. math:: y = Q(e + d) - d, \qquad d \in \{0, \Delta/\Gamma, .., (\Gamma - 1)\Delta/\Gamma\}.

Unlike with uniform dither, the error :math:`r = y - e` depends on the input. For a Gaussian input
of variance v its Fourier series, of which the average over the dither keeps every
:math:`\Gamma`-th term, gives the moments exactly: with
:math:`w_j = 2\pi\Gamma j/\Delta` and :math:`g_j = (-1)^{\Gamma j} e^{-v w_j^2/2}`,

.. math::
    E[e\,r] = 2 v \sum_{j \ge 1} g_j, \qquad
    E[r^2] = \frac{\Delta^2}{12} + \frac{\Delta^2}{\pi^2 \Gamma^2} \sum_{j \ge 1} \frac{g_j}{j^2}.

The terms vanish as :math:`\Gamma` grows, and what is left is the uniform error of shared dither
without limit. Derived in this project; the series is that of Widrow and Kollár, Quantization Noise
(2008), for quantisation without dither.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

Array = np.ndarray

MAX_LEVELS = 1 << 16  # values of the dither; more is as good as no limit
_REACH = 9.0  # deviations of the input, beyond which a term of the series is below rounding
_COARSEST = 1e3  # steps, in deviations of the input: such a quantiser sends nothing


class Quantiser(NamedTuple):
    """Quantiser of one frame with dither.

    Parameters
    ----------
    step : float
        Scale of the lattice, units of the source.
    gain : float
        Coefficient of the linear estimate of the input e from the output y.
    power : float
        E[y^2].
    """

    step: float
    gain: float
    power: float


class Moments(NamedTuple):
    """Second moments of a Gaussian input e and the output y of the quantiser.

    Parameters
    ----------
    cross : float
        E[e y].
    power : float
        E[y^2].
    """

    cross: float
    power: float

    @property
    def gain(self) -> float:
        """Coefficient of the linear estimate of e from y."""
        return self.cross / self.power if self.power > 0 else 0.0


def moments(v: float, step: float, levels: int) -> Moments:
    """Return the moments of a Gaussian input of variance v, averaged over the dither.

    Parameters
    ----------
    v : float, > 0
        Variance of the input.
    step : float, > 0
        Step of the quantiser, in the units of the input.
    levels : int, >= 1
        Number of values of the dither; 1 is no dither.

    Examples
    --------
    A coarse quantiser without dither sends nothing; with two values of dither it does:

    >>> moments(1.0, 20.0, 1).power < 1e-15, round(moments(1.0, 20.0, 2).power, 3)
    (True, 50.0)
    """
    deviation = np.sqrt(v)
    terms = int(np.ceil(_REACH * step / (2 * np.pi * levels * deviation))) + 1
    j = np.arange(1, terms + 1)
    w = 2 * np.pi * levels * j / step
    g = np.where(levels * j % 2, -1.0, 1.0) * np.exp(-v * w**2 / 2)
    along = 2 * v * float(g.sum())
    error = step**2 * (1 / 12 + float((g / j**2).sum()) / (np.pi * levels) ** 2)
    return Moments(max(v + along, 0.0), max(v + 2 * along + error, 0.0))


def limited_quantiser(v: float, m: float, levels: int) -> Quantiser:
    """Return the quantiser whose linear estimate of a Gaussian input has the error m.

    Parameters
    ----------
    v, m : float
        Variance of the input, and of what is left of it, 0 < m < v.
    levels : int, >= 1
        Number of values of the dither.

    Raises
    ------
    ValueError
        No step leaves as much as m: half of the samples get a sign from a dither of two values,
        however large the step.

    Notes
    -----
    The largest such step, found by halving, and rounded to single precision: encoder and decoder
    agree on it even where their exponentials differ in the last digit.
    """
    deviation = float(np.sqrt(v))
    fine = np.sqrt(3 * m)  # leaves less than m: the error is below step^2 / 4
    coarse = 2 * fine
    while _left(v, coarse, levels) < m:
        fine, coarse = coarse, 2 * coarse
        if coarse > _COARSEST * deviation:
            raise ValueError(
                f"mmse: expected less than {_left(v, coarse, levels):.4g} from a variance of "
                f"{v:.4g}, as a dither of {levels} values sends so much at least, got {m:.4g}"
            )
    for _ in range(60):
        middle = (fine + coarse) / 2
        fine, coarse = (middle, coarse) if _left(v, middle, levels) < m else (fine, middle)
    step = float(np.float32(fine))
    found = moments(v, step, levels)
    return Quantiser(step, found.gain, found.power)


def _left(v: float, step: float, levels: int) -> float:
    """Error of the linear estimate."""
    found = moments(v, step, levels)
    return v - found.gain * found.cross
