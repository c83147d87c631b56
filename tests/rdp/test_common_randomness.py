"""Limited common randomness: bound and scheme against convex programs, ends and simulation."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from rdp import GaussMarkov
from rdp.bounds import limited_common_randomness
from rdp.closed_form import zero_perception_framewise, zero_perception_joint
from rdp.common_randomness import (
    framewise_achievable,
    framewise_bound,
    framewise_scheme,
    joint_achievable,
    joint_scheme,
)
from rdp.gaussian import mutual_information
from rdp.mmse import mmse_recursion
from tests.strategies import RATES, per_frame, sources_with_rates

COMMON = st.sampled_from([0.0, math.inf]) | st.floats(0.0, 6.0)
SCHEMES = [framewise_scheme, joint_scheme]


@st.composite
def points(draw, common=COMMON, **kwargs):
    source, rates = draw(sources_with_rates(**kwargs))
    return source, rates, np.array(draw(per_frame(common, source.frames)))


@given(st.floats(0.1, 10.0), RATES, COMMON)
def test_one_frame_has_the_known_formula(sigma, rate, common):
    source = GaussMarkov([sigma])
    expected = limited_common_randomness(rate, common, sigma)
    for function in (framewise_bound, framewise_achievable, joint_achievable):
        assert_allclose(function(source, [rate], [common])[0], expected, rtol=1e-10)


@given(sources_with_rates(max_frames=6))
def test_unlimited_randomness_gives_the_losses_without_this_limit(drawn):
    source, rates = drawn
    scale = source.variance
    framewise = zero_perception_framewise(source, rates) / scale
    assert_allclose(framewise_bound(source, rates, math.inf) / scale, framewise, atol=1e-14)
    assert_allclose(framewise_achievable(source, rates, math.inf) / scale, framewise, atol=1e-12)
    joint = zero_perception_joint(source, rates) / scale
    assert_allclose(joint_achievable(source, rates, math.inf) / scale, joint, atol=1e-12)


@given(points(max_frames=6))
def test_a_scheme_is_perfectly_realistic_and_does_not_beat_the_bound(drawn):
    source, rates, common = drawn
    bound = framewise_bound(source, rates, common) / source.variance
    framewise = framewise_scheme(source, rates, common)
    assert_allclose(np.diag(framewise.cov_xhat), source.variance, rtol=1e-10)
    assert (framewise.distortion / source.variance >= bound - 1e-12).all()
    joint = joint_scheme(source, rates, common)
    unit = np.outer(source.sigma, source.sigma)
    assert_allclose(joint.cov_xhat / unit, source.covariance() / unit, atol=1e-10)
    assert (joint.distortion / source.variance >= bound - 1e-12).all()


@given(points(max_frames=4), st.integers(0, 3), st.floats(0.0, 3.0))
def test_more_shared_bits_never_hurt(drawn, which, more):
    source, rates, common = drawn
    richer = common.copy()
    richer[which % source.frames] += more
    for function in (framewise_bound, framewise_achievable, joint_achievable):
        less, greater = function(source, rates, np.stack([common, richer])) / source.variance
        assert (greater <= less + 1e-9).all(), function.__name__


@given(points(common=st.floats(0.0, 4.0), max_frames=4, rates=st.floats(0.05, 4.0)))
def test_every_layer_of_the_framewise_scheme_has_the_bits_it_needs(drawn):
    source, rates, common = drawn
    scheme = framewise_scheme(source, rates, common)
    bits = np.cumsum(rates + common)
    for t in range(source.frames):
        for i in range(t + 1):
            cov = np.eye(i + 2)
            cov[-1, :-1] = cov[:-1, -1] = scheme.decoder[t, : i + 1] / source.sigma[t]
            assert mutual_information(cov, 1) <= bits[i] + 1e-6


def best_covariance(source, rates, common, t):
    """Largest E[X_t Xhat_t] / sigma_t^2 over representations and layers, by a convex program.

    The parts of source and reconstruction that layer j explains have the products' geometric mean
    as their best covariance.
    """
    import cvxpy as cp

    phi = source.transition()[t, : t + 1]
    m, b = cp.Variable(t + 1), cp.Variable(t + 1, nonneg=True)
    explained, constraints = [], []
    for j in range(t + 1):
        v = source.innovation[j] + (source.gain[j] ** 2 * m[j - 1] if j else 0.0)
        constraints += [m[j] >= 2.0 ** (-2 * rates[j]) * v, m[j] <= v]
        explained.append(phi[j] ** 2 * (v - m[j]) / source.variance[t])
        bits = np.sum((rates + common)[: j + 1])
        constraints.append(cp.sum(b[: j + 1]) <= 1 - 2.0 ** (-2 * bits))
    value = sum(cp.geo_mean(cp.hstack([explained[j], b[j]])) for j in range(t + 1))
    problem = cp.Problem(cp.Maximize(value), constraints)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        problem.solve(cp.CLARABEL)
    return problem.value


@settings(max_examples=15)
@given(
    points(
        common=st.floats(0.0, 6.0),
        min_frames=2,
        max_frames=4,
        correlations=st.floats(-0.98, 0.98).filter(lambda rho: abs(rho) > 0.02),
        rates=st.floats(0.05, 4.0),  # with no rate the program has no interior
        sigmas=st.floats(0.5, 2.0),
    )
)
def test_no_representation_and_no_layers_do_better_if_bits_come_frame_by_frame(drawn):
    source, rates, common = drawn
    t = source.frames - 1
    scheme = framewise_scheme(source, rates, common)
    found = 1 - scheme.distortion[t] / (2 * source.variance[t])
    assert_allclose(found, best_covariance(source, rates, common, t), atol=3e-5)


@given(st.floats(-0.99, 0.99), st.floats(0.01, 4.0), st.floats(0.0, 4.0))
def test_the_bound_is_reached_at_constant_rates(rho, rate, common):
    source = GaussMarkov.stationary(rho=rho, frames=5)
    rates = np.full(5, rate)
    bound = framewise_bound(source, rates, common)
    assert_allclose(framewise_achievable(source, rates, common), bound, atol=1e-12)


def test_the_bound_is_not_reached_when_shared_bits_come_late():
    source = GaussMarkov.stationary(rho=0.9, frames=2)
    rates, common = np.array([0.5, 0.5]), np.array([0.0, 20.0])
    assert framewise_bound(source, rates, common)[1] < 0.3238
    best = 2 - 2 * best_covariance(source, rates, common, 1)
    assert_allclose(best, framewise_scheme(source, rates, common).distortion[1], atol=1e-6)
    assert best > 0.3285


def test_values_without_shared_bits():
    source = GaussMarkov.stationary(rho=0.9, frames=200)
    rates = np.full(200, 0.5)
    for function in (framewise_bound, framewise_achievable):
        found = function(source, rates, 0.0)
        assert_allclose(found[:4], [1.0, 0.54828, 0.34296, 0.24886], atol=5e-6)
        assert_allclose(found[-1], 0.16660, atol=5e-6)
    joint = joint_scheme(source, rates, 0.0).distortion
    assert_allclose(joint[-1], 0.70359, atol=5e-6)
    k2 = 0.5  # 1 - 2^(-2 R)
    v = mmse_recursion(source, rates).prediction_error
    expected = [1.0]
    for t in range(1, 200):
        expected.append(0.81 * expected[-1] + 2 * (0.19 - math.sqrt(0.19 * v[t]) * k2))
    assert_allclose(joint, expected, rtol=1e-12)


@pytest.mark.parametrize("build", SCHEMES)
@pytest.mark.parametrize(
    ("sigma", "rho", "rates", "common"),
    [
        ([2.0], [], [0.7], [0.4]),
        ([1.0, 1.0], [0.9], [0.5, 0.5], [0.0, 0.0]),
        ([1.0, 3.0, 2.0], [-0.8, 0.5], [1.0, 0.0, 0.3], [0.2, math.inf, 1.0]),
        ([1.0, 1.0, 1.0], [1.0, 0.6], [0.4, 0.6, math.inf], [0.0, 0.5, 0.0]),
    ],
)
def test_the_second_moments_of_a_scheme_are_simulated(build, sigma, rho, rates, common):
    source = GaussMarkov(sigma, rho)
    scheme, n = build(source, rates, common), 100_000
    x, xhat = scheme.simulate(n, rng=1)
    for sample, expected in (((x - xhat) ** 2, scheme.distortion), (xhat**2, source.variance)):
        spread = sample.std(axis=0) / math.sqrt(n) + 1e-12 * source.variance
        assert (np.abs(sample.mean(axis=0) - expected) <= 4 * spread).all()


def test_bad_input_is_named():
    source = GaussMarkov.stationary(rho=0.9, frames=2)
    for function in (framewise_bound, framewise_scheme, joint_scheme):
        with pytest.raises(ValueError, match="common: expected values >= 0, got -1"):
            function(source, [1, 1], -1)
        with pytest.raises(ValueError, match=r"common: expected a shape that broadcasts"):
            function(source, [1, 1], [1, 1, 1])
    modes = GaussMarkov(np.ones((2, 2)), 0.5)
    with pytest.raises(ValueError, match="source: expected scalar frames, got 2 modes"):
        joint_scheme(modes, np.ones((2, 2)), 0.0)
    with pytest.raises(ValueError, match=r"rates: expected shape \(2,\), got \(1, 2\)"):
        framewise_scheme(source, [[1, 1]], 0.0)
