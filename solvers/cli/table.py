"""`rdp table`: distortions at extreme rates."""

from __future__ import annotations

from typing import Annotated

import typer

from solvers.cli import inputs, output


def register(app: typer.Typer) -> None:
    """Add the command to an application.

    Parameters
    ----------
    app : typer.Typer
        The application.
    """
    app.command("table")(table)


def table(
    frames: Annotated[int, typer.Option(min=1, max=4, help="Number of frames.")] = 2,
    rho: Annotated[
        str | None,
        typer.Option(metavar="X", help="Correlation, a number or fraction; a symbol if not given."),
    ] = None,
    json: inputs.Json = False,
    csv: inputs.Csv = None,
) -> None:
    """Distortions at zero perception loss when rates are very small (eps) or infinite.

    rdp table --frames 3
    """
    from rdp.asymptotics import MEANING, extreme_rate_table

    found = extreme_rate_table(frames, None if rho is None else _number(rho))
    if csv is not None:
        output.write_csv(found.to_dataframe(), csv)
    if json:
        output.show_json({"frames": frames, "rho": rho, "rows": found.rows, "x": MEANING["x"]})
    elif csv is None:
        typer.echo(found.text())


def _number(text: str) -> object:
    """An exact number, so that 0.9 is 9/10 in the formulas."""
    from fractions import Fraction

    import sympy

    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"rho: expected a number or a fraction, got {text!r}") from None
    return sympy.Rational(value.numerator, value.denominator)
