"""Time and certified gap of the solvers against the number of frames."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from figures.build import MissingResults
from solvers.plotting import shades

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Solvers compared"
SIZE = (7.0, 2.6)

RESULTS = Path(__file__).resolve().parents[1] / "benchmarks" / "results"
# Series -> benchmark, column of the time in ms, column of the gap.
SERIES = {
    "barrier (compiled), P > 0": ("newton_growth", "barrier, ms a point", "barrier, certified gap"),
    "sdp (cvxpy + Clarabel), P > 0": ("newton_growth", "sdp, ms a point", "sdp, certified gap"),
    "lookahead, P = 0": ("lookahead", "ms", "relative gap"),
}
STYLE = {
    series: {"color": colour, "marker": marker, "linestyle": dashes}
    for series, colour, marker, dashes in zip(
        SERIES, shades("JD", 3)[::-1], "os^", ("-", "--", ":"), strict=True
    )
}  # all are of PLF-JD
LEAST_GAP = 1e-16  # smaller gaps are drawn here


def _rows(benchmark: str) -> pd.DataFrame:
    path = RESULTS / f"{benchmark}.json"
    if not path.exists():
        raise MissingResults(f"no results of {benchmark} in {RESULTS}; run its benchmark")
    return pd.DataFrame(json.loads(path.read_text())["rows"])


def compute() -> pd.DataFrame:
    """Read the results of the benchmarks for PLF-JD on one core.

    For thresholds P > 0 the weights are 1 and the rates equal. For P = 0 both are random.
    """
    parts = []
    for series, (benchmark, time, gap) in SERIES.items():
        rows = _rows(benchmark)
        rows = rows[rows.loss == "JD"] if "loss" in rows else rows
        part = pd.DataFrame(
            {"series": series, "frames": rows.frames, "ms_a_point": rows[time], "gap": rows[gap]}
        )
        parts.append(part.dropna())
    return pd.concat(parts, ignore_index=True)


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Left: time. Right: certified gap."""
    left, right = figure.subplots(1, 2)
    for series, part in table.groupby("series", sort=False):
        style = STYLE[str(series)]
        left.loglog(part.frames, part.ms_a_point, label=series, **style)
        right.loglog(part.frames, part.gap.clip(lower=LEAST_GAP), **style)
    left.set(xlabel="frames T", ylabel="time per point (ms)")
    right.set(xlabel="frames T", ylabel="certified gap / objective")
    for ax in (left, right):
        ax.xaxis.set_major_formatter("{x:g}")
    figure.legend(loc="outside upper center", ncols=3)
