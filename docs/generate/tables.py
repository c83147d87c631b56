"""Tables in Markdown, and numbers in their cells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

Rows = Iterator[Sequence[object]]  # of a table, the head first


def table(rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; the first row is its head."""
    head, *body = ([escaped(cell) for cell in row] for row in rows)
    lines = [head, ["---"] * len(head), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def escaped(cell: object) -> str:
    """Text of a cell; empty for None."""
    return "" if cell is None else str(cell).replace("|", "\\|")


def number(value: object) -> object:
    """A float with three significant digits; any other value unchanged."""
    if not isinstance(value, float):
        return value
    return f"{value:.3g}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.1e}"


def spread(rows: pd.DataFrame, column: str = "distortion", digits: int = 4) -> str:
    """Mean over seeds, and the range of all their intervals."""
    if rows.empty or rows[column].isna().all():
        return ""
    low, high = rows[f"{column}_low"].min(), rows[f"{column}_high"].max()
    return f"{rows[column].mean():.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"
