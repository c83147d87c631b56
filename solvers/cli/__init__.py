"""The `rdp` command. One module for each family of commands; heavy imports happen inside them.

Exit status: 0 solved, 1 a solver or a check failed, 2 bad input, with one line on stderr.
"""

from __future__ import annotations

from typing import Annotated

import typer

from solvers.cli import allocation, curve, explore, fit, solve, sweep, table, validate
from solvers.cli.errors import Commands

app = typer.Typer(
    name="rdp",
    cls=Commands,
    help="Rate-distortion-perception tradeoffs of causal coding for Gauss-Markov sources.",
    no_args_is_help=True,
    add_completion=False,
)

for family in (solve, curve, sweep, allocation, table, fit, validate, explore):
    family.register(app)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import PackageNotFoundError, version

        try:
            known = version("gauss-markov-rdp")
        except PackageNotFoundError:
            known = "(run from its source, not installed)"
        typer.echo(f"gauss-markov-rdp {known}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Show where an error comes from.")
    ] = False,
) -> None:
    """Rate-distortion-perception tradeoffs of causal coding for Gauss-Markov sources."""


def main() -> None:
    """Run the command line."""
    app(prog_name="rdp")
