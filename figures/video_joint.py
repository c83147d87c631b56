"""Codecs of moving digits: which decoders are jointly realistic, and what that costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from figures import _video
from figures.build import MissingResults
from figures.video_rate import LIMITS
from neural.evaluation.validation import JOINT
from solvers.plotting import STYLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Joint realism of moving digits"
SIZE = (7.0, 3.0)

KNOWN = {"color": "black", "linestyle": (0, (1, 2)), "linewidth": 1.0}
MEASURED = ("distortion", "shift_defect", "stay_wrong")
KEPT = [
    "series", "plf", "kind", "cell", "seed", "rate_bits", "joint_support",
    "known_shift", "nearest_known",
    *(f"{name}{end}" for name in MEASURED for end in ("", "_low", "_high")),
]  # fmt: skip


def compute() -> pd.DataFrame:
    """Frame 2 of shared encoders with every decoder, whose shift defect was measured."""
    rows = _video.last_frame(_video.table(_video.with_jd())).reindex(columns=KEPT)
    rows = rows[(rows.series == _video.SHARED) & rows.shift_defect.notna()]
    if rows.empty:
        raise MissingResults("no shift defect of digits in neural/results")
    return rows


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Left: distortion, and what joint realism costs at least. Right: shift defect."""
    left, right = figure.subplots(1, 2)
    bounds = table.groupby("rate_bits")[["joint_support", "known_shift"]].mean()
    left.plot(bounds.index, bounds.joint_support, **LIMITS["joint support"])
    known = bounds.known_shift.dropna()
    left.plot(known.index, known, **KNOWN)
    for plf in STYLES:
        _video.draw_runs(left, table, "rate_bits", "distortion", plf)
        _video.draw_runs(right, table, "rate_bits", "shift_defect", plf)
    left.set(ylim=(0, None), ylabel="$D_2$ (mean squared error of a pixel)")
    right.axhline(JOINT, color="black", linewidth=0.8)
    right.annotate(
        "JD counts as joint below this line", (0.98, JOINT), xycoords=("axes fraction", "data"),
        xytext=(0, -9), textcoords="offset points", fontsize=6, ha="right",
    )  # fmt: skip
    right.set(yscale="log", ylabel="shift defect of frame 2\n(mean squared error of a pixel)")
    for ax in (left, right):
        _video.rate_axis(ax, table, 2)
    handles = _video.key(left, tuple(STYLES), **_video.MARKERS[_video.SHARED])
    label = "joint support: no perfect JD below it"
    handles += left.plot([], [], **LIMITS["joint support"] | {"label": label})
    if len(known):
        handles += left.plot([], [], **KNOWN, label="perfect JD with these bits")
    _video.legend(figure, handles, _video.title(table))
    _video.note(
        figure,
        "Shift defect: squared error of frame 2 and the nearest shift of the reconstructed frame "
        "1; zero for the source.\nAll decoders of a rate share one encoder, trained for squared "
        "error. Points: every seed. Lines: mean over seeds.",
    )
