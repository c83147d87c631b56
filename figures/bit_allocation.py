"""Best split of a bit budget over the frames of a group of pictures, for each loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rdp.perception import perception
from rdp.source import GaussMarkov
from solvers import allocate
from solvers.plotting import STYLES, line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Bits for the first frame and for the others"
SIZE = (7.0, 2.5)

RHO = 0.9
FRAMES = 8
MEAN_RATES = (0.1, 0.5, 2.0)


def compute() -> pd.DataFrame:
    """Best split of each budget at zero perception loss, with equal weights."""
    source = GaussMarkov.stationary(rho=RHO, frames=FRAMES)
    parts = []
    for mean in MEAN_RATES:
        for plf in STYLES:
            split = allocate(source, mean * FRAMES, perception(plf))
            columns = {
                "mean_rate_bits": mean,
                "plf": plf,
                "frame": np.arange(1, FRAMES + 1),
                "rate_bits": split.rates,
                "distortion": split.solution.distortion,
                "lower_bound": split.lower_bound,
            }
            parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """One panel for each budget."""
    axes = figure.subplots(1, len(MEAN_RATES))
    for ax, (mean, panel) in zip(axes, table.groupby("mean_rate_bits"), strict=True):
        for plf in STYLES:
            curve = panel[panel.plf == plf]
            ax.plot(curve.frame, curve.rate_bits, **line(plf, marker=True))
        ax.axhline(mean, color="black", linewidth=0.6)
        ax.set(
            title=f"{mean:g} bit a frame on average",
            xlabel="frame",
            xticks=range(1, FRAMES + 1),
            ylim=(0, None),
        )
    axes[0].set_ylabel("rate (bits)")
    axes[0].legend()
