"""Networks of critics: one for blocks, one for clips.

Neither normalises its features: the gradient penalty is about single samples.
"""

from __future__ import annotations

import torch
from torch import nn

from neural.codecs.networks import SMALLEST, widths_of

Tensor = torch.Tensor


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
            layers += [nn.Conv2d(a, b, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        self.net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * SMALLEST**2, 1))

    def forward(self, clips: Tensor) -> Tensor:
        """Return a score for each clip, (n,)."""
        return self.net(clips).float().squeeze(1)
