r"""What a clip's statistics predict: distortion against bits per pixel under every loss.

Frames of d modes are coded one after the other, from a first frame without a past to steady
state. MMSE allocates a frame's bits over the modes by reverse water-filling; each perception loss,
at perfect realism, by its own (`solvers.methods.waterfilling`), or with the bits that reverse
water-filling chose. The ratio of the two is the universality penalty: what it costs to encode for
mean squared error and choose the loss at the decoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rdp import _check
from rdp.linear_source import need_first_order
from rdp.perception import LOSSES, Perception, loss_name
from rdp.solution import Status
from rdp.source import GaussMarkov
from rdp.windowed import check_window, zero_perception_windowed
from solvers.errors import SolverError
from solvers.methods.waterfilling import waterfill

Array = np.ndarray

GAP = 1e-6  # certified, relative to the distortion of a frame
GAP_FLOOR = 1e-12  # relative to its variance


@dataclass(frozen=True, eq=False)
class Prediction:
    """Predicted distortions of T frames at B rates.

    Parameters
    ----------
    bits_per_pixel : (B,) array
        Mean rate over the frames.
    rates : (B, T) array
        Bits per pixel of each frame.
    distortion : dict of (B, T) arrays
        Mean squared error of a pixel by loss: "MMSE", "FMD", "JD", "SA", the last three at
        perfect realism, each with the encoder best for it.
    shared : dict of (B, T) arrays
        The same with the encoder of "MMSE" for all, and "JD(w)" of the windows asked for.
    peak : float
        Largest value of a pixel, for PSNR.
    source : GaussMarkov
        Statistics of the frames.
    """

    bits_per_pixel: Array
    rates: Array
    distortion: dict[str, Array]
    shared: dict[str, Array]
    peak: float
    source: GaussMarkov

    def psnr(self, plf: Perception | str | None, encoder: str = "optimal") -> Array:
        """PSNR of the mean distortion over the frames.

        Parameters
        ----------
        plf : FMD, JD, SA, {"MMSE", "FMD", "JD", "JD(w)", "SA"} or None
            Loss function; its thresholds play no role.
        encoder : {"optimal", "mmse"}
            Encoder best for the loss, or for mean squared error; the only one of PLF-JD(w).

        Returns
        -------
        (B,) array, dB
        """
        curves = {"optimal": self.distortion, "mmse": self.shared}[encoder]
        name = loss_name(plf, windows=True)
        if name not in curves:
            raise ValueError(f"plf: expected one of {', '.join(curves)}, got {plf!r}")
        return decibels(curves[name].mean(axis=1), self.peak)

    def penalty(self, plf: Perception | str | None) -> Array:
        """Universality penalty: mean distortion with the MMSE encoder over that with its own.

        Parameters
        ----------
        plf : FMD, JD, SA, {"MMSE", "FMD", "JD", "SA"} or None
            Loss function; its thresholds play no role.

        Returns
        -------
        (B,) array
            Over a horizon it may fall below 1: the encoder of a loss serves each frame in turn.
        """
        name = loss_name(plf)
        return self.shared[name].mean(axis=1) / self.distortion[name].mean(axis=1)

    def to_dataframe(self) -> Any:
        """Return one row for each rate, loss, encoder and frame.

        Returns
        -------
        pandas.DataFrame
            Columns bits_per_pixel, plf, encoder, frame (from 1), rate (bits per pixel of the
            frame), mse (per pixel), psnr_db.
        """
        import pandas as pd

        parts = []
        for encoder, curves in (("optimal", self.distortion), ("mmse", self.shared)):
            for plf, values in curves.items():
                mean, frame = np.broadcast_arrays(
                    self.bits_per_pixel[:, None], np.arange(1, values.shape[1] + 1)
                )
                columns = {
                    "bits_per_pixel": mean.ravel(),
                    "plf": plf,
                    "encoder": encoder,
                    "frame": frame.ravel(),
                    "rate": self.rates.ravel(),
                    "mse": values.ravel(),
                    "psnr_db": decibels(values, self.peak).ravel(),
                }
                parts.append(pd.DataFrame(columns))
        table = pd.concat(parts, ignore_index=True)
        table.attrs["peak"] = self.peak
        return table


def predict(
    source: GaussMarkov,
    bits_per_pixel: object,
    pixels: int | None = None,
    first: float = 1.0,
    peak: float = 255.0,
    windows: Sequence[int] = (),
) -> Prediction:
    r"""Predict distortion-rate curves at given statistics, for every loss and both encoders.

    For each rate, minimise :math:`D_1`, then :math:`D_2` given that, and so on, over the rates of
    the modes and the decoder, without a perception constraint (MMSE) and at zero perception loss
    (FMD, JD, SA).

    Parameters
    ----------
    source : GaussMarkov
        T frames of d modes.
    bits_per_pixel : (B,) array, > 0
        Mean rates over the frames.
    pixels : int or None
        Pixels that the modes stand for; d if None, more where modes of no variance are left out.
    first : float, > 0
        Bits of the first frame, relative to each later one.
    peak : float, > 0
        Largest value of a pixel, for PSNR.
    windows : sequence of int, from 1 to T
        Windows w of PLF-JD(w) to add, with the MMSE encoder.

    Returns
    -------
    Prediction

    Raises
    ------
    ValueError
        Scalar frames, bad rates, fewer pixels than modes, a window beyond the frames.
    SolverError
        An allocation whose certified gap exceeds 1e-6 of its distortion.

    Notes
    -----
    For a source that is not Gaussian but has these second moments, the MMSE curve is an upper
    bound of what the best long-block code needs.

    Examples
    --------
    >>> source = GaussMarkov.stationary([0.9, 0.5], frames=2, sigma=[2.0, 1.0])
    >>> found = predict(source, [1.0])
    >>> {plf: d[0].round(2).tolist() for plf, d in found.distortion.items()}
    {'MMSE': [0.5, 0.25], 'FMD': [0.55, 0.27], 'JD': [0.55, 0.28], 'SA': [0.55, 0.27]}
    """
    need_first_order("predict", source)
    if source.modes is None:
        raise ValueError("source: expected vector frames of d modes, got scalar frames")
    mean = _check.positive("bits_per_pixel", bits_per_pixel, ndim=1)
    count = source.modes if pixels is None else _check.count("pixels", pixels)
    if count < source.modes:
        raise ValueError(f"pixels: expected at least {source.modes} for as many modes, got {count}")
    share = np.ones(source.frames)
    share[0] = _check.positive("first", first, ndim=0)
    top = float(_check.positive("peak", peak, ndim=0))
    rates = mean[:, None] * (share / share.mean())
    widths = [check_window(source, window) for window in windows]
    best = {plf: _curve(source, rates * count, plf, "optimal") / count for plf in LOSSES}
    shared = {plf: _curve(source, rates * count, plf, "mmse") / count for plf in LOSSES[1:]}
    if widths:
        modes = np.array([waterfill(source, budget, "MMSE").mode_rates for budget in rates * count])
        for width in widths:
            found = zero_perception_windowed(source, modes, width)
            shared[f"JD({width})"] = found.sum(axis=-1) / count
    return Prediction(
        bits_per_pixel=_check.frozen(mean),
        rates=_check.frozen(rates),
        distortion=best,
        shared={"MMSE": best["MMSE"], **shared},
        peak=top,
        source=source,
    )


def decibels(mse: Array, peak: float = 255.0) -> Array:
    """Peak signal-to-noise ratio.

    Parameters
    ----------
    mse : array, > 0
        Mean squared error of a pixel.
    peak : float
        Largest value of a pixel.

    Returns
    -------
    array, dB

    Examples
    --------
    >>> float(decibels(65.025))
    30.0
    """
    return 10 * np.log10(peak**2 / np.asarray(mse))


def _curve(source: GaussMarkov, rates: Array, plf: str, encoder: str) -> Array:
    """Distortion of every frame at every rate, (B, T), certified where the encoder is optimal."""
    out = np.empty(rates.shape)
    floor = GAP_FLOOR * source.variance.sum(axis=1)
    for row, budget in zip(out, rates, strict=True):
        found = waterfill(source, budget, plf, encoder=encoder)
        row[:] = found.distortion
        gap = np.max(found.gap / (found.distortion + floor / GAP))
        if encoder == "optimal" and not gap <= GAP:
            raise SolverError(
                Status.INACCURATE, f"waterfilling for {plf}: relative gap {gap:.1e}"
            )
    return out
