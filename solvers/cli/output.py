"""Output of the commands: tables, JSON, CSV and plots."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import typer

from rdp._files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".pdf", ".svg")


@contextmanager
def counted(unit: str, total: int | None = None) -> Iterator[Callable[[], None]]:
    """Yield a function that moves a progress bar on stderr by one; no bar without a terminal.

    Examples
    --------
    >>> with counted("frame", 2) as count:
    ...     count()
    """
    from tqdm import tqdm

    with tqdm(total=total, unit=unit, disable=None, leave=False) as bar:
        yield lambda: bar.update() and None


def plain(value: Any) -> Any:
    """Return a value that strict JSON can hold: nan becomes null, infinity the text "inf".

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
    """Print a value as JSON; :func:`plain` converts it."""
    typer.echo(json.dumps(plain(value), indent=1, allow_nan=False))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    """Print a table of numbers, with five digits, and texts."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    heading = Text(_printable(title)) if title else None
    table = Table(box=box.SIMPLE, title=heading, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(Text(_printable(column)), justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(_printable(text(cell))) for cell in row))
    wide = Console(width=1000).measure(table).maximum  # nothing is cut in a pipe or a file
    Console(width=wide, highlight=False, markup=False).print(table)


def percent(change: float) -> str:
    """Signed percentage of a relative change; "+0.0%", not "-0.0%", where it rounds to zero."""
    return f"{round(change, 3) + 0.0:+.1%}"


def text(cell: object) -> str:
    """Return a cell of a table as text; an undefined value is a dash.

    Examples
    --------
    >>> text(0.123456789), text(float("nan")), text(3)
    ('0.12346', '-', '3')
    """
    if isinstance(cell, float):
        return "-" if math.isnan(cell) else f"{cell:.5g}"
    return str(cell)


def _printable(label: str) -> str:
    """Return a text whose control characters are escapes, so that no terminal obeys them."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in label)


def write_csv(table: Any, path: str) -> None:
    """Write a data frame as CSV, with all digits; the path "-" is standard output."""
    if path == "-":
        typer.echo(table.to_csv(index=False), nl=False)
        return
    with replacing(path, "w", newline="", encoding="utf-8") as file:
        table.to_csv(file, index=False)
    typer.echo(f"wrote {path}", err=True)


def check_plot(path: str | None) -> None:
    """Raise ValueError if the format of the option --plot is unknown, before any computation."""
    if path is not None and Path(path).suffix.lower() not in FORMATS:
        raise ValueError(f"plot: expected a file ending in {', '.join(FORMATS)}, got {path!r}")


def inches(size: str | None) -> tuple[float, float] | None:
    """Return the width and height of the option --size; None where it is not given.

    Examples
    --------
    >>> inches("3.5x2.6")
    (3.5, 2.6)
    """
    if size is None:
        return None
    try:
        width, height = map(float, size.lower().split("x"))
    except ValueError:
        width = height = math.nan
    if not (0.5 <= width <= 50 and 0.5 <= height <= 50):
        raise ValueError(f"size: expected WIDTHxHEIGHT, 0.5 to 50 inches each, got {size!r}")
    return width, height


def write_plot(
    path: str,
    width: float,
    height: float,
    draw: Callable[[Figure], None],
    place: str = "paper",
) -> None:
    """Save a figure, `width` by `height` inches, that `draw` fills in the style of a place."""
    import matplotlib as mpl

    from solvers.plotting import new_figure, settings

    with mpl.rc_context(cast(Any, settings(place))):
        figure = new_figure(width, height)
        draw(figure)
        with replacing(path) as file:
            figure.savefig(file, format=Path(path).suffix[1:].lower())
    typer.echo(f"wrote {path}", err=True)
