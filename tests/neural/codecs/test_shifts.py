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


def test_gradients_reach_the_target_by_the_soft_choice_and_change_no_value():
    frame, target = frames()
    plain = nearest_shift(frame, target)
    target.requires_grad_()
    soft = nearest_shift(frame, target)
    assert torch.allclose(soft, plain, atol=1e-6)
    (slope,) = torch.autograd.grad(soft.square().sum(), target)
    assert slope.abs().sum() > 0
    assert not plain.requires_grad
