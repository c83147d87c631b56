"""What a second-order model buys on the sample clip, and what it says about realism."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rdp import AutoRegressive
from rdp.clip import fit_clip, sample_clip
from solvers import steady_state
from solvers.plotting import line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Order 1 against order 2 on the sample clip"
SIZE = (7.0, 2.8)

RATES = np.array([0.03, 0.06, 0.12, 0.25, 0.5, 1.0, 2.0])
LOSSES = ("MMSE", "FMD", "JD")
MODES = {"frame": "o", "block": "s"}


def compute() -> pd.DataFrame:
    """Innovation variance of each mode at order 2; curves of the lowest spatial frequencies."""
    parts = []
    for transform in MODES:
        found = fit_clip(sample_clip(), transform=transform, order=2)
        assert found.orders is not None
        fits = [fit for fit in found.orders.fits if fit is not None]
        share = np.array([fit.innovation[2] / fit.innovation[1] for fit in fits])
        sigma = np.array([fit.source.sigma for fit in fits])
        rank = np.argsort(-sigma, kind="stable")
        parts.append(
            pd.DataFrame(
                {
                    "panel": "innovation",
                    "dct": transform,
                    "mode": rank,
                    "variance_share": sigma[rank] ** 2 / (sigma**2).sum(),
                    "value": share[rank],
                }
            )
        )
        if transform == "frame":
            first, second = AutoRegressive(found.rho[0], fits[0].source.sigma), fits[0].source
            parts += [
                pd.DataFrame(
                    {
                        "panel": "curve",
                        "dct": transform,
                        "order": source.order,
                        "plf": plf,
                        "rate_bits": RATES,
                        "value": [
                            steady_state(source, rate, plf).mean / source.sigma**2 for rate in RATES
                        ],
                    }
                )
                for source in (first, second)
                for plf in LOSSES
            ]
    return pd.concat(parts, ignore_index=True)


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Left: innovation variance left by the second frame. Right: curves by both orders."""
    left, right = figure.subplots(1, 2)
    for transform, marker in MODES.items():
        modes = table[(table.panel == "innovation") & (table.dct == transform)]
        colour = {"frame": "black", "block": "#56B4E9"}[transform]
        size = {"frame": 3, "block": 9}[transform]
        label = f"DCT of the {transform}" if transform == "frame" else "DCT of blocks"
        x, y = modes.variance_share, modes.value
        left.scatter(x, y, s=size, marker=marker, c=colour, label=label)
    left.axhline(1.0, color="#4D4D4D", linewidth=0.8)
    left.set(
        xscale="log",
        xlabel="share of the mode in the variance",
        ylabel="innovation variance,\norder 2 / order 1",
        ylim=(0, 1.05),
    )
    left.legend()
    curves = table[table.panel == "curve"]
    for (order, plf), curve in curves.groupby(["order", "plf"], sort=False):
        first = order == 1
        style = line(str(plf)) | {"linewidth": 0.7 if first else 1.6}
        if first:
            style["label"] = "_nolegend_"
        right.loglog(curve.rate_bits, curve.value, **style)
    right.set(
        xlabel="rate (bits per frame and mode)",
        ylabel="distortion / variance, long run",
        title="lowest frequencies; thin: order 1, bold: order 2",
    )
    right.xaxis.set_major_formatter("{x:g}")
    right.legend()
