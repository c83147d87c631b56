"""The codec of blocks is causal, and its decoders share one representation."""

import pytest

torch = pytest.importorskip("torch")

from neural.codecs.block import BlockCodec, BlockShape  # noqa: E402


@pytest.fixture
def codec():
    torch.manual_seed(0)
    out = BlockCodec(BlockShape(frames=3, block=2, latents=4, hidden=8))
    for plf in ("FMD", "JD"):
        out.decoders.add(plf)
    for p in out.parameters():  # so that nothing is zero by how it begins
        p.data += 0.1 * torch.randn(p.shape)
    return out


def run(codec, x, noise, plf="JD"):
    latents = codec.represent(x, lambda frame, y: y)
    return latents, codec.reconstruct(plf, latents, noise), codec.bits(latents)


def test_shapes(codec):
    latents, made, bits = run(codec, torch.randn(5, 3, 2), torch.randn(codec.noise_shape(5)))
    assert [y.shape for y in latents] == [(5, 4)] * 3
    assert made.shape == (5, 3, 2)
    assert bits.shape == (5, 3)


@pytest.mark.parametrize("frame", [0, 1, 2])
def test_a_frame_changes_nothing_before_it_and_all_from_it_on(codec, frame):
    x, noise = torch.randn(5, 3, 2), torch.randn(codec.noise_shape(5))
    before = run(codec, x, noise)
    x[:, frame] += 1.0
    after = run(codec, x, noise)
    for t in range(3):
        for one, other in ((before[0][t], after[0][t]), (before[1][:, t], after[1][:, t])):
            assert torch.equal(one, other) == (t < frame)


def test_noise_of_a_frame_acts_from_it_on(codec):
    x, noise = torch.randn(5, 3, 2), torch.randn(codec.noise_shape(5))
    before = run(codec, x, noise)
    noise[:, 1] += 1.0
    after = run(codec, x, noise)
    assert torch.equal(before[2], after[2])
    changed = [not torch.equal(before[1][:, t], after[1][:, t]) for t in range(3)]
    assert changed == [False, True, True]


def test_a_decoder_minimises_the_error_of_its_own_frame(codec):
    """Sequential objective: the error of frame 3 does not move frame 1."""
    x, noise = torch.randn(5, 3, 2), torch.randn(codec.noise_shape(5))
    _, made, _ = run(codec, x, noise)
    (made[:, 2] - x[:, 2]).square().sum().backward()
    moved = [
        any(p.grad is not None and p.grad.any() for p in net.parameters())
        for net in codec.decoders["JD"]
    ]
    assert moved == [False, False, True]


def test_a_new_decoder_begins_as_a_copy_of_its_own(codec):
    codec.decoders.add("SA")
    pairs = zip(codec.decoders["SA"].parameters(), codec.decoders["MMSE"].parameters(), strict=True)
    for new, old in pairs:
        assert torch.equal(new, old)
        assert new is not old
