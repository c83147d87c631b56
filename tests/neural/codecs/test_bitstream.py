"""Bytes: they come back exactly, repeat with the seed, and damage is noticed."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from neural.codecs.bitstream import KIND, decode, encode, fingerprint, read  # noqa: E402
from neural.codecs.block import BlockCodec, BlockShape  # noqa: E402
from neural.codecs.quantiser import shared_dither  # noqa: E402
from rdp import JD  # noqa: E402
from rdp.codec.bitstream import CHECK_BYTES, CorruptStream, pack, unpack  # noqa: E402
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


def with_other_table():
    """The trained codec with another table of the first frame, and the same networks."""
    codec = copy.deepcopy(trained())
    model = next(m for m in codec.modules() if getattr(m, "table", None) is not None)
    model.table = model.table._replace(pmf=np.roll(model.table.pmf, 1, axis=2))
    return codec


def test_tables_are_part_of_the_fingerprint(stream):
    """Networks and tables decide the bytes; a decoder with other tables says so at once."""
    other = with_other_table()
    for name, value in trained().state_dict().items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, other.state_dict()[name])
    assert fingerprint(other) != fingerprint(trained())
    with pytest.raises(CorruptStream, match="another encoder"):
        read(other, stream)


def test_networks_are_part_of_the_fingerprint(stream):
    other = copy.deepcopy(trained())
    with torch.no_grad():
        next(other.stream_modules()[0].parameters()).add_(1e-6)
    assert fingerprint(other) != fingerprint(trained())
    with pytest.raises(CorruptStream, match="another encoder"):
        read(other, stream)


def test_bytes_too_many_with_a_good_digest_are_noticed(stream):
    """A digest says nothing about who made the stream: header and chunks are read to their ends."""
    header, chunks = unpack(stream, KIND)
    assert pack(KIND, header, chunks) == stream
    with pytest.raises(CorruptStream, match="1 bytes too many"):
        read(trained(), pack(KIND, header + b"\0", chunks))
    for number, chunk in enumerate(chunks):
        assert chunk[0] == 0  # no side information
        check = bytearray(chunk)
        check[1] ^= 1  # of the integers
        side = b"\x01\x00" + chunk[1:]
        for bad, message in ((bytes(check), "integers differ"), (side, "bytes too many")):
            forged = [*chunks[:number], bad, *chunks[number + 1 :]]
            with pytest.raises(CorruptStream, match=message):
                read(trained(), pack(KIND, header, forged))
    assert CHECK_BYTES == 4


def test_frames_far_from_those_of_training_are_coded(x):
    """Integers beyond the table are brought into it: such a frame has a large error, no other."""
    codec, far = trained(), x.clone()
    far[7] = 1e4
    message = read(codec, encode(codec, far, seed=3))
    decoded, usual = message.decode("MMSE"), decode(codec, encode(codec, x, seed=3), "MMSE")
    assert bool(decoded.isfinite().all())
    others = torch.arange(len(x)) != 7
    assert torch.equal(decoded[others], usual[others])
