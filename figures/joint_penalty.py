"""Extra distortion of PLF-JD: large where quality changes, zero in steady state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from figures._table import CORRELATIONS, ZERO_PERCEPTION
from rdp.source import GaussMarkov
from solvers.plotting import line, shades

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "The price of joint realism"
SIZE = (7.0, 2.6)

SECOND_RATE = 1.0
STEADY_RATE = 0.5
FRAMES = 400


def compute() -> pd.DataFrame:
    """Distortion relative to FMD, against the rate of frame 1 and, at constant rate, the frame."""
    parts = []
    first = np.linspace(0, 6, 121)
    for rho in CORRELATIONS:
        pair = GaussMarkov.stationary(rho=rho, frames=2)
        grid = np.stack([first, np.full_like(first, SECOND_RATE)], axis=-1)
        long = GaussMarkov.stationary(rho=rho, frames=FRAMES)
        steady = np.full(FRAMES, STEADY_RATE)
        for panel, x, source, rates, pick in (
            ("change", first, pair, grid, (slice(None), 1)),
            ("steady", np.arange(1, FRAMES + 1), long, steady, (slice(None),)),
        ):
            base = ZERO_PERCEPTION["FMD"](source, rates)[pick]
            for plf in ("JD", "SA"):
                extra = 100 * (ZERO_PERCEPTION[plf](source, rates)[pick] / base - 1)
                columns = {
                    "panel": panel,
                    "rho": rho,
                    "plf": plf,
                    "x": x,
                    "over_fmd_percent": extra,
                }
                parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Left: the rate of frame 1 differs from that of frame 2. Right: constant rate."""
    left, right = figure.subplots(1, 2)
    colours = {
        (rho, plf): colour
        for plf in ("JD", "SA")
        for rho, colour in zip(CORRELATIONS, shades(plf, len(CORRELATIONS)), strict=True)
    }
    for (panel, rho, plf), curve in table.groupby(["panel", "rho", "plf"]):
        ax = left if panel == "change" else right
        style = dict(line(plf), color=colours[rho, plf], label=rf"{plf}, $\rho$ = {rho:g}")
        ax.semilogy(curve.x, curve.over_fmd_percent.clip(lower=1e-3), **style)
    left.set(
        xlabel=r"rate of frame 1, $R_1$ (bits)",
        ylabel=r"$D_2$ above PLF-FMD (%)",
        ylim=(1e-2, 3e3),
        title=rf"frame 2 at {SECOND_RATE:g} bit",
    )
    right.set(
        xlabel="frame t",
        ylabel=r"$D_t$ above PLF-FMD (%)",
        ylim=(1e-2, 3e3),
        title=f"constant rate, {STEADY_RATE:g} bit a frame",
        xscale="log",
        xlim=(2, FRAMES),
    )
    handles, labels = right.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=6, columnspacing=1.2)
