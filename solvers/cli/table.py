"""`rdp table`: distortions at extreme rates, as formulas."""

from __future__ import annotations

from typing import Annotated

import typer

from solvers.cli import inputs, output


def table(
    frames: Annotated[int, typer.Option(min=1, max=4, help="Number of frames.")] = 2,
    rho: Annotated[
        str | None,
        typer.Option(metavar="X", help="Correlation, a number or a fraction; a symbol by default."),
    ] = None,
    json: inputs.Json = False,
    csv: inputs.Csv = None,
) -> None:
    """Formulas of the distortion at zero perception loss, for very small and infinite rates.

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
    """Exact number of a text: 0.9 is 9/10 in the formulas."""
    from fractions import Fraction

    import sympy

    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"rho: expected a number or a fraction, got {text!r}") from None
    return sympy.Rational(value.numerator, value.denominator)
