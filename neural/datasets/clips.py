"""Clips, and what every source of clips can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch

Tensor = torch.Tensor

SIZE = 64  # height and width of a frame, pixels


class Clips(NamedTuple):
    """Clips, and what is known of their content.

    Parameters
    ----------
    frames : (n, T, 64, 64) float32 tensor
        Values in [0, 1].
    labels : (n,) int64 tensor, or None
        The digit; the first of two.
    corners : (n, T, 2) int64 tensor, or None
        Row and column of the digit's upper left corner, 0..32; those of the first of two.
    """

    frames: Tensor
    labels: Tensor | None = None
    corners: Tensor | None = None


class ClipSource(ABC):
    """A distribution of clips to draw from."""

    @abstractmethod
    def draw(self, generator: torch.Generator, n: int) -> Clips:
        """Draw n clips, with what is known of their content.

        The generator is on the CPU or on the device of the clips. Each gives its own clips, of the
        same distribution; on the device nothing waits for the CPU.
        """

    def batch(self, generator: torch.Generator, n: int) -> Tensor:
        """Draw the frames of n clips, (n, T, 64, 64), as `draw` does."""
        return self.draw(generator, n).frames


def draw_below(bound: Tensor | int, shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Draw integers uniform over 0..bound-1, on the device of the generator.

    Generators of the CPU give the same integers whatever device the clips are made on.
    """
    # 53 bits per draw: the unevenness over some 60,000 values is below 1e-11
    device = generator.device
    share = torch.rand(shape, generator=generator, device=device, dtype=torch.float64)
    return (share * bound).long()
