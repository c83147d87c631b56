"""Errors of the commands: one line on stderr and an exit status."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import numpy as np
import typer
from typer.core import TyperGroup

from rdp._busy import never_silent
from rdp._check import one_line, warnings_of_one_line
from solvers.errors import SolverError

FAILED, BAD_INPUT, NO_READER = 1, 2, 141  # 141 is what a shell reports after SIGPIPE
OPTIONS = {"total_rate": "total", "perception": "plf"}  # name of an argument -> name of its option


class Commands(TyperGroup):
    """A group of commands whose errors are one line: status 2 for bad input, 1 for a failure."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that `ctx`, the parsed command line, names."""
        try:
            notice = never_silent("rdp", before=time.process_time())
            with notice, warnings_of_one_line():
                found = super().invoke(ctx)
                sys.stdout.flush()
            return found
        except BrokenPipeError:  # as in `rdp sweep --csv - | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(NO_READER) from None
        except (MemoryError, ValueError, OSError, SolverError) as error:
            if ctx.params.get("traceback"):
                raise
            name, colon, rest = one_line(error).partition(":")
            typer.echo(OPTIONS.get(name, name) + colon + rest, err=True)
            # LinAlgError of numpy is a ValueError, but the input does not cause it.
            failed = isinstance(error, MemoryError | SolverError | np.linalg.LinAlgError)
            raise typer.Exit(FAILED if failed else BAD_INPUT) from error
