"""Non-causal coding: spectral integrals against eigenvalues of long blocks, and their ends."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.linalg import eigvalsh, toeplitz
from scipy.optimize import brentq

from rdp import GaussMarkov
from rdp.closed_form import mmse, zero_perception_framewise, zero_perception_joint
from rdp.noncausal import causality_price, noncausal_mmse, noncausal_realism
from rdp.scalar import scalar_distortion

RHO = st.sampled_from([0.0, 1.0, -1.0]) | st.floats(-0.9999, 0.9999)


def of_a_block(rho, rate, frames, realism):
    """Distortion per frame of a block of T frames, each eigenvector of its covariance a channel.

    The correlations are found from the rate by a root finder, not by the spectral formula.
    """
    values = eigvalsh(toeplitz(rho ** np.arange(frames)))

    def rates(level):
        if not realism:
            return 0.5 * np.log2(np.maximum(values / level, 1.0))
        # kappa solves x (1 - kappa^2) = kappa: a quadratic
        x = values / level
        kappa = np.array([np.roots([y, 1.0, -y]).max() for y in x])
        return -0.5 * np.log2(1 - kappa**2)

    log_level = brentq(lambda p: rates(math.exp(p)).mean() - rate, -12, 8, xtol=1e-13)
    share = 2.0 ** (-2 * rates(math.exp(log_level)))
    each = 2 * (1 - np.sqrt(1 - share)) if realism else share
    return (values * each).mean()


@pytest.mark.parametrize("realism", [True, False])
@pytest.mark.parametrize(("rho", "rate"), [(0.9, 0.5), (0.5, 0.2), (-0.7, 1.0)])
def test_long_blocks_converge_to_the_spectral_formula(rho, rate, realism):
    short, long = (of_a_block(rho, rate, frames, realism) for frames in (200, 400))
    curve = noncausal_realism if realism else noncausal_mmse
    # the first frame costs a constant: two lengths remove what it does to the mean
    assert_allclose(curve(rho, rate), 2 * long - short, rtol=5e-5)


def test_printed_values():
    found = causality_price(0.9, 0.5)
    assert_allclose(found.noncausal_realism, 0.135737, atol=5e-7)
    assert_allclose(found.causal_realism, 0.166603, atol=5e-7)
    assert_allclose(found.causal_mmse, 0.159664, atol=5e-7)


@given(st.floats(0.0, 20.0), st.floats(0.1, 10.0))
def test_a_white_source_has_no_price(rate, sigma):
    found = causality_price(0.0, rate, sigma)
    realism = scalar_distortion(rate, 0.0, sigma)
    assert_allclose(found.noncausal_realism, realism, rtol=1e-9, atol=1e-300)
    assert_allclose(found.causal_realism, realism, rtol=1e-9)
    assert_allclose(found.noncausal_mmse, scalar_distortion(rate, math.inf, sigma), rtol=1e-9)
    assert_allclose(found.causal_mmse, found.noncausal_mmse, rtol=1e-9)


@settings(max_examples=40)
@given(RHO, st.floats(0.0, 12.0))
def test_each_restriction_costs_and_realism_costs_at_most_twice(rho, rate):
    found = causality_price(rho, rate)
    for less, more in (
        (found.noncausal_mmse, found.noncausal_realism),
        (found.noncausal_mmse, found.causal_mmse),
        (found.noncausal_realism, found.causal_realism),
        (found.causal_mmse, found.causal_realism),
    ):
        assert less <= more * (1 + 1e-9) + 1e-15
    assert found.noncausal_realism <= 2 * found.noncausal_mmse * (1 + 1e-9) + 1e-15
    assert found.causal_realism <= 2 * found.causal_mmse * (1 + 1e-9) + 1e-15


@settings(max_examples=30)
@given(st.floats(-0.999, 0.999), st.floats(0.01, 6.0))
def test_curves_are_decreasing_and_convex_in_the_rate(rho, rate):
    grid = rate * np.array([0.9, 1.0, 1.1])
    for curve in (noncausal_mmse, noncausal_realism):
        left, middle, right = curve(rho, grid)
        assert left > middle > right
        assert middle <= (left + right) / 2 + 1e-12


@pytest.mark.parametrize("rho", [0.5, 0.999999, -0.9])
def test_at_high_rates_causality_and_realism_are_free(rho):
    found = causality_price(rho, 20.0)
    expected = (1 - rho**2) * 2.0**-40
    for value in found:
        assert_allclose(value, expected, rtol=1e-4)


@given(st.floats(-0.95, 0.95), st.floats(0.05, 4.0))
def test_causal_values_are_the_limits_of_the_closed_forms(rho, rate):
    source = GaussMarkov.stationary(rho=rho, frames=400)
    rates, found = np.full(400, rate), causality_price(rho, rate)
    assert_allclose(found.causal_mmse, mmse(source, rates)[-1], rtol=1e-9)
    for last in (zero_perception_framewise, zero_perception_joint):
        assert_allclose(found.causal_realism, last(source, rates)[-1], rtol=1e-8)


def test_the_ends():
    for rho in (0.9, 1.0):
        found = causality_price(rho, [0.0, math.inf], sigma=2.0)
        assert found.noncausal_mmse.tolist() == found.causal_mmse.tolist() == [4.0, 0.0]
        assert found.noncausal_realism.tolist() == found.causal_realism.tolist() == [8.0, 0.0]


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"rho: expected \|rho\| <= 1, got 2"):
        noncausal_mmse(2, 1)
    with pytest.raises(ValueError, match="rates: expected values >= 0"):
        noncausal_realism(0.5, -1)
    with pytest.raises(ValueError, match="sigma: expected values > 0"):
        causality_price(0.5, 1, sigma=0)
