"""Contours of the scalar rate-distortion-perception function."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rdp.scalar import scalar_rate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Scalar rate-distortion-perception function"
SIZE = (3.4, 2.6)
LEVELS = (0.02, 0.05, 0.1, 0.2, 0.35, 0.6, 1.0, 1.5)


def compute() -> pd.DataFrame:
    """Rate on a grid of distortion and perception, unit variance."""
    distortion = np.linspace(0.05, 1.7, 166)
    w2 = np.linspace(0.0, 1.0, 101)  # even steps in W2: in W2 squared the corner at 0 is sharp
    d, w = np.meshgrid(distortion, w2)
    rate = scalar_rate(d, w**2)
    return pd.DataFrame({"distortion": d.ravel(), "w2": w.ravel(), "rate_bits": rate.ravel()})


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Contour lines of equal rate."""
    from matplotlib import colormaps

    ax = figure.subplots()
    grid = table.pivot(index="w2", columns="distortion", values="rate_bits")
    shades = colormaps["cividis"](np.linspace(0.6, 0.0, len(LEVELS)))  # without the pale end
    lines = ax.contour(grid.columns, grid.index, grid.to_numpy(), levels=LEVELS, colors=shades)
    ax.clabel(lines, fmt="%g bit", fontsize=6)
    ax.set(
        xlabel="distortion D / variance",
        ylabel=r"perception threshold $\sqrt{P}$ ($W_2$ / std)",
        title="rate R(D, P)",
    )
