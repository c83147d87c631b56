r"""One Gaussian frame: the scalar rate-distortion-perception function and its inverse.

.. math:: D(R, P) = m + \max(0, \hat s - \sqrt{\sigma^2 - m})^2, \qquad m = \sigma^2 2^{-2R},

where :math:`\hat s` is the smallest standard deviation that the perception level allows:
:math:`\hat s = \sigma - \sqrt P` for squared W2. Zhang et al., arXiv:2106.10311.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rdp import _check
from rdp.closed_form import framewise, smallest_sd
from rdp.mmse import over_blocks
from rdp.perception import FMD
from rdp.source import GaussMarkov

Array = np.ndarray

_UNIT = GaussMarkov(np.ones(1))


def scalar_distortion(
    rate: object, level: object, sigma: object = 1.0, metric: str = "w2"
) -> Array:
    r"""Least distortion of one Gaussian frame at a rate and a perception level.

    Minimise :math:`E(X - \hat X)^2` for :math:`X \sim N(0, \sigma^2)` subject to
    :math:`I(X; \hat X) \le R` and :math:`\phi(P_X, P_{\hat X}) \le P`.

    Parameters
    ----------
    rate : array, >= 0, bits
        Rate R; inf allowed.
    level : array, >= 0
        Perception level P: squared units of the source for "w2", nats for "kl"; inf is free.
    sigma : array, > 0
        Standard deviation of the source. The three arrays broadcast.
    metric : {"w2", "kl"}
        Squared Wasserstein-2 distance, or KL(reconstruction || source).

    Returns
    -------
    array of the broadcast shape, squared units of the source

    Raises
    ------
    ValueError
        Negative or NaN values, shapes that do not broadcast, unknown metric.

    Notes
    -----
    Zhang et al., arXiv:2106.10311. It is PLF-FMD with one frame.

    Examples
    --------
    >>> scalar_distortion([0.0, 1.0, np.inf], level=0.0).round(4)
    array([2.    , 0.2679, 0.    ])
    >>> float(scalar_distortion(1.0, level=0.01, sigma=2.0).round(4))
    1.0282
    """
    bits, unit_level, variance = _in_units(rate, level, sigma, metric, name="rate")
    out = framewise(_UNIT, bits[..., None], unit_level[..., None], metric)[..., 0]
    if variance.ndim:
        return out * variance
    out *= variance  # in place, which saves a pass over fresh memory
    return out


def scalar_rate(
    distortion: object, level: object, sigma: object = 1.0, metric: str = "w2"
) -> Array:
    r"""Least rate of one Gaussian frame at a distortion and a perception level.

    Minimise :math:`I(X; \hat X)` for :math:`X \sim N(0, \sigma^2)` subject to
    :math:`E(X - \hat X)^2 \le D` and :math:`\phi(P_X, P_{\hat X}) \le P`.

    Parameters
    ----------
    distortion : array, >= 0
        Distortion D, squared units of the source; 0 needs an infinite rate, inf allowed.
    level, sigma, metric : arrays, and {"w2", "kl"}
        As for :func:`scalar_distortion`, which also lists the errors.

    Returns
    -------
    array of the broadcast shape, bits

    Notes
    -----
    The inverse of :func:`scalar_distortion`. In units of sigma, let w be the standard deviation of
    the MMSE estimate. If the level does not bind (:math:`D \le 1 - \hat s^2`), then
    :math:`R = \tfrac12 \log_2 (1/D)`. Otherwise :math:`D = 1 - w^2 + (\hat s - w)^2` is linear in
    w, so

    .. math:: R = -\tfrac12 \log_2 (1 - w^2), \qquad w = \frac{1 + \hat s^2 - D}{2 \hat s}, \qquad
              1 - w = \frac{D - (1 - \hat s)^2}{2 \hat s},

    and no rate is needed if :math:`D \ge 1 + \hat s^2`.

    Examples
    --------
    >>> scalar_rate([0.0, 0.267949, 2.0], level=0.0).round(4)
    array([inf,  1.,  0.])
    """
    allowed, unit_level, variance = _in_units(distortion, level, sigma, metric, name="distortion")
    each = np.broadcast_arrays(allowed / variance, smallest_sd(1.0, unit_level, metric))
    return over_blocks(_UNIT, _unit_rate, *(array[..., None] for array in each))[..., 0]


def _unit_rate(distortion: Array, least_sd: Array) -> Iterator[Array]:
    """Yield the rate at unit variance; the level allows a standard deviation of least_sd."""
    d, s = distortion[0], least_sd[0]
    slack = d <= (1 - s) * (1 + s)
    twice = np.maximum(2 * s, 1e-300)  # s = 0 is slack
    with np.errstate(divide="ignore", over="ignore"):  # D = 0 needs an infinite rate
        # 1 - w for large rates and w for small ones, each without cancellation
        w = np.clip((1 + s**2 - d) / twice, 0.0, 0.5)
        rest = np.clip((d - (1 - s) ** 2) / twice, 0.0, 1.0)
        high = np.log(np.where(slack, np.minimum(d, 1.0), rest * (2 - rest)))
    low = ~slack & (w < 0.5)
    yield np.where(low, np.log1p(-(w**2)), high) / (-2 * np.log(2))


def _in_units(
    first: object, level: object, sigma: object, metric: str, name: str
) -> tuple[Array, Array, Array]:
    """Return the first argument, the level in units of sigma, and the variance."""
    FMD(metric=metric)  # one place that knows the metrics
    given = _check.nonnegative(name, first)
    allowed = _check.nonnegative("level", level)
    sd = _check.positive("sigma", sigma)
    try:
        np.broadcast_shapes(given.shape, allowed.shape, sd.shape)
    except ValueError:
        raise ValueError(
            f"{name}: expected a shape that broadcasts with level {allowed.shape} and sigma "
            f"{sd.shape}, got {given.shape}"
        ) from None
    if metric == "w2":
        with np.errstate(over="ignore"):  # an infinite level is no constraint
            allowed = (np.sqrt(allowed) / sd) ** 2
    return given, allowed, sd**2
