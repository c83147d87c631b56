"""Run `rdp` commands in this process and read what they print."""

import csv
import io
import json

from typer.testing import CliRunner

from solvers.cli import app


def run(*arguments):
    """Return the result of one command."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="rdp")


def strict_json(text):
    """Parse JSON that has neither NaN nor Infinity."""

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def parsed(text):
    """Return the rows of a CSV text as dicts."""
    return list(csv.DictReader(io.StringIO(text)))


def answer(*arguments):
    """Return the JSON of a command that succeeds."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return strict_json(result.stdout)


def refused(*arguments, status=2):
    """Return the one line on stderr of a command that ends with a status."""
    result = run(*arguments)
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    (line,) = result.stderr.splitlines()
    return line
