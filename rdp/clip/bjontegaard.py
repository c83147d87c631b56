"""Bjontegaard's mean difference in rate between two codecs, at equal quality of any kind."""

from __future__ import annotations

import numpy as np

from rdp import _check

Array = np.ndarray


def rate_difference(
    rates: object, quality: object, reference_rates: object, reference_quality: object
) -> float:
    r"""Mean extra rate of a codec over a reference codec at equal quality (BD-rate).

    With r(q) the logarithm of the rate that reaches quality q,

    .. math:: \exp\Big(\frac1{b-a}\int_a^b r(q) - r_0(q)\, dq\Big) - 1,

    over the range a..b of qualities that both codecs reach.

    Parameters
    ----------
    rates, quality : (n,) arrays, n >= 2
        Points of the codec, in any order. Quality rises with the rate. It may be PSNR, or the
        perception loss in decibels: ``-10 log10(P)``.
    reference_rates, reference_quality : (m,) arrays, m >= 2
        Points of the reference codec.

    Returns
    -------
    float
        -0.1 for 10 % less rate. nan if the codecs reach no common range of qualities.

    Raises
    ------
    ValueError
        Rates that are not positive, other shapes, or a quality that does not rise with the rate.

    Notes
    -----
    G. Bjontegaard, "Calculation of average PSNR differences between RD-curves", ITU-T VCEG-M33,
    2001, with monotone cubic interpolation (PCHIP) in place of one polynomial.

    Examples
    --------
    >>> rates = np.array([1.0, 2.0, 4.0, 8.0])
    >>> round(rate_difference(0.8 * rates, [30, 33, 36, 39], rates, [30, 33, 36, 39]), 6)
    -0.2
    """
    from scipy.interpolate import PchipInterpolator

    curves, ends = [], []
    for name, r, q in (
        ("quality", rates, quality),
        ("reference_quality", reference_rates, reference_quality),
    ):
        points, logs = _curve(name, r, q)
        curves.append(PchipInterpolator(points, logs).antiderivative())
        ends.append((points[0], points[-1]))
    low, high = max(first for first, _ in ends), min(last for _, last in ends)
    if low >= high:
        return float("nan")
    area, reference = (float(curve(high) - curve(low)) for curve in curves)
    return float(np.expm1((area - reference) / (high - low)))


def _curve(name: str, rates: object, quality: object) -> tuple[Array, Array]:
    """Qualities that rise, and the logarithms of their rates."""
    r = _check.positive("rates" if name == "quality" else "reference_rates", rates, ndim=1)
    q = _check.finite(name, _check.array(name, quality, ndim=1))
    if q.shape != r.shape or len(q) < 2:
        raise ValueError(f"{name}: expected at least 2 values, as many as rates, got {q.shape}")
    order = np.argsort(r, kind="stable")
    r, q = r[order], q[order]
    if (np.diff(r) <= 0).any() or (np.diff(q) <= 0).any():
        raise ValueError(f"{name}: expected values that rise with the rate, got {q.tolist()}")
    return q, np.log(r)
