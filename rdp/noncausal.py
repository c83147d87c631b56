r"""The price of causality: what a codec could do that sees the whole sequence before it codes.

Non-causal (block) coding of a stationary first-order source with spectrum

.. math:: S(\omega) = \frac{q}{1 - 2\rho\cos\omega + \rho^2}, \qquad
          q = (1 - \rho^2)\sigma^2,

without realism (reverse water-filling) and with perfect realism of the whole sequence. Every
frequency is a Gaussian of its own. At perfect realism it has variance S before and after coding,
and correlation kappa between the two:

.. math::
    \min \frac1{2\pi} \int 2 S (1 - \kappa)\, d\omega \quad\text{subject to}\quad
    \frac1{2\pi} \int -\tfrac12 \log_2 (1 - \kappa^2)\, d\omega \le R,
    \qquad \frac{\kappa}{1 - \kappa^2} = \frac{S(\omega)}{\lambda}.

Derived in this project. Rates in bits per frame, distortions in squared units of the source.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from rdp import _check

Array = np.ndarray

_NODES = 300  # of Gauss's rule
_HALVINGS = 200


class CausalityPrice(NamedTuple):
    """Distortion per frame in the long run, causal and not, with and without perfect realism.

    Parameters
    ----------
    noncausal_mmse : array
        Non-causal, no realism: reverse water-filling over frequencies.
    noncausal_realism : array
        Non-causal, perfect realism of the whole sequence.
    causal_mmse : array
        Causal, no realism.
    causal_realism : array
        Causal, perfect realism: PLF-FMD and PLF-JD, which agree at constant rate.
    """

    noncausal_mmse: Array
    noncausal_realism: Array
    causal_mmse: Array
    causal_realism: Array


def noncausal_realism(rho: float, rates: object, sigma: float = 1.0) -> Array:
    r"""Least distortion per frame at perfect realism of the whole sequence, without causality.

    Minimise :math:`\lim \frac1T \sum_t E(X_t - \hat X_t)^2` subject to
    :math:`P_{\hat X_1..\hat X_T} = P_{X_1..X_T}` and :math:`I(X^T; \hat X^T) \le T R`.

    Parameters
    ----------
    rho : float, in [-1, 1]
        Correlation of consecutive frames.
    rates : array, >= 0, bits per frame
        Rate R; inf allowed.
    sigma : float, > 0
        Standard deviation of a frame.

    Returns
    -------
    array of the shape of rates, squared units of the source

    Raises
    ------
    ValueError
        Negative or NaN rates, rho outside [-1, 1], sigma not positive.

    Notes
    -----
    Derived in this project, see the module docstring. With x = S / lambda the root is
    :math:`\kappa = 2x / (1 + \sqrt{1 + 4x^2})`, and lambda is found by bisection. Integrals are by
    Gauss's rule in :math:`y = \sinh^{-1}(\omega / (1 - |\rho|))`, which follows the peak of the
    spectrum.

    Examples
    --------
    >>> float(noncausal_realism(0.9, 0.5).round(6))
    0.135737
    """
    return _curve(rho, rates, sigma, realism=True)


def noncausal_mmse(rho: float, rates: object, sigma: float = 1.0) -> Array:
    r"""Least distortion per frame without realism and without causality: reverse water-filling.

    Minimise :math:`\lim \frac1T \sum_t E(X_t - \hat X_t)^2` subject to
    :math:`I(X^T; \hat X^T) \le T R`: the spectrum of the error is min(level, S).

    Parameters
    ----------
    rho : float, in [-1, 1]
        Correlation of consecutive frames.
    rates : array, >= 0, bits per frame
        Rate R; inf allowed.
    sigma : float, > 0
        Standard deviation of a frame.

    Returns
    -------
    array of the shape of rates, squared units of the source

    Raises
    ------
    ValueError
        Negative or NaN rates, rho outside [-1, 1], sigma not positive.

    Notes
    -----
    Classical. From :math:`R = \log_2 (1 + |\rho|)` on every frequency gets rate, and the answer is
    :math:`q 2^{-2R}`. Below, the spectrum is cut at the frequency where it meets the level.

    Examples
    --------
    >>> noncausal_mmse(0.9, [0.5, 1.0]).round(6)
    array([0.102478, 0.0475  ])
    """
    return _curve(rho, rates, sigma, realism=False)


def causality_price(rho: float, rates: object, sigma: float = 1.0) -> CausalityPrice:
    r"""Causal and non-causal distortion in the long run at constant rate, side by side.

    Each value is a minimum of the mean distortion per frame: of its own set of codecs, causal or
    not, with perfect realism of the reconstruction or without. The causal values are

    .. math:: m = 2^{-2R} (\rho^2 m + q), \qquad 2\sigma^2 - 2\sigma\sqrt{\sigma^2 - m} .

    Parameters
    ----------
    rho : float, in [-1, 1]
        Correlation of consecutive frames.
    rates : array, >= 0, bits per frame
        Constant rate R; inf allowed.
    sigma : float, > 0
        Standard deviation of a frame.

    Returns
    -------
    CausalityPrice
        Arrays of the shape of rates, squared units of the source.

    Raises
    ------
    ValueError
        Negative or NaN rates, rho outside [-1, 1], sigma not positive.

    Examples
    --------
    At half a bit a frame, causality costs more than perfect realism:

    >>> for name, value in causality_price(0.9, 0.5)._asdict().items():
    ...     print(f"{name:18}{value:.6f}")
    noncausal_mmse     0.102478
    noncausal_realism  0.135737
    causal_mmse    0.159664
    causal_realism 0.166603
    """
    corr, bits, sd = _checked(rho, rates, sigma)
    residual, captured = np.exp2(-2 * bits), -np.expm1(-2 * np.log(2) * bits)
    new = (1 - corr) * (1 + corr)
    # 1 - rho^2 2^(-2R); with |rho| = 1 and no rate nothing is ever known
    lost = captured + residual * new
    m = np.where(lost > 0, residual * new / np.where(lost > 0, lost, 1.0), 1.0)
    known = np.where(lost > 0, captured / np.where(lost > 0, lost, 1.0), 0.0)
    realism = m + (m / (1 + np.sqrt(known))) ** 2
    return CausalityPrice(
        noncausal_mmse=noncausal_mmse(rho, rates, sigma),
        noncausal_realism=noncausal_realism(rho, rates, sigma),
        causal_mmse=sd**2 * m,
        causal_realism=sd**2 * realism,
    )


def _checked(rho: object, rates: object, sigma: object) -> tuple[float, Array, float]:
    corr = _check.array("rho", rho, ndim=0)
    if abs(corr) > 1:
        raise ValueError(f"rho: expected |rho| <= 1, got {corr:g}")
    return float(corr), _check.nonnegative("rates", rates), float(_check.positive("sigma", sigma))


def _curve(rho: object, rates: object, sigma: object, realism: bool) -> Array:
    corr, bits, sd = _checked(rho, rates, sigma)
    at_rate = _realism_at if realism else _mmse_at
    flat = np.array([at_rate(abs(corr), rate) for rate in bits.ravel()])
    return sd**2 * flat.reshape(bits.shape)


def _realism_at(rho: float, rate: float) -> float:
    """Distortion at one rate, unit variance; |rho| counts, as alternate signs are a relabelling."""
    if rate == 0:
        return 2.0
    if rho == 1 or np.isinf(rate):  # one number describes the sequence
        return 0.0
    spectrum, weight = _frequencies(rho, np.pi)

    def bits(precision: float) -> float:
        """Rate at level exp(-precision)."""
        x = spectrum * np.exp(precision)
        # 1 - kappa^2 = kappa / x = 2 / (1 + root), and root - 1 = 4 x^2 / (1 + root)
        return float(weight @ np.log1p(2 * x**2 / (1 + np.sqrt(1 + 4 * x**2)))) / (2 * np.log(2))

    # kappa^2 <= x^2, hence 2 ln2 R <= (top / level)^2; and 1 - kappa^2 <= 1 / x
    low = 0.5 * np.log(2 * np.log(2) * rate) - np.log(spectrum.max())
    high = 2 * np.log(2) * rate - float(weight @ np.log(spectrum))
    x = spectrum * np.exp(_root(bits, rate, low - 1, high + 1))
    root = np.sqrt(1 + 4 * x**2)
    missing = (1 + 1 / (root + 2 * x)) / (1 + root)  # 1 - kappa, without cancellation
    return float(weight @ (2 * spectrum * missing))


def _mmse_at(rho: float, rate: float) -> float:
    """Reverse water-filling at one rate, unit variance."""
    if rate == 0:
        return 1.0
    if rho == 1 or np.isinf(rate):
        return 0.0
    if rate >= np.log2(1 + rho):
        return float((1 - rho) * (1 + rho) * np.exp2(-2 * rate))

    def bits(cut: float) -> float:
        """Rate when the frequencies below the cut get rate."""
        spectrum, weight = _frequencies(rho, cut)
        return float(weight @ np.log(spectrum / _spectrum(rho, cut))) / (2 * np.log(2))

    cut = _root(bits, rate, 0.0, np.pi)
    # the tail of the spectrum has an elementary integral
    tail = np.arctan2((1 - rho) * np.cos(cut / 2), (1 + rho) * np.sin(cut / 2))
    return float(_spectrum(rho, cut)) * cut / np.pi + 2 * float(tail) / np.pi


def _spectrum(rho: float, omega: Array | float) -> Array:
    """Spectrum at unit variance, rho >= 0; 1 - cos w = 2 sin^2(w/2) keeps the digits at w = 0."""
    return (1 - rho) * (1 + rho) / ((1 - rho) ** 2 + 4 * rho * np.sin(np.asarray(omega) / 2) ** 2)


def _frequencies(rho: float, cut: float) -> tuple[Array, Array]:
    """Spectrum at nodes in [0, cut], and weights of the integral over frequency / pi."""
    nodes, weights = _gauss()
    top = np.arcsinh(cut / (1 - rho))
    y = top * (nodes + 1) / 2
    stretch = (1 - rho) * np.cosh(y)
    return _spectrum(rho, (1 - rho) * np.sinh(y)), stretch * weights * top / (2 * np.pi)


@lru_cache(maxsize=1)
def _gauss() -> tuple[Array, Array]:
    return np.polynomial.legendre.leggauss(_NODES)


def _root(increasing: Callable[[float], float], target: float, low: float, high: float) -> float:
    """Where an increasing function meets the target, by bisection to the last digit."""
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        if increasing(middle) < target:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)
