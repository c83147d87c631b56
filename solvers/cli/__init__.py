"""The `rdp` command: one module for each family of commands.

The exit status is 0 if the problem is solved, 1 if a solver or a check fails, 2 if the input is
wrong, and 141 if the reader of a pipe has gone. Errors print one line on stderr. A command imports
heavy libraries only when it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import cleandoc
from typing import Annotated

import typer

from solvers.cli import (
    allocation,
    clips,
    curve,
    explore,
    fit,
    measure,
    peers,
    solve,
    steady,
    sweep,
    table,
    validate,
    warm_up,
)
from solvers.cli.errors import Commands

HELP = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    name="rdp",
    cls=Commands,
    help="Rate-distortion-perception tradeoffs of causal coding for Gauss-Markov sources.",
    no_args_is_help=True,
    context_settings=HELP,
)

# The order is that of `rdp --help`.
COMMANDS: dict[str, Callable[..., None]] = {
    "solve": solve.solve,
    "curve": curve.curve,
    "sweep": sweep.sweep,
    "minimum-rate": allocation.minimum_rate,
    "allocate": allocation.allocate,
    "pareto": allocation.pareto,
    "universality": allocation.universality,
    "steady": steady.steady,
    "table": table.table,
    "fit": fit.fit,
    "encode": clips.encode,
    "decode": clips.decode,
    "measure": measure.measure,
    "peers": peers.peers,
    "validate": validate.validate,
    "explore": explore.explore,
    "warm-up": warm_up.warm_up,
}


def _help(text: str) -> str:
    """Docstring with one line for each paragraph: the terminal breaks the lines."""
    return "\n\n".join(" ".join(part.split()) for part in cleandoc(text).split("\n\n"))


for _name, _command in COMMANDS.items():
    app.command(_name, context_settings=HELP, help=_help(_command.__doc__ or ""))(_command)


def _print_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import PackageNotFoundError, version

        try:
            installed = version("gauss-markov-rdp")
        except PackageNotFoundError:
            installed = "(run from source, not installed)"
        typer.echo(f"gauss-markov-rdp {installed}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Print the full traceback of an error.")
    ] = False,
) -> None:
    """Rate-distortion-perception tradeoffs of causal coding for Gauss-Markov sources."""


def main() -> None:
    """Run the command line."""
    app(prog_name="rdp")
