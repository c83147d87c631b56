"""BD-rate on curves whose difference is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdp.clip import rate_difference

RATES = np.geomspace(0.01, 1, 6)


@given(st.floats(-0.9, 3), st.integers(2, 8))
def test_a_constant_share_is_found_exactly(extra, count):
    rates = np.geomspace(0.01, 1, count)
    quality = 30 + 5 * np.log2(rates) + np.sin(np.arange(count))
    found = rate_difference((1 + extra) * rates, quality, rates, quality)
    assert found == pytest.approx(extra, abs=1e-9)


def test_straight_lines_are_exact_though_the_points_differ():
    """log rate = q / 6 and log rate = q / 5 - 1 over 30..40: the mean difference is 7/6 - 1."""
    first, second = np.array([28.0, 33.0, 41.0]), np.array([30.0, 35.0, 40.0])
    found = rate_difference(np.exp(second / 5 - 1), second, np.exp(first / 6), first)
    assert found == pytest.approx(np.expm1(35 * (1 / 5 - 1 / 6) - 1), rel=1e-9)


def test_the_order_of_points_does_not_matter_and_the_ratio_inverts():
    quality = np.array([30.0, 31, 34, 35, 38, 44])
    other = 0.7 * RATES ** 1.1
    forth = rate_difference(other, quality, RATES, quality)
    back = rate_difference(RATES[::-1], quality[::-1], other, quality)
    assert (1 + forth) * (1 + back) == pytest.approx(1)


def test_without_a_common_range_there_is_no_number():
    assert np.isnan(rate_difference([1, 2], [30, 31], [1, 2], [32, 33]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quality": [30, 29, 31]}, "quality: expected values that rise"),
        ({"quality": [30, 31]}, "quality: expected at least 2 values, as many"),
        ({"rates": [1, 1, 2]}, "quality: expected values that rise"),
        ({"rates": [0, 1, 2]}, "rates: "),
        ({"reference_quality": [1, 2, np.inf]}, "reference_quality: "),
    ],
)
def test_bad_curves_are_refused(change, message):
    given = {"rates": [1, 2, 3], "quality": [30, 31, 32]}
    given |= {"reference_rates": [1, 2, 3], "reference_quality": [30, 31, 32]}
    with pytest.raises(ValueError, match=message):
        rate_difference(**given | change)
