"""Limited common randomness: a scheme, and a bound that is kept apart from it."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from rdp import CP, FMD, JD, SA, GaussMarkov, Problem, Status
from rdp import common_randomness as formulas
from rdp.bounds import limited_common_randomness
from solvers import SolverError, solve, sweep
from solvers.cli import app
from solvers.methods.registry import methods_for

SOURCE = GaussMarkov.stationary(rho=0.9, frames=3)
RATES = [0.5, 0.25, 1.0]
LOSSES = (FMD(), JD())


@given(st.sampled_from(LOSSES), st.lists(st.floats(0, 4), min_size=3, max_size=3))
def test_the_distortion_is_achievable_and_above_the_bound(loss, shared):
    found = solve(Problem(SOURCE, RATES, loss, common_randomness=shared))
    build = formulas.framewise_scheme if loss.name == "FMD" else formulas.joint_scheme
    np.testing.assert_allclose(found.distortion, build(SOURCE, RATES, shared).distortion)
    bound = formulas.framewise_bound(SOURCE, RATES, shared)
    assert found.lower_bound == pytest.approx(bound.sum())
    assert found.gap >= -1e-9
    assert max(found.residuals.values()) < 1e-9
    np.testing.assert_allclose(found.perception, 0, atol=1e-9)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_more_shared_bits_never_cost_and_without_limit_the_problem_is_the_old_one(loss):
    values = [
        solve(Problem(SOURCE, RATES, loss, common_randomness=bits)).objective
        for bits in (0.0, 0.5, 1.0, 2.0, 20.0)
    ]
    assert (np.diff(values) < 1e-12).all()
    free = solve(Problem(SOURCE, RATES, loss))
    assert free.method == "closed-form"
    assert values[-1] == pytest.approx(free.objective, abs=1e-6)
    mixed = Problem(SOURCE, RATES, loss, common_randomness=[0.0, np.inf, np.inf])
    assert solve(mixed).method == "shared-bits"


def test_one_frame_is_the_known_curve():
    source = GaussMarkov([1.0])
    found = solve(Problem(source, 1.0, FMD(), common_randomness=0.5))
    assert found.status == Status.SOLVED
    assert found.distortion[0] == pytest.approx(float(limited_common_randomness(1.0, 0.5)))


def test_what_is_proved_and_what_is_a_scheme_are_told_apart():
    joint = solve(Problem(SOURCE, 0.5, JD(), common_randomness=0.0))
    assert joint.status == Status.ACHIEVABLE == "achievable"
    assert joint.gap > 0.1
    assert "a converse" in joint.message
    assert "achievable; no code does better than" in str(joint)
    framewise = solve(Problem(SOURCE, 0.5, FMD(), common_randomness=0.0))
    assert framewise.status == Status.SOLVED  # stationary, constant rate: the bound is met
    for found in (joint, framewise):
        assert "of a scheme" in str(found)
        assert f"no code does better than {found.lower_bound:.6g} (gap" in str(found)
        assert "certified" not in str(found)
        assert "sketched, not proved" in found.message
    assert "meets the bound" in str(framewise)
    one = solve(Problem(GaussMarkov([1.0]), 0.5, FMD(), common_randomness=0.0))
    assert "reach it is known" in one.message


@pytest.mark.parametrize(("loss", "said"), [("FMD", "meets the bound"), ("JD", "achievable")])
def test_the_command_says_scheme_and_bound_and_the_gap(loss, said):
    words = ["solve", "--rates", "0.5,0.5", "--plf", loss, "--common-randomness", "0"]
    text = " ".join(CliRunner().invoke(app, words).stdout.split())
    found = solve(Problem(GaussMarkov.stationary(0.9, 2), 0.5, loss, common_randomness=0.0))
    assert said in text
    assert f"no code reaches less than {found.lower_bound:.6g}, gap {max(found.gap, 0):.1e}" in text
    assert "sketched, not proved" in text
    assert "certified" not in text


def test_a_simulation_has_the_distortion_of_the_scheme():
    found = solve(Problem(SOURCE, RATES, JD(), common_randomness=1.0))
    x, xhat = found.simulate(200_000, rng=0)
    error = (x - xhat) ** 2
    spread = 4 * error.std(axis=0) / np.sqrt(len(x))
    assert (np.abs(error.mean(axis=0) - found.distortion) < spread).all()


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_a_sweep_keeps_the_values_of_schemes(loss):
    problem = Problem(SOURCE, 0.0, loss, common_randomness=0.5)
    rates = np.array([[0.5, 0.5, 0.5], [0.1, 2.0, 1.0]])
    found = sweep(problem, rates)
    for index, point in enumerate(rates):
        alone = solve(problem.with_(rates=point))
        np.testing.assert_allclose(found.distortion[index], alone.distortion)
        assert found.lower_bound[index] == pytest.approx(alone.lower_bound)
        assert found.status[index] == alone.status.code
    above = sweep(problem, rates, levels=[[0.1]])
    assert (above.status == Status.UNSUPPORTED.code).all()


def test_a_checkpoint_belongs_to_one_limit(tmp_path):
    rates, path = np.array([[0.5, 0.5, 0.5]]), tmp_path / "points"
    problem = Problem(SOURCE, 0.0, JD(), common_randomness=0.5)
    sweep(problem, rates, checkpoint=path)
    with pytest.raises(ValueError, match="checkpoint"):
        sweep(problem.with_(common_randomness=1.0), rates, checkpoint=path)


@pytest.mark.parametrize("bits", ["0", "1"])
def test_the_command_says_what_is_achievable(bits):
    words = ["solve", "--rates", "0.5,0.5", "--plf", "JD", "--common-randomness", bits]
    found = CliRunner().invoke(app, words)
    assert found.exit_code == 0
    assert "is achievable; no code reaches less than" in found.stdout
    answer = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert answer["status"] == "achievable"
    assert answer["problem"]["common_randomness"] == [float(bits)] * 2
    assert answer["lower_bound"] < answer["objective"]
    refused = CliRunner().invoke(app, [*words[:4], "SA", *words[5:]])
    assert refused.exit_code == 2
    assert "common_randomness: expected inf for SA" in refused.stderr


def test_other_methods_say_that_they_do_not_cover_it():
    problem = Problem(SOURCE, RATES, JD(), common_randomness=1.0)
    assert [method.name for method in methods_for(problem)] == ["shared-bits"]
    with pytest.raises(SolverError, match="sdp: does not cover limited common randomness"):
        solve(problem, "sdp")
    with pytest.raises(SolverError, match="does not cover unlimited common randomness"):
        solve(Problem(SOURCE, RATES, JD()), "shared-bits")


@pytest.mark.parametrize(
    ("loss", "shared", "message"),
    [
        (SA(), 1.0, "common_randomness: expected inf for SA"),
        (CP(), 1.0, "common_randomness: expected inf for CP"),
        (None, 1.0, "common_randomness: expected inf for MMSE"),
        (JD(window=2), 1.0, r"common_randomness: expected inf for JD\(2\)"),
        (FMD(0.1), 1.0, "common_randomness: expected inf for positive thresholds"),
        (FMD(), -1.0, "common_randomness"),
        (FMD(), [1.0, 2.0], r"common_randomness: expected .*shape \(3,\)"),
    ],
)
def test_a_limit_where_it_is_not_defined_is_refused(loss, shared, message):
    with pytest.raises(ValueError, match=message):
        Problem(SOURCE, RATES, loss, common_randomness=shared)
    with pytest.raises(ValueError, match="vector frames"):
        Problem(GaussMarkov([[1.0, 2.0]]), 1.0, FMD(), common_randomness=1.0)
