"""Distortion of the last frame when every rate is very small or infinite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from rdp.asymptotics import extreme_rate_table
from solvers.plotting import STYLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Extreme rates"
SIZE = (7.0, 3.6)

# Left edges of the columns. JD has the longest entries.
EDGES = {"rates": 0.0, "MMSE": 0.12, "FMD": 0.325, "JD": 0.55, "SA": 0.86}


def compute() -> pd.DataFrame:
    """Formulas that sympy derives, for sequences of two and three frames."""
    tables = [pd.DataFrame(extreme_rate_table(frames).rows) for frames in (2, 3)]
    return pd.concat(tables, ignore_index=True)


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Two blocks, D_2 and D_3, with one row for each combination of rates."""
    ax = figure.subplots()
    ax.set_axis_off()
    blocks = [table[table.rates.str.count(",") == frames - 1] for frames in (2, 3)]
    lines = sum(block.rates.nunique() for block in blocks) + len(blocks)
    ax.set(xlim=(0, 1.03), ylim=(lines + 0.6, -1))
    y = 0.0
    for frame, block in zip((2, 3), blocks, strict=True):
        _row(ax, y, {"rates": "rates", **{plf: f"$D_{frame}$, {plf}" for plf in STYLES}}, "bold")
        ax.plot([0, 1.03], [y + 0.45] * 2, color="black", linewidth=0.6)
        y += 1
        for rates, part in block[block.frame == frame].groupby("rates", sort=False):
            cells = dict(zip(part.plf, "$" + part.latex + "$", strict=True))
            named = rates.replace("eps", r"$\epsilon$").replace("inf", r"$\infty$")
            _row(ax, y, {"rates": named, **cells}, "normal")
            y += 1
    note = r"$x = \sqrt{2\,\epsilon \ln 2}$, unit variance, first term in $x$"
    ax.text(0, y, note, fontsize=6.5, va="center")


def _row(ax: Axes, y: float, cells: dict[str, str], weight: str) -> None:
    for column, text in cells.items():
        color = STYLES[column]["color"] if column in STYLES else "black"
        ax.text(EDGES[column], y, text, fontsize=6.5, va="center", weight=weight, color=color)
