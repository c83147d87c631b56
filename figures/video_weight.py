"""Codecs of moving digits: distortion of frame 2 when realism weighs more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from figures import _video
from figures.build import MissingResults
from figures.video_rate import LIMITS
from solvers.plotting import STYLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Distortion of moving digits when realism weighs more"
SIZE = (7.0, 3.0)

SUPPORT = "joint support"
KEPT = [
    "weight", "series", "plf", "kind", "cell", "seed", "rate_bits", "distortion",
    "distortion_low", "distortion_high", "perception", "perception_low", "perception_high",
    "fresh_w1", SUPPORT.replace(" ", "_"),
]  # fmt: skip


def compute() -> pd.DataFrame:
    """Frame 2 of shared encoders, at both weights, where both were trained."""
    parts = [
        _video.last_frame(_video.table(experiment)).assign(weight=weight)
        for experiment, weight in _video.WEIGHTS.items()
    ]
    rows = pd.concat(parts).reindex(columns=KEPT)
    if rows.kind.nunique() > 1:  # weights are compared at one size
        raise MissingResults("no results of both weights at one size in neural/results")
    return rows[rows.series == _video.SHARED]


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """One panel for each weight of the critic in what decoders are trained for."""
    axes = figure.subplots(1, table.weight.nunique(), sharex=True, sharey=True)
    for ax, (weight, rows) in zip(axes, table.groupby("weight"), strict=True):
        bound = rows.groupby("rate_bits").joint_support.mean()
        ax.plot(bound.index, bound, **LIMITS[SUPPORT])
        for plf in STYLES:
            _video.draw_runs(ax, rows, "rate_bits", "distortion", plf)
        ax.set(title=f"weight {weight:g} of realism")
        _video.rate_axis(ax, table, 2)
    axes[0].set(ylim=(0, None), ylabel="$D_2$ (mean squared error of a pixel)")
    handles = _video.key(axes[0], tuple(STYLES), **_video.MARKERS[_video.SHARED])
    handles += axes[0].plot([], [], label=f"{SUPPORT}: below it no JD", **LIMITS[SUPPORT])
    _video.legend(figure, handles, _video.title(table))
    _video.note(
        figure,
        "Weight: of W1, as its critic sees it, against squared error. All decoders of a rate share "
        "one encoder, made for squared error. Lines: mean over seeds.",
    )
