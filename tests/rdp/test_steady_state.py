"""Periodic rates: the explicit states against long finite horizons, and printed values."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from rdp import GaussMarkov, closed_form, steady_state
from rdp.steady_state import backbone, contraction
from rdp.steady_windowed import zero_perception_windowed
from rdp.windowed import zero_perception_windowed as finite_windowed

RHO = st.sampled_from([0.0, 0.9, -0.7]) | st.floats(-0.97, 0.97)
PERIODS = st.lists(st.sampled_from([0.0, math.inf]) | st.floats(0.01, 6.0), min_size=1, max_size=5)
NAMES = ["mmse", "framewise", "zero_perception_joint", "zero_perception_self_adaptive"]
PATTERN = np.array([0, 8, 0, 4, 0, 4, 0, 4])


def repeated(rho, period, periods, sigma=1.0):
    frames = periods * len(period)
    return GaussMarkov.stationary(rho=rho, frames=frames, sigma=sigma), np.tile(period, periods)


@given(RHO, PERIODS, st.floats(0.1, 10.0), st.sampled_from(NAMES))
def test_the_periodic_state_is_the_limit_of_long_horizons(rho, period, sigma, name):
    source, rates = repeated(rho, period, 300, sigma)
    found = getattr(steady_state, name)(source, period)
    last = getattr(closed_form, name)(source, rates)[-len(period) :]
    factor = contraction(source, period, joint=name == "zero_perception_joint")
    assert_allclose(found / sigma**2, last / sigma**2, atol=3 * factor**299 + 1e-13)


@settings(max_examples=40)
@given(RHO, PERIODS, st.integers(1, 5))
def test_the_windowed_state_is_the_limit_of_long_horizons(rho, period, window):
    source, rates = repeated(rho, period, 400)
    found = zero_perception_windowed(source, period, window)
    last = finite_windowed(source, rates, window)[-len(period) :]
    assert_allclose(found.distortion, last, atol=2e-6 if abs(rho) > 0.93 else 1e-9)
    assert found.change <= 1e-13
    assert found.contraction <= 1


@pytest.mark.parametrize(
    ("rho", "period", "window"),
    [
        (0.9, [0.5], 2),  # no slower than the MMSE estimate
        (0.9, [1.0, 0.0], 2),
        (0.9, [1.0, 0.0], 3),
        (0.9, [1.0, 0.1], 3),
        (-0.8, [2.0, 0.1], 6),
        (0.9, [0.0, 1.0, 2.0], 5),
        (0.97, [1.0, 0.0, 0.0], 4),
    ],
)
def test_a_window_forgets_as_fast_as_its_contraction_says(rho, period, window):
    source, rates = repeated(rho, period, 120)
    found = zero_perception_windowed(source, period, window)
    run = finite_windowed(source, rates, window).reshape(120, -1)
    left = np.abs(run - found.distortion).max(axis=1)
    some = np.flatnonzero((left < 1e-5) & (left > 1e-12))
    slope = np.polyfit(some, np.log(left[some]), 1)[0]
    assert_allclose(np.exp(slope), found.contraction, rtol=0.02)


@pytest.mark.parametrize("period", [[0.5], [1.0, 0.1], [0.0, 3.0, 0.5]])
@pytest.mark.parametrize("window", [2, 3, 5])
def test_windows_over_sources_that_hardly_change(period, window):
    # in units of the innovation the distortion goes to a limit
    near, nearer = (
        zero_perception_windowed(GaussMarkov.stationary(rho=rho, frames=2), period, window)
        for rho in (1 - 1e-6, 1 - 1e-8)
    )
    assert_allclose(near.distortion / 1e-6, nearer.distortion / 1e-8, rtol=1e-4)


@pytest.mark.parametrize("rho", [1.0, -1.0])
@pytest.mark.parametrize("period", [[0.0], [0.0, 1.0], [1.0, 0.0], [math.inf], [0.3, 0.7, 2.0]])
@pytest.mark.parametrize("name", NAMES)
def test_a_source_that_never_renews_itself(rho, period, name):
    source, rates = repeated(rho, period, 200)
    last = getattr(closed_form, name)(source, rates)[-len(period) :]
    assert_allclose(getattr(steady_state, name)(source, period), last, atol=1e-12)
    if name == "zero_perception_joint":
        assert_allclose(zero_perception_windowed(source, period, 3).distortion, last, atol=1e-12)


def test_values_of_quality_ripples():
    source = GaussMarkov.stationary(rho=0.97, frames=2)
    for rates, expected in (
        ([0.5], [0.05580, 0.05660, 0.05660, 0.06538]),
        (0.5 + 0.8 * (PATTERN - PATTERN.mean()) / 8, [0.05917, 0.06013, 0.11900, 0.07267]),
        ([2.25] + 7 * [0.25], [0.08272, 0.08487, 0.18251, 0.10708]),
    ):
        found = [getattr(steady_state, name)(source, rates).mean() for name in NAMES]
        assert_allclose(found, expected, atol=5e-6)


@given(st.floats(-0.99, 0.99), st.floats(0.01, 6.0), st.integers(1, 6))
def test_at_constant_rate_every_window_costs_what_one_frame_costs(rho, rate, window):
    source = GaussMarkov.stationary(rho=rho, frames=2)
    framewise = steady_state.framewise(source, rate)
    assert_allclose(steady_state.zero_perception_joint(source, rate), framewise, rtol=1e-8)
    assert_allclose(
        zero_perception_windowed(source, rate, window).distortion, framewise, rtol=1e-8, atol=1e-14
    )


@given(RHO, PERIODS, st.integers(2, 4))
def test_the_windowed_loss_lies_between_framewise_and_joint(rho, period, window):
    source = GaussMarkov.stationary(rho=rho, frames=2)
    found = zero_perception_windowed(source, period, window).distortion
    assert (found >= steady_state.framewise(source, period) - 1e-9).all()
    assert (found <= steady_state.zero_perception_joint(source, period) + 1e-9).all()


@given(RHO, PERIODS, st.sampled_from([0.0, math.inf]) | st.floats(0.0, 1.5))
def test_framewise_thresholds(rho, period, level):
    source, rates = repeated(rho, period, 300)
    for metric in ("w2", "kl"):
        found = steady_state.framewise(source, period, level, metric)
        last = closed_form.framewise(source, rates, level, metric)[-len(period) :]
        assert_allclose(found, last, atol=1e-12)


@given(RHO, PERIODS, st.integers(1, 4))
def test_a_period_may_start_anywhere_and_be_repeated(rho, period, shift):
    source = GaussMarkov.stationary(rho=rho, frames=2)
    for name in NAMES:
        compute = getattr(steady_state, name)
        found = compute(source, period)
        assert_allclose(compute(source, np.roll(period, shift)), np.roll(found, shift), atol=1e-13)
        assert_allclose(compute(source, [*period, *period]), np.tile(found, 2), atol=1e-13)


def test_leading_axes_broadcast():
    source = GaussMarkov.stationary(rho=0.9, frames=2)
    rates = np.array([[0.5, 1.0], [2.0, 0.0]])
    for name in NAMES:
        compute = getattr(steady_state, name)
        assert_allclose(compute(source, rates), [compute(source, row) for row in rates])


def test_the_estimate_keeps_its_digits_at_small_rates():
    state = backbone(GaussMarkov.stationary(rho=0.5, frames=2), 1e-20)
    assert_allclose(state.variance, 1e-20 * 2 * math.log(2) / (1 - 0.25), rtol=1e-12)


def test_bad_input_is_named():
    good = GaussMarkov.stationary(rho=0.9, frames=2)
    for source, message in (
        (GaussMarkov([1.0]), "at least 2 frames"),
        (GaussMarkov([1.0, 2.0], 0.5), "stationary source, got sigma"),
        (GaussMarkov(np.ones((2, 2)), 0.5), "scalar frames, got 2 modes"),
    ):
        with pytest.raises(ValueError, match=f"source: expected.*{message}"):
            steady_state.mmse(source, 1.0)
    with pytest.raises(ValueError, match="rates: expected at least one frame in the period"):
        steady_state.mmse(good, [])
    with pytest.raises(ValueError, match="rates: expected values >= 0"):
        steady_state.mmse(good, -1)
    with pytest.raises(ValueError, match="levels: expected a shape that broadcasts"):
        steady_state.framewise(good, [1, 1], [0, 0, 0])
    with pytest.raises(ValueError, match="window: expected an integer >= 1"):
        zero_perception_windowed(good, 1.0, 0)
    with pytest.raises(ValueError, match=r"rates: expected one period, got shape \(1, 2\)"):
        zero_perception_windowed(good, [[1.0, 1.0]], 2)
