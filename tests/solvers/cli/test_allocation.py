"""`rdp minimum-rate`, `allocate`, `pareto` and `universality`."""

import numpy as np
import pytest

from rdp import FMD, JD, GaussMarkov, Problem
from rdp.clip import fit_clip
from solvers import allocate, minimum_rate, pareto, universality
from tests.solvers.cli.commands import answer, parsed, refused, run


def test_minimum_rate_as_json_table_and_csv(tmp_path):
    arguments = ["minimum-rate", "--distortion", "0.5,0.3", "--plf", "JD"]
    found = answer(*arguments)
    source = GaussMarkov.stationary(rho=0.9, frames=2)
    expected = minimum_rate(source, [0.5, 0.3], JD(0))
    np.testing.assert_allclose(found["rates"], expected.rates, atol=1e-6)
    assert found["total"] == pytest.approx(sum(found["rates"]))
    assert found["lower_bound"] == pytest.approx(found["total"], abs=1e-6)
    assert np.all(np.array(found["distortion"]) <= np.array([0.5, 0.3]) * (1 + 1e-6))
    printed = run(*arguments)
    assert f"total {expected.total:.6g} bits" in printed.stdout
    assert run(*arguments, "--csv", tmp_path / "rates.csv").stdout == ""
    rows = parsed((tmp_path / "rates.csv").read_text())
    assert [float(row["bits"]) for row in rows] == pytest.approx(found["rates"])


def test_minimum_rate_frame_after_frame_ends_where_no_rate_helps():
    found = answer(
        *("minimum-rate", "--distortion", "0.5,0.2975", "--objective", "sequential"),
        *("--frames", "2"),
    )
    assert found["rates"] == pytest.approx([0.5, 0.5])
    line = refused(
        *("minimum-rate", "--distortion", "1.9,0.001", "--plf", "JD"),
        *("--objective", "sequential"),
        status=1,
    )
    assert line.startswith("infeasible: minimum_rate: ")


def test_allocate_as_json_and_table():
    found = answer("allocate", "--total", "2", "--frames", "2", "--weights", "1,3")
    expected = allocate(GaussMarkov.stationary(rho=0.9, frames=2), 2.0, weights=[1, 3])
    np.testing.assert_allclose(found["bits"], expected.rates, atol=1e-6)
    assert sum(found["bits"]) == pytest.approx(2)
    assert found["objective"] == pytest.approx(np.dot([1, 3], found["distortion"]))
    printed = run("allocate", "--total", "2", "--frames", "2", "--weights", "1,3")
    assert f"objective {expected.objective:.6g}" in printed.stdout


def test_pareto_as_json_csv_and_plot(tmp_path):
    arguments = ["pareto", "--rates", "0.05,8,8", "--plf", "jd,fmd", "--points", "3"]
    found = answer(*arguments)
    assert found["between"] == [2, 3]
    source = GaussMarkov.stationary(rho=0.9, frames=3)
    front = pareto(Problem(source, [0.05, 8, 8], JD(0)), (2, 3), 3)
    np.testing.assert_allclose(found["fronts"]["JD"]["distortion"], front.distortion, rtol=1e-6)
    assert np.ptp(found["fronts"]["FMD"]["distortion"], axis=0) == pytest.approx(0, abs=1e-9)
    result = run(*arguments, "--csv", tmp_path / "f.csv", "--plot", tmp_path / "f.png")
    assert result.exit_code == 0, result.output
    rows = parsed((tmp_path / "f.csv").read_text())
    assert [row["plf"] for row in rows] == ["JD"] * 3 + ["FMD"] * 3
    assert (tmp_path / "f.png").stat().st_size > 2000
    other = answer(*arguments, "--between", "3,1")
    assert other["between"] == [3, 1]
    front = found["fronts"]["JD"]
    np.testing.assert_allclose(
        front["objective"], (np.array(front["weights"]) * front["distortion"]).sum(1)
    )
    assert (np.array(front["lower_bound"]) <= front["objective"]).all()
    assert [float(row["objective"]) for row in rows[:3]] == pytest.approx(front["objective"])
    printed = run(*arguments).stdout
    assert all(head in printed for head in ("D_2", "objective", "at least"))


def test_universality_costs_nothing_for_scalar_frames():
    found = answer("universality", "--rates", "0.1,4", "--levels", "0.1", "--plf", "all")
    assert set(found) == {"MMSE", "FMD", "JD", "SA"}
    for rows in found.values():
        assert rows["penalty"] == pytest.approx([0, 0], abs=1e-6)
        assert rows["extra_rate"] == [0, 0]


def test_universality_of_a_clip(tmp_path):
    frames = np.random.default_rng(1).random((6, 16, 16)).cumsum(axis=0) / 6
    np.save(tmp_path / "clip.npy", frames)
    arguments = ["universality", "--clip", tmp_path / "clip.npy", "--rates", "0.5", "--plf", "FMD"]
    found = answer(*arguments, "--frames", "2")["FMD"]
    fit = fit_clip(tmp_path / "clip.npy")
    expected = universality(Problem(fit.source(2), 0.5 * fit.modes, FMD(0)))
    np.testing.assert_allclose(found["penalty"], expected.penalty / fit.modes)
    assert min(found["penalty"]) > 0
    assert found["extra_rate"] == pytest.approx([expected.extra_rate / fit.modes] * 2)
    printed = run(*arguments, "--frames", "2")
    assert "more bits per pixel in every frame" in printed.stdout
    # twice the pixels' threshold is twice the threshold of their sum
    loose = answer(*arguments, "--frames", "2", "--levels", "1e9")["FMD"]
    assert loose["penalty"] == pytest.approx([0, 0], abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["minimum-rate", "--distortion", "0", "--frames", "2"],
            "distortion: expected values > 0, got 0, which takes an infinite rate",
        ),
        (
            ["minimum-rate", "--distortion", "1,1", "--objective", "mean"],
            "objective: expected 'total' or 'sequential', got 'mean'",
        ),
        (
            ["allocate", "--total", "0", "--frames", "2"],
            "total: expected values > 0, got 0",
        ),
        (
            ["pareto", "--rates", "1,1", "--between", "1,3"],
            "between: expected two different frames, 1 to 2, got '1,3'",
        ),
        (
            ["pareto", "--rates", "1,1", "--between", "one"],
            "between: expected two frames like 2,3, got 'one'",
        ),
        (
            ["pareto", "--rates", "1", "--frames", "1"],
            "rates: expected at least 2 frames for a front, got 1",
        ),
        (
            ["universality", "--rates", "1", "--sample", "--clip", "a.mp4"],
            "clip: expected a path or --sample, got both",
        ),
        (
            ["universality", "--rates", "1", "--sample"],
            "frames: expected --frames, or a list of rates, got none",
        ),
        (["universality", "--rates", "1,1", "--clip", "a.mp4"], "a.mp4: no such file or folder"),
    ],
)
def test_bad_input_is_named(arguments, message):
    assert refused(*arguments) == message
