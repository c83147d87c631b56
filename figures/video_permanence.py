"""Error permanence in video: the distortion each loss adds to the MMSE, and errors that stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from figures import _video
from solvers.plotting import STYLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Error permanence in moving digits"
SIZE = (7.0, 2.8)

STAY = "share of wrong digits\nthat stay wrong"


def compute() -> pd.DataFrame:
    """Frame 2 of shared encoders: D_2 over the MMSE, and wrong digits that stay wrong."""
    rows = _video.last_frame(_video.table("digits"))
    return permanence(rows[rows.series == _video.SHARED])


def permanence(rows: pd.DataFrame) -> pd.DataFrame:
    """Distortion over the MMSE and wrong digits, from rows of the last frame."""
    kept = ["series", "plf", "kind", "seed", "cell", "rate_bits", "distortion"]
    digits = ["wrong_before", "wrong_now", "stay_wrong", "accuracy"]
    ends = ["stay_wrong_low", "stay_wrong_high"]
    rows = rows.assign(over_mmse=_video.over_mmse(rows))
    return rows.reindex(columns=[*kept, "over_mmse", *digits, *ends])


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Left: distortion over the MMSE. Right: of the digits wrong in frame 1, those still wrong."""
    left, right = figure.subplots(1, 2)
    for plf in _video.PLFS:
        _video.draw_runs(left, table, "rate_bits", "over_mmse", plf)
    left.axhline(2, color="black", linewidth=0.8)
    left.annotate(
        "twice the MMSE is\nenough for FMD and SA", (0.02, 2), xycoords=("axes fraction", "data"),
        xytext=(0, 2), textcoords="offset points", fontsize=6, ha="left",
    )  # fmt: skip
    left.set(ylabel="$D_2$ / MMSE distortion")
    for plf in STYLES:
        _video.draw_runs(right, table, "rate_bits", "stay_wrong", plf)
    right.set(ylabel=STAY, ylim=(0, 1.02))
    for ax in (left, right):
        _video.rate_axis(ax, table, 2)
    handles = _video.key(right, tuple(STYLES), **_video.MARKERS[_video.SHARED])
    _video.legend(figure, handles, _video.title(table))
    _video.note(
        figure,
        "Wrong: a classifier does not read the digit of the source; it reads "
        f"{100 * table.accuracy.min():.0f}% or more of the source frames correctly.\n"
        f"Lines: mean over seeds.{_video.about_jd()}",
    )
