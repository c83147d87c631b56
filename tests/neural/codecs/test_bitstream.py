"""Bytes: they come back exactly, repeat with the seed, and damage is noticed."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from neural.codecs.bitstream import decode, encode, read  # noqa: E402
from neural.codecs.block import BlockCodec, BlockShape  # noqa: E402
from neural.codecs.quantiser import shared_dither  # noqa: E402
from rdp import JD  # noqa: E402
from rdp.codec.bitstream import CorruptStream  # noqa: E402
from tests.neural.small import RATES, task, trained  # noqa: E402


@pytest.fixture(scope="module")
def x():
    return task().batch(torch.Generator().manual_seed(8), 200)


@pytest.fixture(scope="module")
def stream(x):
    return encode(trained(), x, seed=3)


def test_the_decoder_has_what_the_encoder_had(x, stream):
    codec, kept = trained(), []

    def channel(frame, y):
        dither, quantiser = shared_dither(3, frame, y.shape), codec.quantisers[frame]
        kept.append(quantiser.value(quantiser.index(y, dither), dither))
        return kept[-1]

    codec.represent(x, channel)
    message = read(codec, stream)
    for one, other in zip(message.representation, kept, strict=True):
        assert torch.equal(one, other)
    assert torch.equal(message.decode("MMSE"), decode(codec, stream, "MMSE"))


def test_rates_are_those_of_the_bytes(x, stream):
    message = read(trained(), stream)
    np.testing.assert_allclose(message.rates.sum() * len(x), 8 * len(stream), rtol=1e-12)


def test_same_seed_same_bytes_and_no_other(x, stream):
    assert encode(trained(), x, seed=3) == stream
    assert encode(trained(), x, seed=4) != stream


def test_damage_anywhere_is_noticed(stream):
    for place in range(0, len(stream), 7):
        broken = bytearray(stream)
        broken[place] ^= 16
        with pytest.raises(CorruptStream):
            read(trained(), bytes(broken))


@pytest.mark.parametrize("cut", [0, 3, 20, -9, -1])
def test_a_cut_stream_is_noticed(stream, cut):
    with pytest.raises(CorruptStream):
        read(trained(), stream[:cut])


def test_another_encoder_is_noticed(stream):
    torch.manual_seed(5)
    other = BlockCodec(BlockShape(frames=2, block=2, latents=2, hidden=8))
    other.tabulate()
    with pytest.raises(CorruptStream, match="another encoder"):
        read(other, stream)


def test_a_codec_has_the_methods_of_the_contract(x, stream):
    assert trained().encode(x, 3) == stream
    message = trained().read(stream)
    assert message.seed == 3
    assert torch.equal(message.decode("MMSE"), decode(trained(), stream, "MMSE"))


def test_wrong_input_is_refused(x, stream):
    with pytest.raises(ValueError, match="codec: expected a trained codec"):
        encode(task().make_codec(RATES), x, 0)
    with pytest.raises(ValueError, match="x: expected finite"):
        encode(trained(), x * torch.nan, 0)
    with pytest.raises(ValueError, match="seed: expected"):
        encode(trained(), x, -1)
    with pytest.raises(ValueError, match="plf: expected one of MMSE, got 'JD'"):
        decode(trained(), stream, "JD")
    with pytest.raises(CorruptStream, match="header of 200 samples"):
        read(trained(), stream, max_samples=100)


def test_a_loss_may_have_any_form(stream):
    codec = trained()
    codec.decoders.prepare(("JD",))
    for forms in ((None, "mmse", "MMSE"), ("jd", "PLF-JD", JD(0), "JD")):
        for loss in forms:
            assert torch.equal(decode(codec, stream, loss), decode(codec, stream, forms[-1]))
    with pytest.raises(ValueError, match="threshold 0"):
        decode(codec, stream, JD(0.1))


@pytest.mark.parametrize("seed", [1.5, "a", None, True])
def test_a_seed_of_another_type_is_refused(x, seed):
    with pytest.raises(ValueError, match="seed"):
        encode(trained(), x, seed=seed)
