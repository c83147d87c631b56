"""The `rdp` command as a whole: help, version, errors, and what it loads."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer

from solvers.cli import app
from solvers.cli.output import plain
from tests.solvers.cli.commands import run

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("command", "mentions"),
    [
        ([], ["solve", "pareto", "validate", "--version", "--traceback"]),
        (["solve"], ["--rates", "--rho", "--plf", "--levels", "--weights", "--method", "--json"]),
        (["curve"], ["--against", "--plf", "--from", "--to", "--csv", "--json", "--plot"]),
        (["table"], ["--frames", "--rho", "--csv", "--json"]),
        (["sweep"], ["--rates", "--levels", "--csv", "--checkpoint", "--progress", "--quiet"]),
        (["minimum-rate"], ["--distortion", "--plf", "--levels", "--objective", "--csv", "--json"]),
        (["allocate"], ["--total", "--weights", "--plf", "--csv", "--json"]),
        (["pareto"], ["--rates", "--between", "--points", "--csv", "--json", "--plot"]),
        (["universality"], ["--rates", "--clip", "--sample", "--csv", "--json"]),
        (["validate"], ["POINTS.json", "--rho", "--sigma", "--csv", "--json"]),
        (["fit"], ["--sample", "--block", "--transform", "--bpp", "--csv", "--json", "--plot"]),
    ],
)
def test_help_names_every_option(command, mentions, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert all(word in result.stdout for word in mentions)


def test_no_option_is_without_help():
    for name, command in typer.main.get_command(app).commands.items():
        assert command.help, name
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"{name} {parameter.name}"


def test_version():
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("gauss-markov-rdp ")


def test_the_command_starts_without_the_heavy_libraries():
    heavy = ["av", "cvxpy", "matplotlib", "numba", "pandas", "scipy", "sympy", "torch"]
    code = (
        "import sys; from solvers.cli import main; sys.argv = ['rdp', '--help']\n"
        f"try: main()\nfinally: assert not set({heavy}) & set(sys.modules), set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)


def test_an_unknown_option_or_command_is_bad_input():
    assert run("solve", "--colour", "red").exit_code == 2
    assert run("dissolve").exit_code == 2
    assert run("solve").exit_code == 2  # no rates


def test_sizes_beyond_all_reason_are_one_line(monkeypatch):
    steady = ("steady", "--rho", "0.9", "--rates", "1,2")
    for more, message in (
        (["--plf", "JD", "--approach", "9" * 400], "periods: expected at most 2^40"),
        (["--plf", "JD(99999999999)"], "window: expected at most 2000 frames in the long run"),
    ):
        result = run(*steady, *more)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith(message)
        assert result.stderr.count("\n") == 1

    def full(*args, **options):
        raise MemoryError("Unable to allocate 8 TiB")

    monkeypatch.setattr("solvers.steady_state", full)
    result = run(*steady)
    assert (result.exit_code, result.stderr) == (1, "Unable to allocate 8 TiB\n")


def test_a_traceback_on_demand():
    result = run("--traceback", "solve", "--rates=-1", "--frames", "2")
    assert isinstance(result.exception, ValueError)


def test_json_has_no_numbers_that_json_lacks():
    given = {"a": [np.float64("nan"), -np.inf, 1], 2: np.arange(2), "b": (None, "text", True)}
    assert plain(given) == {"a": [None, "-inf", 1], "2": [0, 1], "b": [None, "text", True]}


@pytest.mark.parametrize("name", ["validate", "fit", "universality"])
def test_help_has_one_line_for_each_paragraph(name):
    from solvers.cli import app

    texts = {command.name: command.help for command in app.registered_commands}
    assert all("\n" not in part for part in texts[name].split("\n\n"))


def test_errors_name_the_option():
    from solvers.cli.errors import OPTIONS

    assert OPTIONS["perception"] == "plf"


@pytest.mark.parametrize("name", ["", *typer.main.get_command(app).commands])
def test_h_is_help(name):
    arguments = [name] if name else []
    assert run(*arguments, "-h").stdout == run(*arguments, "--help").stdout


def test_a_reader_that_leaves_ends_the_command_quietly():
    code = "from solvers.cli import main; main()"
    command = [sys.executable, "-c", code, "curve", "--frames", "2", "--csv", "-"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_warm_up_says_what_is_ready(monkeypatch):
    from solvers.methods import waiting

    monkeypatch.setattr(waiting, "warm_up", lambda: iter([("weighted objectives", 1.25)]))
    assert run("warm-up").stdout == "weighted objectives: ready (1.2 s)\n"
