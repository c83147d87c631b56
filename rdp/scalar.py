r"""One Gaussian frame: the scalar rate-distortion-perception function and its inverse.

With :math:`m = \sigma^2 2^{-2R}` and the smallest standard deviation :math:`\hat s` that the
perception level allows,

.. math:: D(R, P) = m + \max(0, \hat s - \sqrt{\sigma^2 - m})^2.

Zhang et al., arXiv:2106.10311. :math:`\hat s = \sigma - \sqrt P` for squared W2.
"""

from __future__ import annotations

import numpy as np

from rdp import _check
from rdp.closed_form import framewise, smallest_sd
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
    Zhang et al., arXiv:2106.10311. PLF-FMD with one frame, in units of sigma.

    Examples
    --------
    >>> scalar_distortion([0.0, 1.0, np.inf], level=0.0).round(4)
    array([2.    , 0.2679, 0.    ])
    >>> float(scalar_distortion(1.0, level=0.01, sigma=2.0).round(4))
    1.0282
    """
    bits, unit_level, variance = _in_units(rate, level, sigma, metric, name="rate")
    return variance * framewise(_UNIT, bits[..., None], unit_level[..., None], metric)[..., 0]


def scalar_rate(
    distortion: object, level: object, sigma: object = 1.0, metric: str = "w2"
) -> Array:
    r"""Least rate of one Gaussian frame at a distortion and a perception level.

    Minimise :math:`I(X; \hat X)` for :math:`X \sim N(0, \sigma^2)` subject to
    :math:`E(X - \hat X)^2 \le D` and :math:`\phi(P_X, P_{\hat X}) \le P`.

    Parameters
    ----------
    distortion : array, >= 0
        Distortion D, squared units of the source; 0 asks for an infinite rate, inf allowed.
    level : array, >= 0
        Perception level P: squared units of the source for "w2", nats for "kl"; inf is free.
    sigma : array, > 0
        Standard deviation of the source. The three arrays broadcast.
    metric : {"w2", "kl"}
        Squared Wasserstein-2 distance, or KL(reconstruction || source).

    Returns
    -------
    array of the broadcast shape, bits

    Raises
    ------
    ValueError
        Negative or NaN values, shapes that do not broadcast, unknown metric.

    Notes
    -----
    The inverse of :func:`scalar_distortion`. In units of sigma, with w the standard deviation of
    the MMSE estimate: where the level is slack (:math:`D \le 1 - \hat s^2`),
    :math:`R = \tfrac12 \log_2 (1/D)`. Otherwise :math:`D = 1 - w^2 + (\hat s - w)^2` is linear in
    w, so that

    .. math:: R = -\tfrac12 \log_2 (1 - w^2), \qquad w = \frac{1 + \hat s^2 - D}{2 \hat s}, \qquad
              1 - w = \frac{D - (1 - \hat s)^2}{2 \hat s},

    and no rate is needed once :math:`D \ge 1 + \hat s^2`.

    Examples
    --------
    >>> scalar_rate([0.0, 0.267949, 2.0], level=0.0).round(4)
    array([inf,  1.,  0.])
    """
    allowed, unit_level, variance = _in_units(distortion, level, sigma, metric, name="distortion")
    d = allowed / variance
    shown = smallest_sd(1.0, unit_level, metric)
    slack = d <= (1 - shown) * (1 + shown)
    active = ~slack & (d < 1 + shown**2)
    # where active, 1 - w for large rates and w for small ones, each without cancellation
    twice = np.where(active, 2 * shown, 1.0)
    rest = np.where(active, d - (1 - shown) ** 2, 1.0) / twice
    estimate = np.where(active, 1 + shown**2 - d, 0.0) / twice
    low = -np.log1p(-(np.minimum(estimate, 0.5) ** 2))
    with np.errstate(divide="ignore"):  # D = 0 costs an infinite rate
        free = np.maximum(-np.log(d), 0.0)
        bound = np.where(estimate < 0.5, low, -np.log(rest) - np.log(2 - rest))
    return np.where(slack, free, np.where(active, bound, 0.0)) / (2 * np.log(2))


def _in_units(
    first: object, level: object, sigma: object, metric: str, name: str
) -> tuple[Array, Array, Array]:
    """First argument, level in units of sigma, and variance, broadcast together."""
    FMD(metric=metric)  # one place that knows the metrics
    given = _check.nonnegative(name, first)
    allowed = _check.nonnegative("level", level)
    sd = _check.positive("sigma", sigma)
    try:
        given, allowed, sd = np.broadcast_arrays(given, allowed, sd)
    except ValueError:
        raise ValueError(
            f"{name}: expected a shape that broadcasts with level {allowed.shape} and sigma "
            f"{sd.shape}, got {given.shape}"
        ) from None
    if metric == "w2":
        with np.errstate(over="ignore"):  # beyond all numbers is no constraint
            allowed = (np.sqrt(allowed) / sd) ** 2
    return given, allowed, sd**2
