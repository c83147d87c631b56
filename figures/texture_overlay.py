"""Video codecs of Gauss-Markov textures and the exact curves of their source."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from figures.build import MissingResults
from rdp.gaussian import bures
from rdp.operating_point import OperatingPoint, load_points
from rdp.perception import LOSSES, PLFS
from rdp.source import GaussMarkov
from solvers.methods.waterfilling import waterfill
from solvers.plotting import STYLES, line, loss_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Video codecs of textures and the exact curves"
SIZE = (7.0, 2.7)

RESULTS = ("textures", "textures-reduced")  # the first that exists is drawn
RATES = np.geomspace(2, 128, 13)  # bits of each frame
FREQUENCIES = 12  # in each direction, whose distribution is measured
FIELD = 64
LAST = 2  # frame that is drawn
_UNCODED = 1e-12  # share of the variance of a mode that is rounding


def points() -> list[OperatingPoint]:
    """Return the measured points; MissingResults if there are none."""
    for name in RESULTS:
        with as_file(files("neural") / "results" / f"{name}.json") as path:
            if path.exists():
                return load_points(path)
    raise MissingResults("no results of codecs of textures in neural/results")


def compute() -> pd.DataFrame:
    """Distortion of the last frame against rate, and distances of what each decoder makes."""
    from neural.datasets.texture_source import spectrum, texture_model
    from neural.evaluation.record import record_of

    found = points()
    source = texture_model(*spectrum(), found[0].frames)
    rows = list(_exact(source))
    for point in found:
        end = point.intervals["distortion"][LAST - 1]
        rows.append(
            _row("distortion", "measured", point.plf, point.rate[LAST - 1],
                 point.distortion[LAST - 1], end)
        )  # fmt: skip
        losses = record_of(point).losses or {}
        for loss, distance in losses.items():
            value, half = distance.value[LAST - 1], distance.half[LAST - 1]
            ends = (max(value - half, 0.0), value + half)
            rows.append(_row(loss, "measured", point.plf, point.rate[LAST - 1], value, ends))
    for loss in ("FMD", "JD"):
        value = mmse_distance(source, tuple(found[0].rate), loss)
        rows.append(_row(loss, "exact", "MMSE", found[0].rate[LAST - 1], value))
    return pd.DataFrame(rows)


def _exact(source: GaussMarkov) -> Iterator[dict[str, Any]]:
    for plf in LOSSES:
        for rate in RATES:
            value = waterfill(source, np.full(source.frames, rate), plf).distortion[LAST - 1]
            yield _row("distortion", "exact", plf, rate, float(value))


def mmse_distance(source: GaussMarkov, rates: tuple[float, ...], loss: str) -> float:
    """Distance of the best MMSE reconstruction from the source, in the modes that are measured.

    Parameters
    ----------
    source : GaussMarkov
        Two frames of 64 x 64 modes.
    rates : tuple of float
        Bits of each frame.
    loss : {"FMD", "JD"}
        One frame, or both.
    """
    kept = source.sigma**2 - waterfill(source, rates, "MMSE").mode_mmse
    kept[kept < _UNCODED * source.sigma**2] = 0.0
    low = (np.arange(FIELD)[:, None] < FREQUENCIES) & (np.arange(FIELD) < FREQUENCIES)
    chosen = low.ravel()
    exact = source.covariance()[chosen]
    estimate = np.empty_like(exact)
    for t, s in np.ndindex(*estimate.shape[1:]):
        first = min(t, s)
        share = exact[:, t, s] / source.sigma[first, chosen] ** 2
        estimate[:, t, s] = share * kept[first, chosen]
    frames = slice(LAST - 1, LAST) if loss == "FMD" else slice(0, LAST)
    return float(bures(exact[:, frames, frames], estimate[:, frames, frames]).sum())


def _row(
    quantity: str, series: str, plf: str, rate: float, value: float, ends: Any = None
) -> dict[str, Any]:
    low, high = (value, value) if ends is None else ends
    return {
        "quantity": quantity, "series": series, "plf": plf, "rate_bits": rate,
        "value": value, "low": low, "high": high,
    }  # fmt: skip


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Left: distortion against rate. Right: distance of each decoder under FMD and JD."""
    left, right = figure.subplots(1, 2, width_ratios=(1.2, 1))
    rows = table[table.quantity == "distortion"]
    for plf in LOSSES:
        exact = rows[(rows.series == "exact") & (rows.plf == plf)]
        left.plot(exact.rate_bits, exact.value, **line(plf))
        dots = rows[(rows.series == "measured") & (rows.plf == plf)]
        style = {"color": STYLES[plf]["color"], "marker": STYLES[plf]["marker"]}
        left.plot(dots.rate_bits, dots.value, linestyle="none", **style)
    left.set(
        xscale="log", xlabel="bits of each frame",
        ylabel=f"$D_{LAST}$, mean squared error of a pixel",
        title="lines: exact; markers: measured",
    )  # fmt: skip
    left.xaxis.set_major_formatter("{x:g}")
    left.set_ylim(bottom=0)
    left.legend()
    _distances(right, table)


def _distances(ax: Axes, table: pd.DataFrame) -> None:
    for shift, (loss, marker) in zip((-0.12, 0.12), (("FMD", "o"), ("JD", "^")), strict=True):
        rows = table[(table.quantity == loss) & (table.series == "measured")]
        place = [LOSSES.index(plf) + shift for plf in rows.plf]
        bars = [rows.value - rows.low, rows.high - rows.value]
        colour = STYLES[loss]["color"]
        ax.errorbar(place, rows.value, bars, fmt=marker, color=colour, label=f"{loss} distance")
        exact = table[(table.quantity == loss) & (table.series == "exact")]
        bar = {"marker": "_", "markersize": 14, "markeredgewidth": 2.5, "color": colour}
        ax.plot(shift, exact.value, linestyle="none", **bar)
        if loss in PLFS:
            ax.plot(LOSSES.index(loss) + shift, 0, linestyle="none", clip_on=False, **bar)
    ax.set_xticks(range(len(LOSSES)), [loss_label(plf) for plf in LOSSES])
    ax.set(ylabel="distance, mean square of a pixel", xlabel="decoder")
    ax.set_title("markers: measured; bars across: exact")
    ax.set_ylim(bottom=0)
    ax.legend(loc="center right")
