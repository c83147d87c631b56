"""Intervals of shares."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from neural.evaluation.intervals import share_ends


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_ends_are_those_of_wilson(counts):
    hits, count = counts
    low, high = share_ends(hits / count, count)
    wanted = binomtest(hits, count).proportion_ci(method="wilson")
    assert (low, high) == (
        pytest.approx(wanted.low, abs=2e-5),
        pytest.approx(wanted.high, abs=2e-5),
    )
    assert 0 <= low <= hits / count <= high <= 1
    for end in {low, high} - {0.0, 1.0}:  # the measured share is 1.96 standard errors away
        error = math.sqrt(end * (1 - end) / count)
        assert abs(end - hits / count) == pytest.approx(1.96 * error, rel=1e-6)


def test_a_share_of_one_has_an_interval():
    assert share_ends(1.0, 39) == (pytest.approx(39 / (39 + 1.96**2)), 1.0)
    assert share_ends(0.0, 39)[1] == pytest.approx(1 - share_ends(1.0, 39)[0])
