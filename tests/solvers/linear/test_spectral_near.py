"""PLF-JD and PLF-SA above threshold 0 in the long run, sources of any order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from rdp import FMD, JD, SA, AutoRegressive, GaussMarkov, StateSpace
from solvers import SolverError, steady_state
from solvers.linear.measurement import represent
from solvers.linear.spectral_near import spectral_near
from solvers.linear.steady_losses import steady_losses

PAIR = AutoRegressive.from_poles(0.95 * np.exp([0.3j, -0.3j]))


@settings(max_examples=8, deadline=None)
@given(
    st.floats(0.1, 0.97), st.floats(0.1, 3.0), st.sampled_from([1e-7, 1e-4, 0.003, 0.05, 2.0]),
    st.sampled_from([0.0, 0.1, 0.5, 2.0]),
)  # fmt: skip
def test_gap_closes_between_the_estimate_and_threshold_0(radius, angle, level, rate):
    source = AutoRegressive.from_poles(radius * np.exp([1j * angle, -1j * angle]), sigma=2.0)
    found = spectral_near(source, rate, level)
    assert 0 <= found.distortion - found.lower_bound <= 1e-6 * found.distortion
    assert found.perception <= level * (1 + 1e-9)
    framewise = steady_state(source, rate, FMD(level)).mean
    exact = steady_state(source, rate, JD(0.0)).mean
    assert framewise - 1e-9 <= found.distortion <= exact + 1e-7


@pytest.mark.parametrize("level", [1e-4, 0.004, 0.03])
def test_first_order_costs_what_the_frame_costs(level):
    markov = steady_state(GaussMarkov.stationary(0.9, 2), 0.5, JD(level))
    found = steady_state(AutoRegressive(0.9), 0.5, JD(level))
    assert_allclose(found.mean, markov.mean, rtol=1e-9)
    assert_allclose(found.lower_bound, markov.mean, rtol=1e-9)


def test_threshold_0_is_the_limit_and_the_matrix_inequality():
    """Small thresholds approach it like the root of the threshold; values by number."""
    exact = steady_state(PAIR, 0.5, JD(0.0)).mean
    values = [steady_state(PAIR, 0.5, JD(level)).mean for level in (1e-12, 1e-10, 1e-8)]
    assert_allclose(np.diff(values), np.diff(values)[0] * np.array([1.0, 10.0]), rtol=0.01)
    assert_allclose(values[0] - np.diff(values)[0] / 9, exact, atol=1e-6)
    near = [steady_state(PAIR, 0.5, JD(level)) for level in (1e-3, 4e-3, 1e-2)]
    assert [round(state.mean, 4) for state in near] == [0.0734, 0.0570, 0.0558]
    assert all(state.error <= 1e-8 and state.method == "spectrum" for state in near)


def test_simulation_reaches_distortion_and_distance():
    """Encoder and filter as a difference equation; what comes out has the power of its spectrum."""
    level, frames, n = 0.001, 400, 400
    found = spectral_near(PAIR, 0.5, level)
    state = steady_state(PAIR, 0.5, JD(level))
    taps = np.fft.ifft(found.filter).real[:frames]
    spread = np.fft.ifft(np.sqrt(found.noise)).real  # a filter of that spectrum, symmetric
    sent = represent(PAIR, np.full(frames, 0.5), state.measurement)
    x, u = sent.simulate(n, rng=1)
    size = len(spread)
    z = np.random.default_rng(2).standard_normal((n, size))
    noise = np.fft.ifft(np.fft.fft(z) * np.fft.fft(spread)).real[:, :frames]
    xhat = np.array([np.convolve(row, taps)[:frames] for row in u]) + noise
    error = ((x - xhat)[:, 200:] ** 2).mean(axis=1)  # sequences are independent
    assert abs(error.mean() - found.distortion) < 4 * error.std() / n**0.5
    power = (xhat[:, 200:] ** 2).mean(axis=1)
    expected = (np.abs(found.filter) ** 2 + found.noise).mean()
    assert abs(power.mean() - expected) < 4 * power.std() / n**0.5


def test_no_filter_with_a_few_taps_is_better():
    """Search over short causal filters without noise: above the bound, and near it."""
    from scipy.optimize import minimize

    level, size = 0.002, 512
    found = spectral_near(PAIR, 0.5, level)
    grid = 2 * np.pi * np.arange(size) / size
    root = np.sqrt(PAIR.spectrum(grid))
    state = steady_state(PAIR, 0.5, JD(level))
    sent = represent(PAIR, np.full(300, 0.5), state.measurement)
    response = np.zeros(size)
    response[:300] = sent.factor[-1][::-1]
    estimate = np.fft.fft(response)
    m = float(state.mmse[0])

    def costs(taps, price):
        filtered = estimate * np.fft.fft(taps, size)  # moves the estimate by a short filter
        distance = ((np.abs(filtered) - root) ** 2).mean()
        return m + (np.abs(estimate - filtered) ** 2).mean() + price * max(distance - level, 0.0)

    taps = np.eye(1, 6)[0]
    for price in (1e1, 1e3, 1e5):
        taps = minimize(costs, taps, (price,), method="Nelder-Mead", options={"maxiter": 1500}).x
    distance = ((np.abs(estimate * np.fft.fft(taps, size)) - root) ** 2).mean()
    assert distance <= level * 1.01
    assert found.lower_bound * 0.999 <= costs(taps, 0.0) <= 1.1 * found.distortion


def between(source, rates, level):
    """The scheme and the bound that stand where a long sequence does not settle."""
    bits = np.atleast_1d(np.array(rates, dtype=float))
    levels = np.broadcast_to(np.array(level, dtype=float), bits.shape)
    return steady_losses(source, bits, SA(level), levels)


def test_self_adaptive_is_between_a_scheme_and_a_bound():
    for level in (1e-4, 1e-3, 0.01):
        markov = steady_state(GaussMarkov.stationary(0.9, 2), 0.5, SA(level)).mean
        found = steady_state(AutoRegressive(0.9), 0.5, SA(level))
        assert found.method == "finite-horizon"
        assert_allclose(found.mean, markov, rtol=1e-6)
        for source, value in ((AutoRegressive(0.9), markov), (PAIR, None)):
            ends = between(source, 0.5, level)
            value = steady_state(source, 0.5, SA(level)).mean if value is None else value
            assert ends.lower_bound - 1e-12 <= value <= ends.distortion[0] + 1e-9
            assert ends.distortion[0] <= 1.04 * value
    exact, tiny, free = (steady_state(PAIR, 0.5, SA(level)) for level in (0.0, 1e-12, 1.0))
    assert_allclose(tiny.mean, exact.mean, rtol=1e-4)
    assert_allclose(free.mean, free.mmse.mean(), rtol=1e-9)
    assert_allclose(between(PAIR, 0.5, 1e-14).distortion, exact.mean, rtol=1e-5)
    rates, levels = [0.2, 1.0], [0.0, 0.01]
    changing, ends = steady_state(PAIR, rates, SA(levels)), between(PAIR, rates, levels)
    assert ends.lower_bound <= changing.mean
    assert changing.mean <= steady_state(PAIR, rates, SA(0.0)).mean


def test_slow_sources_keep_the_scheme_and_the_bound():
    slow = AutoRegressive.from_poles(0.9999 * np.exp([0.01j, -0.01j]))
    found = steady_state(slow, 0.001, SA(1e-4))
    assert found.method == "bounds"
    assert found.mmse.mean() <= found.lower_bound <= found.mean


def test_simulation_of_the_self_adaptive_scheme():
    """The mean given the past, and a smaller innovation: by the recursion of its own moments."""
    level, frames, n = 0.005, 60, 20_000
    found = between(PAIR, 0.5, level)
    sent = represent(PAIR, np.full(frames, 0.5), found.measurement)
    x, u = sent.simulate(n, rng=3)
    estimate = u @ sent.factor.T
    rows, basis = [], np.zeros((0, frames))
    for row in sent.factor:  # innovations of the estimate: what the past does not span
        inside = row @ basis.T @ basis
        rest = row - inside
        spread = np.linalg.norm(rest)
        fresh = np.sqrt(max(1 - inside @ inside, 0.0))
        rows.append(inside + max(fresh - np.sqrt(level), spread) / spread * rest)
        basis = np.vstack([basis, rest / spread])
    xhat = u @ np.array(rows).T
    error = (x[:, -1] - xhat[:, -1]) ** 2
    assert abs(error.mean() - found.distortion[0]) < 4 * error.std() / n**0.5
    assert ((estimate - x)[:, -1] ** 2).mean() < error.mean()


def test_edges():
    for rate, value in ((0.0, 1.81), (np.inf, 0.0)):  # 1 + (1 - sqrt(P))^2 without bits
        assert_allclose(steady_state(PAIR, rate, JD(0.01)).mean, value, atol=1e-9)
    stiff = AutoRegressive.from_poles(
        [*(0.97 * np.exp([2.99j, -2.99j])), *(0.999 * np.exp([2.77j, -2.77j]))], sigma=0.01
    )  # whose covariance rounding changes for ever
    assert_allclose(steady_state(stiff, 0.0, SA(1e-10)).mean, 1.998e-4, rtol=1e-3)
    two = steady_state(PAIR, [0.5, 0.5], JD([0.001, 0.001]))
    assert_allclose(two.distortion, np.full(2, steady_state(PAIR, 0.5, JD(0.001)).mean))
    near = AutoRegressive.from_poles(0.999 * np.exp([0.05j, -0.05j]))
    assert steady_state(near, 0.5, JD(1e-3)).error < 1e-4
    moving = StateSpace.arma([0.5], [0.5, 0.3])
    assert steady_state(moving, 0.5, JD(0.01)).error < 1e-8
    with pytest.raises(ValueError, match="level: expected"):
        spectral_near(PAIR, 0.5, 0.0)
    for loss in (JD(0.01), SA(0.01)):
        with pytest.raises(SolverError, match=f"form for PLF-{loss.name} at P > 0; solve a Pro"):
            steady_state(PAIR, 0.5, loss).approach(2)
