"""Predicted curves of a clip, in the style of :mod:`solvers.plotting`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from solvers.plotting import STYLES, curves, line

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def predicted_rates(table: Any, ax: Axes | None = None) -> Axes:
    """Draw predicted PSNR, of the mean error over the frames, against bits per pixel.

    Thin curves are those of the encoder designed for mean squared error, the only one of PLF-JD(w).

    Parameters
    ----------
    table, ax
        As in :func:`predicted_frames`.
    """
    from solvers.prediction import decibels

    mean = table.groupby(["encoder", "plf", "bits_per_pixel"], sort=False).mse.mean().reset_index()
    mean["psnr_db"] = decibels(mean.mse, table.attrs["peak"])
    ax = curves(mean[mean.encoder == "optimal"], "bits_per_pixel", "psnr_db", ax)
    for plf, curve in mean[mean.encoder == "mmse"].groupby("plf", sort=False):
        if plf != "MMSE":
            thin = line(str(plf)) | {"linewidth": 0.6}
            if plf in STYLES:
                thin["label"] = "_nolegend_"
            ax.plot(curve.bits_per_pixel, curve.psnr_db, **thin)
    ax.set(xscale="log", xlabel="rate (bits per pixel)", ylabel="PSNR (dB)")
    ax.xaxis.set_major_formatter("{x:g}")
    return ax


def predicted_frames(table: Any, ax: Axes | None = None) -> Axes:
    """Draw predicted PSNR of each frame at the middle one of the rates.

    Parameters
    ----------
    table : pandas.DataFrame
        Table of :meth:`solvers.prediction.Prediction.to_dataframe`.
    ax : matplotlib Axes or None
        Axes to draw on; None makes a figure.

    Returns
    -------
    matplotlib Axes
    """
    rates = sorted(set(table.bits_per_pixel))
    rate = rates[len(rates) // 2]
    chosen = table[(table.bits_per_pixel == rate) & (table.encoder == "optimal")]
    ax = curves(chosen, "frame", "psnr_db", ax)
    ax.set(xlabel="frame", ylabel="PSNR (dB)", title=f"{rate:.3g} bits per pixel")
    return ax


def predicted_losses(table: Any, ax: Axes | None = None) -> Axes:
    """Draw what each perception loss costs: dB below MMSE, against bits per pixel.

    Thin curves are those of the encoder designed for mean squared error.

    Parameters
    ----------
    table, ax
        As in :func:`predicted_frames`.
    """
    mean = table.groupby(["encoder", "plf", "bits_per_pixel"], sort=False).mse.mean()
    mean = mean.reset_index()
    best = mean[(mean.encoder == "optimal") & (mean.plf == "MMSE")].set_index("bits_per_pixel").mse
    mean["below"] = 10 * np.log10(mean.mse / best.loc[mean.bits_per_pixel].to_numpy())
    lossy = mean[mean.plf != "MMSE"]
    ax = curves(lossy[lossy.encoder == "optimal"], "bits_per_pixel", "below", ax)
    for plf, curve in lossy[lossy.encoder == "mmse"].groupby("plf", sort=False):
        thin = line(str(plf)) | {"linewidth": 0.6, "label": "_nolegend_"}
        ax.plot(curve.bits_per_pixel, curve.below, **thin)
    ax.set(xscale="log", xlabel="rate (bits per pixel)", ylabel="dB below MMSE")
    ax.xaxis.set_major_formatter("{x:g}")
    return ax
