"""`rdp validate`: anyone's operating points held against theory."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from rdp.source import GaussMarkov
from solvers.cli import inputs, output
from solvers.cli.errors import FAILED

VERDICTS = ("pass", "fail", "inconclusive")
GIVE_SOURCE = "give a source by --rho (and --sigma), or in the file as the source of each point"


def register(app: typer.Typer) -> None:
    """Add the command to an application.

    Parameters
    ----------
    app : typer.Typer
        The application.
    """
    app.command("validate")(validate)


def validate(
    points: Annotated[
        str, typer.Argument(metavar="POINTS.json", help="Operating points.", show_default=False)
    ],
    rho: Annotated[
        str | None,
        typer.Option(metavar=inputs.LIST, help="Correlations, if the points name no source."),
    ] = None,
    sigma: Annotated[
        str | None,
        typer.Option(metavar=inputs.LIST, help="Standard deviations; 1 with --rho alone."),
    ] = None,
    json: inputs.Json = False,
    csv: inputs.Csv = None,
) -> None:
    """Hold measured operating points against every bound and the exact curves.

    Exit status 1 if a check fails, 2 if nothing could be checked. The source is the one that each
    point names, unless --rho or --sigma give one for all; points of other data get the checks that
    need none.

    rdp validate points.json --rho 0.9
    """
    from rdp.operating_point import load_points
    from solvers.validation import validate as check

    try:
        measured = load_points(points)
    except OSError as error:
        raise ValueError(f"{points}: {error.strerror}") from error
    if not measured:
        raise ValueError(f"{points}: points: expected at least one, got none")
    found = check(measured, _source(rho, sigma, measured[0].frames))
    if not len(found):
        raise ValueError(f"{points}: nothing could be checked; {GIVE_SOURCE}")
    counts = {verdict: len(found.with_verdict(verdict)) for verdict in VERDICTS}
    if csv is not None:
        output.write_csv(found.to_dataframe(), csv)
    if json:
        output.show_json({"ok": found.ok, **counts, "checks": [asdict(item) for item in found]})
    elif csv is None:
        rows = [
            (
                item.point,
                item.label,
                item.plf,
                "all" if item.frame is None else item.frame,
                item.bound,
                item.measured,
                f"{item.relation} {output.text(item.limit)}",
                item.verdict,
            )
            for item in found
        ]
        heads = ["point", "label", "PLF", "frame", "bound", "measured", "limit", "verdict"]
        output.show_table(heads, rows)
        said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)
        typer.echo(f"points: {len(measured)}; checks: {said}")
        unchecked = sorted(set(range(len(measured))) - {item.point for item in found})
        if unchecked:
            which = ", ".join(map(str, unchecked))
            typer.echo(f"not checked: points {which}; {GIVE_SOURCE}")
    if not found.ok:
        raise typer.Exit(FAILED)


def _source(rho: str | None, sigma: str | None, frames: int) -> GaussMarkov | None:
    """Source that the options describe, of as many frames as the first point; None without."""
    if rho is None and sigma is None:
        return None
    if rho is None and frames > 1:
        raise ValueError("rho: expected --rho with --sigma, got none")
    return inputs.source(rho or "0", sigma or "1", frames)
