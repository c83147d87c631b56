"""Factor two: perfect framewise or self-adaptive realism at most doubles the distortion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from figures._table import ZERO_PERCEPTION
from rdp.source import GaussMarkov
from solvers.plotting import line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Factor two"
SIZE = (3.4, 2.6)

RHO = 0.9
FIRST_RATE = 0.1
FRAMES = 3


def compute() -> pd.DataFrame:
    """D_3 / m_3 against the rate of frames 2 and 3 after a first frame of low rate."""
    rates = np.linspace(0, 3, 151)
    source = GaussMarkov.stationary(rho=RHO, frames=FRAMES)
    grid = np.stack([np.full_like(rates, FIRST_RATE), rates, rates], axis=-1)
    base = ZERO_PERCEPTION["MMSE"](source, grid)[:, -1]
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "plf": plf,
                    "rate_bits": rates,
                    "over_mmse": ZERO_PERCEPTION[plf](source, grid)[:, -1] / base,
                }
            )
            for plf in ("FMD", "JD", "SA")
        ],
        ignore_index=True,
    )


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """The ratio of each loss, and a line at two."""
    ax = figure.subplots()
    for plf, curve in table.groupby("plf"):
        ax.semilogy(curve.rate_bits, curve.over_mmse, **line(plf))
    ax.axhline(2, color="black", linewidth=0.8)
    ax.annotate("twice the MMSE", (0.66, 2.1), xycoords=("axes fraction", "data"), fontsize=7)
    ax.set(
        xlabel="rate of frames 2 and 3 (bits)",
        ylabel=r"$D_3$ / MMSE distortion $m_3$",
        title=rf"$R_1$ = {FIRST_RATE} bit, $\rho$ = {RHO}",
    )
    ticks = (1, 2, 5, 10, 20, 50, 100)
    ax.set_yticks(ticks, [f"{tick}" for tick in ticks])
    ax.minorticks_off()
    ax.legend()
