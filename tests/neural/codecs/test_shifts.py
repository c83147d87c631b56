"""Shifts of frames, and the one that is nearest to a target, against a search one by one."""

import pytest

torch = pytest.importorskip("torch")

from neural.codecs.shifts import nearest_shift, shifts  # noqa: E402


def frames(n=6, seed=0):
    return torch.rand(2, n, 1, 16, 16, generator=torch.Generator().manual_seed(seed))


def test_the_nearest_shift_is_that_of_a_search():
    frame, target = frames()
    every = torch.stack(list(shifts(frame[:, 0])), 1)
    chosen = (every - target).square().sum((2, 3)).argmin(1)
    assert every.shape == (6, 81, 16, 16)
    assert torch.equal(nearest_shift(frame, target)[:, 0], every[torch.arange(6), chosen])


def test_a_shifted_frame_is_found_to_the_last_bit():
    frame = torch.zeros(1, 1, 16, 16)
    frame[..., 5:10, 5:10] = torch.rand(5, 5)
    target = frame.roll((3, -4), (2, 3))
    assert torch.equal(nearest_shift(frame, target), target)
    assert not torch.equal(nearest_shift(frame, target, reach=3), target)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(nearest_shift(frame, target), target)


def test_gradients_change_no_value_and_are_along_the_slopes():
    """The target pulls the frame along: more of its slope to the right means a move to the left."""
    rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    frame = torch.exp(-((rows - 8) ** 2 + (columns - 8) ** 2) / 4)[None, None]
    target = frame.clone().requires_grad_()
    found = nearest_shift(frame, target)
    assert torch.equal(found, frame)
    slope = torch.gradient(frame, dim=3)[0]
    (pull,) = torch.autograd.grad((found * slope).sum(), target)
    torch.testing.assert_close(pull, slope, rtol=1e-2, atol=1e-3)
    (pull,) = torch.autograd.grad((nearest_shift(frame, target) * frame).sum(), target)
    assert pull.abs().max() < 1e-3  # moving the frame does not change how bright it is
