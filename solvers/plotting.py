"""How curves of each perception loss look, everywhere: colour-blind-safe, distinct in grey too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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


def new_figure(width: float = 3.5, height: float = 2.6) -> Figure:
    """Figure that belongs to no window and no backend.

    Parameters
    ----------
    width, height : float
        Inches.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def curves(table: Any, x: str, y: str, ax: Axes | None = None) -> Axes:
    """Draw one curve for each perception loss.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns `plf`, `x` and `y`.
    x, y : str
        Names of the columns to draw.
    ax : matplotlib Axes or None
        Where to draw; None makes a figure.

    Returns
    -------
    matplotlib Axes
    """
    ax = new_figure().subplots() if ax is None else ax
    for plf, curve in table.groupby("plf", sort=False):
        ax.plot(curve[x], curve[y], **line(plf))
    return ax


def predicted_rates(table: Any, ax: Axes | None = None) -> Axes:
    """Draw predicted PSNR, of the mean error over the frames, against bits per pixel.

    Parameters
    ----------
    table : pandas.DataFrame
        From ``Prediction.to_dataframe()``.
    ax : matplotlib Axes or None
        Where to draw; None makes a figure.

    Returns
    -------
    matplotlib Axes
        Thin curves are for the encoder made for mean squared error.
    """
    from solvers.prediction import decibels

    ax = new_figure().subplots() if ax is None else ax
    mean = table.groupby(["encoder", "plf", "bits_per_pixel"], sort=False).mse.mean().reset_index()
    mean["psnr_db"] = decibels(mean.mse, table.attrs["peak"])
    curves(mean[mean.encoder == "optimal"], "bits_per_pixel", "psnr_db", ax)
    for plf, curve in mean[mean.encoder == "mmse"].groupby("plf", sort=False):
        if plf != "MMSE":
            thin = line(str(plf)) | {"linewidth": 0.6, "label": "_nolegend_"}
            ax.plot(curve.bits_per_pixel, curve.psnr_db, **thin)
    ax.set(xscale="log", xlabel="rate (bits per pixel)", ylabel="PSNR (dB)")
    ax.xaxis.set_major_formatter("{x:g}")
    return ax


def predicted_frames(table: Any, ax: Axes | None = None) -> Axes:
    """Draw predicted PSNR of each frame at the middle one of the rates.

    Parameters
    ----------
    table : pandas.DataFrame
        From ``Prediction.to_dataframe()``.
    ax : matplotlib Axes or None
        Where to draw; None makes a figure.

    Returns
    -------
    matplotlib Axes
    """
    ax = new_figure().subplots() if ax is None else ax
    rates = sorted(set(table.bits_per_pixel))
    rate = rates[len(rates) // 2]
    chosen = table[(table.bits_per_pixel == rate) & (table.encoder == "optimal")]
    curves(chosen, "frame", "psnr_db", ax)
    ax.set(xlabel="frame", ylabel="PSNR (dB)", title=f"{rate:.3g} bits per pixel")
    return ax
