"""Recovery in video: frame 1 lossless, few bits for frame 2, and the errors left in frame 3."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from figures import _video
from figures.video_permanence import STAY, permanence
from solvers.plotting import STYLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Recovery of moving digits after a frame with few bits"
SIZE = (7.0, 2.8)


def compute() -> pd.DataFrame:
    """Distortion of frames 2 and 3; for frame 3, wrong digits of frame 2 that stay wrong."""
    rows = _video.table("recovery")
    rows = rows[rows.frame > 1]
    late = permanence(_video.last_frame(rows)).drop(columns=["series", "plf", "kind", "distortion"])
    keys = ["series", "plf", "kind", "seed", "cell", "frame", "rate_bits", "distortion"]
    ends = ["distortion_low", "distortion_high"]
    return rows[keys + ends].join(late.drop(columns=["seed", "cell", "rate_bits"]))


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Distortion by frame, a panel for each rate of frame 3; then digits that stay wrong."""
    last = _video.last_frame(table)
    cells = last.drop_duplicates("cell")[["cell", "rate_bits"]].to_numpy()
    axes = figure.subplots(1, len(cells) + 1)
    for ax, (name, rate) in zip(axes, cells, strict=False):
        here = table[table.cell == name]
        for plf in STYLES:
            _video.draw_runs(ax, here, "frame", "distortion", plf)
        ax.set(title=f"$R_3$ = {rate:g} bits", xlabel="frame", xticks=(2, 3), ylim=(0, None))
        ax.sharey(axes[0])
        ax.margins(x=0.2)
        ax.tick_params(labelleft=ax is axes[0])
    axes[0].set_ylabel("$D_t$ (mean squared error of a pixel)")
    for plf in STYLES:
        _video.draw_runs(axes[-1], last, "rate_bits", "stay_wrong", plf)
    axes[-1].set(ylabel=STAY, ylim=(0, 1.02))
    _video.rate_axis(axes[-1], last, 3)
    axes[-1].set_xlabel("rate $R_3$ (bits)")  # the panel is narrow
    starved = table[table.frame == 2].rate_bits.iloc[0]
    title = f"Moving digits, frame 1 lossless, {starved:g} bits for frame 2{_video.size(table)}"
    handles = _video.key(axes[-1], tuple(STYLES), **_video.MARKERS[_video.SHARED])
    _video.legend(figure, handles, title)
