"""Clips to bytes and back."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.fft import idctn

from rdp import GaussMarkov
from rdp.clip import compare
from rdp.clip.model import dct_modes
from rdp.clip_codec import about, decode_clip, decode_frames, encode_clip
from rdp.clip_codec.coder import ModeCoder
from rdp.clip_codec.decoders import Reconstruction
from rdp.clip_codec.model import ModeModel
from rdp.clip_codec.recursion import WORTH, Recursion
from rdp.codec import decoders
from rdp.codec.bitstream import CorruptStream, pack
from rdp.perception import LOSSES
from solvers.methods.waterfilling import waterfill
from solvers.prediction import predict

FRAMES, ROWS, COLUMNS = 24, 12, 15
FREQUENCY = np.hypot(*np.indices((8, 8))).ravel()
SIGMA, RHO = 60 / (1 + FREQUENCY), 0.98 - 0.04 * FREQUENCY


@pytest.fixture(scope="module")
def source():
    return GaussMarkov.stationary(RHO, FRAMES, SIGMA)


@pytest.fixture(scope="module")
def texture(source):
    """A clip whose blocks are independent draws of a known source."""
    modes = source.sample(ROWS * COLUMNS, rng=0).transpose(1, 0, 2)
    blocks = idctn(modes.reshape(FRAMES, ROWS, COLUMNS, 8, 8), axes=(3, 4), norm="ortho")
    return blocks.transpose(0, 1, 3, 2, 4).reshape(FRAMES, 8 * ROWS, 8 * COLUMNS) + 128


@pytest.fixture(scope="module")
def coded(texture):
    return encode_clip(texture, bpp=0.5)


def test_the_rate_is_that_of_the_bytes(texture, coded):
    assert coded.frame_bits.sum() == pytest.approx(8 * len(coded.data))
    assert 0.45 < coded.bits_per_pixel <= 0.5
    assert coded.bits_per_pixel == pytest.approx(8 * len(coded.data) / texture.size)
    assert about(coded.data)[::2] == (texture.shape[1:], FRAMES)


def test_the_same_input_gives_the_same_bytes_and_another_seed_others(texture, coded):
    assert encode_clip(lambda: iter(texture), bpp=0.5).data == coded.data
    assert encode_clip(texture, bpp=0.5, seed=1).data != coded.data


def test_a_fresh_process_decodes_the_same(coded, tmp_path):
    (tmp_path / "clip.rdp").write_bytes(coded.data)
    program = (
        "import hashlib, pathlib, sys\n"
        "from rdp.clip_codec import decode_clip\n"
        "data = pathlib.Path(sys.argv[1]).read_bytes()\n"
        "print(hashlib.sha256(decode_clip(data, 'JD').tobytes()).hexdigest())"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "clip.rdp")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    here = decode_clip(coded.data, "JD").tobytes()
    assert found.stdout.strip() == hashlib.sha256(here).hexdigest()


def test_damage_anywhere_raises(coded):
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(coded.data), 40).tolist():
        damaged = bytearray(coded.data)
        damaged[place] ^= 1 << int(rng.integers(8))
        with pytest.raises(CorruptStream):
            decode_clip(bytes(damaged))
    for size in rng.integers(0, len(coded.data), 20).tolist():
        with pytest.raises(CorruptStream):
            decode_clip(coded.data[:size])
    with pytest.raises(CorruptStream):
        decode_clip(coded.data + b"\0")


def test_forged_headers_raise_and_take_no_memory(coded):
    from rdp.clip_codec.stream import KIND, _opened

    header, chunks = _opened(coded.data)
    sizes = [(1 << 15, 8), (0, 8), (1 << 14, 1 << 14)]
    for size in sizes:
        forged = type(header)(size, header.rate, header.seed, header.mean, header.model)
        with pytest.raises(CorruptStream, match="stream: "):
            next(decode_frames(pack(KIND, forged.to_bytes(), chunks)))
    with pytest.raises(CorruptStream, match="at least 1 frame"):
        about(pack(KIND, header.to_bytes(), []))
    # chunks in another order are not the frames that were coded
    with pytest.raises(CorruptStream):
        decode_clip(pack(KIND, header.to_bytes(), chunks[::-1]))


def test_losses_lie_above_their_curves_and_near_them(texture, source, coded):
    """No code does better than the predicted curve.

    The quantisers cost 1.6 dB of MMSE at this rate, and realism feels their rates, which change.
    """
    share = coded.frame_bits / coded.frame_bits[1:].mean()
    best = predict(source, [coded.bits_per_pixel], first=share[0])
    found = {
        plf: np.mean((texture - np.stack(list(decode_frames(coded.data, plf, clip=False)))) ** 2)
        for plf in LOSSES
    }
    for plf, value in found.items():
        bound = best.distortion[plf].mean()
        assert bound < value < bound * {"MMSE": 1.6, "FMD": 2.1, "SA": 2.3, "JD": 3.0}[plf]
    assert found["MMSE"] < found["FMD"] < found["SA"] < found["JD"]


def test_at_high_rate_a_mode_costs_a_quarter_of_a_bit_more_than_the_curve(texture, source):
    """In bits: the share of the file's bits at which the model's curve has the same error."""
    stream = encode_clip(texture, bpp=2.5)
    bits = 64 * stream.frame_bits / texture[0].size
    error = np.mean((texture - np.stack(list(decode_frames(stream.data, clip=False)))) ** 2)
    shares = np.linspace(0.8, 1.0, 41)
    curve = [waterfill(source, bits * share, "MMSE").distortion.mean() / 64 for share in shares]
    least = np.interp(-error, -np.array(curve), shares)
    assert 0.2 < (1 - least) * bits.mean() / 64 < 0.3  # all modes are sent


def moments(plf, texture, coded):
    """Mean second moments of the modes of a decoder's frames, at lags 0 and 1."""
    frames = np.stack(list(decode_frames(coded.data, plf, clip=False)))
    modes = dct_modes(frames - texture.mean(), 8)
    return (modes**2).mean((0, 1)), (modes[:, 1:] * modes[:, :-1]).mean((0, 1))


def test_realism_is_reached_in_second_moments(texture, source, coded):
    """Variances within the sampling error of the clip itself; JD keeps the correlation too."""
    own, following = moments("JD", texture, coded)
    target = SIGMA**2
    samples = ROWS * COLUMNS * FRAMES * (1 - RHO) / (1 + RHO)  # independent ones
    error = 4 * np.sqrt(2 / samples) + 0.05  # and the steps of the model
    assert (np.abs(own / target - 1) < error).all()
    # what frames add to each other has few samples where rho is near 1: compare 1 - rho
    assert_allclose(1 - following / own, 1 - RHO, rtol=0.15, atol=0.02)
    for plf in ("FMD", "SA"):
        variance, _ = moments(plf, texture, coded)
        assert (np.abs(variance / target - 1) < error).all()
    shrunk, _ = moments("MMSE", texture, coded)
    assert (shrunk < own).mean() > 0.9


@pytest.mark.parametrize("plf", ["FMD", "JD", "SA"])
def test_every_decoder_is_at_distance_zero_under_its_own_loss(plf, texture, coded):
    """Gelbrich's distance has 0 in its interval; that of the MMSE decoder is far from 0."""
    decoded = np.stack(list(decode_frames(coded.data, plf, clip=False)))
    blurred = np.stack(list(decode_frames(coded.data, clip=False)))
    own = compare(texture, decoded, plf, memory=3).losses[plf]
    assert own.low == 0
    assert own.high < 0.1 * compare(texture, blurred, plf, memory=3).losses[plf].low


def test_decoders_are_those_of_the_dithered_codec():
    """Frame by frame against matrices, for modes whose rates change, two of them from 0."""
    model = ModeModel.nearest(np.array([50.0, 20.0, 9.0, 3.0]), np.array([0.9, 0.6, 0.95, 0.2]))
    rng = np.random.default_rng(0)
    encoder = ModeCoder(model, samples=200, seed=3)
    qualities = [150, 110, 110, 140, 100]
    frames = rng.standard_normal((5, 200, 4)) * model.sigma
    chunks = [encoder.encode(x, quality) for x, quality in zip(frames, qualities, strict=True)]
    recursion = Recursion(model)
    mmse = np.array([recursion.next(quality).mmse for quality in qualities])
    source = GaussMarkov.stationary(model.rho, 5, model.sigma)
    for plf in LOSSES:
        coder, decoder = ModeCoder(model, 200, 3), Reconstruction(model, plf)
        coded = [coder.decode(chunk) for chunk in chunks]
        white = np.array([each.white for each in coded])
        found = np.array([decoder.next(each) for each in coded])
        matrix, _ = decoders.white_decoder(source, mmse, plf)
        expected = np.einsum("dts,snd->tnd", matrix, white)
        known = np.ones_like(mmse, dtype=bool)
        if plf == "FMD":  # a mode of which nothing was sent is that of JD here
            known = mmse < model.sigma**2 * (1 - 1e-9)
        for t, i in np.argwhere(known):
            assert_allclose(found[t, :, i], expected[t, :, i], atol=1e-9)


def test_a_mode_is_sent_where_it_is_worth_its_bits():
    model = ModeModel.nearest(np.array([10.0]), np.array([0.999]))
    recursion, level = Recursion(model), 1.0
    sent = []
    for _ in range(200):
        channel = recursion.next(64)  # an error of 1
        assert channel.sent[0] == (channel.prediction_error[0] > WORTH * level)
        assert channel.mmse[0] <= WORTH * level
        sent.append(bool(channel.sent[0]))
    assert sent[0]
    assert 0.1 < np.mean(sent) < 0.5


def test_a_starved_first_frame_stays_wrong_for_joint_realism(texture):
    stream = encode_clip(texture, bpp=1.0, first_bpp=0.05)
    assert stream.frame_bits[0] < 0.2 * stream.frame_bits[1]
    error = {plf: ((texture - decode_clip(stream.data, plf)) ** 2).mean((1, 2)) for plf in LOSSES}
    even = ((texture - decode_clip(encode_clip(texture, bpp=1.0).data, "JD")) ** 2).mean((1, 2))
    for plf in ("FMD", "SA", "MMSE"):
        assert error[plf][1] < 0.4 * error["JD"][1]
    assert error["JD"][4] > 2 * even[4]


def test_a_constant_clip_and_one_frame_are_coded():
    flat = np.full((3, 16, 24), 77.0)
    assert_allclose(decode_clip(encode_clip(flat, bpp=2.0).data, "SA"), 77.0, atol=0.1)
    one = encode_clip(np.arange(20 * 30.0).reshape(1, 20, 30) % 251, bpp=4.0)
    assert decode_clip(one.data).shape == (1, 20, 30)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"frames": np.zeros((2, 4, 30))}, "frames: expected 8 to 16384 pixels a side"),
        ({"frames": np.zeros((0, 16, 16))}, "frames: expected at least 1"),
        ({"frames": np.full((2, 16, 16), np.nan)}, "frames: expected"),
        ({"frames": lambda: iter([np.zeros((8, 8)), np.zeros((8, 16))])}, "pictures of one size"),
        ({"bpp": 0.0}, "bpp: expected"),
        ({"first_bpp": -1.0}, "first_bpp: expected"),
        ({"seed": -1}, "seed: expected"),
    ],
)
def test_wrong_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        encode_clip(**{"frames": np.zeros((2, 16, 16)), "bpp": 1.0, **arguments})
    with pytest.raises(ValueError, match="plf: expected"):
        next(decode_frames(encode_clip(np.zeros((1, 8, 8)), 1.0).data, "none"))
