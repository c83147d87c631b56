"""Codecs of moving digits: distortion of frame 2 against its rate, bounds and published runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from figures import _video
from solvers.plotting import STYLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Distortion of moving digits against rate"
SIZE = (7.0, 3.2)

# Curves that frame 2 is compared with, and their style.
LIMITS: dict[str, dict[str, Any]] = {
    "frame 1 repeated": {"color": "#999999", "linestyle": "-", "linewidth": 0.8},
    "Gaussian model, long codes": {"color": "#CC79A7", "linestyle": "-", "linewidth": 1.0},
    "twice the MMSE": {"color": "black", "linestyle": (0, (1, 2)), "linewidth": 1.0},
    "joint support": {"color": "black", "linestyle": (0, (5, 1)), "linewidth": 1.0},
}
PUBLISHED = {"marker": "*", "fillstyle": "none", "markersize": 6, "linewidth": 0.6}
KEPT = [
    "series", "plf", "kind", "cell", "seed", "rate_bits", "distortion", "distortion_low",
    "distortion_high", "epochs",
]  # fmt: skip


def compute() -> pd.DataFrame:
    """Points of all seeds, their bounds, and published runs."""
    rows = _video.last_frame(_video.table("digits"))
    shared = rows[rows.series == _video.SHARED]
    realistic = shared[shared.plf.isin(("FMD", "SA"))]
    mmse = shared.distortion / _video.over_mmse(shared)
    columns = {
        "frame 1 repeated": shared.repeated_frame,
        "Gaussian model, long codes": shared[shared.plf == "MMSE"].gaussian_reference,
        "twice the MMSE": 2 * mmse[realistic.index],
        "joint support": shared.joint_support,
    }
    limits = [
        shared.loc[values.index, ["plf", "kind", "seed", "rate_bits"]].assign(
            series=series, distortion=values
        )
        for series, values in columns.items()
    ]
    runs = _video.published().rename(columns={"rate2_bits": "rate_bits", "mse": "distortion"})
    parts = [rows, *limits, runs.assign(series="published")]
    return pd.concat(parts).reindex(columns=KEPT).dropna(subset="distortion")


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """One panel for each loss; the MMSE decoder is in each panel."""
    measured = table[table.series == _video.SHARED]
    axes = figure.subplots(1, len(STYLES), sharex=True, sharey=True)
    for ax, plf in zip(axes, STYLES, strict=True):
        part = table[table.plf == plf]
        for series, style in LIMITS.items():
            line = part[part.series == series].groupby("rate_bits").distortion.mean()
            ax.plot(line.index, line, **style)
        runs = part[part.series == "published"]
        ax.plot(
            runs.rate_bits, runs.distortion, color=STYLES[plf]["color"], linestyle=":", **PUBLISHED
        )
        for name in dict.fromkeys(("MMSE", plf)):
            _video.draw_runs(ax, table, "rate_bits", "distortion", name)
        _video.draw_runs(ax, table, "rate_bits", "distortion", plf, _video.OWN)
        ax.set(title=_video.name(plf))
        _video.rate_axis(ax, table, 2)
    axes[0].set(ylim=(0, None), ylabel="$D_2$ (mean squared error of a pixel)")
    handles = _video.markers(axes[0])
    for label, style in ({"published": PUBLISHED | {"linestyle": ":"}} | LIMITS).items():
        handles += axes[0].plot([], [], label=label, **({"color": "black"} | style))
    _video.legend(figure, handles, _video.title(measured), columns=4)
    _video.note(figure, note(table))


def note(table: pd.DataFrame) -> str:
    """Caveats of the comparison with published runs."""
    runs = table[table.series == "published"]
    alone = runs[runs.plf == "MMSE"].epochs
    others = runs[runs.plf != "MMSE"].epochs
    return (
        "Published runs: training digits, BatchNorm not frozen, weight "
        f"{_video.WEIGHT:g} of realism, {others.min():g} to {others.max():g} epochs "
        f"(MMSE: {alone.max():g} epochs); not every cell was published.\n"
        "Points: held-out digits, frozen encoders, every seed. Lines: mean over seeds."
        f"{_video.about_jd()}"
    )
