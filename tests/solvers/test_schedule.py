"""Schedules: constant rate is best, weights by a certified convex program, costs of patterns."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from rdp import CP, FMD, JD, SA, GaussMarkov
from solvers import SolverError
from solvers.schedule import pattern_cost, schedule
from solvers.steady_rate import steady_rate
from solvers.steady_state import steady_state

SOURCE = GaussMarkov.stationary(rho=0.97, frames=2)
LOSSES = [None, FMD(0.0), FMD(0.02), JD(0.0), SA(0.0)]
PATTERN = np.array([0, 8, 0, 4, 0, 4, 0, 4])


@settings(max_examples=60)
@given(
    st.floats(-0.99, 0.99),
    st.lists(st.floats(0.0, 4.0), min_size=2, max_size=6).filter(lambda rates: sum(rates) > 0.1),
    st.sampled_from(LOSSES),
)
def test_no_pattern_is_better_than_constant_rate(rho, rates, perception):
    source = GaussMarkov.stationary(rho=rho, frames=2)
    best = schedule(source, np.mean(rates), len(rates), perception)
    assert best.gap == 0
    assert steady_state(source, rates, perception).mean >= best.objective * (1 - 1e-9)
    for window in (2, 3) if isinstance(perception, JD) else ():
        found = steady_state(source, rates, perception, window).mean
        assert found >= schedule(source, np.mean(rates), 1, perception, window).objective - 1e-9


def direct(source, mean, weights, perception):
    """Search over the rates themselves."""
    share = np.array(weights) / np.sum(weights)
    n = len(share)

    def cost(bits):
        bits = np.maximum(bits, 0.0)
        return share @ steady_state(source, bits, perception).distortion / source.variance[0]

    limit = {"type": "eq", "fun": lambda bits: bits.sum() - n * mean}
    starts = np.random.default_rng(0).dirichlet(np.ones(n), 6) * n * mean
    found = [
        minimize(cost, start, bounds=[(0, None)] * n, constraints=[limit], method="SLSQP",
                 options={"ftol": 1e-13, "maxiter": 300})
        for start in starts
    ]  # fmt: skip
    return min(result.fun for result in found) * source.variance[0]


@pytest.mark.parametrize("perception", LOSSES, ids=["MMSE", "FMD", "FMD(P)", "JD", "SA"])
@pytest.mark.parametrize("weights", [[1.0, 0.5, 0.1, 0.2], [1.0, 0.5, 0.1, 0.0]])
@pytest.mark.parametrize("mean", [6, 12, 20])
def test_the_bound_is_never_above_at_high_rates(mean, weights, perception):
    source = GaussMarkov.stationary(rho=0.9, frames=2, sigma=3.0)
    found = schedule(source, mean, 4, perception, weights=weights)
    assert 0 <= found.gap <= 1e-6 * found.objective
    assert found.rates.mean() == pytest.approx(mean)
    if weights[-1] and mean > 6:
        # Without losses D_t = (1 - rho^2) sigma^2 4^-R_t, and all w_t D_t are equal
        product = np.prod(np.array(weights) / sum(weights)) ** 0.25
        limit = 4 * product * 0.19 * 9.0 * 4.0**-mean
        assert found.objective == pytest.approx(limit, rel=1e-4)


@pytest.mark.parametrize("perception", LOSSES, ids=["MMSE", "FMD", "FMD(P)", "JD", "SA"])
@pytest.mark.parametrize(
    ("rho", "mean", "weights", "sigma"),
    [
        (0.97, 0.5, [1.0, 0.1, 0.1, 0.1], 1.0),
        (0.5, 1.5, [1.0, 2.0], 3.0),
        (-0.9, 0.3, [1.0, 0.0, 0.5], 1.0),
        (0.0, 0.8, [1.0, 0.3], 1.0),
    ],
)
def test_weighted_schedules_are_what_a_direct_search_finds(perception, rho, mean, weights, sigma):
    source = GaussMarkov.stationary(rho=rho, frames=2, sigma=sigma)
    best = schedule(source, mean, len(weights), perception, weights=weights)
    assert_allclose(best.rates.mean(), mean, rtol=1e-12)
    expected = direct(source, mean, weights, perception)
    assert_allclose(best.objective, expected, rtol=2e-5)
    assert best.lower_bound <= expected * (1 + 1e-9)
    assert best.gap <= 1e-5 * best.objective


@given(
    st.floats(-0.999, 0.999),
    st.floats(0.001, 10.0),
    st.floats(0.1, 10.0),
    st.sampled_from([*LOSSES, FMD(0.01, "kl"), JD(0.01), JD(0.01, window=3), CP(0.0), CP(0.02)]),
)
def test_the_steady_rate_is_the_inverse_of_the_steady_distortion(rho, rate, sigma, loss):
    source = GaussMarkov.stationary(rho=rho, frames=2, sigma=sigma)
    distortion = steady_state(source, rate, loss).mean
    assert_allclose(steady_rate(source, distortion, loss), rate, rtol=1e-6, atol=1e-9)


def test_a_loss_may_be_given_by_its_name():
    source = GaussMarkov.stationary(rho=0.9, frames=2)
    assert steady_rate(source, 0.2, "JD") == steady_rate(source, 0.2, JD(0.0))


def test_the_ends_of_the_steady_rate():
    for loss in [*LOSSES, CP(0.0), CP(0.1)]:
        assert steady_rate(SOURCE, 0.0, loss) == math.inf
        assert str(steady_rate(SOURCE, 5.0, loss)) == "0.0"
    for bad, error, message in (
        ({"distortion": -1.0}, ValueError, "distortion: expected values >= 0"),
        ({"perception": FMD([0.0, 0.1])}, ValueError, "levels: expected one threshold"),
        ({"perception": SA(0.1)}, SolverError, "SA at P = 0 only"),
    ):
        with pytest.raises(error, match=message):
            steady_rate(SOURCE, **({"distortion": 0.1} | bad))


def test_values_of_patterns():
    rates = 0.5 + 0.8 * (PATTERN - PATTERN.mean()) / 8
    costs = pattern_cost(SOURCE, rates)
    found = {loss: round(cost.distortion, 5) for loss, cost in costs.items()}
    assert found == {"MMSE": 0.05917, "FMD": 0.06013, "JD": 0.119, "SA": 0.07267}
    constant = {loss: round(cost.constant, 5) for loss, cost in costs.items()}
    assert constant == {"MMSE": 0.0558, "FMD": 0.0566, "JD": 0.0566, "SA": 0.06538}
    assert costs["JD"].percent > 100 > 10 > costs["FMD"].percent


def test_windows_rise_from_framewise_to_joint():
    costs = pattern_cost(SOURCE, [2.25] + 7 * [0.25], windows=(1, 2, 4, 16))
    means = [costs[name].distortion for name in ("JD(1)", "JD(2)", "JD(4)", "JD(16)", "JD")]
    assert (np.diff(means) > 0).all()
    assert_allclose(means[0], costs["FMD"].distortion)


def test_bad_input_is_named():
    for arguments, message in (
        ({"mean_rate": 0.0}, "mean_rate: expected values > 0"),
        ({"mean_rate": math.inf}, "mean_rate: expected finite"),
        ({"period": 0}, "period: expected an integer >= 1"),
        ({"weights": [1.0]}, r"weights: expected shape \(2,\)"),
        ({"weights": [0.0, 0.0]}, "weights: .*a positive one"),
    ):
        with pytest.raises(ValueError, match=message):
            schedule(SOURCE, **({"mean_rate": 1.0, "period": 2} | arguments))
    with pytest.raises(ValueError, match="rates: expected finite"):
        pattern_cost(SOURCE, [math.inf, 1.0])
    for loss, options in (
        (SA(0.1), {}),
        (JD(0.1), {"weights": [1, 2]}),
        (JD(0.0), {"weights": [1, 2], "window": 2}),
        (FMD(0.1, "kl"), {"weights": [1, 2]}),
    ):
        with pytest.raises(SolverError, match="schedule: with weights"):
            schedule(SOURCE, 1.0, 2, loss, **options)
    with pytest.raises(SolverError, match=r"expected \|rho\| < 1"):
        schedule(GaussMarkov.stationary(rho=1.0, frames=2), 1.0, 2, weights=[1, 2])
