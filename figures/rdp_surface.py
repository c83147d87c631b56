"""Surfaces of distortion over rate and perception threshold, one for each loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rdp.perception import perception
from rdp.problem import Problem
from rdp.source import GaussMarkov
from solvers import sweep

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Rate-distortion-perception surfaces"
SIZE = (7.0, 2.6)

RHO = 0.9
FIRST_RATE = 0.25
LEVELS = (0.9, 1.0, 1.1, 1.25, 1.4, 1.6, 1.8)


def compute() -> pd.DataFrame:
    """Least D_1 + D_2 with a low rate of frame 1 and the same threshold at both frames."""
    source = GaussMarkov.stationary(rho=RHO, frames=2)
    rates, w2 = np.linspace(0, 2, 41), np.linspace(0, 0.8, 41)
    grid = np.stack(np.broadcast_arrays(FIRST_RATE, rates[:, None]), axis=-1)
    parts = []
    for plf in ("FMD", "JD", "SA"):
        template = Problem(source, FIRST_RATE, perception(plf), weights=[1, 1])
        found = sweep(template, grid, w2[:, None] ** 2)
        rate, threshold = np.meshgrid(rates, w2, indexing="ij")
        columns = {
            "plf": plf,
            "rate_2_bits": rate.ravel(),
            "w2_threshold": threshold.ravel(),
            "distortion_sum": found.objective.ravel(),
            "gap": found.gap.ravel(),
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Lines of equal distortion; they bend where realism costs distortion."""
    from matplotlib import colormaps

    axes = figure.subplots(1, 3, sharey=True)
    shades = colormaps["cividis"](np.linspace(0.0, 0.75, len(LEVELS)))
    for ax, (plf, part) in zip(axes, table.groupby("plf"), strict=True):
        grid = part.pivot(index="w2_threshold", columns="rate_2_bits", values="distortion_sum")
        lines = ax.contour(grid.columns, grid.index, grid.to_numpy(), levels=LEVELS, colors=shades)
        ax.clabel(lines, fmt="%g", fontsize=6)
        ax.set(title=f"PLF-{plf}: $D_1 + D_2$", xlabel="rate of frame 2 (bits)")
    axes[0].set_ylabel(rf"threshold $\sqrt{{P}}$ ($W_2$ / std), $R_1$ = {FIRST_RATE}")
