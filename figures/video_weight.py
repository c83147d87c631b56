"""Codecs of moving digits: distortion of frame 2 at two weights of realism."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from figures import _video
from figures.build import MissingResults
from figures.video_rate import LIMITS
from solvers.plotting import STYLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Distortion of moving digits at two weights of realism"
SIZE = (7.0, 3.0)

KEPT = [
    "weight", "series", "plf", "kind", "cell", "seed", "rate_bits", "distortion",
    "distortion_low", "distortion_high", "perception", "perception_low", "perception_high",
    "fresh_w1", "fresh_w1_low", "fresh_w1_high", "stay_wrong",
    "stay_wrong_low", "stay_wrong_high", "joint_support",
]  # fmt: skip


def compute() -> pd.DataFrame:
    """Frame 2 of shared encoders, for cells and seeds that were trained at every weight."""
    parts = [
        _video.last_frame(_video.table(experiment)).assign(weight=weight)
        for experiment, weight in _video.WEIGHTS.items()
    ]
    rows = pd.concat(parts)[KEPT]
    rows = rows[rows.series == _video.SHARED]
    weights = rows.groupby(["kind", "cell", "seed"]).weight.transform("nunique")
    rows = rows[weights == len(parts)]
    if rows.empty:
        raise MissingResults("no cell with every weight at one size in neural/results")
    return rows


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """One panel for each weight of the critic term in training."""
    axes = figure.subplots(1, table.weight.nunique(), sharex=True, sharey=True)
    for ax, (weight, rows) in zip(axes, table.groupby("weight"), strict=True):
        bound = rows.groupby("rate_bits").joint_support.mean()
        ax.plot(bound.index, bound, **LIMITS["joint support"])
        for plf in STYLES:
            _video.draw_runs(ax, rows, "rate_bits", "distortion", plf)
        ax.set(title=f"weight of realism {weight:g}")
        _video.rate_axis(ax, table, 2)
    axes[0].set(ylim=(0, None), ylabel="$D_2$ (mean squared error of a pixel)")
    handles = _video.key(axes[0], tuple(STYLES), **_video.MARKERS[_video.SHARED])
    bound = LIMITS["joint support"] | {"label": "joint support: no perfect JD below it"}
    handles += axes[0].plot([], [], **bound)
    _video.legend(figure, handles, _video.title(table))
    _video.note(
        figure,
        "Weight of W1 relative to squared error in training. At the larger weight, decoders were "
        "trained for more steps, with more steps of the critic.\nAll decoders of a rate "
        "share one encoder, trained for squared error. Points: every seed. Lines: mean over seeds.",
    )
