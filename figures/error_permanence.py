"""Error permanence: distortion of each frame after a first frame without bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from figures._table import ZERO_PERCEPTION
from rdp.bounds import permanence_bound
from rdp.source import GaussMarkov
from solvers.plotting import line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Error permanence"
SIZE = (3.4, 2.6)

RHO = 0.95
FIRST_RATE, LATER_RATE = 0.0, 4.0
FRAMES = 12


def compute() -> pd.DataFrame:
    """Distortion of each frame, with a lower bound for all JD schemes."""
    source = GaussMarkov.stationary(rho=RHO, frames=FRAMES)
    rates = np.full(FRAMES, LATER_RATE)
    rates[0] = FIRST_RATE
    frame = np.arange(1, FRAMES + 1)
    parts = [
        pd.DataFrame({"curve": plf, "frame": frame, "distortion": distortion(source, rates)})
        for plf, distortion in ZERO_PERCEPTION.items()
    ]
    bound = pd.DataFrame(
        {"curve": "bound", "frame": frame, "distortion": permanence_bound(source, rates)}
    )
    return pd.concat([*parts, bound], ignore_index=True)


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Distortion of each frame on a logarithmic axis."""
    ax = figure.subplots()
    for plf in ZERO_PERCEPTION:
        curve = table[table.curve == plf]
        ax.semilogy(curve.frame, curve.distortion, **line(plf, marker=True))
    bound = table[(table.curve == "bound") & (table.distortion > 0)]
    ax.fill_between(
        bound.frame, table.distortion[table.distortion > 0].min() / 2, bound.distortion,
        color="#D55E00", alpha=0.12, linewidth=0, label="impossible for JD\n(any decoder)",
    )  # fmt: skip
    ax.set(
        xlabel="frame",
        ylabel=r"$D_t$ / variance",
        title=rf"$R_1$ = {FIRST_RATE:g}, then {LATER_RATE:g} bits a frame, $\rho$ = {RHO}",
        ylim=(table.distortion[table.distortion > 0].min() / 2, 3),
        xticks=range(1, FRAMES + 1),
    )
    ax.legend(ncols=2, loc="upper right", bbox_to_anchor=(1, 0.62))
