"""The codec whose encoder and decoder share few random bits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdp import GaussMarkov
from rdp.codec.bitstream import CorruptStream, pack, unpack
from rdp.codec.dithered import KIND, DitheredCodec, read
from rdp.codec.evaluation import measure_codec
from rdp.codec.limited_dither import limited_quantiser, moments
from rdp.common_randomness import framewise_bound, framewise_scheme, joint_scheme

SOURCE = GaussMarkov.stationary(rho=0.9, frames=3)


@given(
    step=st.floats(0.05, 30.0), levels=st.sampled_from([1, 2, 3, 4, 7, 256]),
    sigma=st.floats(0.1, 10.0),
)  # fmt: skip
def test_moments_are_those_by_summing_over_the_cells(step, levels, sigma):
    """The series in the frequency of the quantiser against sums of Gaussian integrals."""
    from scipy.special import ndtr

    cross = power = 0.0
    reach = np.ceil(10 / step) + 1  # steps in ten deviations
    edges = np.arange(-reach, reach + 2)
    for offset in np.arange(levels) / levels:
        ends = (edges - 0.5 - offset) * step
        density = np.exp(-(ends**2) / 2) / np.sqrt(2 * np.pi)
        y = (edges[:-1] - offset) * step
        cross += (y * -np.diff(density)).sum() / levels
        power += (y**2 * np.diff(ndtr(ends))).sum() / levels
    found = moments(sigma**2, step * sigma, levels)
    np.testing.assert_allclose(found.cross, cross * sigma**2, rtol=1e-9, atol=1e-9 * sigma**2)
    np.testing.assert_allclose(found.power, power * sigma**2, rtol=1e-9, atol=1e-9 * sigma**2)


@given(
    rate=st.floats(0.6, 16.0), levels=st.sampled_from([1, 2, 3, 4, 1000]),
    v=st.floats(1e-6, 1e6),
)  # fmt: skip
def test_the_step_leaves_the_error_asked_for(rate, levels, v):
    m = v * 4.0**-rate
    found = limited_quantiser(v, m, levels)
    cross, power = moments(v, found.step, levels)
    assert found.gain == cross / power
    # the step has 24 bits, and the difference of nearly equal numbers keeps as many fewer digits
    assert v - cross**2 / power == pytest.approx(m, rel=1e-6, abs=1e-14 * v)


@pytest.mark.parametrize("levels", [1, 2, 4, 256])
@pytest.mark.parametrize("rate", [0.5, 1.0, 2.0])
def test_points_are_on_the_right_side_and_at_their_scheme(levels, rate):
    """Above the converse at the measured rate; at the scheme's distortion for the nominal one."""
    codec = DitheredCodec.at_rates(SOURCE, [rate] * 3, levels=levels)
    assert codec.common_randomness == np.log2(levels)
    mmse, *points = measure_codec(codec, n=12_000, seed=5, repeats=4)
    assert [point.plf for point in points] == ["FMD", "JD"]
    np.testing.assert_allclose(mmse.distortion, codec.mmse, rtol=0.04)
    for point, build in zip(points, (framewise_scheme, joint_scheme), strict=True):
        nominal = build(SOURCE, [rate] * 3, codec.common_randomness)
        np.testing.assert_allclose(point.distortion, nominal.distortion, rtol=0.04)
        bound = framewise_bound(SOURCE, point.rate, codec.common_randomness)
        assert (point.intervals["distortion"][:, 0] > bound).all()
        assert (point.perception < 0.005).all()  # second moments; 0 but for sampling


def test_fewer_shared_bits_cost_distortion():
    x = SOURCE.sample(20_000, rng=1)
    errors = []
    for levels in (1, 2, 4, None):
        codec = DitheredCodec.at_rates(SOURCE, [1.0] * 3, levels=levels)
        message = read(codec.encode(x, seed=2))
        errors.append([np.mean((x - message.decode(plf)) ** 2) for plf in ("FMD", "JD")])
    assert (np.diff(errors, axis=0) < 0).all()


def test_without_dither_bytes_do_not_depend_on_the_seed():
    """No shared randomness: the seed moves nothing but the header."""
    codec = DitheredCodec.at_rates(SOURCE, [1.0] * 3, levels=1)
    x = SOURCE.sample(500, rng=0)
    (_, one), (_, other) = (unpack(codec.encode(x, seed), KIND) for seed in (1, 2))
    assert one == other
    shared = DitheredCodec.at_rates(SOURCE, [1.0] * 3, levels=2)
    (_, one), (_, other) = (unpack(shared.encode(x, seed), KIND) for seed in (1, 2))
    assert one != other


def test_the_noise_of_the_decoder_is_its_own():
    codec = DitheredCodec.at_rates(SOURCE, [1.0] * 3, levels=2)
    x = SOURCE.sample(5000, rng=0)  # the same seed as the decoder's: nothing in common
    message = read(codec.encode(x, seed=0))
    assert message.codec.levels == 2
    first, again, other = (message.decode("FMD", private=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    scheme = framewise_scheme(SOURCE, [1.0] * 3, 1.0)
    np.testing.assert_allclose(((x - first) ** 2).mean(axis=0), scheme.distortion, rtol=0.1)
    np.testing.assert_array_equal(message.decode(), message.decode(private=7))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"levels": 0}, "levels: expected an integer >= 1"),
        ({"levels": 1 << 17}, "levels: expected at most 65536"),
        ({"levels": 2, "lattice": "E8"}, "levels: expected None for .* lattices other than Z"),
        ({"levels": 2, "rates": [0.1] * 3}, "mmse: expected less than .* a dither of 2 values"),
    ],
)
def test_wrong_levels_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        DitheredCodec.at_rates(**{"source": SOURCE, "rates": [1.0] * 3, **arguments})


def test_what_the_limit_does_not_cover_is_refused():
    codec = DitheredCodec.at_rates(SOURCE, [1.0] * 3, levels=2)
    with pytest.raises(ValueError, match="plf: expected MMSE, FMD or JD under limited"):
        codec.decoder("SA")
    with pytest.raises(ValueError, match="levels: expected None for rates by quadrature"):
        codec.quadrature_rates()
    two = GaussMarkov([[1.0, 2.0]] * 2, [[0.5, 0.5]])
    with pytest.raises(ValueError, match="levels: expected None for vector frames"):
        DitheredCodec.at_rates(two, np.ones((2, 2)), levels=2)


def test_a_forged_number_of_levels_raises():
    codec = DitheredCodec.at_rates(SOURCE, [1.0] * 3, levels=2)
    header, chunks = unpack(codec.encode(SOURCE.sample(50, rng=0), seed=0), KIND)
    for levels in (b"\0", b"\xff\xff\x7f", b"\1\1"):
        with pytest.raises(CorruptStream):
            read(pack(KIND, header[:-1] + levels, chunks))
