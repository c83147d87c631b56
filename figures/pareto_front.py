"""Distortion of frame 2 against that of frame 3, for decoders that look ahead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from rdp.closed_form import zero_perception_joint
from rdp.perception import JD
from rdp.problem import Problem
from rdp.source import GaussMarkov
from solvers import pareto
from solvers.plotting import STYLES, shades

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Error permanence as a choice of the decoder"
SIZE = (3.4, 2.6)

RHO = (0.8, 0.9, 0.95)
RATES = (0.05, 8.0, 8.0)


def compute() -> pd.DataFrame:
    """Front of (D_2, D_3) at perfect joint realism, and the point of the sequential decoder."""
    rows = []
    for rho in RHO:
        source = GaussMarkov.stationary(rho=rho, frames=3)
        front = pareto(Problem(source, RATES, JD(0.0)), frames=(2, 3), points=41)
        rows += [("front", rho, d[1], d[2]) for d in front.distortion]
        sequential = zero_perception_joint(source, RATES)
        rows.append(("sequential", rho, sequential[1], sequential[2]))
    return pd.DataFrame(rows, columns=["point", "rho", "distortion_2", "distortion_3"])


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """One curve for each correlation, with a dot for the sequential decoder."""
    ax = figure.subplots()
    style = STYLES["JD"]["linestyle"]
    for (rho, part), color in zip(table.groupby("rho"), shades("JD", len(RHO)), strict=True):
        front = part[part.point == "front"].sort_values("distortion_2")
        ax.plot(
            front.distortion_2,
            front.distortion_3,
            linestyle=style,
            color=color,
            label=rf"$\rho$ = {rho}",
        )
        dot = part[part.point == "sequential"]
        label = "sequential decoder" if rho == RHO[-1] else None
        ax.plot(dot.distortion_2, dot.distortion_3, "o", color=color, label=label)
    ax.set(
        xlabel=r"$D_2$ / variance",
        ylabel=r"$D_3$ / variance",
        title=f"PLF-JD at $P$ = 0; rates {', '.join(f'{rate:g}' for rate in RATES)} bits",
    )
    ax.legend()
