"""Networks of critics: one for blocks, one for clips.

Neither normalises its features: the gradient penalty is about single samples.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import conv_transpose2d, leaky_relu

from neural.codecs.networks import SMALLEST, widths_of

Tensor = torch.Tensor

SLOPE = 0.2  # of the activations of picture critics below zero


class BlockCritic(nn.Module):
    """Critic of (n, frames, block), frames that are vectors."""

    def __init__(self, frames: int, block: int, hidden: int = 64) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Flatten(), nn.Linear(frames * block, hidden), nn.SiLU(),
            nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, 1),
        )  # fmt: skip

    def forward(self, frames: Tensor) -> Tensor:
        """Return a score for each sample, (n,)."""
        return self.net(frames).squeeze(-1)


class PictureCritic(nn.Module):
    """Critic of (n, frames, 64, 64), clips."""

    def __init__(self, frames: int, width: int) -> None:
        super().__init__()
        widths = widths_of(width)
        layers: list[nn.Module] = []
        for a, b in zip([frames, *widths], widths, strict=False):
            layers += [nn.Conv2d(a, b, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
        self.net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * SMALLEST**2, 1))

    def forward(self, clips: Tensor) -> Tensor:
        """Return a score for each clip, (n,)."""
        return self.net(clips).float().squeeze(1)


class SlopedPictureCritic(PictureCritic):
    """The same critic with its gradient in the clips written out, a chain of convolutions.

    The score is piecewise linear. So the gates of the activations are constants in the gradient,
    and training on the gradient needs first derivatives only. The second derivative of the first
    convolution, which this avoids, is one that GPUs compute on a single processor: it sums over all
    clips and pixels for a handful of weights.
    """

    def slope(self, clips: Tensor) -> Tensor:
        """Return the gradient of each score in its clip, (n, frames, 64, 64)."""
        convolutions = [layer for layer in self.net if isinstance(layer, nn.Conv2d)]
        last = self.net[-1]
        assert isinstance(last, nn.Linear)
        before: list[Tensor] = []  # each activation
        for layer in convolutions:
            # detached instead of no_grad: autocast would keep weights of no_grad for later use
            before.append(layer(leaky_relu(before[-1], SLOPE) if before else clips).detach())
        out = last.weight.to(before[-1].dtype).reshape(1, -1, SMALLEST, SMALLEST)
        for layer, inner in zip(reversed(convolutions), reversed(before), strict=True):
            gated = torch.ops.aten.leaky_relu_backward(out, inner, SLOPE, False)
            out = conv_transpose2d(gated, layer.weight, stride=2, padding=1)
        return out.float()
