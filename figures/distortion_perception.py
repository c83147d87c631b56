"""Distortion against the perception threshold at fixed rates, for every loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rdp.perception import perception
from rdp.problem import Problem
from rdp.source import GaussMarkov
from solvers import sweep
from solvers.plotting import line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Distortion against perception"
SIZE = (7.0, 2.5)

RHO = 0.9
RATES = ((0.1, 0.1), (0.1, 2.0), (2.0, 0.1))
POINTS = 81


def compute() -> pd.DataFrame:
    """Least D_1 + D_2 with the same threshold at both frames."""
    source = GaussMarkov.stationary(rho=RHO, frames=2)
    w2 = np.linspace(0, 1.2, POINTS)  # even steps in W2, in which the curves are smooth
    parts = []
    for rates in RATES:
        for plf in ("FMD", "JD", "SA"):
            template = Problem(source, rates, perception(plf), weights=[1, 1])
            found = sweep(template, levels=w2[:, None] ** 2)
            columns = {
                "rate_1": rates[0],
                "rate_2": rates[1],
                "plf": plf,
                "w2_threshold": w2,
                "distortion_1": found.distortion[:, 0],
                "distortion_2": found.distortion[:, 1],
                "gap": found.gap,
            }
            parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """One panel for each pair of rates."""
    axes = figure.subplots(1, len(RATES), sharex=True)
    for ax, rates in zip(axes, RATES, strict=True):
        panel = table[(table.rate_1 == rates[0]) & (table.rate_2 == rates[1])]
        for plf, curve in panel.groupby("plf"):
            ax.plot(curve.w2_threshold, curve.distortion_1 + curve.distortion_2, **line(plf))
        ax.set(
            title=rf"$R_1$ = {rates[0]:g}, $R_2$ = {rates[1]:g} bit",
            xlabel=r"threshold $\sqrt{P}$ at each frame ($W_2$ / std)",
        )
    axes[0].set_ylabel(r"$D_1 + D_2$ / variance")
    axes[0].legend()
