"""How curves of each perception loss look, everywhere: colour-blind-safe, distinct in grey too."""

from __future__ import annotations

from typing import Any

# Okabe-Ito colours; line style and marker tell the curves apart without colour.
STYLES: dict[str, dict[str, Any]] = {
    "MMSE": {"color": "#4D4D4D", "linestyle": ":", "marker": "s"},
    "FMD": {"color": "#0072B2", "linestyle": "-", "marker": "o"},
    "JD": {"color": "#D55E00", "linestyle": "--", "marker": "^"},
    "SA": {"color": "#009E73", "linestyle": "-.", "marker": "D"},
}

# What a paper's column needs; used in a context, never set globally.
RC: dict[str, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "lines.linewidth": 1.4,
    "lines.markersize": 3.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.linewidth": 0.4,
    "grid.alpha": 0.5,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 200,
    "svg.hashsalt": "gauss-markov-rdp",
}


def line(plf: str, marker: bool = False) -> dict[str, Any]:
    """Keyword arguments of `Axes.plot` for a perception loss.

    Parameters
    ----------
    plf : {"MMSE", "FMD", "JD", "SA"}
        Which loss.
    marker : bool
        Draw markers too.
    """
    style = dict(STYLES[plf], label="MMSE" if plf == "MMSE" else f"PLF-{plf}")
    if not marker:
        del style["marker"]
    return style
