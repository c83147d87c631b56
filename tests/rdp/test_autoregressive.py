"""Autoregressive sources compared with GaussMarkov, their definition, samples and fit."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from rdp import GaussMarkov
from rdp.autoregressive import AutoRegressive, fit_modes
from rdp.linear_source import innovations, lyapunov, steady_innovations

REFLECTIONS = st.lists(st.floats(-0.95, 0.95), min_size=1, max_size=5)


def from_reflections(kappas, sigma=1.0):
    """The source with given partial correlations, by the step-up recursion."""
    phi = np.zeros(0)
    for kappa in kappas:
        phi = np.append(phi - kappa * phi[::-1], kappa)
    return AutoRegressive(phi, sigma)


SOURCES = st.builds(from_reflections, REFLECTIONS, st.floats(0.1, 10.0))


@given(st.floats(-0.999999, 0.999999), st.floats(0.1, 10), st.integers(1, 8))
def test_order_one_is_the_stationary_gauss_markov_source(rho, sigma, frames):
    source, same = AutoRegressive(rho, sigma), GaussMarkov.stationary(rho, frames, sigma)
    scale = sigma**2
    assert_allclose(source.covariance(frames), same.covariance(), atol=1e-12 * scale, rtol=0)
    assert_allclose(source.factor(frames), same.factor(), atol=1e-12 * sigma, rtol=0)


@given(SOURCES)
def test_autocovariance_satisfies_the_yule_walker_equations(source):
    p = source.order
    r = source.autocovariance(p + 6)
    assert_allclose(r[0], source.sigma**2)
    assert_allclose(r[0] - source.phi @ r[1 : p + 1], source.innovation, atol=1e-9 * r[0])
    for k in range(1, p + 6):
        lags = np.abs(k - np.arange(1, p + 1))
        assert_allclose(r[k], source.phi @ r[lags], atol=1e-9 * r[0])


@given(SOURCES)
def test_companion_form_has_the_same_moments(source):
    parts = source.realisation()
    assert_allclose(
        lyapunov(parts.transition, parts.noise), parts.initial, atol=1e-7 * source.sigma**2
    )
    state, cov = parts.initial, source.covariance(source.order + 3)
    for lag in range(source.order + 3):
        assert_allclose(state[0, 0], cov[lag, 0], atol=1e-9 * source.sigma**2)
        state = parts.transition @ state


@given(SOURCES, st.integers(1, 9))
def test_factor_is_causal_and_squares_to_the_covariance(source, frames):
    factor = source.factor(frames)
    assert (np.triu(factor, 1) == 0).all()
    assert_allclose(factor @ factor.T, source.covariance(frames), atol=1e-10 * source.sigma**2)
    # the Kalman filter that observes the frames finds the same innovations
    assert_allclose(
        innovations(source, frames).variance, np.diag(factor) ** 2, atol=1e-9 * source.sigma**2
    )


@given(SOURCES)
def test_spectrum_integrates_to_the_variance(source):
    if np.abs(source.poles).max() < 0.97:
        grid = 2 * np.pi * np.arange(4096) / 4096
        assert_allclose(source.spectrum(grid).mean(), source.sigma**2, rtol=1e-8)


def test_poles_are_those_given():
    poles = np.array([0.95 * np.exp(0.3j), 0.95 * np.exp(-0.3j), 0.5])
    assert_allclose(np.sort_complex(AutoRegressive.from_poles(poles).poles), np.sort_complex(poles))


@pytest.mark.parametrize("distance", [1e-2, 1e-4, 1e-6])
def test_nearly_unit_poles_single_and_double(distance):
    single = AutoRegressive.from_poles([1 - distance])
    assert_allclose(single.innovation, distance * (2 - distance), rtol=1e-9)
    # a double pole r: q / sigma^2 = (1 - r^2)^3 / (1 + r^2), to the accuracy of phi itself
    r = 1 - distance
    double = AutoRegressive.from_poles([r, r])
    exact = (distance * (2 - distance)) ** 3 / (1 + r**2)
    assert_allclose(double.innovation, exact, rtol=1e-14 / distance**2 + 1e-12)
    assert_allclose(steady_innovations(single)[1], single.innovation, rtol=1e-9)


def test_zeros_at_the_end_of_phi_do_not_count():
    assert AutoRegressive([0.5, 0.0, 0.0]).order == 1
    assert AutoRegressive([0.0]).covariance(3).tolist() == np.eye(3).tolist()


def test_samples_have_the_covariance():
    source = AutoRegressive([1.5, -0.8], sigma=2.0)
    n = 100_000
    x = source.sample(n, 4, rng=1)
    cov = source.covariance(4)
    error = np.sqrt((np.outer(np.diag(cov), np.diag(cov)) + cov**2) / n)
    assert (np.abs(x.T @ x / n - cov) < 4 * error).all()


def test_the_criterion_finds_the_order():
    for true in (AutoRegressive([0.0]), AutoRegressive([0.7]), AutoRegressive([1.5, -0.8])):
        fit = AutoRegressive.from_samples(true.sample(40, 100, rng=3) + 5.0)
        assert fit.source.order == true.order
        assert (np.abs(fit.source.phi - true.phi) < 4 * fit.phi_se).all() or not true.phi.any()
        assert abs(fit.source.sigma - 1) < 4 * fit.sigma_se
        assert fit.innovation[-1] <= fit.innovation[0]
    # what the order buys: the prediction error of order 1 is correlated, that of order 2 is not
    assert abs(fit.correlation[1]) > 0.5
    assert abs(fit.correlation[2]) < 0.1


def test_standard_errors_are_the_spread_of_the_estimates():
    true = AutoRegressive([1.2, -0.5])
    rng, repeats = np.random.default_rng(0), 400
    fits = [AutoRegressive.from_samples(true.sample(5, 80, rng), order=2) for _ in range(repeats)]
    tolerance = 4 / math.sqrt(2 * repeats) + 0.1  # and the asymptotics at 400 frames
    phi = np.array([fit.source.phi for fit in fits])
    assert_allclose(phi.std(axis=0), np.mean([f.phi_se for f in fits], axis=0), rtol=tolerance)
    sigma = [fit.source.sigma for fit in fits]
    assert_allclose(np.std(sigma), np.mean([f.sigma_se for f in fits]), rtol=tolerance)


@given(SOURCES, st.integers(0, 99))
def test_every_fit_is_stationary(source, seed):
    x = source.sample(2, 12, seed)
    fit = AutoRegressive.from_samples(x, order=4)
    assert (np.abs(fit.source.reflection) < 1).all()
    assert_allclose(fit.source.sigma, (x - x.mean()).std(), rtol=1e-9)
    assert (np.diff(fit.innovation) <= 1e-12 * fit.innovation[0]).all()


def test_modes_are_fitted_one_by_one():
    first, second = AutoRegressive([0.9]), AutoRegressive([1.5, -0.8])
    x = np.stack([first.sample(40, 100, 0), second.sample(40, 100, 1)], axis=2)
    assert [fit.source.order for fit in fit_modes(x)] == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0],), "phi: expected poles inside the unit circle"),
        (([2.0, -1.0],), "modulus 1"),
        (([],), "at least one coefficient"),
        (([0.5], 0.0), "sigma"),
        (([np.nan],), "phi: expected numbers, got NaN"),
        (([np.inf],), "phi: expected finite"),
    ],
)
def test_errors_of_the_source(arguments, message):
    with pytest.raises(ValueError, match=message):
        AutoRegressive(*arguments)


@pytest.mark.parametrize(
    ("x", "keywords", "message"),
    [
        (np.ones((3, 5)), {}, "x: expected samples that vary"),
        (np.random.default_rng(0).normal(size=(3, 5)), {"order": 5}, "below the 5 frames"),
        (np.random.default_rng(0).normal(size=(3, 5)), {"order": "best"}, "'auto'"),
        (np.random.default_rng(0).normal(size=(3, 5)), {"order": -1}, "order"),
        (np.random.default_rng(0).normal(size=(3, 5)), {"criterion": "hq"}, "criterion"),
        (np.cos(np.pi * np.arange(8.0))[None], {"order": 2}, "predicts the samples exactly"),
        (np.zeros((1, 1)), {}, "at least 2 values"),
    ],
)
def test_errors_of_the_fit(x, keywords, message):
    with pytest.raises(ValueError, match=message):
        AutoRegressive.from_samples(x, **keywords)


def test_poles_come_in_pairs():
    with pytest.raises(ValueError, match="conjugate pairs"):
        AutoRegressive.from_poles([0.5j])


@pytest.mark.parametrize("apart", [2, 3])
@pytest.mark.parametrize("phi", [[0.9], [1.4, -0.45], [1.0, -0.81]])
def test_innovations_settle_where_neighbours_say_nothing(phi, apart):
    between = np.zeros(apart * len(phi))
    between[apart - 1 :: apart] = phi
    source = AutoRegressive(between)
    gain, variance = steady_innovations(source)
    assert_allclose(variance, source.innovation, rtol=1e-9)
    assert_allclose(gain, np.sqrt(source.innovation) * np.eye(len(between))[0], atol=1e-7)


def test_no_poles_are_refused():
    with pytest.raises(ValueError, match="poles: expected one or more"):
        AutoRegressive.from_poles([])
