"""`rdp curve`: distortion against rate, or against the perception threshold."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import typer

from rdp.perception import perception
from rdp.problem import Problem
from rdp.solution import Status, failures
from rdp.source import GaussMarkov
from solvers.cli import inputs, output
from solvers.curves import sweep_table, unbinding
from solvers.errors import SolverError

AXES = ("rate", "perception")


def curve(
    against: Annotated[
        str, typer.Option(metavar="rate|perception", help="Quantity of the x axis.")
    ] = "rate",
    rates: Annotated[
        str,
        typer.Option(
            metavar=inputs.LIST, help="Bits of each frame; x takes the values of the x axis."
        ),
    ] = "x",
    levels: Annotated[
        str | None,
        typer.Option(
            metavar=inputs.LIST, help="Threshold of each frame; x takes the values of the x axis."
        ),
    ] = None,
    start: Annotated[float, typer.Option("--from", help="First value of x.")] = 0.0,
    stop: Annotated[
        float | None,
        typer.Option("--to", help="Last value of x; by default 4 bits, or where no loss binds."),
    ] = None,
    points: Annotated[
        int | None,
        typer.Option(min=2, help="Number of values of x; by default 21, or 201 for a plot."),
    ] = None,
    rho: inputs.Rho = "0.9",
    sigma: inputs.Sigma = "1",
    frames: inputs.Frames = None,
    plf: inputs.Losses = "all",
    window: inputs.Window = None,
    metric: inputs.Metric = "w2",
    weights: inputs.Weights = None,
    encoder: inputs.Encoder = "optimal",
    frame: Annotated[
        int | None, typer.Option(help="Frame of the plot, from 1; the last by default.")
    ] = None,
    json: inputs.Json = False,
    csv: inputs.Csv = None,
    plot: inputs.Plot = None,
) -> None:
    """Distortion against rate, or against the perception threshold, for each loss.

    rdp curve --rho 0.9 --rates 0.25,x,x

    rdp curve --against perception --rates 1,1 --plf JD --plot jd.png
    """
    output.check_plot(plot)
    if against not in AXES:
        raise ValueError(f"against: expected one of {', '.join(AXES)}, got {against!r}")
    given, rate_mask = inputs.swept("rates", rates)
    default = "0" if against == "rate" else "x"
    allowed, level_mask = inputs.swept("levels", default if levels is None else levels)
    name, mask, other = (
        ("rates", rate_mask, level_mask) if against == "rate" else ("levels", level_mask, rate_mask)
    )
    if not np.any(mask) or np.any(other):
        raise ValueError(
            f"{name}: expected x in {name} and nowhere else, to draw against {against}"
        )
    shares = inputs.optional_numbers("weights", weights)
    source = inputs.source(rho, sigma, frames, rates=given, levels=allowed, weights=shares)
    drawn = source.frames if frame is None else frame
    if not 1 <= drawn <= source.frames:
        raise ValueError(f"frame: expected 1 to {source.frames}, got {drawn}")
    names = inputs.losses(plf, window)
    if against == "perception":
        names = [loss for loss in names if loss != "MMSE" or plf.upper() != "ALL"]
    templates = [
        Problem(source, given, perception(loss, allowed, metric), shares, encoder) for loss in names
    ]
    last = stop if stop is not None else 4.0 if against == "rate" else unbinding(templates)
    grid = np.linspace(start, last, points or (21 if plot is None else 201))
    table = sweep_table(templates, name, grid, np.broadcast_to(mask, (source.frames,)))
    if csv is not None:
        output.write_csv(table, csv)
    if plot is not None:
        draw_curve(table, name, drawn, plot)
    if json:
        output.show_json(_content(table, name, source))
    elif csv is None and plot is None:
        heads = [
            name.removesuffix("s"),
            "plf",
            *(f"D_{t + 1}" for t in range(source.frames)),
            "gap",
        ]
        output.show_table(heads, table.drop(columns="status").itertuples(index=False))
    failed = int(failures(table.status.to_numpy()).sum())
    if failed:
        raise SolverError(
            Status.FAILED, f"{failed} of {len(table)} points were not solved to tolerance"
        )


def draw_curve(table: Any, name: str, frame: int, path: str) -> None:
    """Draw the distortion of one frame, numbered from 1, against the rates or the levels.

    The table is that of :func:`solvers.curves.sweep_table`; `name` is "rates" or "levels".
    """
    from solvers.plotting import curves

    label = {"rates": "rate (bits per frame)", "levels": "perception threshold"}[name]

    def draw(figure: Any) -> None:
        ax = curves(table, "x", f"distortion_{frame}", figure.subplots())
        ax.set(xlabel=label, ylabel=f"distortion of frame {frame}")
        ax.set_ylim(bottom=0)
        ax.legend()

    output.write_plot(path, 3.5, draw)


def _content(table: Any, name: str, source: GaussMarkov) -> dict[str, object]:
    losses = {}
    for plf, part in table.groupby("plf", sort=False):
        losses[plf] = {
            "distortion": part.filter(regex="^distortion_").to_numpy(),
            "gap": part.gap.to_numpy(),
            "status": part.status.to_numpy(),
        }
    grid = table[table.plf == table.plf.iloc[0]].x.to_numpy()
    return {"sigma": source.sigma, "rho": source.rho, "swept": name, "x": grid, "curves": losses}
