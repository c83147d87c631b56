"""`rdp sweep`."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rdp import GaussMarkov, closed_form
from tests.solvers.cli.commands import parsed, refused, run


def test_sweep_writes_the_grid(tmp_path):
    path = tmp_path / "grid.csv"
    arguments = ["--plf", "FMD", "--rates", "0.5,0:2:3", "--levels", "0:0.2:2"]
    result = run("sweep", *arguments, "--csv", path, "--checkpoint", tmp_path / "kept")
    assert result.exit_code == 0, result.output
    rows = parsed(path.read_text())
    points = [(float(r["rate_1"]), float(r["rate_2"]), float(r["level_1"])) for r in rows]
    assert points == [(0.5, rate, level) for rate in (0, 1, 2) for level in (0, 0.2)]
    source = GaussMarkov.stationary(rho=0.9, frames=2)
    for (*rates, level), row in zip(points, rows, strict=True):
        expected = closed_form.framewise(source, rates, level)
        found = [float(row["distortion_1"]), float(row["distortion_2"])]
        np.testing.assert_allclose(found, expected)
    assert (tmp_path / "kept").exists()
    again = run("sweep", *arguments, "--csv", "-", "--checkpoint", tmp_path / "kept", "--progress")
    assert parsed(again.stdout) == rows
    assert "6.00/6.00" in again.stderr


def test_sweep_without_a_loss_has_no_thresholds():
    rows = parsed(
        run("sweep", "--plf", "MMSE", "--rates", "1", "--frames", "2", "--csv", "-").stdout
    )
    assert [row["perception_1"] for row in rows] == [""]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rates", "0:4"], "rates: expected a number or FROM:TO:N, got '0:4'"),
        (["--rates", "0:1:2"], "frames: expected --frames, or a list of rates, got none"),
        (["--rates", "1,2", "--levels", "0,0,0"], "levels: expected shape (..., 2)"),
        (
            ["--rates", "1,2", "--plf", "MMSE", "--levels", "1"],
            "levels: expected none for a problem without perception loss",
        ),
    ],
)
def test_sweep_names_bad_input(arguments, message):
    assert refused("sweep", *arguments, "--csv", "-").startswith(message)


def test_what_is_said_of_damage_takes_one_line(tmp_path):
    """Without the place in the code, which says nothing to a user."""
    kept = tmp_path / "kept"
    command = [sys.executable, "-m", "solvers.cli", "sweep", "--rates", "0:1:5", "--frames", "2"]
    command += ["--csv", str(tmp_path / "a.csv"), "--quiet", "--checkpoint", str(kept)]
    where = {"cwd": Path(__file__).parents[3], "capture_output": True, "text": True}
    assert subprocess.run(command, **where).returncode == 0
    kept.write_bytes(kept.read_bytes()[:-3])
    again = subprocess.run(command, **where)
    assert again.returncode == 0
    assert re.fullmatch(
        rf"warning: {re.escape(str(kept))}: \d+ bytes are damaged .*\nwrote .*\n", again.stderr
    )
