"""`rdp curve`: distortion against rate, or against the perception threshold."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer

from rdp.perception import perception
from rdp.problem import Problem
from rdp.solution import Status, failures
from rdp.source import GaussMarkov
from solvers.cli import inputs, output, overlay
from solvers.curves import sweep_table, unbinding
from solvers.errors import SolverError

Array = np.ndarray

AXES = ("rate", "perception")


class Panel(NamedTuple):
    """Curves of one source at one list of rates."""

    source: GaussMarkov
    rho: str
    rates: str
    templates: list[Problem]
    table: Any


def curve(
    against: Annotated[
        str, typer.Option(metavar="rate|perception", help="Quantity of the x axis.")
    ] = "rate",
    rates: Annotated[
        list[str] | None,
        typer.Option(
            metavar=inputs.LIST,
            help="Bits of each frame; x takes the values of the x axis. x by default. Repeat the "
            "option for several panels.",
        ),
    ] = None,
    levels: Annotated[
        str | None,
        typer.Option(
            metavar=inputs.LIST,
            help="Threshold of each frame, squared W2; x takes the values of the x axis.",
        ),
    ] = None,
    start: Annotated[float, typer.Option("--from", help="First value of x.")] = 0.0,
    stop: Annotated[
        float | None,
        typer.Option("--to", help="Last value of x; by default 4 bits, or where no loss binds."),
    ] = None,
    points: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N or FILE.json",
            help="N: number of values of x, by default 21, or 201 for a plot. FILE.json: operating "
            "points (as for `rdp validate`) to lay over the plot. May be repeated.",
        ),
    ] = None,
    bounds: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.csv",
            help="Curves of your own to lay over the plot: columns x, distortion and label.",
        ),
    ] = None,
    rho: Annotated[
        list[str] | None,
        typer.Option(
            metavar=inputs.LIST,
            help="Correlation of each frame with the previous one; 0.9 by default. Repeat the "
            "option for several panels.",
        ),
    ] = None,
    sigma: inputs.Sigma = "1",
    frames: inputs.Frames = None,
    plf: inputs.Losses = "all",
    window: inputs.Window = None,
    metric: inputs.Metric = "w2",
    weights: inputs.Weights = None,
    encoder: inputs.Encoder = "optimal",
    frame: Annotated[
        int | None,
        typer.Option(help="Frame of the table and the plot, from 1; the last by default."),
    ] = None,
    json: inputs.Json = False,
    csv: inputs.Csv = None,
    plot: inputs.Plot = None,
    log: Annotated[bool, typer.Option("--log", help="Logarithmic distortions.")] = False,
    root: Annotated[
        bool, typer.Option("--root", help="Draw against W2 itself, the root of the threshold.")
    ] = False,
    style: Annotated[
        str, typer.Option(metavar="paper|screen|slides", help="Where the plot is looked at.")
    ] = "paper",
    size: Annotated[
        str | None,
        typer.Option(metavar="WIDTHxHEIGHT", help="Inches; 3.5x2.6 for a panel on paper."),
    ] = None,
) -> None:
    """Distortion against rate, or against the perception threshold, for each loss.

    rdp curve --rho 0.9 --rates 0.25,x,x

    rdp curve --against perception --rates 1,1 --plf JD --plot jd.png --root

    rdp curve --rho 0.5 --rho 0.9 --rates 0.25,x,x --plot fig.pdf --log --points mine.json
    """
    output.check_plot(plot)
    inches = output.inches(size)
    if against not in AXES:
        raise ValueError(f"against: expected one of {', '.join(AXES)}, got {against!r}")
    if root and against == "rate":
        raise ValueError("root: expected --against perception; rates have no root")
    count, files = overlay.count_and_files(points)
    laid = overlay.Overlay.read(files, bounds)
    shares = inputs.optional_numbers("weights", weights)
    default = "0" if against == "rate" else "x"
    allowed, level_mask = inputs.swept("levels", default if levels is None else levels)
    name = "rates" if against == "rate" else "levels"
    drawn: list[Panel] = []
    masks: list[Array] = []
    for correlation, bits in product(rho or ["0.9"], rates or ["x"]):
        given, rate_mask = inputs.swept("rates", bits)
        mask, other = (rate_mask, level_mask) if name == "rates" else (level_mask, rate_mask)
        if not np.any(mask) or np.any(other):
            raise ValueError(
                f"{name}: expected x in {name} and nowhere else, to draw against {against}"
            )
        source = inputs.source(
            correlation, sigma, frames, rates=given, levels=allowed, weights=shares
        )
        if drawn and drawn[0].source.frames != source.frames:
            raise ValueError(
                f"{name}: expected {drawn[0].source.frames} frames in every panel, "
                f"got {source.frames}"
            )
        names = inputs.losses(plf, window)
        if against == "perception":
            names = [loss for loss in names if loss != "MMSE" or plf.upper() != "ALL"]
        templates = [
            Problem(source, given, perception(loss, allowed, metric), shares, encoder)
            for loss in names
        ]
        drawn.append(Panel(source, correlation, bits, templates, None))
        masks.append(np.broadcast_to(mask, (source.frames,)))
    chosen = drawn[0].source.frames if frame is None else frame
    if not 1 <= chosen <= drawn[0].source.frames:
        raise ValueError(f"frame: expected 1 to {drawn[0].source.frames}, got {chosen}")
    last = stop if stop is not None else 4.0
    if stop is None and against == "perception":
        last = max(unbinding(panel.templates) for panel in drawn)
    if not -np.inf < start <= last < np.inf:
        raise ValueError(f"from, to: expected finite from <= to, got {start:g} and {last:g}")
    grid = np.linspace(start, last, count or (21 if plot is None else 201))
    if root:
        grid = np.linspace(start**0.5, last**0.5, len(grid)) ** 2
    drawn = [
        panel._replace(table=sweep_table(panel.templates, name, grid, mask))
        for panel, mask in zip(drawn, masks, strict=True)
    ]
    if csv is not None:
        output.write_csv(_long(drawn, sigma), csv)
    if plot is not None:
        _plot(plot, drawn, masks, chosen, laid, name, log, root, style, inches, sigma)
    if json:
        contents = [_content(panel, name) for panel in drawn]
        output.show_json(contents[0] if len(contents) == 1 else {"panels": contents})
    elif csv is None and plot is None:
        for panel in drawn:
            _show(panel, name, chosen, sigma)
    status = np.concatenate([panel.table.status for panel in drawn])
    failed = int(failures(status).sum())
    if failed:
        raise SolverError(
            Status.FAILED, f"{failed} of {len(status)} points were not solved to tolerance"
        )


def _show(panel: Panel, name: str, frame: int, sigma: str) -> None:
    """Print a table with a row for each x and a column for each loss."""
    table = panel.table
    wide = table.pivot(index="x", columns="plf", values=f"distortion_{frame}")
    losses = list(dict.fromkeys(table.plf))
    output.show_table(
        [name.removesuffix("s"), *losses],
        ((x, *row) for x, row in zip(wide.index, wide[losses].to_numpy(), strict=True)),
        f"D_{frame}, {_title(panel, name, sigma)}",
    )
    typer.echo(
        f"D_{frame}: mean squared error of frame {frame}, certified within {table.gap.max():.1e}; "
        "--frame takes another frame, --csv all of them"
    )


def _title(panel: Panel, name: str, sigma: str, mathematics: bool = False) -> str:
    """What the curves of a panel have in common."""
    rho, sd = (r"$\rho$", r"$\sigma$") if mathematics else ("rho", "sigma")
    parts = [f"{rho} = {_tuple(panel.rho)}"]
    if sigma != "1":
        parts.append(f"{sd} = {_tuple(sigma)}")
    parts.append(f"R = {_tuple(panel.rates)} bit")
    loss = next((problem for problem in panel.templates if problem.perception is not None), None)
    if name == "rates" and loss is not None:
        levels = ", ".join(f"{level:g}" for level in loss.thresholds)
        parts.append(f"P = {loss.thresholds[0]:g}" if len(set(loss.thresholds)) == 1
                     else f"P = ({levels})")  # fmt: skip
    return ", ".join(parts)


def _tuple(text: str) -> str:
    return f"({text.replace(',', ', ')})" if "," in text else text


def _long(drawn: Sequence[Panel], sigma: str) -> Any:
    """Return one table of all panels; each row names its source, its rates and its loss."""
    import pandas as pd

    parts = []
    for panel in drawn:
        table = panel.table.copy()
        for column, value in (("rates", panel.rates), ("sigma", sigma), ("rho", panel.rho)):
            table.insert(0, column, value)
        parts.append(table)
    return pd.concat(parts, ignore_index=True)


def _plot(
    path: str,
    drawn: Sequence[Panel],
    masks: Sequence[Array],
    frame: int,
    laid: overlay.Overlay,
    name: str,
    log: bool,
    root: bool,
    style: str,
    inches: tuple[float, float] | None,
    sigma: str,
) -> None:
    """Draw the distortion of one frame against the rates or the levels, and print a caption."""
    from solvers.plotting import PLACES, legend, panels, rows_and_columns, settings

    settings(style)  # refuses an unknown one
    frames = drawn[0].source.frames
    moved = [t + 1 for t in range(frames) if masks[0][t]]
    which = "each frame" if len(moved) == frames else "frame" + "s" * (len(moved) > 1) + " "
    if len(moved) < frames:
        which += " and ".join(filter(None, [", ".join(map(str, moved[:-1])), str(moved[-1])]))
    if name == "rates":
        xlabel = f"rate of {which} (bits)"
    else:
        xlabel = rf"$W_2$ threshold of {which}" if root else rf"$W_2^2$ threshold of {which}"
    unit = " / variance" if sigma == "1" else ""
    titles = [_title(panel, name, sigma, mathematics=True) for panel in drawn]
    points = [
        laid.belonging(panel.templates[0], mask, name)
        for panel, mask in zip(drawn, masks, strict=True)
    ]
    laid.say_left_out(points, name)
    if log and not any((panel.table[f"distortion_{frame}"] > 0).any() for panel in drawn):
        typer.echo(f"log: the distortions of frame {frame} are all 0: a linear axis", err=True)

    def draw(figure: Any) -> None:
        named = [(title.replace(", R", "\nR", 1), panel.table)
                 for title, panel in zip(titles, drawn, strict=True)]  # fmt: skip
        axes = panels(
            named, figure, f"distortion_{frame}", xlabel, rf"$D_{{{frame}}}${unit}", root, log
        )
        for ax, own, mask in zip(axes, points, masks, strict=True):
            laid.draw(ax, own, mask, frame, name, root)
        legend(axes, grow=inches is None)

    width, height = PLACES[style][1]
    down, across = rows_and_columns(len(drawn))
    usual = (width * min(across, 2), height * down)
    output.write_plot(path, *(inches or usual), draw, style)
    gap = max(panel.table.gap.max() for panel in drawn)
    typer.echo(
        f"caption: Least distortion of frame {frame} of {frames} against the "
        f"{'rate' if name == 'rates' else 'perception threshold'} of {which}. Gauss-Markov source, "
        + "; ".join(_title(panel, name, sigma) for panel in drawn)
        + (f". Certified within {gap:.1e}." if gap > 0 else ". Certified within rounding."),
        err=True,
    )


def _content(panel: Panel, name: str) -> dict[str, object]:
    table, losses = panel.table, {}
    for plf, part in table.groupby("plf", sort=False):
        losses[plf] = {
            "distortion": part.filter(regex="^distortion_").to_numpy(),
            "gap": part.gap.to_numpy(),
            "status": part.status.to_numpy(),
        }
    grid = table[table.plf == table.plf.iloc[0]].x.to_numpy()
    source = panel.source
    return {
        "sigma": source.sigma,
        "rho": source.rho,
        "rates": panel.rates,
        "swept": name,
        "x": grid,
        "curves": losses,
    }
