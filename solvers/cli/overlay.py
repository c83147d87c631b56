"""Points and curves of a user, laid over the curves of `rdp curve`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import typer

from rdp.operating_point import OperatingPoint, load_points
from rdp.problem import Problem
from rdp.source import GaussMarkov

Array = np.ndarray

NEAR = 0.05  # bits: how near the rates of the frames beside the x axis are to those of the curves


def count_and_files(given: Sequence[str] | None) -> tuple[int | None, list[str]]:
    """Return the number among the values of --points, if there is one, and the files.

    Examples
    --------
    >>> count_and_files(["mine.json", "41"])
    (41, ['mine.json'])
    """
    counts = [text for text in given or [] if text.lstrip("+-").isdecimal()]
    if any(int(text) < 2 for text in counts) or len(counts) > 1:
        raise ValueError(f"points: expected one number of at least 2, got {', '.join(counts)}")
    files = [text for text in given or [] if text not in counts]
    return (int(counts[0]) if counts else None), files


class Overlay(NamedTuple):
    """What is laid over: operating points, and a table of curves or None."""

    points: list[OperatingPoint]
    bounds: Any

    @classmethod
    def read(cls, files: Sequence[str], bounds: str | None) -> Overlay:
        """Read the files of --points and --bounds.

        Raises
        ------
        ValueError
            A file cannot be read; the message names it.
        """
        points = []
        for path in files:
            try:
                points += load_points(path)
            except OSError as error:
                raise ValueError(f"{path}: {error.strerror}") from error
        table = None
        if bounds is not None:
            import pandas as pd

            try:
                table = pd.read_csv(bounds)
            except OSError as error:
                raise ValueError(f"{bounds}: {error.strerror}") from error
            except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
                raise ValueError(f"{bounds}: expected a CSV file, got {error}") from error
        return cls(points, table)

    def belonging(self, problem: Problem, mask: Array, name: str) -> list[OperatingPoint]:
        """Return the points that belong to the panel of a problem.

        A point belongs to a panel if its source, where it names one, and its rates at the frames
        that the x axis leaves alone are those of the panel.
        """
        fixed = ~mask if name == "rates" else np.ones_like(mask)
        return [
            point
            for point in self.points
            if point.frames == len(mask)
            and _same(point.source, problem.source)
            and np.allclose(point.rate[fixed], problem.rates[fixed], rtol=0, atol=NEAR)
            and (name == "rates" or point.perception is not None)
        ]

    def say_left_out(self, drawn: Sequence[Sequence[OperatingPoint]], name: str) -> None:
        """Say on stderr how many points no panel has."""
        kept = {id(point) for points in drawn for point in points}
        if len(kept) < len(self.points):
            typer.echo(
                f"points: {len(self.points) - len(kept)} of {len(self.points)} are not drawn: they "
                f"have another source, other rates at the frames without x"
                f"{'' if name == 'rates' else ', no perception loss'} or other frames",
                err=True,
            )

    def draw(
        self, ax: Any, points: Sequence[OperatingPoint], mask: Array, frame: int, name: str,
        root: bool,
    ) -> None:  # fmt: skip
        """Draw points, and the curves, over one panel."""
        from solvers.plotting import bounds, measured

        against = "rate" if name == "rates" else "perception"
        labels = list(dict.fromkeys(point.label for point in self.points))
        measured(ax, points, frame, mask, against, root, labels)
        if self.bounds is not None:
            bounds(ax, self.bounds, root)


def _same(source: GaussMarkov | str | None, other: GaussMarkov) -> bool:
    """Whether a point may be of a source: one without a source may be of any."""
    if not isinstance(source, GaussMarkov):
        return True
    return (
        source.sigma.shape == other.sigma.shape
        and np.allclose(source.sigma, other.sigma)
        and np.allclose(source.rho, other.rho)
    )
