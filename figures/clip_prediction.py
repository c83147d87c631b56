"""Predicted curves at the statistics of the sample clip, one for each loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rdp.clip import fit_clip, sample_clip
from solvers.plotting import predicted_frames, predicted_rates
from solvers.prediction import predict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Predicted curves of the sample clip"
SIZE = (7.0, 2.7)

FRAMES = 12
FIRST = 8.0  # the first frame gets as many times the bits of a later one
BITS_PER_PIXEL = np.geomspace(0.02, 2, 17)


def compute() -> pd.DataFrame:
    """Fit the clip's DCT modes and fill them by the water level of each loss."""
    fit = fit_clip(sample_clip())
    return predict(fit.source(FRAMES), BITS_PER_PIXEL, fit.modes, FIRST).to_dataframe()


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Left: mean PSNR against rate. Right: frame by frame at the middle rate."""
    left, right = figure.subplots(1, 2)
    predicted_rates(table, left).set_title(f"{FRAMES} frames; thin: encoder made for MSE")
    predicted_frames(table, right)
    left.legend()
