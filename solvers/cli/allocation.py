"""`rdp minimum-rate`, `allocate`, `pareto` and `universality`: bits, trade-offs and encoders."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import typer

from rdp.perception import Perception, perception
from rdp.problem import Problem
from rdp.source import GaussMarkov
from solvers.cli import inputs, output

Distortion = Annotated[
    str, typer.Option(metavar=inputs.LIST, help="Largest distortion of each frame; inf is free.")
]
Objective = Annotated[
    str,
    typer.Option(
        metavar="total|sequential", help="Least total rate, or least rate of each frame in turn."
    ),
]
Total = Annotated[float, typer.Option(help="Bits for all frames together.")]
Between = Annotated[
    str | None,
    typer.Option(metavar="I,J", help="Two frames, numbered from 1; the last two by default."),
]
Points = Annotated[int, typer.Option(min=2, help="Number of points of the front.")]
Clip = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Clip to fit the source to; rates are then bits per pixel."),
]
Sample = Annotated[
    bool, typer.Option("--sample", help="Fit the source to the sample clip of the package.")
]


def minimum_rate(
    distortion: Distortion,
    rho: inputs.Rho = "0.9",
    sigma: inputs.Sigma = "1",
    frames: inputs.Frames = None,
    plf: inputs.Loss = "MMSE",
    window: inputs.Window = None,
    levels: inputs.Levels = "0",
    metric: inputs.Metric = "w2",
    objective: Objective = "total",
    json: inputs.Json = False,
    csv: inputs.Csv = None,
) -> None:
    """Least rates that reach given distortions at given perception thresholds.

    rdp minimum-rate --rho 0.9 --distortion 0.5,0.3,0.2 --plf JD
    """
    from solvers import minimum_rate as run

    targets = inputs.numbers("distortion", distortion)
    allowed = inputs.numbers("levels", levels)
    source = inputs.source(rho, sigma, frames, distortion=targets, levels=allowed)
    loss = perception(plf, allowed, metric, window)
    found = run(source, targets, loss, objective)
    columns = {
        "bits": found.rates,
        "distortion": found.distortion,
        "allowed": np.broadcast_to(targets, found.rates.shape),
        "perception": found.perception,
    }
    if _frames(columns, csv, json):
        names = ("rates", "total", "lower_bound", "gap", "distortion", "perception")
        answer = {name: getattr(found, name) for name in names}
        output.show_json({**_source(source, loss), **answer})
    elif csv is None:
        typer.echo(f"total {found.total:.6g} bits, no scheme needs less than {_bound(found)}")


def allocate(
    total: Total,
    rho: inputs.Rho = "0.9",
    sigma: inputs.Sigma = "1",
    frames: inputs.Frames = None,
    plf: inputs.Loss = "MMSE",
    window: inputs.Window = None,
    levels: inputs.Levels = "0",
    metric: inputs.Metric = "w2",
    weights: Annotated[
        str | None,
        typer.Option(metavar=inputs.LIST, help="Weights of the distortions; equal by default."),
    ] = None,
    json: inputs.Json = False,
    csv: inputs.Csv = None,
) -> None:
    """Best split of a bit budget over frames.

    rdp allocate --total 2.1 --frames 3 --plf JD
    """
    from solvers import allocate as run

    allowed = inputs.numbers("levels", levels)
    shares = inputs.optional_numbers("weights", weights)
    source = inputs.source(rho, sigma, frames, levels=allowed, weights=shares)
    loss = perception(plf, allowed, metric, window)
    found = run(source, total, loss, shares)
    solution = found.solution
    columns = {
        "bits": found.rates,
        "distortion": solution.distortion,
        "mmse": solution.mmse,
        "perception": solution.perception,
    }
    if _frames(columns, csv, json):
        names = ("objective", "lower_bound", "gap")
        answer = {name: getattr(found, name) for name in names}
        output.show_json({**_source(source, loss), "total": total, **columns, **answer})
    elif csv is None:
        typer.echo(f"objective {found.objective:.6g}, no split reaches less than {_bound(found)}")


def pareto(
    rates: inputs.Rates,
    between: Between = None,
    rho: inputs.Rho = "0.9",
    sigma: inputs.Sigma = "1",
    frames: inputs.Frames = None,
    plf: inputs.Losses = "all",
    window: inputs.Window = None,
    levels: inputs.Levels = "0",
    metric: inputs.Metric = "w2",
    points: Points = 17,
    json: inputs.Json = False,
    csv: inputs.Csv = None,
    plot: inputs.Plot = None,
) -> None:
    """Trade-off between the distortions of two frames.

    FMD and MMSE leave no choice: all points of their fronts are the same.

    rdp pareto --rates 0.05,8,8 --plf JD,SA --plot front.png
    """
    import pandas as pd

    from solvers import pareto as run

    output.check_plot(plot)
    bits = inputs.numbers("rates", rates)
    allowed = inputs.numbers("levels", levels)
    source = inputs.source(rho, sigma, frames, rates=bits, levels=allowed)
    pair = _pair(between, source.frames)
    fronts = {
        name: run(Problem(source, bits, perception(name, allowed, metric)), pair, points)
        for name in inputs.losses(plf, window)
    }
    parts = []
    for name, front in fronts.items():
        columns: dict[str, Any] = {"plf": name}
        columns |= {f"weight_{t + 1}": w for t, w in enumerate(front.weights.T)}
        columns |= {f"distortion_{t + 1}": d for t, d in enumerate(front.distortion.T)}
        columns["objective"] = front.objective
        parts.append(pd.DataFrame({**columns, "lower_bound": front.lower_bound}))
    table = pd.concat(parts, ignore_index=True)
    if csv is not None:
        output.write_csv(table, csv)
    if plot is not None:
        _draw_front(table, pair, plot)
    if json:
        answer = {
            plf: {
                name: getattr(front, name)
                for name in ("weights", "distortion", "objective", "lower_bound", "gap")
            }
            for plf, front in fronts.items()
        }
        given = {"sigma": source.sigma, "rho": source.rho, "between": pair}
        output.show_json({**given, "fronts": answer})
    elif csv is None and plot is None:
        names = [f"{name}_{t}" for name in ("weight", "distortion") for t in pair]
        names = ["plf", *names, "objective", "lower_bound"]
        heads = ["plf", *(f"{letter}_{t}" for letter in "wD" for t in pair)]
        heads += ["objective", "at least"]
        output.show_table(heads, table[names].itertuples(index=False))


def universality(
    rates: inputs.Rates,
    rho: inputs.Rho = "0.9",
    sigma: inputs.Sigma = "1",
    frames: inputs.Frames = None,
    clip: Clip = None,
    sample: Sample = False,
    plf: inputs.Losses = "FMD,JD,SA",
    window: inputs.Window = None,
    levels: inputs.Levels = "0",
    metric: inputs.Metric = "w2",
    json: inputs.Json = False,
    csv: inputs.Csv = None,
) -> None:
    """Extra distortion of the MMSE encoder, and the extra rate that removes it.

    For scalar frames both are zero. With a clip, rates and distortions are per pixel, and each
    encoder divides the bits of a frame over the modes of the clip.

    rdp universality --rates 0.1,4,4

    rdp universality --sample --rates 0.3 --frames 3
    """
    import pandas as pd

    from solvers import universality as run

    given = inputs.numbers("rates", rates)
    allowed = inputs.numbers("levels", levels)
    if clip is None and not sample:
        source, pixels = inputs.source(rho, sigma, frames, rates=given, levels=allowed), 1
    else:
        source, pixels = _fitted(clip, sample, frames, given)
    found = {
        name: run(
            Problem(source, given * pixels, perception(name, np.multiply(allowed, pixels), metric))
        )
        for name in inputs.losses(plf, window)
    }
    table = pd.concat(
        pd.DataFrame(
            {
                "plf": name,
                "frame": np.arange(1, source.frames + 1),
                "best": answer.best / pixels,
                "mmse_encoder": answer.mmse_encoder / pixels,
                "penalty": answer.penalty / pixels,
                "extra_rate": answer.extra_rate / pixels,
            }
        )
        for name, answer in found.items()
    )
    if csv is not None:
        output.write_csv(table, csv)
    if json:
        output.show_json({plf: part.to_dict("list") for plf, part in table.groupby("plf")})
    elif csv is None:
        heads = ["plf", "frame", "best encoder", "MMSE encoder", "penalty"]
        output.show_table(heads, table.drop(columns="extra_rate").itertuples(index=False))
        unit = "bits" if pixels == 1 else "bits per pixel"
        for name, answer in found.items():
            extra = answer.extra_rate / pixels
            typer.echo(f"{name}: {extra:.4g} more {unit} in every frame remove the penalty")


def _frames(columns: dict[str, Any], csv: str | None, json: bool) -> bool:
    """Write or print one row for each frame; return whether JSON is requested."""
    if csv is not None:
        import pandas as pd

        frame = np.arange(1, len(columns["bits"]) + 1)
        output.write_csv(pd.DataFrame({"frame": frame, **columns}), csv)
    elif not json:
        rows = zip(*(np.asarray(column).tolist() for column in columns.values()), strict=True)
        heads = ["frame", *(name.replace("mmse", "MMSE") for name in columns)]
        output.show_table(heads, ([t, *row] for t, row in enumerate(rows, start=1)))
    return json


def _bound(found: Any) -> str:
    """Certified bound as text, rounded down so that it still holds."""
    return f"{np.floor(found.lower_bound * 1e6) / 1e6:.6f}"


def _source(source: GaussMarkov, loss: Perception | None) -> dict[str, Any]:
    name = "MMSE" if loss is None else loss.name
    return {"sigma": source.sigma, "rho": source.rho, "plf": name}


def _pair(text: str | None, frames: int) -> tuple[int, int]:
    """The two frames of a front, numbered from 1."""
    if text is None:
        if frames < 2:
            raise ValueError(f"rates: expected at least 2 frames for a front, got {frames}")
        return frames - 1, frames
    try:
        i, j = (int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"between: expected two frames like 2,3, got {text!r}") from None
    if i == j or not (1 <= i <= frames and 1 <= j <= frames):
        raise ValueError(f"between: expected two different frames, 1 to {frames}, got {text!r}")
    return i, j


def _fitted(
    clip: str | None, sample: bool, frames: int | None, rates: Any
) -> tuple[GaussMarkov, int]:
    """Source fitted to a clip, and its number of pixels for each set of modes."""
    from rdp.clip import fit_clip, sample_clip

    if clip is not None and sample:
        raise ValueError("clip: expected a path or --sample, got both")
    count = frames or (len(rates) if np.ndim(rates) else None)
    if count is None:
        raise ValueError("frames: expected --frames, or a list of rates, got none")
    fit = fit_clip(sample_clip() if clip is None else clip)
    return fit.source(count), fit.modes


def _draw_front(table: Any, pair: tuple[int, int], path: str) -> None:
    """Draw distortion of one frame against that of the other, one front for each loss."""
    from solvers.plotting import line

    i, j = pair

    def draw(figure: Any) -> None:
        ax = figure.subplots()
        for plf, front in table.groupby("plf", sort=False):
            ax.plot(front[f"distortion_{i}"], front[f"distortion_{j}"], **line(plf, marker=True))
        ax.set(xlabel=f"distortion of frame {i}", ylabel=f"distortion of frame {j}")
        ax.legend()

    output.write_plot(path, 3.5, 2.6, draw)
