"""Sample paths: one source sequence and its reconstruction under each perception loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rdp.perception import perception
from rdp.problem import Problem
from rdp.source import GaussMarkov
from solvers import solve
from solvers.plotting import STYLES, loss_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Sample paths under each perception loss"
SIZE = (7.0, 3.4)

RHO = 0.97
FRAMES = 40
FIRST_RATE, LATER_RATE = 0.0, 2.0
SEED = 8  # a sequence in which error permanence is easy to see


def compute() -> pd.DataFrame:
    """Simulate the optimal schemes; the seed gives all of them the same source sequence."""
    source = GaussMarkov.stationary(rho=RHO, frames=FRAMES)
    rates = np.full(FRAMES, LATER_RATE)
    rates[0] = FIRST_RATE
    parts = []
    for plf in STYLES:
        solution = solve(Problem(source, rates, perception(plf)))
        x, xhat = solution.simulate(1, rng=SEED)
        columns = {
            "plf": plf,
            "frame": np.arange(1, FRAMES + 1),
            "source": x[0],
            "reconstruction": xhat[0],
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """One panel for each loss, the source in grey."""
    axes = figure.subplots(2, 2, sharex=True, sharey=True)
    for ax, plf in zip(axes.flat, STYLES, strict=True):
        path = table[table.plf == plf]
        ax.plot(path.frame, path.source, color="#999999", linewidth=2.4, label="source")
        ax.plot(path.frame, path.reconstruction, color=STYLES[plf]["color"], label="reconstruction")
        ax.set_title(loss_label(plf), loc="left")
    axes[0, 1].legend(loc="lower right", ncols=2, bbox_to_anchor=(1, 1))
    for ax in axes[1]:
        ax.set_xlabel("frame")
    for ax in axes[:, 0]:
        ax.set_ylabel("value / std")
    figure.suptitle(
        rf"$R_1$ = {FIRST_RATE:g}, then {LATER_RATE:g} bits a frame, $\rho$ = {RHO}", fontsize=8
    )
