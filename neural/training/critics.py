r"""Losses of critics and decoders, by WGAN with gradient penalty.

A critic f estimates :math:`W_1(P, Q) = \max_{\|f\|_L \le 1} E_P f - E_Q f` between the two
distributions that a perception loss compares. At frame t they are

=====  ===========================================  ==================================
loss   target P                                     reconstruction Q
=====  ===========================================  ==================================
FMD    :math:`X_t`                                  :math:`\hat X_t`
JD     :math:`X_1..X_t`                             :math:`\hat X_1..\hat X_t`
SA     :math:`\hat X_1..\hat X_{t-1}, X_t`          :math:`\hat X_1..\hat X_t`
=====  ===========================================  ==================================

With a window of w frames, JD compares the frames from t - w + 1 to t (PLF-JD(w), `rdp.JD`).

Frames are tensors (n, T, ...), so that scalars, blocks and pictures go through the same functions.
Only the critic's network knows what a frame is (`neural.training.critic_networks`).

Arjovsky et al., arXiv:1701.07875 (WGAN); Gulrajani et al., arXiv:1704.00028 (gradient penalty);
loss functions of Salehkalaibar et al., arXiv:2305.19301 and arXiv:2502.10628.
"""

from __future__ import annotations

import torch

from neural.interfaces import Critic, SlopedCritic
from rdp.perception import PLFS

Tensor = torch.Tensor


def first_compared(plf: str, frame: int, window: int | None = None) -> int:
    """Return the first of the frames that a critic sees; frames count from 0.

    Parameters
    ----------
    plf : {"FMD", "JD", "SA"}
    frame : int
        The last of them, t.
    window : int or None
        For JD: how many frames it sees; None is all.

    Examples
    --------
    >>> first_compared("FMD", 4), first_compared("JD", 4, window=2), first_compared("SA", 4, 2)
    (4, 3, 0)
    """
    if plf not in PLFS:
        raise ValueError(f"plf: expected one of {', '.join(PLFS)}, got {plf!r}")
    if plf == "FMD":
        return frame
    return max(0, frame + 1 - window) if plf == "JD" and window is not None else 0


def compared(
    plf: str, frame: int, source: Tensor, reconstruction: Tensor, window: int | None = None
) -> tuple[Tensor, Tensor]:
    """Return samples of the two distributions that a perception loss compares at one frame.

    Parameters
    ----------
    plf : {"FMD", "JD", "SA"}
    frame : int
        Frame t, from 0.
    source : (n, T, ...) tensor
    reconstruction : (n, T, ...) tensor
        Gradients reach the current frame only: earlier frames are given (sequential objective).
    window : int or None
        For JD: how many frames it compares; None is all.

    Returns
    -------
    target, reconstruction : (n, 1, ...) tensors for FMD, (n, t+1, ...) for JD and SA, at most
        (n, window, ...) for JD with a window

    Raises
    ------
    ValueError
        Unknown loss.

    Examples
    --------
    >>> source, reconstruction = torch.zeros(5, 3), torch.ones(5, 3)
    >>> compared("SA", 2, source, reconstruction)[0][0]
    tensor([1., 1., 0.])
    """
    before = slice(first_compared(plf, frame, window), frame)
    now = slice(frame, frame + 1)
    past = reconstruction[:, before].detach()
    target_past = past if plf == "SA" else source[:, before]
    return torch.cat([target_past, source[:, now]], 1), torch.cat([past, reconstruction[:, now]], 1)


def mismatched(
    frame: int, source: Tensor, reconstruction: Tensor, window: int | None = None
) -> Tensor:
    """Return pairs whose frame does not belong to the frames before, as JD critics compare them.

    Half of them, (n, t+1, ...) or at most (n, window, ...), are frames of the source before the
    frame of another clip. The other half are reconstructions before the frame of the source. A
    critic that also separates these from the source sees early that a frame must follow from those
    before it (matching-aware critics: Reed et al., arXiv:1605.05396).

    Parameters
    ----------
    frame : int
        Frame t > 0, from 0.
    source, reconstruction : (n, T, ...) tensors
    window : int or None
        How many frames the critics see; None is all.
    """
    half = len(source) // 2
    before = slice(first_compared("JD", frame, window), frame)
    past = torch.cat([source[:half, before], reconstruction[half:, before]])
    now = source[:, frame : frame + 1]
    return torch.cat([past, torch.cat([now.roll(1, 0)[:half], now[half:]])], 1)


def critic_loss(
    critic: Critic,
    target: Tensor,
    reconstruction: Tensor,
    generator: torch.Generator | None = None,
    penalty: float = 10.0,
) -> Tensor:
    r"""Return what a critic minimises: minus its estimate of W1, plus the gradient penalty.

    .. math:: E f(\hat X) - E f(X) + \lambda E (\|\nabla f\| - 1)_+^2,

    with the gradient on segments between pairs of samples. The penalty is one-sided: slopes below
    one cost nothing. A two-sided penalty stops a critic of few dimensions from reversing its slope,
    because it would have to become flat on the way (Petzka et al., arXiv:1709.08894).

    Parameters
    ----------
    critic : callable, (n, t, ...) -> (n,)
        The critic f; a `neural.interfaces.SlopedCritic` needs no second derivatives.
    target, reconstruction : (n, t, ...) tensors
        From `compared`; no gradient reaches them.
    generator : torch.Generator or None
        Source of randomness, on the device of the frames.
    penalty : float
        Weight :math:`\lambda` of the gradient penalty.
    """
    target, reconstruction = target.detach(), reconstruction.detach()
    share = torch.rand(
        (len(target), *[1] * (target.ndim - 1)),
        generator=generator, device=target.device, dtype=target.dtype,
    )  # fmt: skip
    slope = _slope(critic, torch.lerp(target, reconstruction, share))
    norm = slope.flatten(1).square().sum(1).add(1e-12).sqrt()
    excess = (norm - 1).clamp(min=0)
    return -distance(critic, target, reconstruction) + penalty * excess.square().mean()


def _slope(critic: Critic, frames: Tensor) -> Tensor:
    """Gradient of each score in the frames, of their shape; parameters can be trained on it."""
    if isinstance(critic, SlopedCritic):
        return critic.slope(frames)
    frames.requires_grad_()
    (slope,) = torch.autograd.grad(critic(frames).sum(), frames, create_graph=True)
    return slope


def distance(critic: Critic, target: Tensor, reconstruction: Tensor) -> Tensor:
    """Return the critic's estimate of W1, E f(target) - E f(reconstruction), in one pass."""
    scores = critic(torch.cat([target, reconstruction]))
    return scores[: len(target)].mean() - scores[len(target) :].mean()


def adversarial_loss(critic: Critic, reconstruction: Tensor) -> Tensor:
    """Return what a decoder minimises besides distortion: the part of W1 that depends on it."""
    return -critic(reconstruction).mean()
