"""Adapted W2 of vector frames compared with the scalar formula and published values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from rdp.adapted import block_adapted_w2
from rdp.gaussian import adapted_w2, bures

# AWD_numerics tutorial (adapted Wasserstein distance of Gaussians): factors of three frames in R^2
FIRST = [
    [1, 0, 0, 0, 0, 0],
    [1, 2, 0, 0, 0, 0],
    [1, 2, 3, 0, 0, 0],
    [7, 5, 4, 9, 0, 0],
    [6, 2, 9, 14, 16, 0],
    [-4, 6, -5, 1, 2, 9],
]
SECOND = [
    [2, 0, 0, 0, 0, 0],
    [3, 1, 0, 0, 0, 0],
    [1, 4, 2, 0, 0, 0],
    [8, 5, 3, 7, 0, 0],
    [4, 3, 6, 10, 12, 0],
    [0, -1, 2, 4, 3, 8],
]


def test_published_value_in_blocks():
    a, b = (np.array(factor) @ np.array(factor).T for factor in (FIRST, SECOND))
    assert_allclose(block_adapted_w2(a, b, size=2), 171.61705298017796, rtol=1e-12)


def test_published_value_of_two_brownian_motions():
    times = np.arange(1, 6)
    walk = np.minimum.outer(times, times).astype(float)
    assert_allclose(block_adapted_w2(walk, 0.25 * walk, 1, mean_a=1.0, mean_b=2.0), 8.75)


@given(st.integers(0, 10_000))
def test_between_the_plain_distance_and_the_one_of_single_values(seed):
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(2, 6, rng.integers(1, 7)))
    a, b = roots @ np.swapaxes(roots, 1, 2)
    blocks = block_adapted_w2(a, b, 2)
    scale = np.trace(a) + np.trace(b)
    assert_allclose(block_adapted_w2(a, b, 1), adapted_w2(a, b), atol=1e-9 * scale)
    assert_allclose(block_adapted_w2(a, b, 6), bures(a, b), atol=1e-6 * scale)
    assert bures(a, b) - 1e-6 * scale <= blocks <= adapted_w2(a, b) + 1e-6 * scale


def test_errors():
    with pytest.raises(ValueError, match="a multiple of 2"):
        block_adapted_w2(np.eye(3), np.eye(3), 2)
    with pytest.raises(ValueError, match="cov_b"):
        block_adapted_w2(np.eye(2), np.eye(4), 2)
