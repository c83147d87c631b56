"""Extra distortion of the encoder designed for mean squared error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rdp.clip import fit_clip, sample_clip
from rdp.source import GaussMarkov
from solvers.methods.waterfilling import waterfill
from solvers.plotting import line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "May the perception loss be chosen at the decoder?"
SIZE = (7.0, 2.7)

MODES = 64
RHO = 0.9
RATES = np.geomspace(0.03, 4, 33)  # bits per mode


def sources() -> dict[str, GaussMarkov]:
    """Return sources of two frames: scalar, with power-law spectra, and the sample clip."""
    index = np.arange(1, MODES + 1)
    return {
        "scalar": GaussMarkov.stationary([RHO], frames=2),
        "spectrum 1/f": GaussMarkov.stationary(RHO, frames=2, sigma=index**-0.5),
        "spectrum 1/f$^2$": GaussMarkov.stationary(RHO, frames=2, sigma=index**-1.0),
        "sample clip": fit_clip(sample_clip()).source(2),
    }


def compute() -> pd.DataFrame:
    """Extra distortion of the MMSE encoder with the best decoder for each loss."""
    rows = []
    for name, source in sources().items():
        for rate in RATES:
            total = rate * source.sigma.shape[1]
            for plf in ("FMD", "JD", "SA"):
                best = waterfill(source, total, plf, threads=1).distortion.sum()
                fixed = waterfill(source, total, plf, encoder="mmse", threads=1).distortion.sum()
                rows.append((name, plf, rate, 100 * (fixed / best - 1)))
    columns = ["source", "plf", "bits_per_mode_and_frame", "penalty_percent"]
    return pd.DataFrame(rows, columns=columns)


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """One panel for each vector source; the scalar source is the line at zero."""
    names = [name for name in dict.fromkeys(table.source) if name != "scalar"]
    scalar = table[(table.source == "scalar") & (table.plf == "FMD")]
    axes = figure.subplots(1, len(names), sharey=True)
    for ax, name in zip(axes, names, strict=True):
        for plf, curve in table[table.source == name].groupby("plf"):
            ax.semilogx(curve.bits_per_mode_and_frame, curve.penalty_percent, **line(plf))
        ax.plot(
            scalar.bits_per_mode_and_frame, scalar.penalty_percent, color="black", lw=0.8,
            label="scalar frames",
        )  # fmt: skip
        ax.set(title=name, xlabel="rate (bits per mode and frame)")
        ax.xaxis.set_major_formatter("{x:g}")
    axes[0].set_ylabel("extra distortion (%)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4)
