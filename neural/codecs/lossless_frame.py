"""A first frame that is sent as it is: stand-ins for quantiser, table and decoder.

They take what the others take, dither and noise included, and need none of it.
"""

from __future__ import annotations

import torch
from torch import nn

from rdp.codec.bitstream import Coder

Tensor = torch.Tensor


class LosslessQuantiser:
    """Stands in for a quantiser: the integers are the bytes of float32 numbers."""

    def limit(self, y: Tensor) -> Tensor:
        """Return the frame as a vector."""
        return y.flatten(1).float()

    def noisy(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the frame."""
        return y

    def index(self, y: Tensor, dither: Tensor) -> Tensor:
        """Return the bytes of the frame, (n, 4 h w)."""
        return y.cpu().contiguous().view(torch.uint8).long().to(y.device)

    def value(self, index: Tensor, dither: Tensor) -> Tensor:
        """Return the frame that has these bytes."""
        return index.cpu().byte().contiguous().view(torch.float32).to(index.device)


class LosslessTable:
    """Stands in for a table: bytes are coded under their own counts."""

    def __init__(self, channels: int) -> None:
        self.channels = channels  # numbers of a frame

    def clip(self, index: Tensor) -> Tensor:
        """Return the bytes."""
        return index

    def code(self, coder: Coder, dither: Tensor, index: Tensor | None = None) -> Tensor:
        """Encode or decode the bytes of a frame."""
        shape = (len(dither), 4 * self.channels)
        given = None if index is None else index.reshape(-1).cpu().numpy()
        found = coder.adaptive(shape[0] * shape[1], given)
        return torch.from_numpy(found).reshape(shape)

    def signature(self) -> bytes:
        """Return the same for all frames: the counts begin empty."""
        return b"0"


class LosslessDecoder(nn.Module):
    """Decoder of a frame that was sent as it is."""

    def __init__(self, pixels: int) -> None:
        super().__init__()
        self.pixels = pixels  # height and width

    def forward(self, latents: Tensor, noise: Tensor) -> Tensor:
        """Return the frame, (n, 1, h, w)."""
        return latents.reshape(-1, 1, self.pixels, self.pixels)
