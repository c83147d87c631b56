"""`rdp steady`: the long run of rates that repeat."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import typer

from rdp.autoregressive import AutoRegressive
from rdp.perception import Perception, perception
from rdp.source import GaussMarkov
from solvers.cli import inputs, output
from solvers.steady_answer import SteadyState

Array = np.ndarray


def steady(
    rates: Annotated[
        str,
        typer.Option(
            "--rates", "--rate", metavar=inputs.LIST, help="Bits of each frame of one period."
        ),
    ],
    rho: Annotated[
        float | None, typer.Option(help="Correlation of the stationary source; 0.9 by default.")
    ] = None,
    ar: inputs.Ar = None,
    sigma: Annotated[float, typer.Option(help="Standard deviation of the source.")] = 1.0,
    plf: inputs.Losses = "all",
    window: inputs.Window = None,
    levels: inputs.Levels = "0",
    metric: inputs.Metric = "w2",
    encoder: inputs.Encoder = "mmse",
    objective: Annotated[
        str | None,
        typer.Option(
            metavar="sequential|mean",
            help="Each frame given those before it, or the least mean of the period. Without it, "
            "the one that is known better; the output says which.",
        ),
    ] = None,
    approach: Annotated[
        int | None,
        typer.Option(min=1, help="Show the first periods too, from a start without a past."),
    ] = None,
    discount: Annotated[
        float | None,
        typer.Option(
            help="Least discounted distortion of all frames from the first on, between two proven "
            "ends: weight of a frame relative to the one before, below 1. P of JD then bounds all "
            "frames so far."
        ),
    ] = None,
    json: inputs.Json = False,
    csv: inputs.Csv = None,
) -> None:
    """Distortion in the long run, at the rates of a period that repeats.

    The last lines compare with the constant rate of the same mean.
    --discount asks for all frames from the first on instead.

    rdp steady --rho 0.97 --rates 2.25,0.25,0.25,0.25 --plf "FMD,JD(2),JD"

    rdp steady --ar 1.72,-0.81 --rate 0.5 --plf JD

    rdp steady --rho 0.9 --rates 1,0.1 --plf JD --levels 0.01

    rdp steady --rho 0.9 --rate 0.5 --plf "FMD,JD" --discount 0.9
    """
    import pandas as pd

    from solvers import steady_state

    bits, allowed = inputs.numbers("rates", rates), inputs.numbers("levels", levels)
    source = _source(rho, ar, sigma)
    names = inputs.losses(plf, window)
    given = {name: perception(name, allowed, metric if name == "FMD" else None) for name in names}
    if metric != "w2" and "FMD" not in names:
        raise ValueError(f"metric: expected 'w2' without FMD among the losses, got {metric!r}")
    if discount is not None:
        for option, used in (
            ("ar", ar),
            ("approach", approach),
            ("encoder", encoder != "mmse"),
            ("objective", objective),
        ):
            if used:
                raise ValueError(f"{option}: not with --discount")
        assert isinstance(source, GaussMarkov)
        _discounted(source, bits, given, discount, json, csv)
        return
    found = {
        name: steady_state(source, bits, loss, None, encoder, objective=objective)
        for name, loss in given.items()
    }
    constant: dict[str, float] = {}
    if np.ndim(bits) and np.ndim(allowed) == 0 and np.isfinite(bits).all():
        mean = float(np.mean(bits))
        constant = {
            name: steady_state(source, mean, loss, None, encoder, objective=objective).mean
            for name, loss in given.items()
        }
    periods = approach or 0
    first = {name: state.approach(periods) for name, state in found.items() if periods}
    table = pd.concat(
        (_table(name, state, first.get(name)) for name, state in found.items()), ignore_index=True
    )
    if csv is not None:
        output.write_csv(table, csv)
    if json:
        output.show_json(_content(source, found, constant, first))
    elif csv is None:
        heads = [name.replace("mmse", "MMSE").replace("_", " ") for name in table]
        output.show_table(heads, table.itertuples(index=False))
        for name, state in found.items():
            typer.echo(_summary(name, state, constant.get(name)))


def _discounted(
    source: GaussMarkov,
    bits: float | Array,
    given: dict[str, Perception | None],
    discount: float,
    json: bool,
    csv: str | None,
) -> None:
    """Least discounted distortion under each loss, and the bound."""
    import pandas as pd

    from solvers.discounted import discounted

    rows = []
    for name, loss in given.items():
        found = discounted(source, bits, loss, discount)
        rows.append(
            {
                "plf": name,
                "discounted_distortion": found.objective,
                "lower_bound": found.lower_bound,
                "frames": found.frames,
            }
        )
    table = pd.DataFrame(rows)
    if csv is not None:
        output.write_csv(table, csv)
    if json:
        content = {"sigma": source.sigma[0], "rho": source.rho[0], "rates": bits}
        output.show_json({**content, "discount": discount, "losses": rows})
    elif csv is None:
        heads = [name.replace("_", " ") for name in table]
        output.show_table(heads, table.itertuples(index=False))


def _source(rho: float | None, ar: str | None, sigma: float) -> GaussMarkov | AutoRegressive:
    """The source that --rho or --ar describes."""
    if ar is None:
        return GaussMarkov.stationary(rho=0.9 if rho is None else rho, frames=2, sigma=sigma)
    if rho is not None:
        raise ValueError("ar: expected --rho or --ar, got both")
    return AutoRegressive(inputs.numbers("ar", ar), sigma)


def _table(name: str, state: SteadyState, first: Array | None) -> Any:
    """One row for each frame of the period; a column for each of the first periods."""
    import pandas as pd

    columns: dict[str, Any] = {
        "plf": name,
        "frame": np.arange(1, len(state.rates) + 1),
        "bits": state.rates,
        "distortion": state.distortion,
        "mmse": state.mmse,
    }
    rows = [] if first is None else list(first)
    columns |= {f"period_{number}": row for number, row in enumerate(rows, start=1)}
    return pd.DataFrame(columns)


def _summary(name: str, state: SteadyState, constant: float | None) -> str:
    text = f"{name}: mean {state.mean:.6g}"
    if constant is not None and constant > 0:
        text += f" ({100 * (state.mean / constant - 1):+.1f} % of a constant rate)"
    text += f", {state.origin}"
    if state.contraction is not None:
        text += f"; a period keeps {state.contraction:.4g} of the distance to it"
    return text


def _content(
    source: GaussMarkov | AutoRegressive,
    found: dict[str, SteadyState],
    constant: dict[str, float],
    first: dict[str, Array],
) -> dict[str, Any]:
    names = (
        *("rates", "distortion", "mmse", "mean", "objective", "method", "error", "contraction"),
        *("lower_bound", "measurement"),
    )
    losses = {
        name: {
            **{field: getattr(state, field) for field in names},
            "constant_rate_mean": constant.get(name),
            "approach": first.get(name),
        }
        for name, state in found.items()
    }
    if isinstance(source, AutoRegressive):
        return {"sigma": source.sigma, "phi": source.phi, "losses": losses}
    return {"sigma": source.sigma[0], "rho": source.rho[0], "losses": losses}
