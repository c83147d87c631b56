"""Conditional perception: the formula against brute force, and its scheme simulated."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from rdp import GaussMarkov
from rdp.bounds import factor_two
from rdp.closed_form import framewise, mmse
from rdp.conditional import conditional, posterior_sampling
from tests.strategies import LEVELS, per_frame, sources_with_rates


@settings(max_examples=20)
@given(st.floats(0.05, 4.0), st.floats(0.0, 1.2))
def test_one_frame_by_brute_force(rate, level):
    """Any Gaussian representation of the rate, any linear decoder with noise."""

    def moments(variables):
        worse, scale, noise = variables
        m = 2.0 ** (-2 * rate) + worse
        shift = (scale - 1) ** 2 * (1 - m)
        distance = shift + (math.sqrt(m) - noise) ** 2
        return m + shift + noise**2, distance

    bounds = [(0.0, 1 - 2.0 ** (-2 * rate)), (0.0, 2.0), (0.0, 2.0)]
    constraint = {"type": "ineq", "fun": lambda variables: level - moments(variables)[1]}
    found = [
        minimize(
            lambda variables: moments(variables)[0], start, method="SLSQP", bounds=bounds,
            constraints=[constraint], options={"ftol": 1e-14, "maxiter": 500},
        )
        for start in ((0.0, 1.0, 2.0**-rate), (0.1 * bounds[0][1], 0.9, 2.0**-rate))
    ]  # fmt: skip
    best = min(r.fun for r in found if constraint["fun"](r.x) > -1e-9)
    assert_allclose(conditional(GaussMarkov([1.0]), [rate], level)[0], best, atol=1e-5)


@given(sources_with_rates(max_frames=5), st.data())
def test_the_scheme_has_the_distortion_and_the_conditional_distribution(drawn, data):
    source, rates = drawn
    levels = np.multiply(data.draw(per_frame(LEVELS, source.frames)), source.variance)
    scheme = posterior_sampling(source, rates, levels)
    found = conditional(source, rates, levels)
    assert_allclose(scheme.distortion, found, rtol=1e-12, atol=1e-300)
    # given the bits: the same mean, and deviations sqrt(m) and that of the noise
    m = mmse(source, rates)
    distance = (np.sqrt(m) - np.diag(scheme.noise)) ** 2
    assert (distance <= levels * (1 + 1e-9) + 1e-12 * source.variance).all()


@given(sources_with_rates(max_frames=5))
def test_it_lies_between_the_framewise_loss_and_the_factor_two(drawn):
    source, rates = drawn
    m = mmse(source, rates)
    assert_allclose(conditional(source, rates), factor_two(m), rtol=1e-12)
    assert (conditional(source, rates) >= framewise(source, rates) * (1 - 1e-12)).all()
    assert_allclose(conditional(source, rates, math.inf), m)


@pytest.mark.parametrize("level", [0.0, 0.05])
def test_posterior_sampling_can_be_simulated(level):
    source, n = GaussMarkov([1.0, 2.0, 1.0], [0.9, -0.5]), 100_000
    rates = [0.5, 1.5, 0.0]
    x, xhat = posterior_sampling(source, rates, level).simulate(n, rng=3)
    error = (x - xhat) ** 2
    spread = error.std(axis=0) / math.sqrt(n)
    assert (np.abs(error.mean(axis=0) - conditional(source, rates, level)) <= 4 * spread).all()


def test_leading_axes_and_modes_broadcast():
    source = GaussMarkov(np.ones((2, 2)), 0.5)
    rates, levels = np.ones((3, 2, 2)), np.array([0.0, 0.1, 1.0])[:, None, None]
    found = conditional(source, rates, levels)
    assert found.shape == (3, 2, 2)
    assert_allclose(found[1, :, 0], conditional(source.mode(0), [1, 1], 0.1))


def test_bad_input_is_named():
    source = GaussMarkov.stationary(rho=0.9, frames=2)
    for function in (conditional, posterior_sampling):
        with pytest.raises(ValueError, match="levels: expected values >= 0, got -1"):
            function(source, [1, 1], -1)
        with pytest.raises(ValueError, match="levels: expected a shape that broadcasts"):
            function(source, [1, 1], [1, 1, 1])
    with pytest.raises(ValueError, match="source: expected scalar frames, got 2 modes"):
        posterior_sampling(GaussMarkov(np.ones((2, 2)), 0.5), np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"rates: expected shape \(2,\)"):
        posterior_sampling(source, [[1, 1]])
