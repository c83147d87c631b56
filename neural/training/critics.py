r"""Critics of the laws that each perception loss compares, by WGAN with gradient penalty.

A critic f estimates :math:`W_1(P, Q) = \max_{\|f\|_L \le 1} E_P f - E_Q f`. At frame t the laws are

=====  ===========================================  ==================================
loss   wanted law P                                 shown law Q
=====  ===========================================  ==================================
FMD    :math:`X_t`                                  :math:`\hat X_t`
JD     :math:`X_1..X_t`                             :math:`\hat X_1..\hat X_t`
SA     :math:`\hat X_1..\hat X_{t-1}, X_t`          :math:`\hat X_1..\hat X_t`
=====  ===========================================  ==================================

Frames are tensors (n, T, ...), so that scalars, blocks and pictures go through the same functions;
only the critic's network knows what a frame is.

Arjovsky et al., arXiv:1701.07875 (WGAN); Gulrajani et al., arXiv:1704.00028 (gradient penalty);
loss functions of Salehkalaibar et al., arXiv:2305.19301 and arXiv:2502.10628.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from rdp.perception import PLFS

Tensor = torch.Tensor
Critic = Callable[[Tensor], Tensor]


def compared(plf: str, frame: int, source: Tensor, shown: Tensor) -> tuple[Tensor, Tensor]:
    """Return samples of the two laws that a perception loss compares at one frame.

    Parameters
    ----------
    plf : {"FMD", "JD", "SA"}
        Which perception loss.
    frame : int
        Frame t, from 0.
    source : (n, T, ...) tensor
        Source frames.
    shown : (n, T, ...) tensor
        Reconstructions. Gradients reach the current frame alone: frames already shown are given,
        as the sequential objective has it.

    Returns
    -------
    wanted, shown : (n, 1, ...) tensors for FMD, (n, t+1, ...) for JD and SA

    Raises
    ------
    ValueError
        Unknown loss.

    Examples
    --------
    >>> source, shown = torch.zeros(5, 3), torch.ones(5, 3)
    >>> compared("SA", 2, source, shown)[0][0]
    tensor([1., 1., 0.])
    """
    if plf not in PLFS:
        raise ValueError(f"plf: expected one of {', '.join(PLFS)}, got {plf!r}")
    now = slice(frame, frame + 1)
    if plf == "FMD":
        return source[:, now], shown[:, now]
    past = shown[:, :frame].detach()
    wanted_past = source[:, :frame] if plf == "JD" else past
    return torch.cat([wanted_past, source[:, now]], 1), torch.cat([past, shown[:, now]], 1)


def critic_loss(
    critic: Critic,
    wanted: Tensor,
    shown: Tensor,
    generator: torch.Generator | None = None,
    penalty: float = 10.0,
) -> Tensor:
    r"""What a critic minimises: minus its estimate of W1, plus the gradient penalty.

    .. math:: E f(\hat X) - E f(X) + \lambda E (\|\nabla f\| - 1)_+^2,

    the gradient taken on segments between pairs of samples. Slopes below one are not punished: with
    the two-sided penalty a critic of few dimensions cannot turn round, since on its way from one
    slope to the opposite it would have to be flat (Petzka et al., arXiv:1709.08894).

    Parameters
    ----------
    critic : callable, (n, t, ...) -> (n,)
        The critic f.
    wanted, shown : (n, t, ...) tensors
        From `compared`; no gradient reaches them.
    generator : torch.Generator or None
        Source of randomness, on the device of the frames.
    penalty : float
        Weight :math:`\lambda` of the gradient penalty.

    Returns
    -------
    scalar tensor
    """
    wanted, shown = wanted.detach(), shown.detach()
    share = torch.rand(
        (len(wanted), *[1] * (wanted.ndim - 1)),
        generator=generator, device=wanted.device, dtype=wanted.dtype,
    )  # fmt: skip
    between = torch.lerp(wanted, shown, share).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    norm = slope.flatten(1).square().sum(1).add(1e-12).sqrt()
    return -distance(critic, wanted, shown) + penalty * (norm - 1).clamp(min=0).square().mean()


def distance(critic: Critic, wanted: Tensor, shown: Tensor) -> Tensor:
    """Return the critic's estimate of W1, E f(wanted) - E f(shown).

    Parameters
    ----------
    critic : callable, (n, t, ...) -> (n,)
        The critic f.
    wanted, shown : (n, t, ...) tensors
        From `compared`.

    Returns
    -------
    scalar tensor
    """
    return critic(wanted).mean() - critic(shown).mean()


def adversarial_loss(critic: Critic, shown: Tensor) -> Tensor:
    """What a decoder minimises besides distortion: the part of W1 that depends on it.

    Parameters
    ----------
    critic : callable, (n, t, ...) -> (n,)
        The critic f.
    shown : (n, t, ...) tensor
        From `compared`; carries the decoder's gradient.

    Returns
    -------
    scalar tensor
    """
    return -critic(shown).mean()
