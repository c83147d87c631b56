"""Bits per frame of codecs above the least rate for their distortion and perception loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from figures._codecs import MARKERS, at_equal_rates, legend_handles
from rdp.codec.lattices import lattice
from rdp.perception import perception
from rdp.source import GaussMarkov
from solvers import minimum_rate
from solvers.plotting import STYLES, loss_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Gap to the curve"
SIZE = (7.0, 2.6)


def compute() -> pd.DataFrame:
    """Measured rate minus the least rate for the measured distortions and perception losses."""
    rows = []
    for point in at_equal_rates():
        assert isinstance(point.source, GaussMarkov)
        assert point.perception is not None
        loss = None if point.plf == "MMSE" else perception(point.plf, point.perception)
        least = minimum_rate(point.source, point.distortion, loss)
        total = float(point.rate.sum())
        rows.append(
            {
                "series": point.label,
                "plf": point.plf,
                "rate_bits": total / point.frames,
                "gap_bits": (total - least.total) / point.frames,
            }
        )
    return pd.DataFrame(rows).sort_values(["series", "plf", "rate_bits"], ignore_index=True)


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """One panel for each decoder; the dotted lines are the gaps of the lattices at high rate."""
    axes = figure.subplots(1, len(STYLES), sharey=True)
    for ax, plf in zip(axes, STYLES, strict=True):
        for name in ("Z", "E8"):
            ax.axhline(lattice(name).gap, color="black", linewidth=0.6, linestyle=":")
        for series, style in MARKERS.items():
            part = table[(table.plf == plf) & (table.series == series)]
            joined = "-" if series.startswith("dithered") else "none"
            ax.plot(
                part.rate_bits, part.gap_bits, color=STYLES[plf]["color"], linestyle=joined,
                linewidth=0.8, **style,
            )  # fmt: skip
        ax.set(title=loss_label(plf), xlabel="rate (bits per frame)")
    axes[0].set(ylabel="gap to the curve\n(bits per frame)", ylim=(0, 0.36))
    for name in ("Z", "E8"):
        axes[0].annotate(
            name, (0.02, lattice(name).gap), xycoords=("axes fraction", "data"), va="bottom",
            fontsize=6,
        )  # fmt: skip
    figure.legend(handles=legend_handles(axes[0]), loc="outside upper center", ncols=4)
