"""PLF-JD and PLF-JD(w) at P > 0 and rates that repeat: limits of long problems, orders, scaling."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from rdp import FMD, JD, AutoRegressive, GaussMarkov, Problem
from rdp import steady_state as formulas
from rdp.steady_state import framewise
from solvers import solve
from solvers._steady.joint import steady_joint
from solvers._steady.window import steady_window
from solvers.linear.steady_decoder import steady_distortion
from solvers.steady_state import steady_state

PERIODS = st.lists(st.floats(0.0, 3.0), min_size=2, max_size=3)


def source_of(rho, sigma=1.0):
    return GaussMarkov.stationary(rho=rho, frames=2, sigma=sigma)


def block(rho, period, level, periods):
    """Least sum of distortions of a block that knows the past: a lower bound of any long run."""
    frames = periods * len(period)
    rates = np.tile(period, periods)
    rates[0] = -0.5 * np.log2(formulas.mmse(source_of(rho), period)[0])
    levels = np.full(frames, np.inf)
    levels[-1] = level * frames
    problem = Problem(
        GaussMarkov.stationary(rho=rho, frames=frames), rates, JD(levels), np.ones(frames)
    )
    return solve(problem, method="long-horizon").objective


@pytest.mark.parametrize(
    ("rho", "period", "level"), [(0.7, [1.0, 0.1], 0.01), (0.6, [0.2, 1.5, 0.2], 0.02)]
)
def test_it_is_the_limit_of_long_blocks(rho, period, level):
    found = steady_state(source_of(rho), period, JD(level))
    assert found.method == "coupling"
    short, long = (block(rho, period, level, count) for count in (8, 16))
    frames = 8 * len(period)
    assert short / frames < long / (2 * frames) < found.mean + 1e-7
    # what a block loses at its ends is nearly the same for both
    assert_allclose((long - short) / frames, found.mean, rtol=2e-4)


@settings(max_examples=15)
@given(PERIODS, st.floats(0.0, 0.9), st.floats(0.002, 0.5), st.floats(0.3, 3.0))
def test_the_bound_is_near_and_the_value_between_its_ends(period, rho, level, sigma):
    source = source_of(rho, sigma)
    found = steady_state(source, period, JD(level * sigma**2))
    mmse = found.mmse.mean()
    exact = formulas.zero_perception_joint(source, period).mean()
    short = max(np.sqrt(max(exact - mmse, 0.0)) - np.sqrt(level) * sigma, 0.0)
    assert mmse * (1 - 1e-12) <= found.mean <= (mmse + short**2) * (1 + 1e-6)
    if np.ptp(period) > 0:
        assert found.lower_bound <= found.mean * (1 + 1e-12)
        assert found.error * sigma**2 < 1e-6 * found.mean
    # a decoder of mean distance P has mean marginal distance P, however the frames share it
    estimate = np.sqrt(np.maximum(sigma**2 - found.mmse, 0.0))
    share = np.sqrt(level) * sigma / max(np.sqrt(np.mean((sigma - estimate) ** 2)), 1e-300)
    marginal = mmse + np.mean((sigma - estimate) ** 2) * max(1 - share, 0.0) ** 2
    assert found.mean >= marginal * (1 - 1e-6)


@pytest.mark.parametrize(("rho", "rate", "level"), [(0.9, 0.5, 0.002), (-0.5, 1.0, 0.01)])
def test_constant_rates_have_the_framewise_value(rho, rate, level):
    found = steady_joint(source_of(rho), np.full(2, rate), level)
    assert_allclose(found.distortion, framewise(source_of(rho), rate, level)[0], rtol=1e-9)
    assert_allclose(found.lower_bound, found.distortion.mean(), rtol=1e-8)


@pytest.mark.parametrize("period", [[1.0, 0.1], [2.0, 0.0]])
def test_it_falls_from_the_best_decoder_of_perfect_realism(period):
    perfect = steady_distortion(AutoRegressive(0.9), period).joint
    mmse = formulas.mmse(source_of(0.9), period).mean()
    for level in (1e-5, 1e-3):
        found = steady_state(source_of(0.9), period, JD(level)).mean
        mixed = mmse + (np.sqrt(perfect - mmse) - np.sqrt(level)) ** 2
        assert perfect - 8 * np.sqrt(level * (perfect - mmse)) < found < mixed * (1 + 1e-6)


def test_more_distance_never_hurts_and_the_curve_is_convex():
    levels = np.linspace(0.002, 0.05, 7)
    means = [steady_state(source_of(0.9), [1.0, 0.1], JD(level)).mean for level in levels]
    assert (np.diff(means) < 1e-8).all()
    assert (np.diff(means, 2) > -1e-8).all()


def test_a_distance_that_does_not_bind_leaves_the_estimate():
    found = steady_state(source_of(0.9), [1.0, 0.1], JD(0.5))
    assert_allclose(found.distortion, found.mmse)
    assert_allclose(found.lower_bound, found.mean)


def test_the_levels_of_a_period_share_the_distance():
    several = steady_state(source_of(0.9), [1.0, 0.1], JD([0.0, 0.02]))
    assert several.mean == steady_state(source_of(0.9), [1.0, 0.1], JD(0.01)).mean
    constant = steady_state(source_of(0.9), [0.5, 0.5], JD([0.0, 0.004]))
    assert_allclose(constant.distortion, steady_state(source_of(0.9), 0.5, FMD(0.002)).mean)


def test_one_level_of_inf_frees_all_frames():
    # the frames share the distance, and more of it leads there
    found = steady_state(source_of(0.9), [1.0, 0.1], JD([0.01, np.inf]))
    assert_allclose(found.distortion, found.mmse)
    assert_allclose(found.distortion, steady_state(source_of(0.9), [1.0, 0.1], JD(99)).distortion)


@pytest.mark.parametrize("window", [None, 2])
def test_sources_that_never_renew_themselves_and_nearly_so(window):
    period = [1.0, 0.1]
    for rho in (1.0, -1.0):
        known = steady_state(source_of(rho), period, JD(0.01, window=window))
        assert_allclose(known.distortion, 0.0)
    # beyond the grid, where the distance is known to be allowed; within it the same is found
    for rho in (1 - 1e-7, 0.999):
        free = steady_state(source_of(rho), period, JD(0.1, window=window))
        assert_allclose(free.distortion, free.mmse)
        assert free.lower_bound == pytest.approx(free.mean, rel=1e-9)


@pytest.mark.parametrize("window", [None, 2])
def test_long_memory_follows_from_short_steps(window):
    # in units of the innovation all goes to a limit as rho goes to 1
    near, nearer = (
        steady_state(source_of(rho, (1 - rho) ** -0.5), [1.5, 0.2], JD(0.04, window=window))
        for rho in (0.99, 0.996)
    )
    assert nearer.error * nearer.source.sigma[0] ** 2 < 1e-5 * nearer.mean
    assert_allclose(nearer.distortion, near.distortion, rtol=0.03)


@pytest.mark.parametrize("level", [1e-7, 1e-11])
def test_hardly_any_distance_is_no_worse_than_none(level):
    period = [3.0, 0.1, 0.4]
    perfect = steady_distortion(AutoRegressive(0.9), period).joint
    found = steady_state(source_of(0.9, 2.0), period, JD(4 * level))
    assert perfect - 2 * np.sqrt(level) < found.mean / 4 < perfect
    assert found.lower_bound < found.mean


def test_ends_of_the_rates():
    free = steady_state(source_of(0.9), [np.inf, 0.0], JD(0.005))
    assert free.lower_bound <= free.mean < steady_state(source_of(0.9), [np.inf, 0.0], "JD").mean
    assert free.distortion[0] > 0  # a frame pays for the motion of the next
    nothing = steady_state(source_of(0.9), [0.0, 0.0], JD(0.1))
    assert_allclose(nothing.mean, 1 + (1 - np.sqrt(0.1)) ** 2)


@pytest.mark.parametrize("rho", [0.0, 1.0, 0.99999])
def test_sources_without_memory_and_with_too_much(rho):
    found = steady_joint(source_of(rho), np.array([1.0, 0.1]), 0.01)
    if rho:
        assert found is None
    else:
        apart = [framewise(source_of(0.0), rate)[0] for rate in (1.0, 0.1)]
        mean = found.distortion.mean()
        assert found.lower_bound <= mean * (1 + 1e-12)
        assert mean < np.mean(apart)


# --- a window -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("window", "period", "level"), [(2, [1.0, 0.1], 0.01), (3, [0.2, 1.5], 0.04)]
)
def test_a_window_is_the_limit_of_long_blocks(window, period, level):
    rho = 0.6
    found = steady_state(source_of(rho), period, JD(level, window=window))
    assert (found.method, found.window) == ("coupling", window)
    assert found.error < 1e-7
    values = []
    for frames in (6, 12):
        rates = np.tile(period, frames // 2)
        rates[0] = -0.5 * np.log2(formulas.mmse(source_of(rho), period)[0])
        levels = np.full(frames, level)
        levels[: window - 1] = np.inf  # the windows that lie in the block
        source = GaussMarkov.stationary(rho=rho, frames=frames)
        problem = Problem(source, rates, JD(levels, window=window), np.ones(frames))
        values.append(solve(problem).lower_bound)
    assert values[0] / 6 < values[1] / 12 < found.mean + 1e-7
    assert_allclose((values[1] - values[0]) / 6, found.mean, rtol=1e-3)


@settings(max_examples=10)
@given(PERIODS, st.floats(0.1, 0.9), st.floats(0.004, 0.3))
def test_a_window_of_one_frame_is_framewise(period, rho, level):
    levels = level * np.linspace(0.5, 1.5, len(period))
    found = steady_window(source_of(rho), np.array(period), levels, 1)
    assert_allclose(found.distortion, framewise(source_of(rho), period, levels), rtol=1e-6)
    mean = found.distortion.mean()
    assert mean * (1 - 1e-6) < found.lower_bound < mean * (1 + 1e-12)


def test_longer_windows_of_the_same_distance_a_frame_cost_more_up_to_jd():
    source, period = source_of(0.9), [1.0, 0.1]
    means = [
        steady_state(source, period, JD(0.01 * window, window=window)).mean
        for window in (2, 4, 8, 16, 64)
    ]
    joint = steady_state(source, period, JD(0.01)).mean
    assert (np.diff(means) > 0).all()
    assert joint * (1 - 1e-3) < means[-1] < joint


def test_windows_of_some_frames_only():
    source = source_of(0.9)
    some, all_of_them = (
        steady_state(source, [1.0, 0.1], JD(levels, window=2)).mean
        for levels in ([0.002, np.inf], [0.002, 0.002])
    )
    assert steady_state(source, [1.0, 0.1]).mean < some < all_of_them
