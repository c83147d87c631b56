"""`rdp validate`: measured operating points compared with theory."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from rdp.source import GaussMarkov
from solvers.cli import inputs, output
from solvers.cli.errors import FAILED

if TYPE_CHECKING:
    from solvers.validation import Validation
    from solvers.verdicts import Verdict

VERDICTS = ("pass", "fail", "inconclusive")
ROWS = 100  # that a table shows, at most
NUMBERS = 20  # of points that a line names, at most
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
    plot: inputs.Plot = None,
) -> None:
    """Compare measured operating points with all bounds and the exact curves.

    The exit status is 1 if a check fails and 2 if nothing could be checked. --rho and --sigma set
    the source of all points; without them, each point names its own. Points without a source
    get only the checks that need none.

    The first table has a row for each point: bits above the curve and the verdict. The second has
    the checks. A table of more than 100 rows is cut, what fails stays first; --csv has all checks,
    --json all of both.

    rdp validate points.json --rho 0.9
    """
    from rdp.operating_point import load_points
    from solvers.validation import validate as check
    from solvers.verdicts import draw, verdicts

    output.check_plot(plot)
    try:
        measured = load_points(points)
    except OSError as error:
        raise ValueError(f"{points}: {error.strerror}") from error
    if not measured:
        raise ValueError(f"{points}: points: expected at least one, got none")
    source = _source(rho, sigma, measured[0].frames)
    found = check(measured, source)
    if not len(found):
        raise ValueError(f"{points}: nothing could be checked; {GIVE_SOURCE}")
    counts = {verdict: len(found.with_verdict(verdict)) for verdict in VERDICTS}
    if csv is not None:
        output.write_csv(found.to_dataframe(), csv)
    if plot is not None:
        losses = len({point.plf for point in measured})
        output.write_plot(plot, min(7.0, 3.5 * losses), 2.6, lambda figure: draw(found, figure))
    summary = verdicts(found, source, None if json else ROWS) if json or csv is None else []
    if json:
        output.show_json(
            {
                "ok": found.ok,
                **counts,
                "points": [asdict(item) for item in summary],
                "checks": [asdict(item) for item in found],
            }
        )
    elif csv is None:
        _show(found, summary, counts)
    if not found.ok:
        raise typer.Exit(FAILED)


def _show(found: Validation, summary: list[Verdict], counts: dict[str, int]) -> None:
    """Print a row for each point, then one for each check, then what was left out."""
    from solvers.verdicts import worst_first

    output.show_table(
        ["point", "label", "PLF", "bits per frame", "above the curve", "checks", "verdict"],
        (
            (
                item.point,
                item.label,
                item.plf,
                item.rate,
                item.bits_above,
                item.checks,
                item.verdict,
            )
            for item in worst_first(summary, ROWS)
        ),
        "Points",
    )
    _say_rest("points", len(summary), "--json")
    output.show_table(
        ["point", "label", "PLF", "frame", "bound", "measured", "limit", "verdict"],
        (
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
            for item in worst_first(found.checks, ROWS)
        ),
        "Checks",
    )
    _say_rest("checks", len(found), "--csv FILE or --json")
    made = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)
    typer.echo(f"points: {len(summary)}; checks: {made}")
    reasons: dict[str, list[int]] = {}
    for item in summary:
        for reason in item.left_out:
            reasons.setdefault(reason, []).append(item.point)
    for reason, numbers in reasons.items():
        typer.echo(f"left out at points {_named(numbers)}: {reason}")
    unchecked = [item.point for item in summary if not item.checks]
    if unchecked:
        unnamed = any(found.points[number].source is None for number in unchecked)
        advice = f"; {GIVE_SOURCE}" if unnamed else ""  # a clip of real pictures has none to give
        typer.echo(f"not checked: points {_named(unchecked)}{advice}")


def _say_rest(what: str, count: int, where: str) -> None:
    """Say how many rows a table does not show."""
    if count > ROWS:
        more = f"{count - ROWS} more {what} are not shown, the worst verdicts come first"
        typer.echo(f"{more}; {where} has all\n")


def _named(numbers: list[int]) -> str:
    """Numbers of points, or the first of them."""
    text = ", ".join(map(str, numbers[:NUMBERS]))
    return text if len(numbers) <= NUMBERS else f"{text} and {len(numbers) - NUMBERS} more"


def _source(rho: str | None, sigma: str | None, frames: int) -> GaussMarkov | None:
    """Source that the options describe, with `frames` frames; None without options."""
    if rho is None and sigma is None:
        return None
    if rho is None and frames > 1:
        raise ValueError("rho: expected --rho with --sigma, got none")
    return inputs.source(rho or "0", sigma or "1", frames)
