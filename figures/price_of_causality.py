"""What causality costs, and what perfect realism costs, at a constant rate in the long run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rdp.noncausal import causality_price

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "The price of causality"
SIZE = (7.0, 2.7)

RHO = 0.9
RATES = np.linspace(0.02, 2.5, 125)
CURVES: dict[str, dict[str, Any]] = {
    "causal_realism": {"color": "#D55E00", "linestyle": "-", "label": "causal, perfect realism"},
    "causal_mmse": {"color": "#4D4D4D", "linestyle": "-", "label": "causal, no realism"},
    "noncausal_realism": {"color": "#D55E00", "linestyle": "--", "label": "block, perfect realism"},
    "noncausal_mmse": {"color": "#4D4D4D", "linestyle": "--", "label": "block, no realism"},
}
COSTS: dict[str, dict[str, Any]] = {
    "causality": {"color": "black", "linestyle": "-", "label": "causality, under realism"},
    "realism": {"color": "#D55E00", "linestyle": "--", "label": "realism, in a causal codec"},
}


def compute() -> pd.DataFrame:
    """Distortion against rate, causal or not, and what each restriction adds in percent."""
    price = causality_price(RHO, RATES)._asdict()
    causal, block = price["causal_realism"], price["noncausal_realism"]
    columns = {name: ("distortion", price[name]) for name in CURVES}
    columns["causality"] = "percent", 100 * (causal / block - 1)
    columns["realism"] = "percent", 100 * (causal / price["causal_mmse"] - 1)
    return pd.concat(
        [
            pd.DataFrame(
                {"panel": panel, "curve": name, "rho": RHO, "rate_bits": RATES, "value": value}
            )
            for name, (panel, value) in columns.items()
        ],
        ignore_index=True,
    )


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Left: the four curves. Right: what each restriction costs."""
    left, right = figure.subplots(1, 2)
    for name, style in CURVES.items():
        curve = table[table.curve == name]
        left.semilogy(curve.rate_bits, curve.value, **style)
    for name, style in COSTS.items():
        curve = table[table.curve == name]
        right.plot(curve.rate_bits, curve.value, **style)
    left.set(
        xlabel="rate R (bits a frame)",
        ylabel=r"D / variance",
        title=rf"constant rate, $\rho$ = {RHO}",
        xlim=(0, RATES[-1]),
    )
    right.set(
        xlabel="rate R (bits a frame)",
        ylabel="more distortion (%)",
        title="what each restriction costs",
        xlim=(0, RATES[-1]),
        ylim=(0, 50),
    )
    left.legend()
    right.legend()
