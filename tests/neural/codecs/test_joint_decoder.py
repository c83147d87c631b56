"""A JD decoder that begins as its own frame before, moved."""

import pytest

torch = pytest.importorskip("torch")

from neural.codecs.shifts import nearest_shift  # noqa: E402
from neural.codecs.video import VideoCodec, VideoShape  # noqa: E402
from neural.datasets.moving_digits import MovingDigits, load_digits  # noqa: E402
from neural.evaluation.shift_defect import shift_defect  # noqa: E402


def draw(n, frames=2, seed=0):
    source = MovingDigits(load_digits("heldout"), frames=frames)
    return source.batch(torch.Generator().manual_seed(seed), n)


@pytest.fixture(autouse=True)
def _few_clips(monkeypatch):
    monkeypatch.setattr("neural.codecs.video.COUNTED", 64)
    monkeypatch.setattr("neural.codecs.video.CHUNK", 64)


def codec_of(joint, rates=(12, 8)):
    """Untrained codec with JD and FMD decoders and tables, whose networks see the past."""
    torch.manual_seed(0)
    codec = VideoCodec(VideoShape(rates, width=8, joint=joint))
    codec.decoders.prepare(["FMD", "JD"])
    codec.count_tables(lambda n: draw(n, len(rates)))
    return codec.eval().requires_grad_(False)


def share_zero(codec):
    """Leave out the new content that the JD decoder begins with."""
    for network in codec.decoders.of("JD")[1:]:
        network.maps.weight[:, 1] = 0
        network.maps.bias[1] = -200.0


@pytest.mark.parametrize("rates", [(12, 8), (12, 8, 2)])
def test_from_bytes_it_reconstructs_the_shift_nearest_to_the_mmse_reconstruction(rates):
    codec = codec_of("shift", rates)
    x = draw(5, len(rates))
    message = codec.read(codec.encode(x, 3))
    begun = message.decode("JD")
    assert max(shift_defect(begun).value) < 1e-3
    share_zero(codec)
    made, estimate = message.decode("JD"), message.decode("MMSE")
    assert shift_defect(made).value == (0.0,) * len(rates)
    for t in range(1, len(rates)):
        before, now = (frames.split(1, 1) for frames in (made, estimate))
        assert torch.equal(made[:, t : t + 1], nearest_shift(before[t - 1], now[t]))
    assert (made - begun).abs().max() < 0.05


def test_the_other_decoders_and_the_bytes_do_not_depend_on_it():
    x = draw(5)
    plain, joint = codec_of("mmse"), codec_of("shift")
    assert plain.encode(x, 3) == joint.encode(x, 3)
    one, other = (codec.read(codec.encode(x, 3)) for codec in (plain, joint))
    for plf in ("MMSE", "FMD"):
        assert torch.equal(one.decode(plf), other.decode(plf))
    assert not torch.equal(one.decode("JD"), other.decode("JD"))


def test_along_the_flow_it_begins_without_blur():
    codec = codec_of("flow")
    share_zero(codec)
    codec.later[0].flow.maps.weight.zero_()  # no motion, but the largest blur
    codec.later[0].flow.maps.bias.copy_(torch.tensor([0.0, 0.0, 9.0]))
    message = codec.read(codec.encode(draw(5), 3))
    made = message.decode("JD")
    torch.testing.assert_close(made[:, 1], made[:, 0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("joint", ["shift", "flow"])
def test_gradients_of_its_distortion_reach_decoder_and_encoder(joint):
    codec = codec_of(joint).requires_grad_(True)
    x = draw(3)
    sent = codec.represent(x, lambda k, y: codec.quantisers[k].noisy(y))
    made = codec.reconstruct("JD", sent, torch.randn(codec.noise_shape(3)))
    (x - made)[:, 1].square().mean().backward()
    network = codec.decoders.of("JD")[1]
    for parameter in (network.maps.weight, codec.later[0].motion.latents.weight):
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0


def test_training_begins_it_once():
    codec = codec_of("shift")
    network = codec.decoders.of("JD")[1]
    network.maps.bias[1] = 1.0
    codec.decoders.prepare(["JD"])
    assert network.maps.bias[1] == 1.0
    assert codec.decoders.of("FMD")[1].maps.bias[1] == codec.decoders.of("MMSE")[1].maps.bias[1]


def test_an_unknown_way_is_refused():
    with pytest.raises(ValueError, match="joint: expected one of mmse, flow, shift, got 'drift'"):
        VideoShape((12, 8), joint="drift")
