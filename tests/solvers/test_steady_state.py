"""steady_state: limits of long problems, per loss, and what it refuses."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from rdp import FMD, JD, SA, GaussMarkov, Problem
from solvers import SolverError, solve
from solvers.steady_state import steady_state

SOURCE = GaussMarkov.stationary(rho=0.9, frames=2)
PERIODS = st.lists(st.sampled_from([0.0, math.inf]) | st.floats(0.05, 5.0), min_size=1, max_size=4)


def long_problem(period, perception, periods, rho=0.9):
    source = GaussMarkov.stationary(rho=rho, frames=periods * len(period))
    return solve(Problem(source, np.tile(period, periods), perception))


@settings(max_examples=20)
@given(PERIODS, st.sampled_from([None, FMD(0.0), FMD(0.01), FMD(0.02, "kl"), JD(0.0), SA(0.0)]))
def test_it_is_the_limit_of_what_solve_finds(period, perception):
    found = steady_state(SOURCE, period, perception)
    periods = math.ceil(120 / len(period))
    last = long_problem(period, perception, periods).distortion[-len(period) :]
    assert_allclose(found.distortion, last, atol=1e-9)
    assert_allclose(found.approach(periods)[-1], last, atol=1e-12)
    assert found.mean == found.distortion.mean()
    assert found.error < 1e-14


@pytest.mark.parametrize(("rho", "rate", "level"), [(0.9, 0.5, 0.002), (0.5, 1.0, 0.01)])
def test_joint_thresholds_that_grow_with_time_lead_to_the_framewise_value(rho, rate, level):
    source = GaussMarkov.stationary(rho=rho, frames=2)
    found = steady_state(source, rate, JD(level)).distortion[0]
    assert_allclose(found, steady_state(source, rate, FMD(level)).distortion[0])
    frames = 32
    growing = JD(level * np.arange(1, frames + 1))
    distance = long_problem([rate], growing, frames, rho=rho).distortion - found
    assert (distance > -1e-8).all()
    assert distance[-1] < 6e-7 * found
    early = distance[distance > 1e-8]
    assert (early[1:] < rho**2 * early[:-1]).all()


@pytest.mark.parametrize("period", [[0.5], [0.25, 0.75]])
def test_self_adaptive_thresholds_above_zero(period):
    found = steady_state(SOURCE, period, SA(0.01))
    assert found.method == "finite-horizon"
    assert found.error < 1e-8
    longer = long_problem(period, SA(0.01), 48 // len(period)).distortion[-len(period) :]
    assert_allclose(found.distortion, longer, atol=2e-8)
    assert (found.distortion > steady_state(SOURCE, period, FMD(0.01)).distortion - 1e-9).all()
    assert (found.distortion < steady_state(SOURCE, period, SA(0.0)).distortion).all()
    for loss in (SA(0.01), JD(0.01)):
        with pytest.raises(SolverError, match=f"no closed form for PLF-{loss.name} at P > 0"):
            steady_state(SOURCE, 0.5, loss).approach(2)


def test_windows():
    period = [2.25] + 7 * [0.25]
    means = [steady_state(SOURCE, period, JD(0.0), window=w).mean for w in (1, 2, 3, 40)]
    assert (np.diff(means) > 0).all()
    assert_allclose(means[0], steady_state(SOURCE, period, FMD(0.0)).mean)
    assert means[-1] < steady_state(SOURCE, period, JD(0.0)).mean
    found = steady_state(SOURCE, period, JD(0.0), window=2)
    assert found.method == "fixed-point"
    assert_allclose(found.approach(60)[-1], found.distortion, atol=1e-12)


@pytest.mark.parametrize("window", [1, 2, 3])
def test_a_window_above_zero_has_the_framewise_value_of_its_share(window):
    found = steady_state(SOURCE, 0.5, JD(0.006, window=window)).distortion[0]
    assert_allclose(found, steady_state(SOURCE, 0.5, FMD(0.006 / window)).distortion[0])
    frames = 8  # that start in the long run: a bound of it that rises to it
    rates = np.full(frames, 0.5)
    rates[0] = -0.5 * np.log2(steady_state(SOURCE, 0.5).mean)
    levels = np.r_[np.full(window - 1, math.inf), np.full(frames - window + 1, 0.006)]
    source = GaussMarkov.stationary(rho=0.9, frames=frames)
    block = solve(Problem(source, rates, JD(levels, window=window), np.ones(frames)))
    assert 0.97 * found < block.lower_bound / frames < found + 1e-9
    assert block.distortion[window:-window] == pytest.approx(found, rel=0.02)


def test_the_contraction_is_how_fast_the_first_frames_get_there():
    for perception in (None, FMD(0.0), JD(0.0), SA(0.0)):
        found = steady_state(SOURCE, [0.4, 1.0], perception)
        near = np.abs(found.approach(12) - found.distortion).max(axis=1)
        assert_allclose(near[9] / near[8], found.contraction, rtol=0.1)
    for loss in (JD(0.01), JD(0.01, window=2)):
        assert steady_state(SOURCE, [0.4, 1.0], loss).contraction is None


def test_no_threshold_is_no_loss():
    for perception in (FMD(math.inf), JD(math.inf), SA(math.inf)):
        found = steady_state(SOURCE, [0.5, 1.0], perception)
        assert_allclose(found.distortion, found.mmse)


def test_what_it_refuses():
    with pytest.raises(ValueError, match="source: expected a stationary source"):
        steady_state(GaussMarkov([1, 2], 0.5), 1.0)
    with pytest.raises(ValueError, match="rates: expected at least one frame in the period"):
        steady_state(SOURCE, [])
    with pytest.raises(ValueError, match="rates: expected one number or one period"):
        steady_state(SOURCE, [[1.0]])
    with pytest.raises(ValueError, match="window: expected PLF-JD"):
        steady_state(SOURCE, 1.0, FMD(0.0), window=2)
    with pytest.raises(ValueError, match=r"levels: expected one number or shape \(2,\)"):
        steady_state(SOURCE, [1.0, 2.0], FMD([0.0, 0.0, 0.0]))
    for source, loss, what in [
        (SOURCE, JD([0.1, 0.0], window=2), "with a window and thresholds of which some are 0"),
        (GaussMarkov.stationary(rho=1 - 1e-6, frames=2), JD(1e-8), "rho 0.999999, too near to 1"),
        (
            GaussMarkov.stationary(rho=1 - 1e-6, frames=2),
            JD(1e-8, window=2),
            "too near to 1 or a window that is too long",
        ),
    ]:
        with pytest.raises(SolverError, match=what):
            steady_state(source, [1.0, 2.0], loss)
    slow = GaussMarkov.stationary(rho=0.9999, frames=2)
    with pytest.raises(SolverError, match="of the variance from its limit"):
        steady_state(slow, 0.001, SA(0.01))
