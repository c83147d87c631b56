"""D(R, P) and R(D, P) of one Gaussian frame, compared with each other and with brute force."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import minimize_scalar

from rdp import gaussian, scalar_distortion, scalar_rate
from rdp.closed_form import framewise
from rdp.source import GaussMarkov
from tests.strategies import LEVELS, RATES, SIGMAS

METRICS = st.sampled_from(["w2", "kl"])


def divergence(metric, sd, sigma):
    if metric == "w2":
        return float(gaussian.bures([[sd**2]], [[sigma**2]]))
    return float(gaussian.kl_divergence([0.0], [[sd**2]], [0.0], [[sigma**2]]))


def brute_force(rate, level, sigma, metric):
    """Least distortion over Xhat ~ N(0, sd^2) correlated with X as far as the rate allows."""
    correlation = math.sqrt(-math.expm1(-2 * rate * math.log(2)))

    def distortion(sd):
        return sigma**2 - 2 * correlation * sigma * sd + sd**2

    low, high = 0.0, sigma  # the smallest deviation within the level, by bisection
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if divergence(metric, middle, sigma) <= level else (middle, high)
    if divergence(metric, 0.0, sigma) <= level:
        high = 0.0
    free = minimize_scalar(distortion, bounds=(high, 2 * sigma), method="bounded")
    return min(free.fun, distortion(high))


@given(st.floats(0, 12) | st.just(math.inf), LEVELS, SIGMAS, METRICS)
def test_distortion_is_what_brute_force_finds(rate, level, sigma, metric):
    expected = brute_force(rate, level, sigma, metric)
    found = scalar_distortion(rate, level, sigma, metric)
    # a squared distance in float64 resolves the deviation, and so D, to about 1e-8
    assert_allclose(found, expected, rtol=1e-8, atol=1e-7 * sigma**2)


@given(RATES, LEVELS, SIGMAS, METRICS)
@example(rate=500.0, level=0.0, sigma=1.0, metric="w2")
@example(rate=1e-12, level=0.0, sigma=1.0, metric="kl")
def test_rate_inverts_distortion(rate, level, sigma, metric):
    distortion = scalar_distortion(rate, level, sigma, metric)
    least = scalar_rate(distortion, level, sigma, metric)
    assert_allclose(scalar_distortion(least, level, sigma, metric), distortion, rtol=1e-12)
    if distortion > 0:
        # at small rates D = const - O(sqrt R): D in float64 fixes R to about 1e-16 only
        assert_allclose(least, rate, rtol=1e-7, atol=1e-15)


@given(st.floats(0, 500, allow_subnormal=False), LEVELS, SIGMAS, METRICS)
def test_distortion_inverts_rate(ratio, level, sigma, metric):
    """A distortion that is reachable is reached; one that needs no rate gets none."""
    distortion = ratio * sigma**2
    rate = scalar_rate(distortion, level, sigma, metric)
    reached = scalar_distortion(rate, level, sigma, metric)
    if rate > 0:
        assert_allclose(reached, distortion, rtol=1e-12)
    else:
        assert distortion >= reached * (1 - 1e-12)


@given(RATES, LEVELS, METRICS)
def test_one_frame_of_the_framewise_closed_form(rate, level, metric):
    source = GaussMarkov([2.0])
    assert_allclose(
        scalar_distortion(rate, level, 2.0, metric),
        framewise(source, [rate], level, metric)[0],
        rtol=1e-13,
        atol=1e-300,
    )


@given(st.floats(0, 12), LEVELS, SIGMAS, st.floats(1e-100, 1e100), METRICS)
def test_units_do_not_matter(rate, level, sigma, factor, metric):
    scaled = level * factor**2 if metric == "w2" else level
    in_units = scalar_distortion(rate, scaled, sigma * factor, metric) / factor**2
    assert_allclose(in_units, scalar_distortion(rate, level, sigma, metric), rtol=1e-12)


@pytest.mark.parametrize(
    ("distortion", "level", "rate"),
    [
        (0.0, 0.0, math.inf),
        (0.0, 0.3, math.inf),
        (0.0, math.inf, math.inf),
        (2.0, 0.0, 0.0),
        (3.0, 0.0, 0.0),
        (math.inf, 0.0, 0.0),
        (1.0, 0.0, -0.5 * math.log2(0.75)),  # w = 1/2
        (1.0, 1.0, 0.0),
        (0.25, 1.0, 1.0),
        (1.0, math.inf, 0.0),
        (5.0, math.inf, 0.0),
        (1e300, 1 - 1e-16, 0.0),
        (0.75, 0.25, -0.5 * math.log2(0.75)),  # the level just stops to bind
        (1.25, 0.25, 0.0),
        (1e-200, 0.5, 100 * math.log2(10)),
        (1e-200, 0.0, 100 * math.log2(10)),
        (5e-324, 0.0, math.inf),  # half of it is 0 in float64
    ],
)
def test_edges_of_the_rate(distortion, level, rate):
    assert_allclose(scalar_rate(distortion, level), rate, rtol=1e-12)


def test_edges_of_the_distortion():
    assert scalar_distortion(0, 0) == 2
    assert scalar_distortion(0, 1) == 1
    assert scalar_distortion(0, math.inf, metric="kl") == 1
    assert scalar_distortion(math.inf, 0) == 0
    assert scalar_distortion(500, 0.0) == pytest.approx(2.0**-1000, rel=1e-12)


def test_arguments_broadcast():
    rate, level = np.linspace(0, 3, 4)[:, None], np.linspace(0, 1, 5)
    distortion = scalar_distortion(rate, level)
    assert distortion.shape == scalar_rate(distortion, level).shape == (4, 5)
    assert distortion[2, 3] == scalar_distortion(rate[2, 0], level[3])


@pytest.mark.parametrize("function", [scalar_distortion, scalar_rate])
def test_bad_input_is_named(function):
    first = {scalar_distortion: "rate", scalar_rate: "distortion"}[function]
    for value in (-1.0, math.nan, "much"):
        with pytest.raises(ValueError, match=f"{first}: expected"):
            function(value, 0.0)
        with pytest.raises(ValueError, match="level: expected"):
            function(1.0, value)
        with pytest.raises(ValueError, match="sigma: expected"):
            function(1.0, 0.0, value)
    with pytest.raises(ValueError, match="sigma: expected values > 0"):
        function(1.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="metric: expected 'w2' or 'kl', got 'js'"):
        function(1.0, 0.0, metric="js")
    with pytest.raises(ValueError, match=rf"{first}: expected a shape that broadcasts"):
        function([1.0, 2.0], [0.0, 0.0, 0.0])
