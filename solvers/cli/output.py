"""Tables, JSON, CSV and plots of the commands."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import typer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".pdf", ".svg")


def plain(value: Any) -> Any:
    """Return what strict JSON can hold: nan is null, infinity the text "inf".

    Parameters
    ----------
    value : dict, list, tuple, array, number, text or None
        What to convert.

    Examples
    --------
    >>> plain({"gap": np.array([0.5, np.nan, np.inf])})
    {'gap': [0.5, None, 'inf']}
    """
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def show_json(value: Any) -> None:
    """Print JSON.

    Parameters
    ----------
    value : dict
        See :func:`plain`.
    """
    typer.echo(json.dumps(plain(value), indent=1, allow_nan=False))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    """Print a table; numbers with five digits.

    Parameters
    ----------
    columns : sequence of str
        Headers.
    rows : iterable of sequences
        Numbers and texts.
    title : str
        Line above the table.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE, title=title or None, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(text(cell) for cell in row))
    wide = Console(width=1000).measure(table).maximum  # in a pipe or a file nothing is cut
    Console(width=wide, highlight=False, markup=False).print(table)


def text(cell: object) -> str:
    """Return a cell as text; what is undefined is a dash.

    Parameters
    ----------
    cell : object
        A number or a text.

    Examples
    --------
    >>> text(0.123456789), text(float("nan")), text(3)
    ('0.12346', '-', '3')
    """
    if isinstance(cell, float):
        return "-" if math.isnan(cell) else f"{cell:.5g}"
    return str(cell)


def write_csv(table: Any, path: str) -> None:
    """Write a data frame as CSV, with all digits.

    Parameters
    ----------
    table : pandas.DataFrame
        What to write.
    path : str
        File; "-" is standard output.
    """
    if path == "-":
        typer.echo(table.to_csv(index=False), nl=False)
        return
    table.to_csv(path, index=False)
    typer.echo(f"wrote {path}", err=True)


def check_plot(path: str | None) -> None:
    """Refuse a format of image before anything is computed.

    Parameters
    ----------
    path : str or None
        Option --plot.
    """
    if path is not None and Path(path).suffix.lower() not in FORMATS:
        raise ValueError(f"plot: expected a file ending in {', '.join(FORMATS)}, got {path!r}")


def write_plot(path: str, width: float, draw: Callable[[Figure], None]) -> None:
    """Draw a figure in the style of the package and save it.

    Parameters
    ----------
    path : str
        File to write.
    width : float
        Inches.
    draw : callable
        Takes the figure.
    """
    import matplotlib as mpl

    from solvers.plotting import RC, new_figure

    with mpl.rc_context(cast(Any, RC)):
        figure = new_figure(width)
        draw(figure)
        figure.savefig(path)
    typer.echo(f"wrote {path}", err=True)
