"""Distortion and temporal correlation of each perception loss in four situations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rdp.perception import perception
from rdp.problem import Problem
from rdp.source import GaussMarkov
from solvers import solve
from solvers.plotting import STYLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Which perception loss in which situation"
SIZE = (7.0, 2.8)

RHO = 0.9
SITUATIONS = {
    "high rate first, low rate later": (4.0, 0.1, 0.1),
    "low rate first, high rate later": (0.1, 4.0, 4.0),
    "low rate throughout": (0.25, 0.25, 0.25),
    "high rate throughout": (3.0, 3.0, 3.0),
}


def compute() -> pd.DataFrame:
    """Distortion of frame 3, and correlation of the reconstructed frames 2 and 3."""
    source = GaussMarkov.stationary(rho=RHO, frames=3)
    rows = []
    for situation, rates in SITUATIONS.items():
        for plf in STYLES:
            solution = solve(Problem(source, rates, perception(plf)))
            cov = solution.cov_xhat
            rows.append(
                {
                    "situation": situation,
                    "rates_bits": " ".join(f"{rate:g}" for rate in rates),
                    "plf": plf,
                    "distortion_3": solution.distortion[2],
                    "correlation_23": cov[1, 2] / np.sqrt(cov[1, 1] * cov[2, 2]),
                }
            )
    return pd.DataFrame(rows)


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """One row for each situation: distortion on the left, correlation on the right."""
    left, right = figure.subplots(1, 2, sharey=True)
    place = np.arange(len(SITUATIONS))[::-1]
    for step, plf in enumerate(STYLES):
        part = table[table.plf == plf]
        height = place + 0.27 - 0.18 * step  # losses with equal values do not overlap
        style = dict(STYLES[plf], linestyle="none", markersize=5, label=plf)
        left.plot(part.distortion_3, height, **style)
        right.plot(part.correlation_23, height, **style)
    names = [
        f"{situation}\n({', '.join(f'{rate:g}' for rate in rates)} bits)"
        for situation, rates in SITUATIONS.items()
    ]
    left.set_yticks(place, names)
    left.set(xlabel=r"$D_3$ / variance", xscale="log")
    right.axvline(RHO, color="black", linewidth=0.8)
    right.set(xlabel=rf"correlation of $\hat X_2$ and $\hat X_3$ (source: {RHO})", xlim=(0.5, 1.0))
    for ax in (left, right):
        ax.grid(visible=False, axis="y")
        for edge in place[:-1] - 0.5:
            ax.axhline(edge, color="#BBBBBB", linewidth=0.6)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4)
