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
LEVELS = (0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0)


def compute() -> pd.DataFrame:
    """Rate on a grid of distortion and perception, unit variance."""
    distortion = np.linspace(0.01, 2.0, 200)
    perception = np.linspace(0.0, 1.0, 101)
    d, p = np.meshgrid(distortion, perception)
    rate = scalar_rate(d, p)
    return pd.DataFrame(
        {"distortion": d.ravel(), "perception_w2sq": p.ravel(), "rate_bits": rate.ravel()}
    )


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Contour lines of equal rate."""
    ax = figure.subplots()
    grid = table.pivot(index="perception_w2sq", columns="distortion", values="rate_bits")
    lines = ax.contour(
        grid.columns, grid.index, grid.to_numpy(), levels=LEVELS, cmap="cividis", linewidths=1.2
    )
    ax.clabel(lines, fmt="%g bit", fontsize=6)
    ax.set(
        xlabel="distortion D / variance",
        ylabel=r"perception threshold P ($W_2^2$ / variance)",
        title="rate R(D, P)",
    )
