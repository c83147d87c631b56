import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from rdp.codec.bitstream import CorruptStream, Decoder, Encoder
from rdp.codec.lattice_coder import MAX_WINDOW, SMOOTH_SD, code_points, portable_exp
from rdp.codec.lattices import lattice


class Meter(Encoder):
    """Adds up ideal code lengths, in floating point, instead of making bytes."""

    def __init__(self):
        super().__init__()
        self.bits = 0.0

    def gaussian(self, mean, sd, symbols=None):
        mass = norm.cdf((symbols + 0.5 - mean) / sd) - norm.cdf((symbols - 0.5 - mean) / sd)
        self.bits -= np.log2(mass).sum()
        return symbols

    def table(self, pmf, symbols=None):
        mass = pmf[np.arange(len(pmf)), symbols] / pmf.sum(axis=1)
        self.bits -= np.log2(mass).sum()
        return symbols


def near_points(grid, center, reach):
    """Lattice points within reach of a center in every coordinate."""
    out = []
    for word in grid.code:
        ranges = [
            [a for a in range(int(c - reach) - 1, int(c + reach) + 2) if a % 2 == bit]
            for c, bit in zip(center, word, strict=True)
        ]
        points = np.array(list(itertools.product(*ranges)))
        out.append(points[((points - word) // 2).sum(axis=1) % 2 == 0])
    return np.concatenate(out)


@pytest.mark.parametrize("sd", [0.2, 0.5, 0.8])
def test_code_length_is_that_of_the_weights_normalised_over_the_lattice(sd):
    """E8, one block: -log2 of the weight over the sum over all points, by enumeration."""
    grid = lattice("E8")
    rng = np.random.default_rng(0)
    spread = np.sqrt(sd**2 + grid.second_moment)
    for _ in range(3):
        dither = rng.uniform(0, 4, (8, 1))
        points = grid.nearest(sd * rng.standard_normal((8, 1)) + dither)
        near = near_points(grid, dither[:, 0], 3.2)
        weight = lambda p, d=dither: np.exp(-((p - d.T) ** 2).sum(axis=1) / (2 * spread**2))  # noqa: E731
        expected = -np.log2(weight(points.T)[0] / weight(near).sum())
        meter = Meter()
        code_points(meter, grid, dither, sd, points)
        assert meter.bits == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("name", ["E8", "BW16"])
def test_both_models_agree_where_the_coder_changes_from_one_to_the_other(name):
    grid = lattice(name)
    rng = np.random.default_rng(1)
    sd = np.sqrt(SMOOTH_SD**2 - grid.second_moment)
    dither = rng.uniform(0, 4, (grid.dimension, 2000))
    points = grid.nearest(sd * rng.standard_normal(dither.shape) + dither)
    exact, smooth = Meter(), Meter()
    code_points(exact, grid, dither, sd * (1 - 1e-6), points)
    code_points(smooth, grid, dither, sd * (1 + 1e-6), points)
    assert smooth.bits == pytest.approx(exact.bits, rel=2e-4)
    assert smooth.bits != exact.bits


@pytest.mark.parametrize("name", ["E8", "BW16"])
def test_narrow_distributions_cost_less_than_the_gaussian_density_says(name):
    """At low rates normalising over the lattice saves bits: at rate 0 nothing would be left."""
    grid = lattice(name)
    rng = np.random.default_rng(2)
    sd = 0.05
    dither = rng.uniform(0, 4, (grid.dimension, 4000))
    points = grid.nearest(sd * rng.standard_normal(dither.shape) + dither)
    meter = Meter()
    code_points(meter, grid, dither, sd, points)
    rate = meter.bits / points.size
    curve = 0.5 * np.log2(1 + sd**2 / grid.second_moment)
    assert curve < rate < curve + grid.gap - 0.01


@given(
    name=st.sampled_from(["Z", "E8", "BW16"]),
    sd=st.floats(0.01, 100),
    scale=st.floats(0.1, 300),
    seed=st.integers(0, 999),
)
def test_points_of_any_input_survive(name, sd, scale, seed):
    """A model that is wrong by any factor costs bits, but the points are decoded correctly."""
    grid = lattice(name)
    rng = np.random.default_rng(seed)
    dither = rng.uniform(0, grid.period, (grid.dimension, 20))
    points = grid.nearest(sd * scale * rng.standard_normal(dither.shape) + dither)
    encoder = Encoder()
    code_points(encoder, grid, dither, sd, points)
    decoder = Decoder(encoder.finish())
    np.testing.assert_array_equal(code_points(decoder, grid, dither, sd), points)
    decoder.finish()


def test_a_forged_window_raises():
    encoder = Encoder()
    encoder.number(MAX_WINDOW + 1)
    with pytest.raises(CorruptStream, match="window"):
        code_points(Decoder(encoder.finish()), lattice("E8"), np.zeros((8, 1)), 0.5)


@given(st.lists(st.floats(-700, 700), min_size=1, max_size=5))
def test_the_portable_exponential_is_the_exponential(values):
    x = np.array(values)
    np.testing.assert_allclose(portable_exp(x), np.exp(x), rtol=1e-11)
