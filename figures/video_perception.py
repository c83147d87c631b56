"""Codecs of moving digits: distortion against perception, one encoder or several."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd

from figures import _video
from neural.evaluation.record import record_of, trained
from rdp.operating_point import OperatingPoint
from solvers.plotting import STYLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Distortion and perception of moving digits at fixed rate"
SIZE = (7.0, 4.6)
COLUMNS = 3

UNIVERSAL = "mixture of decoders"


def compute() -> pd.DataFrame:
    """Mixtures of the decoders of shared encoders, and points of encoders trained for a loss."""
    rows = [row for point in _video.points("digits") for row in _rows(point)]
    return pd.DataFrame(rows)


def _rows(point: OperatingPoint) -> Iterator[dict[str, Any]]:
    """Mixtures of one decoder, and its point; perception is under its own loss."""
    if point.plf == "MMSE":  # the mixtures of each loss begin there
        return
    assert point.perception is not None
    base = {
        "plf": point.plf, "cell": _video.cell(point), "rate_bits": point.rate[-1],
        "kind": point.kind, "seed": trained(point).seed,
    }  # fmt: skip
    if mixtures := record_of(point).mixtures:
        for share, distortion, perception in zip(
            mixtures.share, mixtures.distortion, mixtures.perception, strict=True
        ):
            yield base | {
                "series": UNIVERSAL, "share": share,
                "distortion": distortion[-1], "perception": perception[-1],
            }  # fmt: skip
    row = {"distortion": point.distortion[-1], "perception": point.perception[-1]}
    for name, ends in point.intervals.items():
        if name in row:
            row[f"{name}_low"], row[f"{name}_high"] = ends[-1]
    yield base | row | {"series": point.label}


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """One panel for each rate."""
    rates = table.drop_duplicates("cell").sort_values("rate_bits")
    columns = min(COLUMNS, len(rates))
    axes = figure.subplots(math.ceil(len(rates) / columns), columns, sharey=True, squeeze=False)
    used, spares = axes.flat[: len(rates)], axes.flat[len(rates) :]
    for spare in spares:
        spare.remove()
    for ax, (name, rate) in zip(used, rates[["cell", "rate_bits"]].to_numpy(), strict=True):
        here = table[table.cell == name]
        for plf in _video.PLFS:
            style = STYLES[plf]
            part = here[here.plf == plf]
            for _, curve in part[part.series == UNIVERSAL].groupby("seed"):
                curve = curve.sort_values("share")
                ax.plot(
                    curve.perception, curve.distortion, color=style["color"],
                    linestyle=style["linestyle"], linewidth=0.9,
                )  # fmt: skip
            for series in _video.SERIES:
                _points(ax, part[part.series == series], plf, series)
        ax.set(title=f"$R_2$ = {rate:g} bits", xlabel="$P_2$ (Gelbrich distance)")
        ax.set_xlim(left=0)
        ax.locator_params(axis="x", nbins=4)
        ax.xaxis.set_major_formatter("{x:g}")
    for ax in axes[:, 0]:
        ax.set_ylabel("$D_2$ (squared error of a pixel)")
    handles = _video.key(axes[0, 0], _video.PLFS) + _video.markers(axes[0, 0])
    _video.legend(figure, handles, f"Moving digits{_video.size(table)}")
    _video.note(
        figure,
        "Lines: mixtures of the MMSE decoder and the decoder for the loss, both of the shared "
        "encoder, one line for each seed.\n$P_2$ is under the loss in the legend."
        f"{_video.about_jd()}",
    )


def _points(ax: Any, part: pd.DataFrame, plf: str, series: str) -> None:
    """Draw points with the intervals of distortion and perception."""
    across = [part.perception - part.perception_low, part.perception_high - part.perception]
    along = [part.distortion - part.distortion_low, part.distortion_high - part.distortion]
    ax.errorbar(
        part.perception, part.distortion, along, across, color=STYLES[plf]["color"],
        linestyle="none", elinewidth=0.7, **_video.MARKERS[series],
    )  # fmt: skip
