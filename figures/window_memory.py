"""How many frames the critic sees, and how long a lost frame is remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rdp.source import GaussMarkov
from rdp.windowed import windowed_scheme, zero_perception_windowed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Memory of the critic"
SIZE = (7.0, 2.7)

RHO = 0.95
LATER_RATE = 4.0
FRAMES = 12
WINDOWS = (1, 2, 3, 4, FRAMES)
LAGS = 8
STYLES: dict[int, dict[str, Any]] = {
    1: {"color": "#0072B2", "linestyle": "-", "marker": "o", "label": "w = 1 (FMD)"},
    2: {"color": "#56B4E9", "linestyle": (0, (6, 1)), "marker": "s", "label": "w = 2"},
    3: {"color": "#E69F00", "linestyle": (0, (4, 1, 1, 1)), "marker": "D", "label": "w = 3"},
    4: {"color": "#CC79A7", "linestyle": (0, (1, 1)), "marker": "v", "label": "w = 4"},
    FRAMES: {"color": "#D55E00", "linestyle": "--", "marker": "^", "label": "all frames (JD)"},
}


def compute() -> pd.DataFrame:
    """Distortion of each frame after a first frame without bits, and its correlation with it."""
    source = GaussMarkov.stationary(rho=RHO, frames=FRAMES)
    rates = np.full(FRAMES, LATER_RATE)
    rates[0] = 0.0
    parts = []
    for window in WINDOWS:
        distortion = zero_perception_windowed(source, rates, window)
        kept = windowed_scheme(source, rates, window).cov_xhat[0, : LAGS + 1]
        for panel, x, value in (
            ("distortion", np.arange(1, FRAMES + 1), distortion),
            ("correlation", np.arange(1, LAGS + 1), kept[1:]),
        ):
            columns = {"panel": panel, "window": window, "x": x, "value": value}
            parts.append(pd.DataFrame(columns))
    lag = np.arange(1, LAGS + 1)
    reference = {"panel": "source", "window": 0, "x": lag, "value": RHO**lag}
    return pd.concat([*parts, pd.DataFrame(reference)], ignore_index=True)


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Left: error after the lost frame. Right: correlation with the lost frame."""
    left, right = figure.subplots(1, 2)
    source = table[table.panel == "source"]
    right.plot(source.x, source.value, color="#9a9a9a", linewidth=4, alpha=0.6, label="source")
    for (panel, window), curve in table[table.panel != "source"].groupby(["panel", "window"]):
        ax = left if panel == "distortion" else right
        ax.plot(curve.x, curve.value, **STYLES[int(window)])
    left.set(
        yscale="log",
        xlabel="frame t",
        ylabel=r"$D_t$ / variance",
        title=rf"$R_1$ = 0, then {LATER_RATE:g} bits a frame, $\rho$ = {RHO}",
        xticks=range(1, FRAMES + 1),
    )
    right.set(
        xlabel="lag (frames)",
        ylabel=r"correlation of $\hat X_1$ and $\hat X_{1+lag}$",
        title="motion kept: correlation with the lost frame",
        xticks=range(1, LAGS + 1),
        ylim=(-0.05, 1.05),
    )
    handles, labels = right.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=6, columnspacing=1.2)
