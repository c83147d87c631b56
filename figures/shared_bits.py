"""Distortion of perfect realism against the random bits that encoder and decoder share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rdp.codec.dithered import DitheredCodec
from rdp.codec.evaluation import measure_codec
from rdp.common_randomness import framewise_achievable, framewise_bound, joint_achievable
from rdp.source import GaussMarkov
from solvers.plotting import STYLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Shared random bits and perfect realism"
SIZE = (7.0, 2.9)

SOURCE = GaussMarkov.stationary(rho=0.9, frames=4)
RATE = 1.0  # bits per frame on the MMSE curve
LEVELS = (1, 2, 4, None)  # values of the codec's dither
UNLIMITED = 3.0  # bits, where points without a limit are drawn
SEQUENCES, SEED = 12_000, 0

CURVES: dict[str, dict[str, Any]] = {
    **{plf: {**STYLES[plf], "marker": "", "label": f"{plf}, scheme"} for plf in ("FMD", "JD")},
    "bound": {"color": "#4D4D4D", "linestyle": ":", "label": "bound, any realistic code"},
}
MARKERS = {"FMD": "o", "JD": "s"}
PANELS = {1: "first frame", SOURCE.frames: f"frame {SOURCE.frames}"}


def compute() -> pd.DataFrame:
    """Schemes and bound at one rate, and what the dithered codec measures.

    The bound is drawn at the codec's measured rates too, which exceed the nominal rate by the gap
    of a scalar quantiser.
    """
    shared = np.linspace(0.0, 2.5, 51)
    rates, common = np.full((len(shared), SOURCE.frames), RATE), shared[:, None]
    curves = {
        "FMD": framewise_achievable(SOURCE, rates, common),
        "JD": joint_achievable(SOURCE, rates, common),
        "bound": framewise_bound(SOURCE, rates, common),
    }
    rows = [
        {"series": name, "shared_bits": bits, "frame": t + 1, "rate_bits": RATE, "distortion": d}
        for name, values in curves.items()
        for bits, found in zip(shared, values, strict=True)
        for t, d in enumerate(found)
    ]
    for levels in LEVELS:
        codec = DitheredCodec.at_rates(SOURCE, np.full(SOURCE.frames, RATE), levels=levels)
        points = measure_codec(codec, SEQUENCES, SEED, repeats=4, plfs=["FMD", "JD"])
        bound = framewise_bound(SOURCE, points[0].rate, codec.common_randomness)
        values = {f"codec {point.plf}": np.asarray(point.distortion) for point in points}
        rows += [
            {
                "series": name, "shared_bits": codec.common_randomness, "frame": t + 1,
                "rate_bits": points[0].rate[t], "distortion": found[t],
            }
            for name, found in {**values, "codec bound": bound}.items()
            for t in range(SOURCE.frames)
        ]  # fmt: skip
    return pd.DataFrame(rows)


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """First and last frame: curves at the nominal rate, points of the codec."""
    for ax, (frame, title) in zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
        part = table[table.frame == frame]
        for name, style in CURVES.items():
            curve = part[part.series == name]
            ax.plot(curve.shared_bits, curve.distortion, **style)
        for name, marker in MARKERS.items():
            points = part[part.series == f"codec {name}"]
            ax.plot(
                points.shared_bits.clip(upper=UNLIMITED), points.distortion, marker,
                color=CURVES[name]["color"], markersize=5, fillstyle="none",
                label=f"{name}, codec with bytes",
            )  # fmt: skip
        limit = part[part.series == "codec bound"]
        ax.plot(
            limit.shared_bits.clip(upper=UNLIMITED), limit.distortion, "_", color="#4D4D4D",
            markersize=9, label="bound at the rate of the bytes",
        )  # fmt: skip
        ax.set(
            xlabel="shared random bits a sample",
            title=rf"{title}, R = {RATE:g} bit, $\rho$ = 0.9",
            xlim=(-0.1, UNLIMITED + 0.1),
            ylim=(0, None),
        )
        ticks = [0, 1, 2, UNLIMITED]
        ax.set_xticks(ticks, ["0", "1", "2", r"$\infty$"])
    figure.axes[0].set_ylabel("D / variance")
    figure.axes[-1].legend(loc="upper right")
