"""Style of the curves of each perception loss, in all figures.

The colours are safe for colour-blind readers. Line style and marker differ too, for print in grey.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rdp.perception import CP, JD, perception

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe-Ito colours.
STYLES: dict[str, dict[str, Any]] = {
    "MMSE": {"color": "#4D4D4D", "linestyle": ":", "marker": "s"},
    "FMD": {"color": "#0072B2", "linestyle": "-", "marker": "o"},
    "JD": {"color": "#D55E00", "linestyle": "--", "marker": "^"},
    "SA": {"color": "#009E73", "linestyle": "-.", "marker": "D"},
}

# CP is drawn where it is asked for; it is not among the losses of every figure.
CONDITIONAL: dict[str, Any] = {"color": "#E69F00", "linestyle": (0, (5, 1)), "marker": "P"}

# Settings for the column of a paper; used in a context, never set globally.
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


def loss_label(plf: str) -> str:
    """Name of a perception loss in legends and titles.

    Parameters
    ----------
    plf : {"MMSE", "FMD", "JD", "JD(w)", "SA"}
        Name of the loss.
    """
    return plf if plf in ("MMSE", "CP") else f"PLF-{plf}"


def line(plf: str, marker: bool = False) -> dict[str, Any]:
    """Keyword arguments of `Axes.plot` for a perception loss.

    Parameters
    ----------
    plf : {"MMSE", "FMD", "JD", "JD(w)", "SA"}
        Name of the loss.
    marker : bool
        Whether to draw markers.
    """
    style = dict(_style(plf), label=loss_label(plf))
    if not marker:
        del style["marker"]
    return style


def _style(plf: str) -> dict[str, Any]:
    """Style of a loss; PLF-JD(w) has one colour, with longer strokes for a longer window."""
    loss = perception(plf)
    if isinstance(loss, JD) and loss.window is not None:
        return {"color": "#CC79A7", "linestyle": (0, (loss.window, 1.5)), "marker": "v"}
    return CONDITIONAL if isinstance(loss, CP) else STYLES[plf]


def new_figure(width: float = 3.5, height: float = 2.6) -> Figure:
    """Return a figure without a window.

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
        Axes to draw on; None makes a figure.

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

    Thin curves are those of the encoder designed for mean squared error.

    Parameters
    ----------
    table, ax
        As in :func:`predicted_frames`.
    """
    from solvers.prediction import decibels

    mean = table.groupby(["encoder", "plf", "bits_per_pixel"], sort=False).mse.mean().reset_index()
    mean["psnr_db"] = decibels(mean.mse, table.attrs["peak"])
    ax = curves(mean[mean.encoder == "optimal"], "bits_per_pixel", "psnr_db", ax)
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
        Table of :meth:`solvers.prediction.Prediction.to_dataframe`.
    ax : matplotlib Axes or None
        Axes to draw on; None makes a figure.

    Returns
    -------
    matplotlib Axes
    """
    rates = sorted(set(table.bits_per_pixel))
    rate = rates[len(rates) // 2]
    chosen = table[(table.bits_per_pixel == rate) & (table.encoder == "optimal")]
    ax = curves(chosen, "frame", "psnr_db", ax)
    ax.set(xlabel="frame", ylabel="PSNR (dB)", title=f"{rate:.3g} bits per pixel")
    return ax
