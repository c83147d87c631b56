r"""Distortion-rate curves in the long run, for modes that are sources of any order.

At a constant rate R for all modes together, each loss has its own split,

.. math:: \min \sum_i D_i(R_i) \quad\text{s.t.}\quad \sum_i R_i \le R,

with :math:`D_i` the distortion of mode i in the long run (`solvers.steady_state`). The curves are
computed at some rates and interpolated between them to about 1 %; the split takes the lower convex
hull of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rdp import _check
from rdp.linear_source import LinearSource, lyapunov, scalar
from rdp.perception import FMD, JD, SA, Perception
from rdp.source import GaussMarkov
from solvers.prediction import decibels
from solvers.steady_state import steady_state

Array = np.ndarray

LOSSES: dict[str, Perception | None] = {
    "MMSE": None,
    "FMD": FMD(0.0),
    "JD": JD(0.0),
    "SA": SA(0.0),
}

# bits at which the curve of a mode is computed
_RATES = np.array([0.003, 0.01, 0.03, 0.07, 0.16, 0.35, 0.8, 1.5, 2.5, 3.7, 5.5, 8.0])
_DENSE = np.concatenate([[0.0], np.geomspace(1e-5, 20.0, 700)])  # bits, of the split


@dataclass(frozen=True, eq=False)
class SteadyPrediction:
    """Distortion in the long run at B rates.

    Parameters
    ----------
    bits_per_pixel : (B,) array
        Constant rate of every frame.
    distortion : dict of (B,) arrays
        Mean squared error of a pixel by loss: "MMSE", and "FMD", "JD" and "SA" at perfect realism.
        Each has its own split of the rate over the modes, and in each mode the encoder of least
        mean squared error.
    peak : float
        Largest value of a pixel, for PSNR.
    """

    bits_per_pixel: Array
    distortion: dict[str, Array]
    peak: float

    def psnr(self, plf: str) -> Array:
        """PSNR of a loss, (B,) array, dB.

        Parameters
        ----------
        plf : {"MMSE", "FMD", "JD", "SA"}
            Name of the loss.
        """
        return decibels(self.distortion[plf], self.peak)

    def to_dataframe(self) -> Any:
        """Return one row for each rate and loss.

        Returns
        -------
        pandas.DataFrame
            Columns bits_per_pixel, plf, mse (of a pixel) and psnr_db.
        """
        import pandas as pd

        parts = [
            pd.DataFrame(
                {
                    "bits_per_pixel": self.bits_per_pixel,
                    "plf": plf,
                    "mse": values,
                    "psnr_db": self.psnr(plf),
                }
            )
            for plf, values in self.distortion.items()
        ]
        return pd.concat(parts, ignore_index=True)


def predict_steady(
    sources: Sequence[GaussMarkov | LinearSource],
    bits_per_pixel: object,
    pixels: int | None = None,
    peak: float = 255.0,
    progress: bool = False,
) -> SteadyPrediction:
    """Predict distortion-rate curves in the long run for independent modes of any order.

    Parameters
    ----------
    sources : list of GaussMarkov, AutoRegressive or StateSpace
        One stationary scalar source for each mode.
    bits_per_pixel : (B,) array, > 0
        Rates.
    pixels : int or None
        Pixels that one sample of all modes covers; None is the number of modes.
    peak : float
        Largest value of a pixel, for PSNR.
    progress : bool
        Show a progress bar; a mode of higher order takes about a second.

    Returns
    -------
    SteadyPrediction

    Raises
    ------
    ValueError
        No source, rates that are not positive, fewer pixels than modes.
    SolverError
        A mode whose poles are too near the unit circle for float64.

    Examples
    --------
    >>> from rdp import AutoRegressive
    >>> found = predict_steady([AutoRegressive([0.9], 10.0)], [0.5], peak=10.0)
    >>> round(float(found.distortion["JD"][0]), 1)
    16.7
    """
    rates = _check.positive("bits_per_pixel", bits_per_pixel, ndim=1)
    if not sources:
        raise ValueError("sources: expected at least one mode, got none")
    count = len(sources) if pixels is None else _check.count("pixels", pixels)
    if count < len(sources):
        raise ValueError(f"pixels: expected at least {len(sources)}, one for a mode, got {count}")
    curves: dict[str, list[Array]] = {name: [] for name in LOSSES}
    for source in _shown(sources, progress):
        variance = _variance(source)
        for name, loss in LOSSES.items():
            values = [steady_state(source, rate, loss).mean for rate in _RATES]
            start = variance if loss is None else 2 * variance
            curves[name].append(_dense(np.array(values), start, loss is None))
    distortion = {
        name: np.array([_split(np.array(found), rate * count) for rate in rates]) / count
        for name, found in curves.items()
    }
    return SteadyPrediction(rates, distortion, peak)


def _variance(source: GaussMarkov | LinearSource) -> float:
    """Variance of a frame in the long run."""
    if isinstance(source, GaussMarkov):
        return float(source.variance[0])
    a, w, h = scalar(source)
    return float(h @ lyapunov(a, w) @ h)


def _shown(sources: Sequence[GaussMarkov | LinearSource], progress: bool) -> Any:
    """The sources, with a progress bar if asked for."""
    if not progress:
        return sources
    from tqdm import tqdm

    return tqdm(sources, unit="mode")


def _dense(values: Array, start: float, smooth: bool) -> Array:
    """Curve of a mode on the dense rates, convex."""
    from scipy.interpolate import PchipInterpolator

    out = np.empty_like(_DENSE)
    low, high = _RATES[0] > _DENSE, _RATES[-1] < _DENSE
    # near 0 the MMSE falls with R, distortion at perfect realism with the root of R
    part = (_DENSE[low] / _RATES[0]) ** (1.0 if smooth else 0.5)
    out[low] = start - (start - values[0]) * part
    inside = ~low & ~high
    between = PchipInterpolator(_stretched(_RATES), np.log(values))
    out[inside] = np.exp(between(_stretched(_DENSE[inside])))
    out[high] = values[-1] * np.exp2(-2 * (_DENSE[high] - _RATES[-1]))
    return _hull(out)


def _stretched(rates: Array) -> Array:
    """Ln (2^(2R) - 1), in which the logarithm of a distortion is nearly straight at both ends."""
    return np.log(np.expm1(2 * np.log(2) * rates))


def _hull(values: Array) -> Array:
    """Lower convex hull of a curve over the dense rates."""
    kept: list[int] = []
    for i in range(len(values)):
        while len(kept) > 1:
            a, b = kept[-2], kept[-1]
            rise = (values[b] - values[a]) * (_DENSE[i] - _DENSE[a])
            if rise < (values[i] - values[a]) * (_DENSE[b] - _DENSE[a]):
                break
            kept.pop()
        kept.append(i)
    return np.interp(_DENSE, _DENSE[kept], values[kept])


def _split(curves: Array, total: float) -> float:
    """Least sum of convex curves (d, N) at a total rate, by the steps of steepest descent."""
    steps = np.diff(_DENSE)
    falls = -np.diff(curves, axis=1)
    order = np.argsort(-(falls / steps).ravel(), kind="stable")
    spent = np.cumsum(np.broadcast_to(steps, falls.shape).ravel()[order])
    gained = np.cumsum(falls.ravel()[order])
    first = float(curves[:, 0].sum())
    return first - float(np.interp(total, np.append(0.0, spent), np.append(0.0, gained)))
