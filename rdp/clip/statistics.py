r"""The estimates of a fit: parameters of the model, their standard errors, and tests of the model.

For samples :math:`x_t` of one mode, with sums over samples and frames, the parameters are

.. math:: \hat\sigma^2 = \tfrac1{nT} \sum x_t^2, \qquad
          \hat\rho = \frac{2 \sum x_t x_{t-1}}{\sum (x_t^2 + x_{t-1}^2)}.

rho is Burg's estimate. It minimises the errors of forward and backward prediction and always lies
in [-1, 1]. The standard errors under the model hold for independent samples of a Gaussian process.
They are exact to first order at any T:

.. math:: \operatorname{Var} \hat\sigma^2 = \frac{2\sigma^4}{nT^2} (T + 2 S_T), \qquad
          \operatorname{Var} \hat\rho = \frac{(1-\rho^2)^2}{n(T-1)^2} (T - 1 + S_{T-1}), \qquad
          S_T = \sum_{k<T} (T-k) \rho^{2k}

(derived in this project). Two statistics of the innovations :math:`x_t - \hat\rho x_{t-1}` test the
model. Whiteness is their autocorrelation at lag one, 0 for a Gauss-Markov source. Its variance is,
to first order,

.. math:: \frac1{n(T-2)} + \operatorname{Var} \hat\rho - \frac{2 (1-\rho^2)}{n(T-1)}
          \Big(1 - \frac1{T-2} \sum_{k=1}^{T-2} \rho^{2k}\Big),

which tends to rho^2 / (nT), Box and Pierce, J. Amer. Statist. Assoc. 65 (1970) 1509. Kurtosis is
their excess kurtosis, 0 for a Gaussian source, of variance 24 / (n(T-1)).

Samples of real pictures depend on each other. So these tests reject more often than their level
says, and the values of whiteness and kurtosis say more than the rejections.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

Array = np.ndarray

_UNUSED = 1e-10  # a mode whose sigma is this far below the largest is rounding
_AT_ONCE = 1 << 22  # coefficients processed at one time, which bounds the memory
_REPEATED = 0.01  # change to the next frame, relative to the median change
_CUT = 0.5  # correlation of a frame with the one before


class ModeStatistics(NamedTuple):
    """Statistics of d modes: arrays (d,). For a mode without signal they are 0, or nan for tests.

    The fields have the meaning of those of `rdp.clip.ClipFit`.
    """

    sigma: Array
    sigma_se: Array
    rho: Array
    rho_se: Array
    whiteness: Array
    whiteness_se: Array
    kurtosis: Array
    kurtosis_se: float


def mode_statistics(x: Array, scale: float = 1.0, at_once: int = _AT_ONCE) -> ModeStatistics | None:
    """Return the statistics of samples of modes, or None if no mode has a signal.

    Parameters
    ----------
    x : (n, T, d) array
        n samples of d modes.
    scale : float
        A mode has a signal if its sigma exceeds 1e-10 of the largest sigma, and 1e-10 of this.
    at_once : int
        Coefficients processed at one time.
    """
    n, frames, d = x.shape
    step = max(1, at_once // (n * frames))
    parts = [_estimates(x[..., i : i + step]) for i in range(0, d, step)]
    found = np.concatenate(parts, axis=1)
    unused = ~(found[0] > _UNUSED * max(found[0].max(), scale))
    if unused.all():
        return None
    found[:4, unused], found[4:, unused] = 0.0, np.nan
    sigma, sigma_se, rho, rho_se, whiteness, kurtosis = found
    whiteness_se = _whiteness_se(rho, n, frames)
    kurtosis_se = float(np.sqrt(24 / (n * (frames - 1))))
    return ModeStatistics(
        sigma, sigma_se, rho, rho_se, whiteness, whiteness_se, kurtosis, kurtosis_se
    )


def repeats_and_cuts(pixels: Array) -> tuple[int, int]:
    """Count the frames of (T, H, W) pixels that repeat the one before, and the cuts.

    A frame is a repeat if it changes by at most 1 % of the median change, in squared error. It is
    a cut if its correlation with the frame before is below 0.5.
    """
    change = np.array([np.mean((b - a) ** 2) for a, b in pairwise(pixels)])
    repeated = change <= _REPEATED * np.median(change)
    cuts = change > 2 * (1 - _CUT) * pixels.var()
    return int(repeated.sum()), int(cuts.sum())


def _estimates(x: Array) -> Array:
    """Return sigma and rho, each with its standard error, whiteness and kurtosis, (6, d)."""
    sigma, sigma_se, rho, rho_se = _parameters(x)
    innovation = x[:, 1:] - rho * x[:, :-1]
    tests = _whiteness(innovation, sigma), _kurtosis(innovation, sigma)
    return np.stack([sigma, sigma_se, rho, rho_se, *tests])


def _parameters(x: Array) -> tuple[Array, Array, Array, Array]:
    """Return sigma and rho of every mode, each followed by its standard error.

    A standard error is the largest of several: under the model, with samples as the independent
    units, and for rho with frames as the independent units.
    """
    n, frames, _ = x.shape
    power = np.einsum("ntd,ntd->nd", x, x) / frames
    variance = power.mean(axis=0)
    product = x[:, 1:] * x[:, :-1]
    square = x**2
    both = square[:, 1:] + square[:, :-1]
    weight = both.sum(axis=(0, 1))
    known = np.where(weight > 0, weight, 1.0)
    rho = np.clip(2 * product.sum(axis=(0, 1)) / known, -1.0, 1.0)

    score = 2 * product - rho * both
    by_model = np.sqrt(_rho_variance(rho, n, frames))
    by_sample = _sum_deviation(score.sum(axis=1)) / known
    by_frame = _sum_deviation(score.sum(axis=0)) / known
    rho_se = np.maximum(np.maximum(by_model, by_sample), by_frame)

    by_model = variance * np.sqrt((frames + 2 * _weighted_sum(frames, rho**2)) / (n / 2)) / frames
    by_sample = _sum_deviation(power - variance) / n
    sigma = np.sqrt(variance)
    twice = np.where(sigma > 0, 2 * sigma, 1.0)
    return sigma, np.maximum(by_model, by_sample) / twice, rho, rho_se


def _rho_variance(rho: Array, n: int, frames: int) -> Array:
    """Variance of Burg's estimate under the model, to first order."""
    pairs = frames - 1
    return (1 - rho**2) ** 2 * (pairs + _weighted_sum(pairs, rho**2)) / (n * pairs**2)


def _weighted_sum(count: int, ratio: Array) -> Array:
    """Sum over 0 < k < count of (count - k) ratio^k: S_T of the module docstring."""
    total, term = np.zeros_like(ratio), np.ones_like(ratio)
    for k in range(1, count):
        term = term * ratio
        total += (count - k) * term
    return total


def _sum_deviation(scores: Array) -> Array:
    """Standard deviation of a sum of independent scores of mean zero, (m, d) -> (d,)."""
    m = len(scores)
    if m < 2:
        return np.zeros(scores.shape[1:])
    return np.sqrt((scores**2).sum(axis=0) * (m / (m - 1)))


def _whiteness(innovation: Array, sigma: Array) -> Array:
    """Autocorrelation of innovations at lag one; nan where there are none."""
    if innovation.shape[1] < 2:
        return np.full_like(sigma, np.nan)
    late, early = innovation[:, 1:], innovation[:, :-1]
    product = (late * early).sum(axis=(0, 1))
    scale = np.sqrt((late**2).sum(axis=(0, 1)) * (early**2).sum(axis=(0, 1)))
    return _ratio(product, scale, (_UNUSED * sigma) ** 2)


def _whiteness_se(rho: Array, n: int, frames: int) -> Array:
    """Standard error of `_whiteness` under the model, with an estimated rho.

    The residuals are w_t - (rho_hat - rho) x_{t-1}, so the autocorrelation is that of w minus the
    error of rho_hat; the two are correlated. The last term is of second order.
    """
    if frames < 3:
        return np.full_like(rho, np.nan)
    later, pairs = frames - 2, n * (frames - 1)
    kept = 1 - sum(rho ** (2 * k) for k in range(1, later + 1)) / later
    covariance = (1 - rho**2) * kept / pairs
    variance = 1 / (n * later) + _rho_variance(rho, n, frames) - 2 * covariance
    return np.sqrt(np.maximum(variance, 0.0) + 1 / (n * later * pairs))


def _kurtosis(innovation: Array, sigma: Array) -> Array:
    """Excess kurtosis of innovations; nan where there are none."""
    square = innovation**2
    variance = square.mean(axis=(0, 1))
    fourth = (square**2).mean(axis=(0, 1))
    return _ratio(fourth, variance**2, (_UNUSED * sigma) ** 4) - 3


def _ratio(value: Array, scale: Array, floor: Array) -> Array:
    """Return value / scale, or nan where the scale is not above the floor."""
    out = np.full_like(value, np.nan)
    return np.divide(value, scale, out=out, where=scale > floor)
