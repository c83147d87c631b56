"""The MMSE backbone compared with conditional variances from one joint covariance."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from rdp import GaussMarkov, gaussian
from rdp.mmse import (
    estimate_factor,
    factor_from_mmse,
    factor_of_backbone,
    mmse_recursion,
    prediction_errors,
)
from tests.strategies import sources_with_rates

FINITE = st.just(0.0) | st.floats(0.01, 6)


def conditional(cov, given_):
    """Covariance of all variables given the variables at the places `given_`."""
    if not len(given_):
        return cov
    weights = cov[:, given_] @ np.linalg.pinv(cov[np.ix_(given_, given_)], hermitian=True)
    return cov - weights @ cov[given_]


def channel(source, rates):
    """Joint covariance of X and U_t = X_t + N_t, where I(X_t; U_t | U^{t-1}) = R_t.

    Returns it with the place of each U. A frame at rate 0 has no U.
    """
    frames = source.frames
    cov = np.zeros((2 * frames, 2 * frames))
    cov[:frames, :frames] = source.covariance()
    places = []
    for t, rate in enumerate(rates):
        if rate == 0:
            continue
        left = conditional(cov, places)[t, t]
        place = frames + t
        cov[place] = cov[t]
        cov[:, place] = cov[:, t]
        cov[place, place] = cov[t, t] + left / (4.0**rate - 1)
        places.append(place)
    return cov, places


@given(sources_with_rates(rates=FINITE, correlations=st.floats(-0.98, 0.98)))
def test_errors_are_conditional_variances(pair):
    source, rates = pair
    backbone = mmse_recursion(source, rates)
    cov, places = channel(source, rates)
    for t in range(source.frames):
        before = [place for place in places if place < source.frames + t]
        until = [place for place in places if place <= source.frames + t]
        predicted, after = conditional(cov, before)[t, t], conditional(cov, until)[t, t]
        assert_allclose(backbone.prediction_error[t], predicted, rtol=1e-6)
        assert_allclose(backbone.mmse[t], after, rtol=1e-6)
        assert_allclose(backbone.variance[t], source.variance[t] - after, rtol=1e-6, atol=1e-9)


@given(sources_with_rates(rates=FINITE, correlations=st.floats(-0.98, 0.98)))
def test_estimate_has_the_covariance_of_conditional_means(pair):
    """Cov(Xtil_t, Xtil_s) from the projections of X_t on U^t, and E X_t Xtil_t = Var Xtil_t."""
    source, rates = pair
    cov, places = channel(source, rates)
    frames = source.frames
    project = np.zeros((frames, 2 * frames))
    for t in range(frames):
        until = [place for place in places if place <= frames + t]
        if until:
            project[t, until] = cov[t, until] @ np.linalg.inv(cov[np.ix_(until, until)])
    expected = project @ cov @ project.T
    factor = estimate_factor(source, rates)
    spread = np.outer(source.sigma, source.sigma)
    assert_allclose(factor @ factor.T / spread, expected / spread, atol=1e-8)
    with_source = np.diag(project @ cov[:, :frames]) / source.variance
    assert_allclose(with_source, np.diag(expected) / source.variance, atol=1e-8)


@given(sources_with_rates(rates=FINITE, correlations=st.floats(-0.98, 0.98)))
def test_rates_are_the_information_that_is_sent(pair):
    """I(X^t; U_t | U^{t-1}), by the chain rule from joint covariances."""
    source, rates = pair
    cov, places = channel(source, rates)
    frames = source.frames
    assume(places)
    earlier = 0.0
    for t in range(frames):
        until = [place for place in places if place <= frames + t]
        if not until:
            continue
        keep = [*range(t + 1), *until]
        information = gaussian.mutual_information(cov[np.ix_(keep, keep)], t + 1)
        assert_allclose(information - earlier, rates[t], rtol=1e-6, atol=1e-6)
        earlier = information


@given(sources_with_rates())
def test_variance_has_no_cancellation(pair):
    source, rates = pair
    backbone = mmse_recursion(source, rates)
    assert_allclose(backbone.variance + backbone.mmse, source.variance, rtol=1e-12)
    assert (backbone.variance[0] > 0) == (rates[0] > 0)
    for field in backbone:
        assert np.isfinite(field).all()
        assert (field >= 0).all()


def test_tiny_rates_keep_their_digits():
    rate = 1e-300
    backbone = mmse_recursion(GaussMarkov([1.0]), [rate])
    assert_allclose(backbone.variance, 2 * rate * math.log(2), rtol=1e-12)
    assert_allclose(backbone.gain, math.sqrt(2 * rate * math.log(2)), rtol=1e-12)


@given(sources_with_rates())
def test_factor_from_the_errors_is_the_factor_of_the_rates(pair):
    source, rates = pair
    expected = estimate_factor(source, rates)
    found = factor_from_mmse(source, mmse_recursion(source, rates).mmse)
    # v - m keeps 1e-16 of the variance, its root 1e-8 of sigma
    assert (np.abs(found - expected) <= 3e-8 * source.sigma[:, None]).all()


@pytest.mark.parametrize("modes", [None, 2])
def test_the_backbone_and_its_errors_say_what_the_rates_say(modes):
    """Of one point and of many, with and without modes: the frames are the last axis but modes."""
    rng = np.random.default_rng(5)
    shape = (4,) if modes is None else (4, modes)
    source = GaussMarkov(10 ** rng.uniform(-1, 1, shape), rng.uniform(-1, 1, (3, *shape[1:])))
    rates = rng.uniform(0, 3, (2, 3, *shape))
    together = mmse_recursion(source, rates)
    factor = factor_of_backbone(source, together)
    assert (factor == estimate_factor(source, rates)).all()
    assert_allclose(prediction_errors(source, together.mmse), together.prediction_error, rtol=1e-14)
    for i, j in np.ndindex(2, 3):
        alone = mmse_recursion(source, rates[i, j])
        assert all((a[i, j] == b).all() for a, b in zip(together, alone, strict=True))
        assert (factor[i, j] == factor_of_backbone(source, alone)).all()
        error = prediction_errors(source, alone.mmse)
        assert_allclose(error, alone.prediction_error, rtol=1e-14)


@given(sources_with_rates(modes=2))
def test_modes_are_independent(pair):
    source, rates = pair
    together, factor = mmse_recursion(source, rates), estimate_factor(source, rates)
    for i in range(2):
        alone = mmse_recursion(source.mode(i), rates[:, i])
        for joint, single in zip(together, alone, strict=True):
            assert_allclose(joint[:, i], single, rtol=1e-14)
        assert_allclose(factor[i], estimate_factor(source.mode(i), rates[:, i]), rtol=1e-14)


@given(sources_with_rates())
def test_leading_axes_broadcast(pair):
    source, rates = pair
    stack = np.stack([rates, rates + 1, np.zeros_like(rates)])[:, None]
    batch, factors = mmse_recursion(source, stack), estimate_factor(source, stack)
    for i in range(3):
        for many, one in zip(batch, mmse_recursion(source, stack[i, 0]), strict=True):
            assert_allclose(many[i, 0], one, rtol=1e-14)
        assert_allclose(factors[i, 0], estimate_factor(source, stack[i, 0]), rtol=1e-14)


@pytest.mark.parametrize("function", [mmse_recursion, estimate_factor])
def test_bad_input_is_named(function):
    source = GaussMarkov.stationary(0.5, 2)
    with pytest.raises(ValueError, match=r"rates: expected shape \(\.\.\., 2\) for 2 frames"):
        function(source, [1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="rates: expected values >= 0, got -1"):
        function(source, [1.0, -1.0])
    with pytest.raises(ValueError, match=r"rates: expected shape \(\.\.\., 2, 3\) for 2 frames"):
        function(GaussMarkov(np.ones((2, 3)), np.zeros((1, 3))), [1.0, 1.0])
