"""Critics compare the right distributions and move the right frame."""

import pytest

torch = pytest.importorskip("torch")

from neural.training.critic_networks import (  # noqa: E402
    BlockCritic,
    PictureCritic,
    SlopedPictureCritic,
)
from neural.training.critics import (  # noqa: E402
    adversarial_loss,
    compared,
    critic_loss,
    distance,
    mismatched,
)

SHAPES = [(6, 3, 2), (6, 3, 1, 8, 8)]


def frames(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", SHAPES)
def test_distributions_compared(shape):
    x, made = frames(shape, 0), frames(shape, 1)
    for t in range(3):
        target, seen = compared("FMD", t, x, made)
        assert torch.equal(target, x[:, t : t + 1])
        assert torch.equal(seen, made[:, t : t + 1])
        target, seen = compared("JD", t, x, made)
        assert torch.equal(target, x[:, : t + 1])
        assert torch.equal(seen, made[:, : t + 1])
        target, seen = compared("SA", t, x, made)
        assert torch.equal(target[:, :t], made[:, :t])
        assert torch.equal(target[:, t], x[:, t])
        assert torch.equal(seen, made[:, : t + 1])


@pytest.mark.parametrize("shape", SHAPES)
def test_a_window_leaves_the_frames_before_it_out(shape):
    """A window of 1 compares what FMD does, one of all frames what JD without a window does."""
    x, made = frames(shape, 0), frames(shape, 1)
    for t in range(3):
        for mine, theirs in (("JD", "FMD"), ("SA", "SA")):
            pairs = zip(compared(mine, t, x, made, 1), compared(theirs, t, x, made), strict=True)
            assert all(torch.equal(a, b) for a, b in pairs)
        for window in (2, 3, 7):
            target, seen = compared("JD", t, x, made, window)
            first = max(0, t + 1 - window)
            assert torch.equal(target, x[:, first : t + 1])
            assert torch.equal(seen, made[:, first : t + 1])
            assert mismatched(t, x, made, window).shape == target.shape


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("plf", ["FMD", "JD", "SA"])
def test_adversarial_gradient_reaches_the_current_frame_and_no_other(plf, shape):
    x, made = frames(shape, 0), frames(shape, 1).requires_grad_()
    size = x[0, 0].numel()
    for t in range(3):
        critic = BlockCritic(1 if plf == "FMD" else t + 1, size, hidden=16)
        (gradient,) = torch.autograd.grad(
            adversarial_loss(critic, compared(plf, t, x, made)[1]), made
        )
        assert (gradient[:, t].flatten(1).norm(dim=1) > 0).all()
        others = [s for s in range(3) if s != t]
        assert not gradient[:, others].any()


@pytest.mark.parametrize("plf", ["FMD", "JD", "SA"])
def test_a_critic_trains_without_touching_the_reconstruction(plf):
    x, made = frames((6, 2, 3), 0), frames((6, 2, 3), 1).requires_grad_()
    critic = BlockCritic(1 if plf == "FMD" else 2, 3, hidden=16)
    critic_loss(critic, *compared(plf, 1, x, made)).backward()
    assert made.grad is None
    assert all(p.grad.any() for p in critic.parameters() if p.ndim == 2)


def test_slopes_above_one_are_punished_and_flat_ones_are_not():
    x = frames((50, 1, 1), 0)
    for slope, expected in ((3.0, 4.0), (1.0, 0.0), (0.2, 0.0)):
        loss = critic_loss(lambda f, a=slope: a * f.flatten(1).sum(1), x, x, penalty=1.0)
        assert loss.item() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("half", [False, True], ids=["float32", "bfloat16"])
def test_a_slope_written_out_is_the_gradient_and_trains_the_critic_alike(half):
    """Both losses and their gradients agree, although one of them has no second derivatives."""
    x, made = torch.rand(2, 6, 2, 64, 64, generator=torch.Generator().manual_seed(0))
    losses, gradients = [], []
    for kind in (PictureCritic, SlopedPictureCritic):
        torch.manual_seed(0)
        critic = kind(2, 4)
        with torch.no_grad():
            critic.net[-1].weight *= 300  # slopes above one
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = critic_loss(critic, x, made, torch.Generator().manual_seed(1))
        loss.backward()
        losses.append(loss.item())
        gradients.append([p.grad for p in critic.parameters()])
    assert losses[0] > 1
    assert losses[1] == pytest.approx(losses[0], rel=2e-2 if half else 1e-5)
    for one, other in zip(*gradients, strict=True):
        assert (one - other).norm() <= (5e-2 if half else 1e-5) * one.norm()


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_a_critic_finds_w1_from_both_sides(scale):
    """W1 of N(0, 1) and N(0, scale^2) is |1 - scale| E|Z|; the critic begins with either sign."""
    rng = torch.Generator().manual_seed(0)
    torch.manual_seed(3)
    critic = BlockCritic(1, 1, hidden=32)
    optimiser = torch.optim.Adam(critic.parameters(), 5e-3, betas=(0.5, 0.99))
    for step in range(450):
        now = scale if step > 150 else 1 / scale  # first the opposite answer is right
        target = torch.randn(512, 1, 1, generator=rng)
        made = now * torch.randn(512, 1, 1, generator=rng)
        loss = critic_loss(critic, target, made, rng)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    target = torch.randn(20_000, 1, 1, generator=rng)
    made = scale * torch.randn(20_000, 1, 1, generator=rng)
    truth = abs(1 - scale) * (2 / torch.pi) ** 0.5
    assert distance(critic, target, made).item() == pytest.approx(truth, rel=0.2)


def test_one_pass_over_both_samples_equals_two():
    """Values and gradients, also for samples of different sizes."""
    critic = PictureCritic(2, 4).double()
    target, made = (torch.rand(n, 2, 64, 64, dtype=torch.float64) for n in (5, 3))
    for wanted, got in zip(
        *(
            (value.item(), *torch.autograd.grad(value, list(critic.parameters())[:-1]))
            for value in (
                critic(target).mean() - critic(made).mean(), distance(critic, target, made),
            )
        ),
        strict=True,
    ):  # fmt: skip
        torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-14)


def test_mismatched_pairs_are_of_other_clips_or_other_frames():
    x = torch.arange(12.0).reshape(4, 3)
    found = mismatched(2, x, -x)
    wanted = [[0, 1, 11], [3, 4, 2], [-6, -7, 8], [-9, -10, 11]]
    assert torch.equal(found, torch.tensor(wanted, dtype=torch.float32))


def test_unknown_loss_is_refused():
    with pytest.raises(ValueError, match="plf: expected one of FMD, JD, SA"):
        compared("MMSE", 0, torch.zeros(1, 1), torch.zeros(1, 1))
