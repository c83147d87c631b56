"""The two objectives of the long run, and sources of first order by two routes."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from typer.testing import CliRunner

from rdp import CP, FMD, JD, SA, AutoRegressive, GaussMarkov, StateSpace
from solvers import SolverError
from solvers.cli import app
from solvers.linear.steady_losses import steady_losses
from solvers.steady_answer import first_order
from solvers.steady_state import steady_state

SOURCE = GaussMarkov.stationary(rho=0.9, frames=2)
PAIR = AutoRegressive.from_poles(0.95 * np.exp([0.3j, -0.3j]))
PERIOD = [1.0, 0.1]
ZERO = [None, FMD(0.0), CP(0.01), JD(0.0), SA(0.0)]


@settings(max_examples=10)
@given(
    st.floats(-0.95, 0.95),
    st.floats(0.2, 5.0),
    st.lists(st.floats(0.05, 4.0), min_size=1, max_size=3),
    st.sampled_from(ZERO),
)
def test_first_order_has_the_numbers_of_the_methods_of_any_order(rho, sigma, period, loss):
    closed = GaussMarkov.stationary(rho=rho, frames=2, sigma=sigma)
    rates, levels = np.array(period), np.zeros(len(period))
    if loss is None or loss.levels:
        levels += np.inf if loss is None else loss.levels
    general = steady_losses(AutoRegressive(rho, sigma), rates, loss, levels)
    least = steady_state(closed, period, loss, objective="mean")
    in_turn = steady_state(closed, period, loss, objective="sequential")
    size = {"rtol": 1e-9, "atol": 1e-9 * sigma**2}
    if general.sequential is None:
        assert_allclose(in_turn.distortion, general.distortion, **size)
    else:
        assert_allclose(in_turn.distortion, general.sequential, **size)
        assert_allclose(least.mean, general.distortion.mean(), **size)
        assert least.mean <= in_turn.mean * (1 + 1e-12)
    for same in (
        AutoRegressive(rho, sigma),
        StateSpace([[rho]], [[4 * sigma**2 * (1 - rho) * (1 + rho)]], [0.5]),
    ):
        for found in (least, in_turn):
            twin = steady_state(
                same, period, loss, objective=found.objective.replace("both", "mean")
            )
            assert twin.objective == found.objective
            assert_allclose(twin.distortion, found.distortion, **size)


@pytest.mark.parametrize(
    ("loss", "rates"),
    [
        (JD(0.01), PERIOD),
        (JD(0.01), [0.5]),
        (JD(0.01, window=2), PERIOD),
        (JD([0.01, 0.03]), [1, 1]),
    ],
)
def test_first_order_has_the_exact_answer_above_zero(loss, rates):
    exact = steady_state(SOURCE, rates, loss)
    found = steady_state(AutoRegressive(0.9), rates, loss)
    assert_allclose(found.distortion, exact.distortion, rtol=1e-9)
    assert (found.method, found.objective) == (exact.method, exact.objective)
    # the scheme of the methods of any order is worse, and its bound lower
    levels = np.broadcast_to(loss.levels, len(rates))
    scheme = steady_losses(AutoRegressive(0.9), np.array(rates, float), loss, levels)
    assert scheme.lower_bound - 1e-8 <= exact.mean <= scheme.distortion.mean() + 1e-8


def test_the_objective_is_the_one_that_is_asked_for_or_named():
    for loss in (None, FMD(0.01), CP(0.01), JD(0.0, window=1), JD(np.inf)):
        for asked in (None, "sequential", "mean"):
            assert steady_state(SOURCE, PERIOD, loss, objective=asked).objective == "both"
    for source, loss, rates, default in (
        (SOURCE, "JD", PERIOD, "sequential"),
        (SOURCE, "JD", 0.5, "both"),
        (SOURCE, JD(0.01), 0.5, "both"),
        (SOURCE, JD(0.01), PERIOD, "mean"),
        (SOURCE, JD(0.01, window=2), 0.5, "mean"),
        (SOURCE, "JD(2)", PERIOD, "sequential"),
        (SOURCE, "SA", 0.5, "sequential"),
        (PAIR, "JD", 0.5, "mean"),
        (PAIR, "JD(2)", 0.5, "sequential"),
        (PAIR, JD(0.01), 0.5, "mean"),
        (PAIR, "SA", 0.5, "sequential"),
    ):
        found = steady_state(source, rates, loss)
        assert found.objective == default
        least = steady_state(source, rates, loss, objective="mean")
        assert least.objective == ("both" if default == "both" else "mean")
        assert least.mean <= found.mean * (1 + 1e-12)


def test_the_least_mean_is_where_small_thresholds_lead():
    period = [3.0] + 7 * [0.4]
    in_turn = steady_state(SOURCE, period, "JD")
    least = steady_state(SOURCE, period, "JD", objective="mean")
    assert (round(in_turn.mean, 4), round(least.mean, 4)) == (0.2031, 0.1887)
    assert least.error < 1e-10
    level, excess = 1e-4, least.mean - least.mmse.mean()
    near = steady_state(SOURCE, period, JD(level))
    # the mixture with the estimate is allowed, and the curve is convex
    mixed = least.mmse.mean() + (1 - np.sqrt(level / excess)) ** 2 * excess
    assert least.mean - 4 * np.sqrt(level * least.mean) < near.mean < mixed < least.mean


def test_the_sequential_decoder_of_second_order_is_where_first_frames_lead():
    found = steady_state(PAIR, [0.5, 1.0], "JD", objective="sequential")
    assert found.objective == "sequential"
    assert_allclose(found.approach(150)[-1], found.distortion, rtol=1e-9)
    assert found.mean >= steady_state(PAIR, [0.5, 1.0], "JD", objective="mean").mean


@pytest.mark.parametrize("source", [SOURCE, PAIR])
@pytest.mark.parametrize("loss", ["SA", SA(0.01), "JD(2)"])
def test_a_mean_that_is_not_known_is_between_a_scheme_and_a_bound(source, loss):
    found = steady_state(source, [0.6, 0.9], loss, objective="mean")
    assert (found.method, found.objective) == ("bounds", "mean")
    assert found.mmse.mean() <= found.lower_bound * (1 + 1e-12) <= found.mean * (1 + 2e-12)
    default = steady_state(source, [0.6, 0.9], loss)
    assert found.mean <= default.mean * (1 + 1e-12)


def test_a_window_above_zero_bounds_the_window_at_zero():
    found = steady_state(SOURCE, PERIOD, "JD(2)", objective="mean")
    frames_alone = steady_state(SOURCE, PERIOD, "FMD").mean
    assert frames_alone < found.lower_bound <= found.mean < 1.02 * found.lower_bound


@pytest.mark.parametrize("source", [SOURCE, AutoRegressive(0.9), PAIR])
@pytest.mark.parametrize("loss", [JD(0.01), JD(0.01, window=2)])
def test_the_sequential_objective_is_refused_where_only_the_mean_is_known(source, loss):
    with pytest.raises(SolverError, match="sequential objective is not known"):
        steady_state(source, PERIOD, loss, objective="sequential")


def test_a_source_that_never_renews_itself_repeats_its_first_frame():
    for rho in (1.0, -1.0):
        source = GaussMarkov.stationary(rho=rho, frames=2)
        assert steady_state(source, PERIOD, "JD", objective="mean").objective == "both"


def test_sources_that_are_of_first_order():
    found = first_order(StateSpace(np.diag([0.5, 0.9]), np.eye(2), [1.0, 0.0]))
    assert_allclose([found.rho[0], found.sigma[0]], [0.5, np.sqrt(4 / 3)])
    assert first_order(AutoRegressive([0.5, 0.0])) is not None
    for other in (
        PAIR,
        StateSpace([[0.5]], [[0.0]], [1.0]),
        StateSpace([[1.0]], [[1.0]], [1.0], [[1.0]]),
        StateSpace(0.5 * np.eye(2), np.eye(2), np.eye(2)),
        StateSpace.arma([0.5], [0.3]),
    ):
        assert first_order(other) is None


def test_bad_objectives():
    with pytest.raises(ValueError, match="objective: expected 'sequential' or 'mean', got 'least'"):
        steady_state(SOURCE, 1.0, objective="least")


def test_the_printed_form_names_the_objective():
    text = str(steady_state(SOURCE, PERIOD, "JD", objective="mean"))
    assert text.startswith("JD: mean 0.237586, certified gap")
    assert text.endswith("by matrix-inequality, least mean")
    found = steady_state(SOURCE, PERIOD, None)
    assert str(found).startswith("MMSE: mean 0.16")
    assert "objective='both'" in repr(found)
    assert dataclasses.replace(found, objective="sequential").origin.endswith(
        "sequential objective"
    )


def test_the_command_names_the_objective_and_takes_one():
    words = ["steady", "--rates", "1,0.1", "--plf", "JD"]
    assert "sequential objective" in CliRunner().invoke(app, words).stdout
    asked = CliRunner().invoke(app, [*words, "--objective", "mean", "--json"])
    answer = json.loads(asked.stdout)["losses"]["JD"]
    assert answer["objective"] == "mean"
    assert answer["mean"] == steady_state(SOURCE, PERIOD, "JD", objective="mean").mean
    for more, code, message in (
        (("--objective", "least"), 2, "objective: expected 'sequential' or 'mean'"),
        (("--objective", "mean", "--discount", "0.9"), 2, "objective: not with --discount"),
        (("--objective", "sequential", "--levels", "0.01"), 1, "ask for objective 'mean'"),
    ):
        found = CliRunner().invoke(app, [*words, *more])
        assert (found.exit_code, message in found.stderr) == (code, True)
