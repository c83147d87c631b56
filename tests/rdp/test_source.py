"""The source compared with its samples, its definition and its fit."""

import copy
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from rdp import GaussMarkov
from tests.strategies import sources


@given(sources())
def test_covariance_follows_the_recursion(source):
    """Cov(X_t, X_s) = a_t Cov(X_{t-1}, X_s), Var X_t = a_t^2 Var X_{t-1} + q_t."""
    cov = source.covariance()
    assert_allclose(np.diag(cov), source.variance)
    assert_allclose(cov, cov.T)
    for t in range(1, source.frames):
        assert_allclose(cov[t, :t], source.gain[t] * cov[t - 1, :t], rtol=1e-12)
        grown = source.gain[t] ** 2 * cov[t - 1, t - 1] + source.innovation[t]
        assert_allclose(cov[t, t], grown, rtol=1e-12)
        correlation = cov[t, t - 1] / (source.sigma[t] * source.sigma[t - 1])
        assert_allclose(correlation, source.rho[t - 1], rtol=1e-12, atol=1e-15)


@given(sources())
def test_factor_is_causal_and_squares_to_the_covariance(source):
    factor = source.factor()
    assert (np.triu(factor, 1) == 0).all()
    spread = np.outer(source.sigma, source.sigma)
    assert_allclose(factor @ factor.T / spread, source.covariance() / spread, atol=1e-12)


@given(sources(modes=3))
def test_modes_are_scalar_sources(source):
    assert source.modes == 3
    for i in range(3):
        mode = source.mode(i)
        assert mode.modes is None
        assert (mode.covariance() == source.covariance()[i]).all()
        assert (mode.transition() == source.transition()[i]).all()
        assert (mode.factor() == source.factor()[i]).all()


@given(sources(), st.floats(1e-3, 1e3))
def test_scaling_scales_the_covariance(source, factor):
    scaled = source.scaled(factor)
    assert_allclose(scaled.covariance(), factor**2 * source.covariance(), rtol=1e-12)
    assert (scaled.rho == source.rho).all()


def test_stationary_sources():
    scalar = GaussMarkov.stationary(rho=0.5, frames=3, sigma=2.0)
    assert scalar.sigma.tolist() == [2.0, 2.0, 2.0]
    assert scalar.rho.tolist() == [0.5, 0.5]
    vector = GaussMarkov.stationary(rho=[0.5, 0.9], frames=3)
    assert vector.sigma.shape == (3, 2)
    assert vector.rho.tolist() == [[0.5, 0.9]] * 2
    assert GaussMarkov.stationary(rho=0.5, frames=1).rho.shape == (0,)
    assert_allclose(scalar.covariance()[0], [4.0, 2.0, 1.0])


def test_one_correlation_holds_for_all_frames():
    assert GaussMarkov([1, 2, 3], 0.3).rho.tolist() == [0.3, 0.3]
    assert GaussMarkov([1.0]).rho.shape == (0,)


def test_samples_have_the_covariance():
    source = GaussMarkov([1.0, 3.0, 0.5], [0.9, -0.6])
    n = 100_000
    x = source.sample(n, rng=1)
    cov = source.covariance()
    # standard error of a Gaussian second moment, from Isserlis' theorem
    error = np.sqrt((np.outer(source.variance, source.variance) + cov**2) / n)
    # nine moments, six of them different: 4 standard errors in place of 3
    assert (np.abs(x.T @ x / n - cov) < 4 * error).all()
    assert (np.abs(x.mean(axis=0)) < 4 * source.sigma / math.sqrt(n)).all()


def test_samples_of_modes_are_independent():
    source = GaussMarkov([[1.0, 2.0], [0.5, 1.0]], [[0.9, -0.3]])
    n = 100_000
    x = source.sample(n, rng=2)
    assert x.shape == (n, 2, 2)
    for i in range(2):
        cov = source.covariance()[i]
        error = np.sqrt((np.outer(np.diag(cov), np.diag(cov)) + cov**2) / n)
        assert (np.abs(x[:, :, i].T @ x[:, :, i] / n - cov) < 4 * error).all()
    crossed = (x[:, :, 0].T @ x[:, :, 1]) / n
    assert (np.abs(crossed) < 4 * source.sigma[:, 0, None] * source.sigma[:, 1] / n**0.5).all()


@pytest.mark.parametrize("rho", [1.0, -1.0])
def test_a_frozen_source_repeats_itself(rho):
    x = GaussMarkov([1.0, 2.0], [rho]).sample(100, rng=0)
    assert_allclose(x[:, 1], rho * 2 * x[:, 0])


def test_randomness_comes_from_rng_alone():
    source = GaussMarkov.stationary(0.5, 2)
    assert (source.sample(5, 3) == source.sample(5, np.random.default_rng(3))).all()
    assert (source.sample(5, 3) != source.sample(5, 4)).all()


def test_standard_errors_are_the_spread_of_the_estimates():
    source = GaussMarkov([1.0, 3.0], [0.8])
    rng = np.random.default_rng(0)
    n, repeats = 400, 2000
    fits = [GaussMarkov.from_samples(source.sample(n, rng)) for _ in range(repeats)]
    sigma = np.array([fit.source.sigma for fit in fits])
    rho = np.array([fit.source.rho for fit in fits])
    # a standard deviation from r repeats is known to 1/sqrt(2 r)
    tolerance = 3 / math.sqrt(2 * repeats)
    assert_allclose(sigma.std(axis=0), fits[0].source.sigma / math.sqrt(2 * n), rtol=0.1)
    assert_allclose(sigma.std(axis=0), source.sigma / math.sqrt(2 * n), rtol=tolerance)
    assert_allclose(rho.std(axis=0), (1 - source.rho**2) / math.sqrt(n), rtol=tolerance)
    assert_allclose([fit.rho_se[0] for fit in fits], (1 - rho[:, 0] ** 2) / math.sqrt(n))


@given(sources(modes=2, min_frames=2, correlations=st.floats(-0.95, 0.95)), st.integers(0, 99))
def test_fit_is_the_sample_correlation_of_each_mode(source, seed):
    x = source.sample(50, seed) + 7.0
    fit = GaussMarkov.from_samples(x)
    assert fit.samples == 50
    assert_allclose(fit.source.sigma, x.std(axis=0), rtol=1e-9)
    for i in range(2):
        for t in range(1, source.frames):
            expected = np.corrcoef(x[:, t, i], x[:, t - 1, i])[0, 1]
            assert_allclose(fit.source.rho[t - 1, i], expected, rtol=1e-9)


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_fit_of_tiny_and_huge_units(unit):
    x = GaussMarkov.stationary(0.5, 2).sample(100, rng=0)
    fit, scaled = GaussMarkov.from_samples(x), GaussMarkov.from_samples(x * unit)
    assert_allclose(scaled.source.rho, fit.source.rho, rtol=1e-12)
    assert_allclose(scaled.source.sigma / unit, fit.source.sigma, rtol=1e-12)


def test_fit_of_repeated_frames_has_correlation_one():
    x = np.random.default_rng(0).normal(size=(30, 1)).repeat(3, axis=1)
    assert_allclose(GaussMarkov.from_samples(x).source.rho, 1.0)


def test_a_source_is_inert():
    sigma = np.ones(2)
    source = GaussMarkov(sigma, [0.5])
    sigma[0] = 5.0
    assert source.sigma.tolist() == [1.0, 1.0]
    for array in (source.sigma, source.rho, source.variance, source.gain, source.innovation):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.0
    with pytest.raises(AttributeError):
        source.sigma = sigma


def test_a_source_travels_between_processes():
    source = GaussMarkov([1.0, 2.0], [0.5])
    source.covariance()
    for other in (pickle.loads(pickle.dumps(source)), copy.deepcopy(source)):
        assert (other.covariance() == source.covariance()).all()


X = np.ones((5, 2))
BAD = [
    (lambda: GaussMarkov([1.0, 0.0], [0.5]), "sigma: expected values > 0, got 0"),
    (lambda: GaussMarkov([1.0, -2.0], [0.5]), "sigma: expected values > 0, got -2"),
    (lambda: GaussMarkov([1.0, math.nan], [0.5]), "sigma: expected numbers, got NaN"),
    (lambda: GaussMarkov([1.0, math.inf], [0.5]), "sigma: expected finite values, got inf"),
    (lambda: GaussMarkov(1.0), r"sigma: expected 1 or 2 dimension\(s\), got shape \(\)"),
    (lambda: GaussMarkov(["a"]), "sigma: expected numbers"),
    (lambda: GaussMarkov([]), "sigma: expected at least one frame"),
    (lambda: GaussMarkov([1.0, 1.0]), r"rho: expected shape \(1,\) for 2 frames, got nothing"),
    (lambda: GaussMarkov([1.0, 1.0], [0.5, 0.5]), r"rho: expected shape \(1,\) for 2 frames"),
    (lambda: GaussMarkov([1.0, 1.0], [1.5]), r"rho: expected \|rho\| <= 1, got 1.5"),
    (lambda: GaussMarkov([1.0, 1.0], [-1.1]), r"rho: expected \|rho\| <= 1, got -1.1"),
    (lambda: GaussMarkov([1.0, 1.0], [math.nan]), "rho: expected numbers, got NaN"),
    (lambda: GaussMarkov(np.ones((2, 3)), [0.5]), r"rho: expected shape \(1, 3\) for 2 frames"),
    (lambda: GaussMarkov.stationary(0.5, 0), "frames: expected an integer >= 1, got 0"),
    (lambda: GaussMarkov.stationary(0.5, 2.0), "frames: expected an integer >= 1, got 2.0"),
    (lambda: GaussMarkov.stationary([0.5] * 2, 2, [1.0] * 3), r"rho: expected shape \(3,\)"),
    (lambda: GaussMarkov([1.0]).sample(0, 0), "n: expected an integer >= 1, got 0"),
    (lambda: GaussMarkov([1.0]).sample(5, None), "rng: expected a numpy.random.Generator"),
    (lambda: GaussMarkov([1.0]).sample(5, -1), "rng: expected a numpy.random.Generator"),
    (lambda: GaussMarkov([1.0]).scaled(0.0), "factor: expected values > 0"),
    (lambda: GaussMarkov([1.0]).mode(0), "mode: expected a source with vector frames"),
    (lambda: GaussMarkov(np.ones((1, 2))).mode(2), "index: expected a mode below 2, got 2"),
    (lambda: GaussMarkov.from_samples(X), "x: expected every frame and mode to vary"),
    (lambda: GaussMarkov.from_samples(X[:1]), "x: expected at least 2 samples"),
    (lambda: GaussMarkov.from_samples(X[0]), r"x: expected 2 or 3 dimension\(s\)"),
    (lambda: GaussMarkov.from_samples(X * math.nan), "x: expected numbers, got NaN"),
    (lambda: GaussMarkov.from_samples(X * math.inf), "x: expected finite values"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("sigma", [1e-170, 1e-155, 1e155])
def test_variances_beyond_the_range_of_numbers_are_refused(sigma):
    """Their squares would be zero, inaccurate or infinite, and nothing could be computed."""
    source = GaussMarkov.stationary(0.9, 3, sigma=sigma)
    with pytest.raises(ValueError, match=r"sigma: expected values between 1\.5e-154 and"):
        _ = source.innovation
    source = GaussMarkov([1.0, sigma], 0.9)
    with pytest.raises(ValueError, match="sigma: expected consecutive frames within a factor"):
        _ = source.gain


@pytest.mark.parametrize("sigma", [1.6e-154, 1.2e154])
def test_variances_within_the_range_of_numbers_are_exact(sigma):
    source = GaussMarkov([sigma, 1.0, sigma], 0.5)
    np.testing.assert_allclose(source.variance, [sigma**2, 1.0, sigma**2], rtol=1e-15)
    np.testing.assert_allclose(source.gain, [0, 0.5 / sigma, 0.5 * sigma], rtol=1e-15)
