"""`rdp validate`: measured operating points compared with theory."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from rdp.source import GaussMarkov
from solvers.cli import inputs, output
from solvers.cli.errors import FAILED

VERDICTS = ("pass", "fail", "inconclusive")
GIVE_SOURCE = "give a source by --rho (and --sigma), or as the source of each point in the file"


def validate(
    points: Annotated[
        str,
        typer.Argument(metavar="POINTS.json", help="File of operating points.", show_default=False),
    ],
    rho: Annotated[
        str | None,
        typer.Option(metavar=inputs.LIST, help="Correlations of the source of all points."),
    ] = None,
    sigma: Annotated[
        str | None,
        typer.Option(metavar=inputs.LIST, help="Standard deviations; 1 if only --rho is given."),
    ] = None,
    json: inputs.Json = False,
    csv: inputs.Csv = None,
) -> None:
    """Compare measured operating points with all bounds and the exact curves.

    The exit status is 1 if a check fails and 2 if nothing could be checked. --rho and --sigma set
    the source of all points; without them, each point names its own. Points without a source
    get only the checks that need none.

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
        summary = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)
        typer.echo(f"points: {len(measured)}; checks: {summary}")
        unchecked = sorted(set(range(len(measured))) - {item.point for item in found})
        if unchecked:
            numbers = ", ".join(map(str, unchecked))
            typer.echo(f"not checked: points {numbers}; {GIVE_SOURCE}")
    if not found.ok:
        raise typer.Exit(FAILED)


def _source(rho: str | None, sigma: str | None, frames: int) -> GaussMarkov | None:
    """Source that the options describe, with `frames` frames; None without options."""
    if rho is None and sigma is None:
        return None
    if rho is None and frames > 1:
        raise ValueError("rho: expected --rho with --sigma, got none")
    return inputs.source(rho or "0", sigma or "1", frames)
