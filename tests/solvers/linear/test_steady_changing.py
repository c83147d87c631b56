"""Long run of sources of any order at rates that change, and PLF-JD above 0: schemes and bounds."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rdp import CP, FMD, JD, SA, AutoRegressive, GaussMarkov
from rdp.gaussian import bures
from solvers import SolverError, steady_state
from solvers.linear.decoder import reconstruct
from solvers.linear.measurement import represent
from solvers.linear.steady_losses import steady_losses

PAIR = AutoRegressive.from_poles(0.95 * np.exp([0.3j, -0.3j]))
PERIODS = [[1.0, 0.1], [2.25, 0.25, 0.25]]
LOSSES = [
    None, FMD(0.0), FMD(0.01), CP(0.01), SA(0.0), SA(0.001), JD(0.0), JD(0.0, window=2), JD(0.001),
    JD(0.01, window=3),
]  # fmt: skip


@pytest.mark.parametrize("rates", PERIODS)
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_an_encoder_at_rates_that_change(loss, rates):
    found = steady_state(PAIR, rates, loss, encoder="optimal")
    plain = steady_state(PAIR, rates, loss)
    constant = steady_state(PAIR, np.mean(rates), loss, encoder="optimal")
    assert 0 < found.lower_bound <= found.mean <= plain.mean * (1 + 1e-12)
    assert found.lower_bound <= constant.mean * (1 + 1e-9)  # what waits may reach that
    assert_allclose(found.error, found.mean - found.lower_bound, atol=1e-12)
    if isinstance(loss, JD) and not np.any(loss.levels) and loss.window is None:
        assert found.mean < 0.95 * plain.mean  # measured
        assert_allclose(found.lower_bound, constant.lower_bound)


@pytest.mark.parametrize("loss", [None, FMD(0.0), JD(0.0)], ids=repr)
def test_no_measurement_is_below_the_bound(loss):
    """Directions drawn for each frame of a period, over a long sequence, by another program."""
    rates, periods = np.array([1.0, 0.1]), 60
    bound = steady_state(PAIR, rates, loss, encoder="optimal").lower_bound
    cov, draw = PAIR.covariance(2 * periods), np.random.default_rng(3)
    for _ in range(20):
        sent = represent(PAIR, np.tile(rates, periods), np.tile(draw.normal(size=(2, 2)), (60, 1)))
        excess = 0.0
        if loss is not None:
            excess = reconstruct(cov, sent.factor, loss.name).excess
        assert (sent.mmse + excess)[-2:].mean() >= bound * (1 - 1e-6)


def test_of_first_order_every_encoder_is_the_same():
    source, same = AutoRegressive(0.9), GaussMarkov.stationary(0.9, 2)
    for loss in (None, FMD(0.0), SA(0.0), JD(0.0, window=2)):
        found = steady_state(source, [1.0, 0.1], loss, encoder="optimal")
        plain = steady_state(same, [1.0, 0.1], loss)
        assert_allclose(found.distortion, plain.distortion, rtol=1e-7)
        assert found.lower_bound <= found.mean


@pytest.mark.parametrize("rates", PERIODS)
@pytest.mark.parametrize("window", [None, 2])
@pytest.mark.parametrize("level", [1e-4, 0.01, 0.05, 0.4])
def test_the_least_mean_of_first_order_lies_between(rates, window, level):
    loss = JD(level, window=window)
    exact = steady_state(GaussMarkov.stationary(0.9, 2), rates, loss)
    # the methods of any order, which `steady_state` leaves to those of first order
    levels = np.full(len(rates), level)
    found = steady_losses(AutoRegressive(0.9), np.array(rates), loss, levels)
    mean = found.distortion.mean()
    assert found.method == "bounds"
    assert exact.lower_bound <= mean * (1 + 1e-9)
    assert found.lower_bound <= exact.mean * (1 + 1e-9)
    assert mean <= 1.25 * exact.mean  # measured: 1.22 at most
    assert steady_state(AutoRegressive(0.9), rates, loss).mean == exact.mean


@pytest.mark.parametrize("loss", [JD(0.001, window=2), JD([0.004, 0.001], window=3)], ids=repr)
def test_the_scheme_keeps_its_threshold(loss):
    rates, periods = np.array([1.0, 0.1]), 150
    found = steady_state(PAIR, rates, loss)
    frames, levels = 2 * periods, np.broadcast_to(loss.levels, 2)
    cov, sent = PAIR.covariance(frames), represent(PAIR, np.tile(rates, periods), found.measurement)
    made = reconstruct(cov, sent.factor, "JD", loss.window)
    theta = np.sqrt(((found.distortion - found.mmse) / made.excess[-2:]).mean())
    rows = np.hstack([(1 - theta) * sent.factor + theta * made.decoder, theta * made.noise])
    error = sent.mmse + ((np.hstack([sent.factor, 0 * made.noise]) - rows) ** 2).sum(axis=1)
    assert_allclose(error[-2:], found.distortion, rtol=1e-5)
    for last in (frames - 2, frames - 1):
        seen = slice(last - loss.window + 1, last + 1)
        distance = bures(cov[seen, seen], rows[seen] @ rows[seen].T)
        assert distance <= levels[last % 2] * (1 + 1e-5)


def test_a_window_at_a_constant_rate_shares_its_distance():
    for window in (2, 3):
        found = steady_state(PAIR, 0.5, JD(0.002, window=window))
        shared = steady_state(PAIR, 0.5, JD(0.002 / window))
        assert found.mean <= shared.mean * (1 + 1e-9)
        assert found.lower_bound <= steady_state(PAIR, 0.5, FMD(0.002 / window)).mean * (1 + 1e-9)
    everything = steady_state(PAIR, 0.5, JD(1.0, window=2))
    assert_allclose(everything.mean, steady_state(PAIR, 0.5).mean, rtol=1e-9)


@pytest.mark.parametrize("angle", [0.0, 0.1, 1.0])
def test_poles_too_near_the_circle_for_spectra(angle):
    poles = 0.9999 * np.exp([1j * angle, -1j * angle]) if angle else [0.9999, -0.9999]
    source = AutoRegressive.from_poles(poles)
    plain, exact = steady_state(source, 0.5), steady_state(source, 0.5, JD(0.0))
    for level in (1e-7, 1e-5, 0.01):
        found = steady_state(source, 0.5, JD(level))
        assert found.method == "bounds"
        assert plain.mean * (1 - 1e-9) <= found.lower_bound <= found.mean <= exact.mean
    assert_allclose(found.mean, plain.mean, rtol=1e-9)  # more than perfect realism needs
    assert_allclose(found.lower_bound, found.mean, rtol=1e-9)


def test_a_window_that_does_not_settle_at_0_is_answered_above_it():
    source = AutoRegressive.from_poles([-0.849 + 0.504j, -0.849 - 0.504j])
    rates = [0.3, 1.0, 0.0]
    with pytest.raises(SolverError, match="has not settled"):
        steady_state(source, rates, JD(0.0, window=2), encoder="optimal")
    found = steady_state(source, rates, JD(0.3, window=2), encoder="optimal")
    assert found.lower_bound <= found.mean <= steady_state(source, rates, JD(0.0)).mean
