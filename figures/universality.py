"""The price of an encoder made for mean squared error alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rdp.source import GaussMarkov
from solvers.plotting import line
from solvers.vector import waterfill

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "May the perception loss be chosen at the decoder?"
SIZE = (7.0, 2.5)

MODES = 64
RATES = np.geomspace(0.01, 6, 41)  # bits per mode


def sources() -> dict[str, GaussMarkov]:
    """Scalar frames, and spectra falling as a power of the frequency, one frame."""
    index = np.arange(1, MODES + 1)
    return {
        "scalar frame": GaussMarkov(np.ones((1, 1))),
        r"spectrum 1/f": GaussMarkov(index[None] ** -0.5),
        r"spectrum 1/f$^2$": GaussMarkov(index[None] ** -1.0),
    }


def compute() -> pd.DataFrame:
    """Extra distortion of the MMSE encoder with the best decoder for each loss, two frames."""
    rows = []
    for name, frame in sources().items():
        sigma = np.repeat(frame.sigma, 2, axis=0)
        source = GaussMarkov(sigma, np.full((1, sigma.shape[1]), 0.9))
        for rate in RATES:
            total = np.full(2, rate * sigma.shape[1])
            for plf in ("FMD", "JD", "SA"):
                best = waterfill(source, total, plf, threads=1).distortion.sum()
                fixed = waterfill(source, total, plf, encoder="mmse", threads=1).distortion.sum()
                rows.append((name, plf, rate, 100 * (fixed / best - 1)))
    columns = ["source", "plf", "bits_per_mode_and_frame", "penalty_percent"]
    return pd.DataFrame(rows, columns=columns)


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """One panel for each source."""
    names = list(dict.fromkeys(table.source))
    axes = figure.subplots(1, len(names), sharey=True)
    for ax, name in zip(axes, names, strict=True):
        for plf, curve in table[table.source == name].groupby("plf"):
            ax.semilogx(curve.bits_per_mode_and_frame, curve.penalty_percent, **line(plf))
        ax.set(title=name, xlabel="rate (bits per mode and frame)")
    axes[0].set_ylabel("extra distortion (%)")
    axes[0].legend()
