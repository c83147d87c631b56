"""Predicted curves of a Gauss-Markov source with the statistics of the sample clip."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rdp.clip import fit_clip, sample_clip
from solvers.clip_plots import predicted_frames, predicted_rates
from solvers.prediction import predict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Predicted curves of the sample clip"
SIZE = (7.0, 2.7)

FRAMES = 12
FIRST = 8.0  # bits of the first frame over those of a later frame
BITS_PER_PIXEL = np.geomspace(0.02, 2, 17)


def compute() -> pd.DataFrame:
    """Fit the DCT modes of the clip and predict the curves of each loss by water-filling."""
    fit = fit_clip(sample_clip())
    return predict(fit.source(FRAMES), BITS_PER_PIXEL, fit.modes, FIRST).to_dataframe()


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Left: mean PSNR against rate. Right: PSNR of each frame at the middle rate."""
    left, right = figure.subplots(1, 2)
    predicted_rates(table, left).set_title(f"{FRAMES} frames; thin: MMSE encoder")
    predicted_frames(table, right)
    left.legend()
