import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rdp.codec.lattices import LATTICES, lattice

NAMES = list(LATTICES)
FINE = ["E8", "BW16"]


def blocks(n):
    return arrays(np.float64, (n, 3), elements=st.floats(-1e6, 1e6))


def in_lattice(grid, points):
    """Membership by definition: c = points mod 2 is a codeword, (points - c)/2 has even sum."""
    if grid.code is None:
        return np.ones(points.shape[1], dtype=bool)
    c = points & 1
    words = {tuple(word) for word in grid.code}
    is_word = np.array([tuple(column) in words for column in c.T])
    return is_word & (((points - c) // 2).sum(axis=0) % 2 == 0)


@pytest.mark.parametrize("name", NAMES)
def test_nearest_is_a_lattice_point_and_shifts_with_the_lattice(name):
    grid = lattice(name)
    rng = np.random.default_rng(0)
    x = rng.normal(0, 5, (grid.dimension, 500))
    points = grid.nearest(x)
    assert in_lattice(grid, points).all()
    shift = grid.nearest(rng.normal(0, 50, x.shape))
    assert in_lattice(grid, points - shift).all()
    np.testing.assert_array_equal(grid.nearest(x + shift), points + shift)


@pytest.mark.parametrize("name", FINE)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_no_neighbour_is_nearer(name, data):
    grid = lattice(name)
    x = data.draw(blocks(grid.dimension))
    points = grid.nearest(x)
    assert in_lattice(grid, points).all()
    own = ((x - points) ** 2).sum(axis=0)
    shortest = minimal_vectors(grid)
    for column in range(x.shape[1]):
        others = ((x[:, column] - points[:, column] - shortest) ** 2).sum(axis=1)
        assert own[column] <= others.min() * (1 + 1e-9) + 1e-6


def minimal_vectors(grid):
    """All vectors of squared length 8: they cut out the Voronoi cell of E8."""
    n = grid.dimension
    pairs = []
    for i, j in itertools.combinations(range(n), 2):
        for signs in itertools.product((-2, 2), repeat=2):
            vector = np.zeros(n, dtype=int)
            vector[[i, j]] = signs
            pairs.append(vector)
    words = [word for word in grid.code if word.sum() == 8]
    signs = np.array([s for s in itertools.product((-1, 1), repeat=8) if s.count(-1) % 2 == 0])
    full = np.zeros((len(words) * len(signs), n), dtype=int)
    for k, word in enumerate(words):
        full[k * len(signs) : (k + 1) * len(signs), word == 1] = signs
    return np.concatenate([pairs, full])


@pytest.mark.parametrize(("name", "kissing"), [("E8", 240), ("BW16", 4320)])
def test_kissing_number_is_the_known_one(name, kissing):
    grid = lattice(name)
    vectors = minimal_vectors(grid)
    assert in_lattice(grid, vectors.T).all()
    assert len(np.unique(vectors, axis=0)) == kissing


def test_e8_search_agrees_with_exhaustive_search():
    grid = lattice("E8")
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, (8, 40))
    even = np.array(list(itertools.product((-2, 0, 2), repeat=8)))
    even = even[even.sum(axis=1) % 4 == 0]
    odd = np.array(list(itertools.product((-1, 1), repeat=8)))
    odd = odd[((odd - 1) // 2).sum(axis=1) % 2 == 0]
    near = np.concatenate([even, odd])
    distance = ((x.T[:, None] - near) ** 2).sum(axis=2)
    got = ((x - grid.nearest(x)) ** 2).sum(axis=0)
    np.testing.assert_allclose(got, distance.min(axis=1), rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_exact_second_moment_is_the_sampled_one(name):
    grid = lattice(name)
    energy = (grid.voronoi(60_000, rng=2) ** 2).mean(axis=0)
    error = 4 * energy.std() / np.sqrt(energy.size)
    assert abs(energy.mean() - grid.second_moment) < error


@pytest.mark.parametrize("name", FINE)
def test_volume_counts_points_modulo_the_period(name):
    grid = lattice(name)
    cosets = len(grid.code) * 2 ** (grid.dimension - 1)  # points modulo period * Z^n
    assert grid.volume * cosets == grid.period**grid.dimension


@pytest.mark.parametrize("name", NAMES)
def test_error_with_dither_is_independent_of_the_input(name):
    """E[N x^T] = 0 and E N^2 does not depend on x, for a fixed, far from typical x."""
    grid = lattice(name)
    rng = np.random.default_rng(3)
    count = 40_000
    dither = rng.uniform(0, grid.period, (grid.dimension, count))
    for shift in (0.0, 0.37, 1.0):
        noise = grid.nearest(shift + dither) - dither - shift
        assert np.abs(noise.mean(axis=1)).max() < 5 * np.sqrt(grid.second_moment / count)
        energy = (noise**2).mean(axis=0)
        assert abs(energy.mean() - grid.second_moment) < 5 * energy.std() / np.sqrt(count)


def test_gaps_improve_with_dimension_and_stay_above_the_ultimate_zero():
    gaps = [lattice(name).gap for name in NAMES]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] > 0
    np.testing.assert_allclose(gaps, [0.25461, 0.14597, 0.11109], atol=1e-5)


@pytest.mark.parametrize("x", [np.zeros((7, 2)), np.zeros(8), np.full((8, 1), np.nan)])
def test_wrong_blocks_are_refused(x):
    with pytest.raises(ValueError, match="x: expected"):
        lattice("E8").nearest(x)


def test_unknown_lattice_is_refused():
    with pytest.raises(ValueError, match="lattice: expected one of Z, E8, BW16, got 'E7'"):
        lattice("E7")
