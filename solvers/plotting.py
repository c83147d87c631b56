"""Curves of the perception losses, and the one style that they have in all figures.

The colours are safe for colour-blind readers. Line style and marker differ too, for print in grey.
:func:`panels` draws a whole figure: tables of :func:`solvers.curves.sweep_table`, one for each
panel; :func:`measured` and :func:`bounds` lay points and curves of your own over one of them, and
:func:`legend` names all. The predictions of a clip are drawn by :mod:`solvers.clip_plots`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rdp.operating_point import OperatingPoint
from rdp.perception import CP, JD, perception

if TYPE_CHECKING:
    from matplotlib.artist import Artist
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

MOST_INSIDE = 5  # entries of a legend inside the axes

# How the markers of the first, second, ... label are filled; None is white.
FILLINGS = (None, "full", "left", "bottom", "right", "top")

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
    "pdf.fonttype": 42,  # publishers refuse the bitmap fonts of type 3
    "ps.fonttype": 42,
    "svg.hashsalt": "gauss-markov-rdp",
}


# Where a figure is looked at: changes of RC, and width and height in inches.
PLACES: dict[str, tuple[dict[str, Any], tuple[float, float]]] = {
    "paper": ({}, (3.5, 2.6)),
    "screen": (
        {
            "font.size": 10,
            "axes.titlesize": 10,
            "axes.labelsize": 10,
            "legend.fontsize": 9,
            "xtick.labelsize": 9,
            "ytick.labelsize": 9,
            "lines.linewidth": 1.8,
        },
        (6.0, 4.0),
    ),
    "slides": (
        {
            "font.size": 16,
            "axes.titlesize": 16,
            "axes.labelsize": 16,
            "legend.fontsize": 14,
            "xtick.labelsize": 14,
            "ytick.labelsize": 14,
            "lines.linewidth": 3.0,
            "lines.markersize": 7,
        },
        (10.0, 5.6),
    ),
}


def settings(place: str = "paper") -> dict[str, Any]:
    """Return the matplotlib settings of a place, for `matplotlib.rc_context`.

    Parameters
    ----------
    place : {"paper", "screen", "slides"}
        Where the figure is looked at. "paper" is for one column, at its printed size.

    Raises
    ------
    ValueError
        Unknown place.

    Examples
    --------
    >>> settings("paper")["font.size"], settings("slides")["font.size"]
    (8, 16)
    """
    if place not in PLACES:
        raise ValueError(f"style: expected one of {', '.join(PLACES)}, got {place!r}")
    return RC | PLACES[place][0]


def loss_label(plf: str) -> str:
    """Name of a perception loss in legends and titles.

    Parameters
    ----------
    plf : {"MMSE", "FMD", "JD", "JD(w)", "SA", "CP"}
        Name of the loss.

    Examples
    --------
    >>> loss_label("JD"), loss_label("MMSE")
    ('PLF-JD', 'MMSE')
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

    Examples
    --------
    >>> line("FMD")
    {'color': '#0072B2', 'linestyle': '-', 'label': 'PLF-FMD'}
    """
    style = dict(_style(plf), label=loss_label(plf))
    if not marker:
        del style["marker"]
    return style


def shades(plf: str, count: int) -> list[str]:
    """Colours of one loss for several values of a parameter, from light to dark.

    Parameters
    ----------
    plf : {"MMSE", "FMD", "JD", "SA"}
        Name of the loss.
    count : int
        Number of colours.

    Examples
    --------
    >>> shades("JD", 3)
    ['#e8a673', '#d55e00', '#753400']
    """
    from matplotlib.colors import to_hex, to_rgb

    colour = np.array(to_rgb(STYLES[plf]["color"]))
    mixed = []
    for share in np.linspace(0.45, -0.45, count) if count > 1 else [0.0]:
        towards = 1.0 if share > 0 else 0.0
        mixed.append(to_hex((1 - abs(share)) * colour + abs(share) * towards))
    return mixed


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

    Examples
    --------
    >>> import numpy as np
    >>> from rdp import FMD, JD, GaussMarkov, Problem
    >>> from solvers.curves import sweep_table
    >>> source = GaussMarkov.stationary(rho=0.9, frames=2)
    >>> losses = [Problem(source, [0.25, 0], loss) for loss in (FMD(0), JD(0))]
    >>> table = sweep_table(losses, "rates", np.linspace(0, 4, 41), [False, True])
    >>> [drawn.get_label() for drawn in curves(table, "x", "distortion_2").lines]
    ['PLF-FMD', 'PLF-JD']
    """
    ax = new_figure().subplots() if ax is None else ax
    for plf, curve in table.groupby("plf", sort=False):
        ax.plot(curve[x], curve[y], **line(plf))
    return ax


def rows_and_columns(count: int) -> tuple[int, int]:
    """Rows and columns of a number of panels: at most three in a row, and as even as can be.

    Parameters
    ----------
    count : int
        Number of panels.

    Examples
    --------
    >>> [rows_and_columns(count) for count in (1, 3, 4, 5)]
    [(1, 1), (1, 3), (2, 2), (2, 3)]
    """
    rows = -(-count // 3)
    return rows, -(-count // rows)


def panels(
    tables: Sequence[tuple[str, Any]],
    figure: Figure,
    y: str,
    xlabel: str,
    ylabel: str,
    root: bool = False,
    log: bool = False,
) -> list[Axes]:
    """Draw tables of curves in panels with one legend.

    Parameters
    ----------
    tables : sequence of (str, pandas.DataFrame)
        Title of each panel, and its table with columns `plf`, `x` and `y`.
    figure : matplotlib Figure
        Empty figure.
    y : str
        Column to draw, such as "distortion_2".
    xlabel, ylabel : str
        Labels of the axes.
    root : bool
        Draw against the root of x: W2 instead of its square.
    log : bool
        Logarithmic y axis, where a value is above 0; otherwise it begins at 0.

    Returns
    -------
    list of matplotlib Axes
        One for each table, at most three in a row, with the same axes.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"plf": "JD", "x": [0, 4.0], "distortion_2": [2, 1.0]})
    >>> [ax] = panels([("a title", table)], new_figure(), "distortion_2", "P", "D", root=True)
    >>> ax.lines[0].get_xdata().tolist()
    [0.0, 2.0]
    """
    down, across = rows_and_columns(len(tables))
    grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    axes = list(grid.flat)
    for spare in axes[len(tables) :]:
        spare.set_axis_off()
    drawn = axes[: len(tables)]
    for index, (ax, (title, table)) in enumerate(zip(drawn, tables, strict=True)):
        curves(table.assign(x=table.x**0.5) if root else table, "x", y, ax)
        ax.set(title=title, xlabel=xlabel)
        if index % across == 0:
            ax.set_ylabel(ylabel)
        ax.tick_params(labelbottom=True)
    if log and any((table[y] > 0).any() for _, table in tables):
        drawn[0].set_yscale("log")
    else:
        drawn[0].set_ylim(bottom=0)
    return drawn


def measured(
    ax: Axes,
    points: Iterable[OperatingPoint],
    frame: int,
    swept: Any,
    against: str = "rate",
    root: bool = False,
    labels: Sequence[str] = (),
) -> None:
    """Draw operating points over curves, with their intervals.

    Colour and marker are those of the loss; the filling of the marker says which label it is.

    Parameters
    ----------
    ax : matplotlib Axes
        Axes of the curves.
    points : iterable of OperatingPoint
        Points of T frames; those without a perception loss are left out against "perception".
    frame : int
        Frame whose distortion is drawn, from 1.
    swept : (T,) bool array
        Frames of the x axis: x is the mean of the rate, or of the perception loss, over them.
    against : {"rate", "perception"}
        Quantity of the x axis.
    root : bool
        Draw against the root of the mean.
    labels : sequence of str
        Labels that are first in the order of fillings, for panels that have one legend.

    Examples
    --------
    >>> point = OperatingPoint("mine", "JD", rate=[1, 2], distortion=[0.5, 0.3])
    >>> ax = new_figure().subplots()
    >>> measured(ax, [point], frame=2, swept=[True, True])
    >>> ax.lines[0].get_xydata().tolist(), ax.lines[0].get_label()
    ([[1.5, 0.3]], 'mine (PLF-JD)')
    """
    series: dict[tuple[str, str], list[tuple[float, float, float, float]]] = {}
    chosen = np.asarray(swept, dtype=bool)
    for point in points:
        values = point.rate if against == "rate" else point.perception
        if values is None:
            continue
        x = float(np.mean(values[chosen]))
        y = float(point.distortion[frame - 1])
        ends = point.intervals.get("distortion")
        low, high = (y, y) if ends is None else ends[frame - 1]
        row = (x**0.5 if root else x, y, max(y - low, 0.0), max(high - y, 0.0))
        series.setdefault((point.label, point.plf), []).append(row)
    order = list(dict.fromkeys([*labels, *(label for label, _ in series)]))
    for (label, plf), rows in series.items():
        x, y, below, above = np.array(sorted(rows)).T
        style = line(plf, marker=True)
        filled = FILLINGS[order.index(label) % len(FILLINGS)]
        ax.plot(
            x, y, linestyle="none", marker=style.get("marker", "v"), color=style["color"],
            fillstyle=filled or "full", markerfacecolor=style["color"] if filled else "white",
            markerfacecoloralt="white", label=f"{label} ({loss_label(plf)})", zorder=4,
        )  # fmt: skip
        if below.any() or above.any():
            ax.errorbar(x, y, [below, above], fmt="none", ecolor=style["color"], capsize=1.5)


def legend(axes: Sequence[Axes], grow: bool = True) -> None:
    """Draw one legend for all axes: inside, or below them if it would cover what is drawn.

    Parameters
    ----------
    axes : sequence of matplotlib Axes
        Axes of one figure, with constrained layout where the legend goes below.
    grow : bool
        Make the figure as much higher as a legend below it takes.

    Examples
    --------
    >>> ax = new_figure().subplots()
    >>> for number in range(8):
    ...     _ = ax.plot([0, 1], [number, 0], label=f"curve {number}")
    >>> legend([ax])
    >>> len(ax.figure.legends[0].texts), ax.get_legend()
    (8, None)
    """
    entries: dict[str, Artist] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if len(entries) <= MOST_INSIDE:
        max(axes, key=lambda ax: len(ax.get_legend_handles_labels()[1])).legend()
        return
    import matplotlib as mpl

    figure = axes[0].get_figure(root=True)
    assert figure is not None
    width, height = figure.get_size_inches()
    row = 1.5 * float(mpl.rcParams["font.size"]) / 72
    columns = max(1, int(width / (18 * row)) + 1)
    if grow:
        figure.set_size_inches(width, height + row * (-(-len(entries) // columns)))
    handles, labels = list(entries.values()), list(entries)
    figure.legend(handles=handles, labels=labels, loc="outside lower center", ncols=columns)


def bounds(ax: Axes, table: Any, root: bool = False) -> None:
    """Draw curves of your own over others: thin black lines, each with its dashes.

    Parameters
    ----------
    ax : matplotlib Axes
        Axes of the curves.
    table : pandas.DataFrame
        Columns x and distortion, in the units of the axes, and label where there are several.
    root : bool
        Draw against the root of x.

    Raises
    ------
    ValueError
        A column is missing or holds something else than numbers.

    Examples
    --------
    >>> import pandas as pd
    >>> ax = new_figure().subplots()
    >>> bounds(ax, pd.DataFrame({"x": [0, 1.0], "distortion": [1, 0.25], "label": "Shannon"}))
    >>> ax.lines[0].get_label()
    'Shannon'
    """
    for name in ("x", "distortion"):
        if name not in table or not np.issubdtype(table[name].dtype, np.number):
            raise ValueError(f"bounds: expected numbers in columns x and distortion, {name} is not")
    labels = table["label"] if "label" in table else ["bound"] * len(table)
    dashes = ["-", (0, (4, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2))]
    for index, (label, part) in enumerate(table.groupby(labels, sort=False)):
        ax.plot(
            part.x**0.5 if root else part.x, part.distortion, color="black", linewidth=0.8,
            linestyle=dashes[index % len(dashes)], label=str(label),
        )  # fmt: skip
