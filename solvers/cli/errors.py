"""Errors as one line on stderr and an exit status."""

from __future__ import annotations

from typing import Any

import numpy as np
import typer
from typer.core import TyperGroup

from solvers.errors import SolverError

FAILED, BAD_INPUT = 1, 2
OPTIONS = {"total_rate": "total"}  # what functions call otherwise than the command line


class Commands(TyperGroup):
    """Commands whose errors are one line: bad input exits with 2, a failing solver with 1."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command.

        Parameters
        ----------
        ctx : click.Context
            The parsed command line.
        """
        try:
            return super().invoke(ctx)
        except (ValueError, OSError, SolverError) as error:
            if ctx.params.get("traceback"):
                raise
            name, colon, rest = str(error).partition(":")
            typer.echo(OPTIONS.get(name, name) + colon + rest, err=True)
            # numpy's LinAlgError is a ValueError, but no fault of the input
            failed = isinstance(error, SolverError | np.linalg.LinAlgError)
            raise typer.Exit(FAILED if failed else BAD_INPUT) from error
