"""Realism after a noisy observation: the published recursive filter against the best one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rdp import StateSpace
from solvers.linear.observed_losses import framewise_filter, self_adaptive_filter
from solvers.linear.perceptual_filter import Observed, innovation_filter, perceptual_filter
from solvers.plotting import STYLES, shades

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Perceptual Kalman filters"
SIZE = (7.0, 2.8)

FRAMES = 48
_TURN = 0.98 * np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
SOURCES = {
    # the demonstration of Freirich, Michaeli and Meir: an oscillator that gains energy
    "oscillator": StateSpace(
        [[1, 0.005], [-0.01, 1]], 1.001 * np.eye(2), np.eye(2), 0.8008 * np.eye(2)
    ),
    "rotation": StateSpace(_TURN, 0.04 * np.eye(2), np.eye(2)),
}
PANELS = {"oscillator": "published example, not stationary", "rotation": "rotation, stationary"}
_LIGHT, _, _DARK = shades("JD", 3)
CURVES: dict[str, dict[str, Any]] = {
    "published": STYLES["JD"] | {"label": "JD, published filter"},
    "best": STYLES["JD"] | {"color": _DARK, "marker": "v", "label": "JD, best for all frames"},
    "best_last": STYLES["JD"]
    | {"color": _LIGHT, "marker": "P", "label": "JD, best for the last frame"},
    "SA": STYLES["SA"] | {"label": "SA"},
    "FMD": STYLES["FMD"] | {"label": "FMD"},
}


def compute() -> pd.DataFrame:
    """Distortion of each filter and frame, and the error of the Kalman filter."""
    parts = []
    for name, source in SOURCES.items():
        seen = Observed(source, [[1.0, -0.5]], [[1.001]])
        last = np.zeros(FRAMES)
        last[-1] = 1.0
        best = perceptual_filter(seen, FRAMES, np.ones(FRAMES))
        filters = {
            "published": innovation_filter(seen, FRAMES),
            "best": best,
            "best_last": perceptual_filter(seen, FRAMES, last),
            "SA": self_adaptive_filter(seen, FRAMES),
            "FMD": framewise_filter(seen, FRAMES),
        }
        parts += [
            pd.DataFrame(
                {
                    "source": name,
                    "filter": key,
                    "frame": np.arange(1, FRAMES + 1),
                    "mmse": best.mmse,
                    "distortion": found.distortion,
                    "over_mmse": found.distortion / best.mmse,
                    "objective": found.objective,
                    "lower_bound": found.lower_bound,
                }
            )
            for key, found in filters.items()
        ]
    return pd.concat(parts, ignore_index=True)


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Distortion over that of the Kalman filter, frame by frame, for two sources."""
    for ax, (source, title) in zip(figure.subplots(1, 2), PANELS.items(), strict=True):
        for name, style in CURVES.items():
            curve = table[(table.source == source) & (table["filter"] == name)]
            ax.plot(curve.frame, curve.over_mmse, markevery=8, **style)
        ax.set(xlabel="frame", title=title, xlim=(1, FRAMES), ylim=(0.95, None))
    figure.axes[0].set_ylabel("distortion / Kalman filter")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=5, columnspacing=1.2)
