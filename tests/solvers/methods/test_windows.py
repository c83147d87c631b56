"""PLF-JD with a window: closed form, program, certificate, sweep; the ends of the window."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdp import FMD, JD, GaussMarkov, OperatingPoint, Problem, perception
from rdp.asymptotics import high_rate_expansion
from rdp.measure import perception_of
from rdp.windowed import zero_perception_windowed
from solvers import (
    SolverError,
    allocate,
    minimum_rate,
    pareto,
    solve,
    steady_state,
    sweep,
    universality,
    validate,
)
from solvers.certificate import lower_bound
from solvers.methods.block_sdp import solve_block
from solvers.methods.lookahead import lookahead
from solvers.methods.registry import METHODS, methods_for
from solvers.methods.waterfilling import waterfill
from solvers.prediction import predict
from tests.strategies import sources_with_rates

SOURCE = GaussMarkov.stationary(rho=0.9, frames=4)
MODES = GaussMarkov.stationary([0.9, 0.5], 3)
RATES = [0.3, 1.0, 0.5, 2.0]
CORRELATIONS = st.sampled_from([0.0, 0.99, -0.9]) | st.floats(0.01, 0.98)
BITS = st.sampled_from([0.0, np.inf]) | st.floats(0.001, 12.0)


@given(sources_with_rates(max_frames=6, correlations=CORRELATIONS, rates=BITS), st.data())
def test_at_threshold_zero_every_frame_lies_between_the_losses_of_the_ends(drawn, data):
    source, rates = drawn
    window = data.draw(st.integers(1, source.frames))
    found = solve(Problem(source, rates, JD(0.0, window=window)))
    assert found.method == "closed-form"
    least, most = (solve(Problem(source, rates, loss)).distortion for loss in (FMD(), JD()))
    slack = 1e-9 * source.variance
    assert (least - slack <= found.distortion).all()
    assert (found.distortion <= most + slack).all()
    np.testing.assert_allclose(found.perception, 0, atol=1e-9 * source.variance.max())


@pytest.mark.parametrize("level", [0.0, 0.05])
@pytest.mark.parametrize("weights", [None, [1, 2, 0, 1]])
def test_the_ends_of_the_window_are_fmd_and_jd(level, weights):
    for window, loss in ((1, FMD(level)), (4, JD(level))):
        found = solve(Problem(SOURCE, RATES, JD(level, window=window), weights))
        same = solve(Problem(SOURCE, RATES, loss, weights))
        assert found.problem.plf == f"JD({window})"
        assert found.method == same.method
        np.testing.assert_allclose(found.distortion, same.distortion, rtol=1e-9)
        np.testing.assert_allclose(found.perception, same.perception, atol=1e-9)


@settings(max_examples=15)
@given(
    st.floats(-0.95, 0.95), st.lists(st.floats(0.1, 3.0), min_size=4, max_size=4), st.integers(2, 3)
)
def test_the_program_agrees_with_the_closed_form(rho, rates, window):
    source = GaussMarkov.stationary(rho=rho, frames=4)
    problem = Problem(source, rates, JD(0.0, window=window))
    np.testing.assert_allclose(
        solve(problem, "sdp").distortion, solve(problem).distortion, atol=1e-6
    )


@pytest.mark.parametrize("window", [2, 3])
@pytest.mark.parametrize("level", [0.0, 0.02, 0.05])
@pytest.mark.parametrize("weights", [None, [1, 1, 1, 1], [1, 2, 0, 1], [0, 0, 0, 1]])
def test_the_program_is_certified_and_feasible(window, level, weights):
    found = solve(Problem(SOURCE, RATES, JD(level, window=window), weights), "sdp")
    assert -1e-8 <= found.gap <= 1e-5 * found.objective + 1e-8
    assert max(found.residuals.values()) < 1e-6
    np.testing.assert_array_less(found.perception, level + 1e-7)
    # of every feasible set the joint one is a part, and it is a part of the framewise one
    least, most = (
        solve(Problem(SOURCE, RATES, loss, weights)).objective for loss in (FMD(level), JD(level))
    )
    if weights is not None:
        assert least - 1e-6 <= found.objective <= most + 1e-6
    assert found.distortion[0] >= solve(Problem(SOURCE, RATES)).distortion[0]


def test_a_weighted_objective_increases_with_the_window():
    for level in (0.0, 0.03):
        values = [
            solve(Problem(SOURCE, RATES, JD(level, window=w), np.ones(4))).objective
            for w in (1, 2, 3, 4)
        ]
        assert (np.diff(values) > -1e-7).all()


def test_every_two_frames_look_like_the_source_and_the_loss_is_measured_with_the_window():
    found = solve(Problem(SOURCE, RATES, JD(0.0, window=2)))
    for t in range(3):
        block = slice(t, t + 2)
        np.testing.assert_allclose(
            found.cov_xhat[block, block], SOURCE.covariance()[block, block], atol=1e-12
        )
    assert abs(found.cov_xhat[0, 2] - SOURCE.covariance()[0, 2]) > 0.01
    by_hand = perception_of(SOURCE, found.cov_xhat, found.cross, JD(window=2))
    np.testing.assert_allclose(by_hand, 0, atol=1e-12)
    assert found.perception_under("JD(3)")[2] > 1e-3
    x, xhat = found.simulate(200_000, rng=0)
    error = (x - xhat) ** 2
    spread = 4 * error.std(axis=0) / np.sqrt(len(x))
    assert (np.abs(error.mean(axis=0) - found.distortion) < spread).all()


@pytest.mark.parametrize("loss", [JD(0.0, window=2), JD(0.02, window=2), JD(0.0, window=3)])
def test_a_sweep_gives_what_solve_gives(loss):
    rates = np.array([[0.5, 0.5, 1.0], [0.0, 2.0, 2.0]])
    source = GaussMarkov.stationary(rho=0.8, frames=3)
    found = sweep(Problem(source, 0.0, loss), rates)
    assert (found.status == 0).all()
    for point, distortion, reached in zip(rates, found.distortion, found.perception, strict=True):
        alone = solve(Problem(source, point, loss))
        np.testing.assert_allclose(distortion, alone.distortion, atol=1e-9)
        np.testing.assert_allclose(reached, alone.perception, atol=1e-9)


def test_a_bound_of_slopes_outside_the_window_ignores_them():
    problem = Problem(SOURCE, RATES, JD(0.02, window=2), [1, 1, 1, 1])
    slope = np.zeros((4, 4, 4))
    base = lower_bound(problem, np.ones(4), slope)
    slope[3, 0, 0] = -0.5
    assert lower_bound(problem, np.ones(4), slope) == base
    assert base <= solve(problem).objective


def test_rates_and_fronts_of_a_window_lie_between_those_of_its_ends():
    losses = (FMD(), JD(window=2), JD())
    totals = [minimum_rate(SOURCE, 0.4, loss).total for loss in losses]
    assert (np.diff(totals) > -1e-5).all()
    turns = minimum_rate(SOURCE, 0.9, JD(window=2), "sequential").rates
    assert (solve(Problem(SOURCE, turns, JD(window=2))).distortion <= 0.9 + 1e-9).all()
    splits = [allocate(SOURCE, 2.0, loss).objective for loss in losses]
    assert (np.diff(splits) > -1e-5).all()
    front = pareto(Problem(SOURCE, RATES, JD(window=2)), (3, 4), points=3)
    assert (front.gap < 1e-5).all()
    assert universality(Problem(SOURCE, RATES, JD(window=2))).extra_rate == 0.0


def test_thresholds_of_frames_that_are_free_or_fall():
    free = solve(Problem(SOURCE, RATES, JD([0, 0, np.inf, np.inf], window=2)))
    assert free.method == "closed-form"
    np.testing.assert_allclose(free.distortion[2:], free.mmse[2:])
    falling = Problem(SOURCE, RATES, JD([0.1, 0.1, 0.05, 0.0], window=2))
    with pytest.raises(SolverError, match=r"PLF-JD\(2\) that decrease, with the sequential"):
        solve(falling)
    assert solve(falling.with_(weights=np.ones(4))).gap < 1e-5


def test_the_registry_says_what_takes_a_window():
    problem = Problem(SOURCE, RATES, JD(0.05, window=2))
    assert [method.name for method in methods_for(problem)] == ["sdp"]
    assert "the window of PLF-JD(2)" in str(METHODS["barrier"].refusal(problem))
    with pytest.raises(SolverError, match=r"barrier: does not cover the window of PLF-JD\(2\)"):
        solve(problem, "barrier")
    with pytest.raises(SolverError, match=r"the window of PLF-JD\(2\)"):
        solve(Problem(MODES, 1.0, JD(window=2)))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: JD(window=0), "window: expected an integer >= 1, got 0"),
        (lambda: JD(window=1.5), "window: expected an integer"),
        (lambda: perception("JD(0)"), "window: expected an integer >= 1"),
        (lambda: perception("FMD", window=2), "window: expected PLF-JD"),
        (lambda: perception(None, window=2), "window: expected PLF-JD"),
        (lambda: perception(JD(window=3), window=2), "window: expected 3 like"),
        (lambda: Problem(SOURCE, 1.0, JD(window=5)), "window: expected at most 4"),
        (lambda: OperatingPoint("a", "JD(3)", [1, 1], [1, 1]), "window: expected at most 2"),
        (lambda: waterfill(GaussMarkov([[1.0, 2.0]]), 1.0, "JD(1)"), "plf: expected one of MMSE"),
        (lambda: lookahead(SOURCE, 1.0, None, JD(window=2)), "plf: expected one of MMSE"),
        (lambda: predict(MODES, [1.0]).psnr("JD(2)"), "plf: expected one of MMSE"),
        (lambda: high_rate_expansion("JD(2)", 3), "plf: expected one of MMSE"),
        (lambda: solve_block(None, 1.0, JD(window=2)), "perception: expected one of MMSE"),
    ],
)
def test_bad_windows_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_a_window_is_part_of_the_name_and_kept_by_new_thresholds():
    loss = perception("jd", 0.1, window=2)
    assert (loss.name, repr(loss), loss.window) == ("JD(2)", "JD(levels=0.1, window=2)", 2)
    assert repr(loss.at(0.2)) == "JD(levels=0.2, window=2)"
    assert repr(loss.over(np.zeros(1))) == "JD(levels=array([0.]), window=1)"
    assert JD.name == JD().name == "JD"
    point = OperatingPoint("a", loss, [1, 1], [0.5, 0.5])
    assert OperatingPoint.from_json(point.to_json()).plf == "JD(2)"


def test_measured_points_are_compared_with_the_curve_of_their_window():
    theory = zero_perception_windowed(SOURCE, RATES, 2)
    for factor, ok in ((1.01, True), (0.9, False)):
        point = OperatingPoint("a", "JD(2)", RATES, factor * theory, perception=np.zeros(4))
        found = validate([point], SOURCE)
        assert found.ok == ok
        assert {check.plf for check in found} == {"JD(2)"}


def test_the_loss_brings_its_window_to_the_long_run():
    pattern = [2.0, 0.25]
    brought = steady_state(SOURCE, pattern, JD(window=2))
    np.testing.assert_array_equal(
        brought.distortion, steady_state(SOURCE, pattern, JD(), window=2).distortion
    )
    assert brought.window == 2
    with pytest.raises(ValueError, match="window: expected PLF-JD"):
        steady_state(SOURCE, pattern, FMD(), window=2)


@pytest.mark.parametrize("weights", [None, np.ones(6)])
def test_a_large_program_is_given_as_it_is(weights, monkeypatch):
    """As a parameter of cvxpy each entry takes hundreds of bytes."""
    problem = Problem(GaussMarkov.stationary(rho=0.9, frames=6), 0.7, JD(0.02, window=3), weights)
    found = []
    for most in (np.inf, 0):
        monkeypatch.setattr("solvers._sdp.moments.PARAMETERS", most)
        found.append(solve(problem, method="sdp"))
    np.testing.assert_allclose(found[0].distortion, found[1].distortion, atol=2e-6)
    assert abs(found[0].objective - found[1].objective) < 2e-7


def test_many_frames_with_a_window_and_weights_are_solved_in_seconds():
    problem = Problem(
        GaussMarkov.stationary(rho=0.9, frames=24), 1.0, JD(0.01, window=3), np.ones(24)
    )
    began = time.process_time()
    found = solve(problem)
    assert found.gap < 1e-7 * found.objective
    assert time.process_time() - began < 15  # 1.1 s on a quiet machine
