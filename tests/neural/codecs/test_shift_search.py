"""The encoder that chooses bits for the JD decoder."""

import pytest

torch = pytest.importorskip("torch")

from neural.codecs.bitstream import encode, read  # noqa: E402
from neural.codecs.shift_search import TIE, encode_for_shift  # noqa: E402
from neural.codecs.shifts import nearest_shift  # noqa: E402
from neural.codecs.video import VideoCodec, VideoShape  # noqa: E402
from tests.neural.codecs.test_joint_decoder import codec_of  # noqa: E402
from tests.neural.small_clips import heldout  # noqa: E402

SEED = 5


def clips(n, frames=2):
    return heldout().batch(torch.Generator().manual_seed(2), n)[:, :frames]


def errors(codec, x, stream):
    """What the search minimises, from the bytes, for each clip."""
    message = read(codec, stream)
    mmse, own = message.decode("MMSE")[:, 1:], message.decode("JD")[:, :1]
    x = x[:, 1:]
    found = (nearest_shift(own, mmse) - x).square() + TIE * (mmse - x).square()
    return found.mean((1, 2, 3))


@pytest.fixture(autouse=True)
def _few_clips(monkeypatch):
    monkeypatch.setattr("neural.codecs.video.COUNTED", 64)
    monkeypatch.setattr("neural.codecs.video.CHUNK", 64)


@pytest.fixture
def codec():
    return codec_of("shift", (12, 2))


def test_the_search_finds_the_best_of_all_bits_or_stops_before(codec):
    x = clips(12)
    index = [torch.tensor([[0], [0], [1], [1]]), torch.tensor([[0], [1], [0], [1]])]
    every = torch.stack([
        errors(codec, x, encode(codec, x, SEED, {
            k + 1: part[combination].expand(len(x), 1) for k, part in enumerate(index)
        }))
        for combination in range(4)
    ])  # fmt: skip
    found = errors(codec, x, encode_for_shift(codec, x, SEED))
    shared = errors(codec, x, encode(codec, x, SEED))
    best = every.amin(0)
    assert (found >= best - 1e-8).all()
    assert (found <= shared + 1e-8).all()
    assert found.mean() < shared.mean()
    assert ((found - best).abs() < 1e-8).double().mean() > 0.7


def test_the_same_bits_and_the_same_bytes_each_time(codec):
    x = clips(3)
    stream = encode_for_shift(codec, x, SEED)
    assert stream == encode_for_shift(codec, x, SEED)
    first = [read(codec, one).decode("JD")[:, 0] for one in (stream, encode(codec, x, SEED))]
    assert torch.equal(*first)


def test_no_pass_is_the_shared_encoder(codec):
    x = clips(3)
    assert encode_for_shift(codec, x, SEED, passes=0) == encode(codec, x, SEED)


def test_later_frames_follow_from_those_before():
    codec = codec_of("shift", (12, 2, 2))
    x = torch.cat([clips(4), clips(4)[:, 1:]], 1)
    stream = encode_for_shift(codec, x, SEED)
    assert read(codec, stream).decode("JD").shape == x.shape
    shared = (read(codec, encode(codec, x, SEED)).decode("JD")[:, 1] - x[:, 1]).square().mean()
    assert (read(codec, stream).decode("JD")[:, 1] - x[:, 1]).square().mean() < shared


def test_other_codecs_are_refused():
    with pytest.raises(ValueError, match="joint = 'shift' and 2 levels"):
        encode_for_shift(VideoCodec(VideoShape((12, 2), width=8, joint="flow")), clips(2), SEED)
