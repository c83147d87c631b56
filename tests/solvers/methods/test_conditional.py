"""The loss CP from end to end: posterior sampling is optimal, measured, swept and refused."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from rdp import CP, FMD, GaussMarkov, OperatingPoint, Problem, perception
from rdp.codec.dithered import DitheredCodec
from rdp.codec.evaluation import perception_loss
from rdp.conditional import conditional, posterior_sampling
from rdp.measure import perception_of
from rdp.mmse import mmse_recursion
from rdp.perception import LOSSES
from solvers import (
    SolverError,
    allocate,
    minimum_rate,
    schedule,
    solve,
    steady_state,
    sweep,
    validate,
)
from solvers.certificate import lower_bound
from solvers.cli import app
from tests.strategies import problems

SOURCE = GaussMarkov.stationary(rho=0.9, frames=3)
RATES = [0.5, 0.25, 1.0]


@given(problems(plf=CP, weighted=None, rates=st.floats(0.0, 10.0)))
def test_every_problem_has_a_closed_form_whose_scheme_is_posterior_sampling(problem):
    found = solve(problem)
    scheme = posterior_sampling(problem.source, problem.rates, problem.thresholds)
    np.testing.assert_allclose(found.distortion, scheme.distortion, atol=1e-9)
    allowed = np.minimum(problem.thresholds, found.mmse)
    scale = problem.source.variance.max()
    np.testing.assert_allclose(found.perception, allowed, atol=1e-6 * scale)


def test_the_loss_is_measured_from_the_scheme():
    m = mmse_recursion(SOURCE, RATES).mmse
    estimate = solve(Problem(SOURCE, RATES))
    np.testing.assert_allclose(estimate.perception_under(CP()), m)
    # a scaled estimate: mean off by (1 - s) Xtil, no spread
    half = perception_of(SOURCE, estimate.cov_xhat / 4, estimate.cross / 2, "CP", m)
    np.testing.assert_allclose(half, m + (1 - m) / 4)
    with pytest.raises(ValueError, match="mmse: expected the errors"):
        perception_of(SOURCE, estimate.cov_xhat, estimate.cross, CP())


def test_the_loss_adds_up_over_modes():
    source = GaussMarkov([[2.0, 1.0], [2.0, 1.0]], [[0.9, 0.5]])
    estimate = solve(Problem(source, 1.0))
    np.testing.assert_allclose(estimate.perception_under(CP()), estimate.mmse)


def test_the_curve_has_a_line_where_it_is_asked_for(tmp_path):
    path = tmp_path / "curve.png"
    words = ["curve", "--rates", "0.5,x", "--points", "2", "--plf", "CP,JD(2)", "--frames", "2"]
    found = CliRunner().invoke(app, [*words, "--plot", str(path), "--csv", "-"])
    assert found.exit_code == 0
    assert path.exists()
    rows = list(csv.DictReader(found.stdout.splitlines()))
    assert [row["plf"] for row in rows][::2] == ["CP", "JD(2)"]
    against = CliRunner().invoke(
        app, ["curve", "--against", "perception", "--rates", "1,1", "--plf", "CP", "--points", "3"]
    )
    assert against.exit_code == 0


def test_perfect_conditional_realism_costs_twice_the_error_and_implies_framewise_realism():
    found = solve(Problem(SOURCE, RATES, CP()))
    np.testing.assert_allclose(found.distortion, 2 * found.mmse)
    np.testing.assert_allclose(found.perception_under(FMD()), 0, atol=1e-12)
    x, xhat = found.simulate(100_000, rng=0)
    error = (x - xhat) ** 2
    spread = 4 * error.std(axis=0) / np.sqrt(len(x))
    assert (np.abs(error.mean(axis=0) - found.distortion) < spread).all()


def test_a_sweep_is_the_formula():
    rates = np.array([[0.5, 0.5, 1.0], [0.0, 2.0, 2.0]])
    found = sweep(Problem(SOURCE, 0.0, CP(0.1)), rates)
    np.testing.assert_allclose(found.distortion, conditional(SOURCE, rates, 0.1))
    assert (found.status == 0).all()


def test_the_long_run_is_the_end_of_a_long_problem():
    pattern = [1.0, 0.25]
    for loss in (CP(), CP(0.02)):
        found = steady_state(SOURCE, pattern, loss)
        long = conditional(
            GaussMarkov.stationary(rho=0.9, frames=80), np.tile(pattern, 40), loss.levels
        )
        np.testing.assert_allclose(found.distortion, long[-2:], atol=1e-9)
        np.testing.assert_allclose(found.approach(2).ravel(), long[:4])
    np.testing.assert_allclose(schedule(SOURCE, 0.5, 2, CP()).rates, 0.5)


def test_a_measured_point_is_compared_with_its_curve():
    theory = conditional(SOURCE, RATES)
    for factor, ok in ((1.01, True), (0.9, False)):
        point = OperatingPoint("a", "CP", RATES, factor * theory, perception=np.zeros(3))
        assert validate([point], SOURCE).ok == ok


def test_the_name_is_read_and_codecs_leave_the_loss_out():
    assert repr(perception("cp", 0.1)) == "CP(levels=0.1)"
    assert "CP" not in LOSSES
    codec = DitheredCodec.at_rates(SOURCE, [1.0, 1.0, 1.0])
    samples = SOURCE.sample(10, rng=0)
    for refused in (lambda: codec.decoder(CP()), lambda: perception_loss(samples, samples, "CP")):
        with pytest.raises(ValueError, match="plf: expected one of MMSE, FMD, JD, SA"):
            refused()
    turns = minimum_rate(SOURCE, 0.5, CP(), "sequential")
    np.testing.assert_allclose(turns.distortion[0], 0.5)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: solve(Problem(SOURCE, RATES, CP()), "sdp"),
        lambda: solve(Problem(SOURCE, RATES, CP()), "barrier"),
        lambda: solve(Problem(GaussMarkov([[1.0, 2.0]]), 1.0, CP())),
        lambda: allocate(SOURCE, 1.0, CP()),
        lambda: minimum_rate(SOURCE, 0.5, CP()),
        lambda: schedule(SOURCE, 0.5, 2, CP(), weights=[1, 2]),
    ],
)
def test_what_is_not_covered_says_so(ask):
    with pytest.raises(SolverError, match=r"CP|with weights|vector frames"):
        ask()


def test_there_is_no_certificate_of_multipliers():
    with pytest.raises(ValueError, match="got CP"):
        lower_bound(Problem(SOURCE, RATES, CP()), np.zeros(3), np.zeros((3, 3, 3)))
