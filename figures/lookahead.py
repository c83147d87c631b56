"""Distortion that lookahead saves under perfect joint realism when rates fluctuate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from figures._table import CORRELATIONS
from rdp.source import GaussMarkov
from solvers.methods.lookahead import lookahead
from solvers.plotting import STYLES, shades

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "What lookahead saves"
SIZE = (7.0, 2.6)

FRAMES = 64
PROFILES = 50
SPREADS = np.linspace(0, 2, 11)
SEED = 0


def profile(spread: float, rng: np.random.Generator) -> np.ndarray:
    """Return independent log-normal rates with median 0.5 bit; the spread is in octaves."""
    return 0.5 * np.exp2(spread * rng.standard_normal(FRAMES))


def compute() -> pd.DataFrame:
    """Total distortion of the sequential decoder, and of the decoder with equal weights."""
    rows = []
    for rho in CORRELATIONS:
        source = GaussMarkov.stationary(rho=rho, frames=FRAMES)
        for spread in SPREADS:
            rng = np.random.default_rng(SEED)  # the same profiles for each spread
            saved = []
            for _ in range(PROFILES):
                rates = profile(spread, rng)
                greedy = lookahead(source, rates).distortion.sum()
                best = lookahead(source, rates, weights=np.ones(FRAMES)).distortion.sum()
                saved.append(100 * (1 - best / greedy))
            low, middle, high = np.quantile(saved, [0.1, 0.5, 0.9])
            rows.append(("profiles", rho, spread, middle, low, high))
    frames = np.arange(1, 13)
    rates = np.where(frames % 4 == 1, 0.05, 2.0)
    short = GaussMarkov.stationary(rho=0.9, frames=len(frames))
    for curve, weights in (("sequential", None), ("lookahead", np.ones(len(frames)))):
        values = lookahead(short, rates, weights=weights).distortion
        rows += [
            (curve, 0.9, frame, d, np.nan, np.nan) for frame, d in zip(frames, values, strict=True)
        ]
    columns = ["curve", "rho", "x", "value", "low_10", "high_90"]
    return pd.DataFrame(rows, columns=columns)


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Left: one sequence. Right: distortion saved against the fluctuation of the rates."""
    left, right = figure.subplots(1, 2)
    light, _, dark = shades("JD", 3)
    for curve, colour, marker in (("sequential", light, "v"), ("lookahead", dark, "^")):
        path = table[table.curve == curve]
        style = STYLES["JD"] | {"color": colour, "marker": marker}
        left.plot(path.x, path.value, label=curve, **style)
    left.set(
        xlabel="frame (1, 5, 9 get 0.05 bit, the others 2)",
        ylabel=r"$D_t$ / variance",
        title=r"PLF-JD at $P$ = 0, $\rho$ = 0.9",
        ylim=(0, None),
    )
    left.legend()
    paths = table[table.curve == "profiles"].groupby("rho")
    for (rho, path), colour in zip(paths, shades("JD", len(paths)), strict=True):
        style = {"color": colour, "linestyle": STYLES["JD"]["linestyle"]}
        right.plot(path.x, path.value, label=rf"$\rho$ = {rho:g}", **style)
        right.fill_between(path.x, path.low_10, path.high_90, color=colour, alpha=0.15, lw=0)
    right.set(
        xlabel="fluctuation of the rates (octaves, std)",
        ylabel="total distortion saved (%)",
        title=f"{FRAMES} frames, {PROFILES} random profiles: median, 10-90 %",
        ylim=(0, None),
    )
    right.legend()
