"""Time of the long-horizon method against the number of frames, and its exponents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from figures.build import MissingResults
from solvers.plotting import STYLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Long horizons"
SIZE = (7.0, 2.9)

RESULTS = Path(__file__).resolve().parents[1] / "benchmarks" / "results" / "long_horizon.json"
FITTED = 16  # frames from which on the exponent is fitted
# The colour is that of the loss; kinds of JD problems differ in shade, dashes and marker.
STYLE = {
    "JD growing": STYLES["JD"] | {"color": "#7A3600", "marker": "s", "linestyle": "-"},
    "SA": STYLES["SA"],
    "JD": STYLES["JD"],
    "JD sequential": STYLES["JD"] | {"color": "#F0A46B", "marker": "v", "linestyle": ":"},
}
NAMES = {
    "JD": "JD, one threshold",
    "JD growing": "JD, a threshold for each frame",
    "SA": "SA",
    "JD sequential": "JD, sequential",
}
BARRIER = {"color": "#888888", "marker": "x", "linestyle": (0, (1, 1))}


def compute() -> pd.DataFrame:
    """Read the results of `benchmarks.bench_long_horizon`: seconds of one core, gaps, exponents.

    The exponent is the slope of log time against log T from 16 frames on.
    """
    if not RESULTS.exists():
        raise MissingResults(f"no {RESULTS}; run benchmarks.bench_long_horizon")
    rows = pd.DataFrame(json.loads(RESULTS.read_text())["rows"])
    rows["exponent"] = np.nan
    for problem, part in rows[rows.frames >= FITTED].groupby("problem"):
        slope = np.polyfit(np.log(part.frames), np.log(part.seconds.astype(float)), 1)[0]
        rows.loc[rows.problem == problem, "exponent"] = slope
    columns = ["problem", "frames", "seconds", "barrier seconds", "relative gap", "exponent"]
    return rows[columns].rename(columns=lambda name: name.replace(" ", "_"))


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Left: time, and that of the barrier method in grey. Right: certified gap."""
    left, right = figure.subplots(1, 2)
    for problem, style in STYLE.items():
        part = table[table.problem == problem]
        label = f"{NAMES[problem]}: $T^{{{part.exponent.iloc[0]:.1f}}}$"
        left.loglog(part.frames, part.seconds, label=label, **style)
        right.loglog(part.frames, part.relative_gap, **style)
    barrier = table[table.problem == "JD"].dropna(subset="barrier_seconds")
    left.loglog(
        barrier.frames, barrier.barrier_seconds, label="JD, one threshold, barrier", **BARRIER
    )
    left.set(xlabel="frames T", ylabel="time (s)")
    right.set(xlabel="frames T", ylabel="certified gap / objective")
    for ax in (left, right):
        ax.set_xticks([4, 8, 16, 32, 64, 128])
        ax.xaxis.set_major_formatter("{x:g}")
        ax.minorticks_off()
    figure.legend(loc="outside upper center", ncols=3)
