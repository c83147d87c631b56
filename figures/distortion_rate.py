"""Distortion of the last frame against rate, at perfect realism, for several correlations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from figures._table import CORRELATIONS, ZERO_PERCEPTION
from rdp.source import GaussMarkov
from solvers.plotting import line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Distortion against rate at zero perception loss"
SIZE = (7.0, 2.5)

FIRST_RATE = 0.25  # bits: a first frame of low rate, after which the losses differ
FRAMES = 3


def compute() -> pd.DataFrame:
    """Sweep the rate of frames 2 and 3 after a first frame of low rate."""
    rates = np.linspace(0, 4, 121)
    parts = []
    for rho in CORRELATIONS:
        source = GaussMarkov.stationary(rho=rho, frames=FRAMES)
        grid = np.stack([np.full_like(rates, FIRST_RATE), rates, rates], axis=-1)
        for plf, distortion in ZERO_PERCEPTION.items():
            values = distortion(source, grid)[:, -1]
            parts.append(
                pd.DataFrame({"rho": rho, "plf": plf, "rate_bits": rates, "distortion": values})
            )
    return pd.concat(parts, ignore_index=True)


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """One panel for each correlation."""
    axes = figure.subplots(1, len(CORRELATIONS), sharey=True)
    for ax, (rho, panel) in zip(axes, table.groupby("rho"), strict=True):
        for plf in ZERO_PERCEPTION:
            curve = panel[panel.plf == plf]
            ax.plot(curve.rate_bits, curve.distortion, **line(plf))
        ax.set(title=rf"$\rho$ = {rho:g}", xlabel="rate of frames 2 and 3 (bits)", ylim=(0, 2.05))
    axes[0].set_ylabel(r"$D_3$ / variance")
    axes[-1].legend(title=rf"$R_1$ = {FIRST_RATE} bit")
