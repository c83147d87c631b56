"""`rdp steady`, and the option --window of the other commands."""

import csv
import io
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from rdp import JD, AutoRegressive, GaussMarkov, Problem
from solvers import solve, steady_state
from solvers.cli import app
from solvers.discounted import discounted

PATTERN = "2.25,0.25,0.25,0.25"
RATES = [2.25, 0.25, 0.25, 0.25]


def run(*words):
    return CliRunner().invoke(app, list(words))


def test_a_pattern_is_compared_with_a_constant_rate():
    found = run("steady", "--rho", "0.97", "--rates", PATTERN, "--plf", "FMD,JD(2),JD", "--json")
    losses = json.loads(found.stdout)["losses"]
    source = GaussMarkov.stationary(rho=0.97, frames=2)
    for name, answer in losses.items():
        state = steady_state(source, RATES, name)
        np.testing.assert_allclose(answer["distortion"], state.distortion)
        assert answer["mean"] == pytest.approx(state.mean)
        assert answer["constant_rate_mean"] < answer["mean"]
    assert losses["FMD"]["mean"] < losses["JD(2)"]["mean"] < losses["JD"]["mean"]


def test_the_table_and_the_csv_have_a_row_for_each_loss_and_frame():
    shown = run("steady", "--rates", PATTERN, "--window", "3").stdout
    assert "JD(3): mean" in shown
    assert "% of a constant rate" in shown
    rows = list(csv.DictReader(io.StringIO(run("steady", "--rates", "1,2", "--csv", "-").stdout)))
    assert len(rows) == 8
    assert set(rows[0]) == {"plf", "frame", "bits", "distortion", "mmse"}


def test_the_first_periods_approach_the_limit():
    words = ("steady", "--rates", "1,0.5", "--plf", "JD(2)", "--approach", "30")
    answer = json.loads(run(*words, "--json").stdout)["losses"]["JD(2)"]
    first = np.array(answer["approach"])
    assert first.shape == (30, 2)
    assert abs(first[0] - answer["distortion"]).max() > 1e-2
    np.testing.assert_allclose(first[-1], answer["distortion"], atol=1e-6)
    rows = list(csv.DictReader(io.StringIO(run(*words[:-1], "2", "--csv", "-").stdout)))
    assert float(rows[0]["period_2"]) == pytest.approx(first[1, 0])
    assert "period 2" in run(*words[:-1], "2").stdout
    refused = run("steady", "--rates", "1", "--plf", "JD", "--levels", "0.1", "--approach", "2")
    assert refused.exit_code == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--rates", "1", "--plf", "FMD", "--window", "2"), "window: expected JD among the losses"),
        (("--rates", "1", "--plf", "JD(0)"), "window: expected an integer >= 1"),
        (("--rates", "-1"), "rates"),
        (("--rates", "1", "--plf", "JD", "--metric", "kl"), "metric: expected 'w2' without FMD"),
        (("--rates", "1,2", "--levels", "1,2,3"), "levels: expected one number or shape"),
    ],
)
def test_bad_input_gets_its_message(words, message):
    found = run("steady", *words)
    assert found.exit_code == 2
    assert message in found.stderr


def test_a_loss_that_is_not_covered_exits_with_1():
    found = run("steady", "--rates", "1,2", "--plf", "JD(2)", "--levels", "0.1,0")
    assert found.exit_code == 1
    assert "PLF-JD at P > 0 with a window" in found.stderr


def test_a_joint_threshold_at_rates_that_change_has_its_bound():
    words = ("steady", "--rates", "1,0.1", "--plf", "JD", "--levels", "0.01")
    assert "certified gap" in run(*words).stdout
    answer = json.loads(run(*words, "--json").stdout)["losses"]["JD"]
    assert 0 <= answer["mean"] - answer["lower_bound"] < 1e-7
    source = GaussMarkov.stationary(rho=0.9, frames=2)
    assert answer["mean"] == steady_state(source, [1.0, 0.1], JD(0.01)).mean


def test_discounted_frames():
    words = ("steady", "--rates", "1,0.1", "--plf", "FMD,JD", "--discount", "0.5")
    answer = json.loads(run(*words, "--json").stdout)
    source = GaussMarkov.stationary(rho=0.9, frames=2)
    for row in answer["losses"]:
        expected = discounted(source, [1.0, 0.1], row["plf"], 0.5)
        assert row["discounted_distortion"] == pytest.approx(expected.objective)
        assert row["lower_bound"] == pytest.approx(expected.lower_bound)
        assert row["frames"] == expected.frames
    assert "lower bound" in run(*words).stdout
    assert len(run(*words, "--csv", "-").stdout.splitlines()) == 3
    for more, message in (
        (("--ar", "0.9"), "ar: not with --discount"),
        (("--approach", "2"), "approach: not with --discount"),
        (("--encoder", "optimal"), "encoder: not with --discount"),
        (("--discount", "1"), "discount: expected a value in [0, 1), got 1"),
    ):
        found = run(*words, *more)
        assert (found.exit_code, found.stderr.strip()) == (2, message)


def test_solve_takes_a_window():
    words = ("--rates", "0.3,1,2", "--plf", "JD", "--window", "2", "--json")
    found = json.loads(run("solve", *words).stdout)
    source = GaussMarkov.stationary(rho=0.9, frames=3)
    answer = solve(Problem(source, [0.3, 1, 2], JD(window=2)))
    np.testing.assert_allclose(found["distortion"], answer.distortion)
    assert (found["problem"]["plf"], found["problem"]["window"]) == ("JD(2)", 2)


def test_other_commands_take_a_window():
    for words in (
        ("minimum-rate", "--distortion", "0.5,0.4,0.3", "--plf", "JD", "--window", "2", "--json"),
        ("allocate", "--total", "2", "--frames", "3", "--plf", "JD", "--window", "2", "--json"),
    ):
        assert json.loads(run(*words).stdout)["plf"] == "JD(2)"
    curve = run("curve", "--rates", "0.5,x,x", "--points", "2", "--window", "2", "--json").stdout
    assert list(json.loads(curve)["curves"]) == ["MMSE", "FMD", "JD(2)", "SA"]
    for command in (("pareto", "--points", "2"), ("universality",)):
        found = run(*command, "--rates", "0.5,1,1", "--plf", "JD", "--window", "2", "--json")
        assert "JD(2)" in found.stdout
    table = run("sweep", "--rates", "0:1:2,1,1", "--window", "2", "--csv", "-", "--quiet").stdout
    assert len(table.splitlines()) == 3


def test_a_source_of_higher_order():
    found = run("steady", "--ar", "1.72,-0.81", "--rate", "0.5", "--plf", "JD")
    assert "JD: mean 0.135587, certified gap" in found.stdout
    answer = json.loads(run("steady", "--ar", "1.72,-0.81", "--rate", "0.5", "--json").stdout)
    assert answer["phi"] == [1.72, -0.81]
    source = AutoRegressive([1.72, -0.81])
    for name, loss in answer["losses"].items():
        assert loss["mean"] == pytest.approx(steady_state(source, 0.5, name).mean)
    words = ("steady", "--ar", "1.72,-0.81", "--rates", "0.5", "--plf", "JD")
    best = json.loads(run(*words, "--encoder", "optimal", "--json").stdout)["losses"]["JD"]
    assert best["lower_bound"] <= best["mean"] < 0.127
    for more, message in (
        (("--rho", "0.9"), "ar: expected --rho or --ar"),
        (("--levels", "0.001", "--window", "2"), "the least is 0.0"),
    ):
        assert message in run(*words, *more).output
    assert "poles inside the unit circle" in run("steady", "--ar", "2,-1", "--rates", "1").output
