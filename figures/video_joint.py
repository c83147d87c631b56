"""Codecs of moving digits: which decoders are jointly realistic, and what that costs."""

from __future__ import annotations

from importlib.resources import as_file
from typing import TYPE_CHECKING, Any

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
SEARCHED = "perfect JD, bits chosen for it"
DIAMOND: dict[str, Any] = {"marker": "D", "fillstyle": "none", "linestyle": "none", "markersize": 5,
                           "color": "black"}  # fmt: skip
FILE = "joint-search.csv"
MEASURED = ("distortion", "shift_defect", "stay_wrong")
KEPT = [
    "series", "plf", "kind", "cell", "seed", "rate_bits", "joint_support",
    "known_shift", "nearest_known",
    *(f"{name}{end}" for name in MEASURED for end in ("", "_low", "_high")),
]  # fmt: skip


def compute() -> pd.DataFrame:
    """Frame 2 of encoders with every decoder, whose shift defect was measured.

    After those of shared encoders come exactly joint decoders whose bits were chosen for JD.
    """
    rows = _video.last_frame(_video.table(_video.with_jd())).reindex(columns=KEPT)
    rows = rows[(rows.series == _video.SHARED) & rows.shift_defect.notna()]
    if rows.empty:
        raise MissingResults("no shift defect of digits in neural/results")
    with as_file(_video.RESULTS / FILE) as path:
        if not path.is_file():
            return rows
        return pd.concat([rows, _searched(pd.read_csv(path), rows)], ignore_index=True)


def _searched(found: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of exactly joint decoders whose bits were searched, at the rates that are shown."""
    found = found[(found.encoder == "search") & found.rate_bits.isin(rows.rate_bits)]
    value, half = found.known_shift, found.known_shift_half
    return found.assign(
        series=SEARCHED, plf="JD", kind=rows.kind.iloc[0], shift_defect=0.0, distortion=value,
        distortion_low=value - half, distortion_high=value + half, stay_wrong=float("nan"),
        stay_wrong_low=float("nan"), stay_wrong_high=float("nan"),
    ).reindex(columns=KEPT)  # fmt: skip


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Left: distortion, and what joint realism costs at least. Right: shift defect."""
    left, right = figure.subplots(1, 2)
    searched = table[table.series == SEARCHED]
    table = table[table.series == _video.SHARED]
    bounds = table.groupby("rate_bits")[["joint_support", "known_shift"]].mean()
    left.plot(bounds.index, bounds.joint_support, **LIMITS["joint support"])
    known = bounds.known_shift.dropna()
    left.plot(known.index, known, **KNOWN)
    for plf in STYLES:
        _video.draw_runs(left, table, "rate_bits", "distortion", plf)
        _video.draw_runs(right, table, "rate_bits", "shift_defect", plf)
    left.plot(searched.rate_bits, searched.distortion, **DIAMOND)
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
        handles += left.plot([], [], **KNOWN, label="perfect JD, bits of that encoder")
    if len(searched):
        handles += left.plot([], [], **DIAMOND, label=SEARCHED)
    _video.legend(figure, handles, _video.title(table), 4)
    _video.note(
        figure,
        "Shift defect: squared error of frame 2 and the nearest shift of the reconstructed frame "
        "1; zero for the source.\nAll decoders of a rate share one encoder, trained for squared "
        "error; diamonds: bits chosen for JD. Points: every seed. Lines: mean over seeds.",
    )
