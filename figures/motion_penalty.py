"""What realism costs in the long run where there is motion: pole angle, rate and order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rdp import FMD, JD, SA, AutoRegressive
from solvers import steady_state
from solvers.plotting import STYLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "The price of motion"
SIZE = (7.0, 2.7)

RADIUS = 0.95
ANGLE = 0.3
RATE = 0.5
ANGLES = np.array([0.03, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0, 1.25, 1.5, 1.7, 2.0, 2.4, 2.8, 3.1])
RATES = np.array([0.1, 0.18, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0])
MORE_POLES = (0.6, 0.6)  # of the third and fourth order
CURVES: dict[str, dict[str, Any]] = {
    "JD": STYLES["JD"] | {"label": "JD, MMSE encoder"},
    "JD_own_encoder": STYLES["JD"] | {"linestyle": "-", "marker": "v", "label": "JD, own encoder"},
    "SA": STYLES["SA"] | {"label": "SA, MMSE encoder"},
    "FMD": STYLES["FMD"] | {"label": "FMD"},
}


def compute() -> pd.DataFrame:
    """Distortion in the long run over the MMSE of the same rate, for each loss and encoder."""
    pair = RADIUS * np.exp([1j * ANGLE, -1j * ANGLE])
    rows = []
    for angle in ANGLES:
        source = AutoRegressive.from_poles(RADIUS * np.exp([1j * angle, -1j * angle]))
        rows += _rows("angle", angle, 2, angle, RATE, source)
    for rate in RATES:
        rows += _rows("rate", rate, 2, ANGLE, rate, AutoRegressive.from_poles(pair))
    for order in (1, 2, 3, 4):
        poles = [RADIUS] if order == 1 else [*pair, *MORE_POLES[: order - 2]]
        rows += _rows("order", order, order, ANGLE, RATE, AutoRegressive.from_poles(poles))
    return pd.DataFrame(rows)


def _rows(
    panel: str, x: float, order: int, angle: float, rate: float, source: AutoRegressive
) -> list[dict[str, object]]:
    """One row for each curve."""
    least = steady_state(source, rate)
    found = {
        "JD": steady_state(source, rate, JD(0.0)),
        "JD_own_encoder": steady_state(source, rate, JD(0.0), encoder="optimal"),
        "SA": steady_state(source, rate, SA(0.0)),
        "FMD": steady_state(source, rate, FMD(0.0)),
    }
    return [
        {
            "panel": panel,
            "x": x,
            "order": order,
            "angle_rad_per_frame": angle if order > 1 else 0.0,
            "rate_bits": rate,
            "curve": name,
            "mmse": least.mean,
            "distortion": state.mean,
            "certified_gap": state.error,
            "over_mmse": state.mean / least.mean,
        }
        for name, state in found.items()
    ]


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Distortion over the MMSE against pole angle, rate and order."""
    panels = ("angle", "rate", "order")
    for ax, panel in zip(figure.subplots(1, 3, sharey=True), panels, strict=True):
        for name, style in CURVES.items():
            curve = table[(table.panel == panel) & (table.curve == name)]
            ax.plot(curve.x, curve.over_mmse, **style)
        if panel == "angle":
            ax.set(
                xlabel="pole angle (rad per frame)",
                ylabel="distortion / MMSE",
                title=f"order 2, radius {RADIUS:g}, {RATE:g} bit",
                xlim=(0, np.pi),
                yscale="log",
                ylim=(0.95, 1.15 * table.over_mmse.max()),
                yticks=[1, 1.5, 2, 3, 5, 8],
            )
            ax.yaxis.set_major_formatter("{x:g}")
            ax.yaxis.set_minor_formatter("")
            ax.set_xticks([0, np.pi / 4, np.pi / 2, 3 * np.pi / 4, np.pi])
            ax.set_xticklabels(["0", "π/4", "π/2", "3π/4", "π"])
        elif panel == "rate":
            ax.set(
                xlabel="rate (bits per frame)",
                title=f"order 2, angle {ANGLE:g}",
                xscale="log",
                xticks=[0.1, 0.3, 1, 3],
            )
            ax.xaxis.set_major_formatter("{x:g}")
            ax.xaxis.set_minor_formatter("")
        else:
            ax.set(xlabel="order of the source", title=f"{RATE:g} bit", xticks=[1, 2, 3, 4])
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, columnspacing=1.5)
