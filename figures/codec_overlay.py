"""Measured points of codecs, from real bytes, and the exact curves of their source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from figures._codecs import (
    MARKERS,
    at_equal_rates,
    changing_rates,
    constructive,
    legend_handles,
    neural_source,
)
from figures._table import ZERO_PERCEPTION
from neural.evaluation.record import trained
from rdp.closed_form import rate_for_distortion
from rdp.operating_point import OperatingPoint
from rdp.source import GaussMarkov
from solvers.plotting import STYLES, line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Measured codecs and theory"
SIZE = (7.0, 4.6)

PLFS = ("FMD", "JD", "SA")
LONG = GaussMarkov.stationary(rho=0.95, frames=8)
LONG_RATES = (0.1, *[3.0] * 7)  # bits: a low rate of the first frame, then high rates


def compute() -> pd.DataFrame:
    """D_2 against rate, and distortion of each frame after a first frame of low rate."""
    source = neural_source()
    rates = np.linspace(0, 2.4, 97)
    rows: list[dict[str, Any]] = []
    for plf, distortion in ZERO_PERCEPTION.items():
        values = distortion(source, np.repeat(rates[:, None], source.frames, 1))[:, -1]
        rows += [
            _row("rate", "theory", plf, source.frames, rate, value)
            for rate, value in zip(rates, values, strict=True)
        ]
    for point in at_equal_rates():
        rows += list(_measured("rate", point))[-1:]
    for panel, points in (("long", constructive(LONG, LONG_RATES)), ("neural", changing_rates())):
        rows += _permanence(panel, points)
    return pd.DataFrame(rows)


def _row(
    panel: str, series: str, plf: str, frame: int, rate: float, distortion: float,
    ends: Sequence[float] | None = None,
) -> dict[str, Any]:  # fmt: skip
    low, high = (distortion, distortion) if ends is None else ends
    return {
        "panel": panel, "series": series, "plf": plf, "frame": frame, "rate_bits": rate,
        "distortion": distortion, "distortion_low": low, "distortion_high": high,
    }  # fmt: skip


def _measured(panel: str, point: OperatingPoint) -> Iterator[dict[str, Any]]:
    for t in range(point.frames):
        ends = point.intervals["distortion"][t]
        yield _row(panel, point.label, point.plf, t + 1, point.rate[t], point.distortion[t], ends)


def _permanence(panel: str, points: Sequence[OperatingPoint]) -> Iterator[dict[str, Any]]:
    """Measured distortion of each frame, and the closed form at the errors of the MMSE decoder."""
    (estimate,) = [point for point in points if point.plf == "MMSE"]
    source = estimate.source
    assert isinstance(source, GaussMarkov)
    rates = rate_for_distortion(source, estimate.distortion)
    for plf, distortion in ZERO_PERCEPTION.items():
        for t, value in enumerate(distortion(source, rates)):
            yield _row(panel, "theory", plf, t + 1, rates[t], value)
    for point in points:
        yield from _measured(panel, point)


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Above: one panel for each loss. Below: error permanence, in both codecs."""
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.1, 1))[:, 0]
    axes = above.subplots(1, 3, sharey=True)
    for ax, plf in zip(axes, PLFS, strict=True):
        _against_rate(ax, table[table.panel == "rate"], plf)
    axes[0].set_ylabel(r"$D_2$ / variance")
    above.legend(handles=legend_handles(axes[0]), loc="outside upper center", ncols=4)
    left, right = below.subplots(1, 2, width_ratios=(1.8, 1), sharey=True)
    for ax, panel in ((left, "long"), (right, "neural")):
        _over_time(ax, table[table.panel == panel])
    left.set(
        ylabel=r"$D_t$ / variance",
        title=f"dithered Z: {LONG_RATES[0]:g} bit for frame 1, then {LONG_RATES[1]:g}",
    )
    poor, good = trained(changing_rates()[0]).rates
    right.set(title=f"neural: {poor:g} bit, then {good:g}", xticks=(1, 2), xlim=(0.7, 2.3))
    right.legend(title="lines: closed form", loc="center left", bbox_to_anchor=(1, 0.5))


def _against_rate(ax: Axes, table: pd.DataFrame, plf: str) -> None:
    for name in ("MMSE", plf):
        part = table[table.plf == name]
        curve = part[part.series == "theory"]
        ax.semilogy(curve.rate_bits, curve.distortion, **line(name))
        for series, style in MARKERS.items():
            if name == "MMSE" and series != "dithered Z":
                continue
            dots = part[part.series == series]
            ax.plot(
                dots.rate_bits, dots.distortion, color=STYLES[name]["color"], linestyle="none",
                **style,
            )  # fmt: skip
    ax.set(xlabel=r"rate of each frame (bits)", ylim=(0.01, 2.5))
    ax.legend(loc="lower left")


def _over_time(ax: Axes, table: pd.DataFrame) -> None:
    for plf in ZERO_PERCEPTION:
        part = table[table.plf == plf]
        theory = part[part.series == "theory"]
        ax.semilogy(theory.frame, theory.distortion, **line(plf))
        for series, style in MARKERS.items():
            dots = part[part.series == series]
            ax.plot(
                dots.frame, dots.distortion, color=STYLES[plf]["color"], linestyle="none", **style
            )
    ax.set(xlabel="frame")
