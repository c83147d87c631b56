"""Which ends of which intervals a check compares, and how much rounding it forgives."""

import numpy as np
import pytest

from rdp import bounds, closed_form
from rdp.operating_point import OperatingPoint
from rdp.perception import perception
from rdp.problem import Problem
from rdp.source import GaussMarkov
from solvers import solve, validate
from solvers.validation import ROUNDING

TWO = GaussMarkov.stationary(rho=0.9, frames=2)
RATES = np.array([0.5, 1.0])
LOW, HIGH = RATES - 0.1, RATES + 0.2
UNCERTAIN = {"rate": np.stack([LOW, HIGH], axis=1)}


def checks(points, bound, source=TWO):
    return [check for check in validate(points, source) if check.bound == bound]


def ends(found):
    return np.array([(check.limit, check.limit_low, check.limit_high) for check in found]).T


@pytest.mark.parametrize("frames", [1, 2])
def test_rounding_is_forgiven_and_nothing_more(frames):
    """A billionth of the larger value, as points on a curve are computed in floating point."""
    assert ROUNDING == 1e-9
    source = GaussMarkov.stationary(rho=0.9, frames=frames)
    rates = np.ones(frames)
    least = closed_form.mmse(source, rates)
    for below, verdict in ((0.9e-9, "pass"), (1.2e-9, "fail"), (1e-7, "fail")):
        point = OperatingPoint("a", "MMSE", rates, least * (1 - below))
        assert {check.verdict for check in checks([point], "rate-distortion", source)} == {verdict}


def test_ends_of_the_rate_in_the_bound_on_permanence():
    point = OperatingPoint("a", "JD", RATES, [1.9, 1.9], [0.0, 0.0], intervals=UNCERTAIN)
    value, low, high = ends(checks([point], "permanence"))
    np.testing.assert_allclose(value, bounds.permanence_bound(TWO, RATES))
    np.testing.assert_allclose(low, bounds.permanence_bound(TWO, HIGH))
    np.testing.assert_allclose(high, bounds.permanence_bound(TWO, LOW))


@pytest.mark.parametrize("plf", ["JD", "SA"])
def test_ends_of_rate_and_perception_in_the_curve(plf):
    """The limit is low where more bits and a larger loss are allowed."""
    levels, spread = np.array([0.05, 0.1]), np.array([0.01, 0.02])
    measured = np.array([1.0, 0.9])
    around = {
        **UNCERTAIN,
        "perception": np.stack([levels - spread, levels + 2 * spread], axis=1),
        "distortion": np.stack([measured - 0.1, measured + 0.3], axis=1),
    }
    point = OperatingPoint("a", plf, RATES, measured, levels, intervals=around)
    total = next(c for c in checks([point], "rate-distortion-perception") if c.frame is None)

    def least(rates, allowed):
        loss = perception(plf, allowed)
        return solve(Problem(TWO, rates, loss, weights=[1, 1])).objective

    assert total.limit == pytest.approx(least(RATES, levels), rel=1e-5)
    assert total.limit_low == pytest.approx(least(HIGH, levels + 2 * spread), rel=1e-5)
    assert total.limit_high == pytest.approx(least(LOW, levels - spread), rel=1e-5)
    assert (total.measured, total.low, total.high) == pytest.approx((1.9, 1.7, 2.5))


def test_ends_of_the_error_in_factor_two():
    error = {"distortion": [[0.2, 0.5], [0.1, 0.4]]}
    estimate = OperatingPoint("a", "MMSE", RATES, [0.3, 0.2], intervals=error)
    poor = OperatingPoint("a", "FMD", RATES, [0.7, 0.3], [0.1, 0.1])
    found = checks([estimate, poor], "factor two")
    np.testing.assert_allclose(ends(found), [[0.6, 0.4], [0.4, 0.2], [1.0, 0.8]])
    assert [check.verdict for check in found] == ["inconclusive", "inconclusive"]


def test_ends_of_error_distance_and_loss_in_the_split():
    """The limit is low for a small error, a short distance and a large loss."""
    about = {"distortion": [[0.2, 0.4]], "perception": [[0.03, 0.06]]}
    estimate = OperatingPoint("a", "MMSE", [1], [0.3], [0.04], source="video", intervals=about)
    loss = {"perception": [[0.001, 0.02]]}
    decoded = OperatingPoint("a", "FMD", [1], [0.33], [0.01], source="video", intervals=loss)
    (found,) = (check for check in validate([estimate, decoded]) if check.bound == "split")
    assert found.limit == pytest.approx(0.3 + (0.2 - 0.1) ** 2)
    assert found.limit_low == pytest.approx(0.2 + (np.sqrt(0.03) - np.sqrt(0.02)) ** 2)
    assert found.limit_high == pytest.approx(0.4 + (np.sqrt(0.06) - np.sqrt(0.001)) ** 2)
    assert found.verdict == "inconclusive"


def test_ends_of_the_estimates_error_where_the_source_gives_its_distance():
    about = {"distortion": [[0.2, 0.4]]}
    one = GaussMarkov.stationary(rho=0.9, frames=1)
    estimate = OperatingPoint("a", "MMSE", [1], [0.3], intervals=about)
    decoded = OperatingPoint("a", "FMD", [1], [0.5], [0.0])
    (found,) = checks([estimate, decoded], "split", one)
    limits = [m + (1 - np.sqrt(1 - m)) ** 2 for m in (0.3, 0.2, 0.4)]
    assert (found.limit, found.limit_low, found.limit_high) == pytest.approx(limits)


def test_ends_of_both_excesses_in_universality():
    """Most costly: the shared encoder at its high end, the own one at its low end."""
    zero, points = np.zeros(2), []
    for encoder, extra, reach in (("shared", 0.02, (0.01, 0.03)), ("own", 0.01, (0.002, 0.005))):
        distortion = closed_form.zero_perception_framewise(TWO, RATES) + extra
        around = {"distortion": np.stack([distortion - reach[0], distortion + reach[1]], axis=1)}
        about = {"encoder": encoder}
        points.append(
            OperatingPoint(
                encoder, "FMD", RATES, distortion, zero, intervals=around, provenance=about
            )
        )
    (found,) = checks(points, "universality")
    assert found.measured == pytest.approx(2 * (0.02 - 0.01))
    assert found.low == pytest.approx(2 * (0.02 - 0.01 - 0.01 - 0.005))
    assert found.high == pytest.approx(2 * (0.02 - 0.01 + 0.03 + 0.002))
    assert found.verdict == "inconclusive"


def test_an_uncertain_rate_can_excuse_a_wasteful_codec():
    distortion = closed_form.mmse(TWO, [1.0, 1.0])
    around = {"rate": [[6.5, 7.5], [6.9, 7.5]]}
    point = OperatingPoint("a", "MMSE", [7.1, 7.1], distortion, intervals=around)
    found = checks([point], "one-shot rate")
    assert [check.verdict for check in found] == ["inconclusive", "inconclusive"]
    around = {"rate": [[7.05, 7.2], [7.05, 7.2]]}
    sure = OperatingPoint("a", "MMSE", [7.1, 7.1], distortion, intervals=around)
    assert [check.verdict for check in checks([sure], "one-shot rate")] == ["fail", "fail"]


def test_an_infinite_distortion_says_nothing_about_other_frames():
    zero, about = [0.0, 0.0], {"encoder": "shared"}
    points = [
        OperatingPoint("a", "FMD", RATES, [1.5, np.inf], zero, provenance=about),
        OperatingPoint("b", "FMD", RATES, [1.5, np.inf], zero, provenance={"encoder": "own"}),
    ]
    curve = checks(points[:1], "rate-distortion-perception")
    measured = [(check.frame, check.measured) for check in curve]
    assert measured == [(1, 1.5), (2, np.inf), (None, np.inf)]
    assert checks(points, "universality") == []  # no excess to compare
