"""`rdp sweep`: a grid of rates and thresholds as CSV."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import numpy as np
import typer

from rdp.perception import perception
from rdp.problem import Problem
from rdp.solution import Status, failures
from solvers.cli import inputs, output
from solvers.errors import SolverError

GRID = "X,FROM:TO:N,..."


def sweep(
    csv: Annotated[str, typer.Option(metavar="FILE", help="CSV to write; - is standard output.")],
    rates: Annotated[
        str, typer.Option(metavar=GRID, help="Bits of each frame; one value holds for all frames.")
    ],
    levels: Annotated[
        str, typer.Option(metavar=GRID, help="Threshold of each frame; one value holds for all.")
    ] = "0",
    rho: inputs.Rho = "0.9",
    sigma: inputs.Sigma = "1",
    frames: inputs.Frames = None,
    plf: inputs.Loss = "JD",
    window: inputs.Window = None,
    metric: inputs.Metric = "w2",
    weights: inputs.Weights = None,
    encoder: inputs.Encoder = "optimal",
    checkpoint: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="File of finished points; a stopped run resumes from it."
        ),
    ] = None,
    progress: Annotated[
        bool | None,
        typer.Option("--progress/--quiet", help="Show a progress bar; default on a terminal."),
    ] = None,
) -> None:
    """Least distortions on a grid: all combinations of the values of the ranges.

    rdp sweep --rates 0.1,0:4:41,0:4:41 --levels 0:0.5:6 --csv grid.csv
    """
    from solvers import sweep as run

    rate_axes, level_axes = _axes("rates", rates), _axes("levels", levels)
    shares = inputs.optional_numbers("weights", weights)
    lists = {"rates": _frames(rate_axes), "levels": _frames(level_axes)}
    source = inputs.source(rho, sigma, frames, **lists, weights=shares)
    loss = perception(plf, 0.0, metric, window)
    if loss is None and levels != "0":
        raise ValueError("levels: expected none for a problem without perception loss")
    problem = Problem(source, 0.0, loss, shares, encoder)
    grid = np.meshgrid(*rate_axes, *level_axes, indexing="ij")
    found = run(
        problem,
        np.stack(grid[: len(rate_axes)], axis=-1),
        None if loss is None else np.stack(grid[len(rate_axes) :], axis=-1),
        progress=sys.stderr.isatty() if progress is None else progress,
        checkpoint=checkpoint,
    )
    output.write_csv(found.to_dataframe(), csv)
    failed = int(failures(found.status).sum())
    if failed:
        raise SolverError(
            Status.FAILED, f"{failed} of {found.status.size} points were not solved to tolerance"
        )


def _axes(name: str, text: str) -> list[Any]:
    """Values of each frame."""
    return [inputs.span(name, part) for part in text.split(",")]


def _frames(axes: list[Any]) -> Any:
    """One value for each frame if the frames have values of their own, else a number."""
    return np.array([axis[0] for axis in axes]) if len(axes) > 1 else float(axes[0][0])
