"""Networks on blocks of a source: encoder, entropy model and one decoder for each loss.

A block holds k independent sequences of T frames, so that frames are vectors (n, T, k). At frame t

- the encoder sees the source frame and the past representation,
- a decoder sees the representation so far, the frames it has reconstructed, and noise.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from neural.codecs.bitstream import Streams
from neural.codecs.decoders import Decoders
from neural.codecs.entropy_model import EntropyModel, Table
from neural.codecs.quantiser import Quantiser
from neural.interfaces import Channel

Tensor = torch.Tensor


class SkipNet(nn.Module):
    """Linear map plus a small network that starts at zero."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.skip = nn.Linear(inputs, outputs)
        self.bend = nn.Sequential(
            nn.Linear(inputs, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(),
        )  # fmt: skip
        last = nn.Linear(hidden, outputs)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.bend.append(last)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the map to (n, inputs)."""
        return self.skip(x) + self.bend(x)


@dataclass(frozen=True)
class BlockShape:
    """Sizes of a block codec.

    Parameters
    ----------
    frames : int
        Number of frames T.
    block : int
        Sequences k of a block.
    latents : int
        Integers sent for each frame of a block.
    hidden : int
        Width of the networks.
    """

    frames: int
    block: int = 1
    latents: int = 1
    hidden: int = 32


class BlockCodec(Streams, nn.Module):
    """Sequential codec of blocks; every decoder reads the same representation.

    It begins with an MMSE decoder; `decoders` takes more.

    Examples
    --------
    >>> codec = BlockCodec(BlockShape(frames=2, block=4, latents=4))
    >>> x, noise = torch.randn(8, 2, 4), torch.randn(8, 2, 4)
    >>> latents = codec.represent(x, lambda t, y: codec.quantisers[t].noisy(y))
    >>> codec.reconstruct("MMSE", latents, noise).shape, codec.bits(latents).shape
    (torch.Size([8, 2, 4]), torch.Size([8, 2]))
    """

    log_price: Tensor  # of a bit in each frame, learnt when rates are prescribed

    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        self.shape, self.quantisers = shape, [Quantiser()] * shape.frames
        frames, block, latents, hidden = shape.frames, shape.block, shape.latents, shape.hidden
        self.encoder = nn.ModuleList(
            SkipNet(block + t * latents, hidden, latents) for t in range(frames)
        )
        self.entropy = nn.ModuleList(EntropyModel(latents) for _ in range(frames))
        self.register_buffer("log_price", torch.full((frames,), -3.0))
        for network in self.encoder:
            assert isinstance(network, SkipNet)
            nn.init.eye_(network.skip.weight)  # begin loud: what is below the noise learns nothing
        self.decoders = Decoders(
            SkipNet((t + 1) * latents + (t + 1) * block, hidden, block) for t in range(frames)
        )

    @property
    def frames(self) -> int:
        """Number of frames T."""
        return self.shape.frames

    def encoder_modules(self, frames: Iterable[int] | None = None) -> list[nn.Module]:
        """Return encoders and entropy models of some frames, from 0; None is all."""
        chosen = range(self.shape.frames) if frames is None else frames
        return [part[t] for t in chosen for part in (self.encoder, self.entropy)]

    def networks(self) -> list[nn.Module]:
        """Return the networks that can be compiled, each called as one function."""
        return [*self.encoder, *(m for plf in self.decoders for m in self.decoders.of(plf))]

    def stream_modules(self) -> list[nn.Module]:
        """Return the networks that decide the bytes."""
        return self.encoder_modules()

    @property
    def frame_of(self) -> tuple[int, ...]:
        """Frame, from 0, that each latent vector belongs to."""
        return tuple(range(self.shape.frames))

    @property
    def tables(self) -> list[Table | None]:
        """Tables for coding, one for each latent vector; None before training."""
        return [model.table for model in self._models()]

    def _models(self) -> list[EntropyModel]:
        return list(cast(Any, self.entropy))

    def noise_shape(self, n: int) -> tuple[int, ...]:
        """Return the shape of the decoders' noise for n blocks."""
        return n, self.shape.frames, self.shape.block

    def tabulate(self) -> None:
        """Fix the tables that coding uses, from the entropy models as they are now."""
        for model in self._models():
            model.tabulate()

    def represent(self, x: Tensor | None, channel: Channel) -> list[Tensor]:
        """Return the representation of each frame.

        Encoder and decoder run the same code, so that they cannot get out of step.

        Parameters
        ----------
        x : (n, T, k) tensor, or None
            Source frames; None in a decoder.
        channel : callable
            See `neural.interfaces.Channel`.

        Returns
        -------
        list of T tensors (n, latents)
        """
        latents: list[Tensor] = []
        for t, encoder in enumerate(self.encoder if x is None else self.encoder[: x.shape[1]]):
            y = None
            if x is not None:
                y = self.quantisers[t].limit(encoder(torch.cat([x[:, t], *latents], 1)))
            latents.append(channel(t, y))
        return latents

    def bits(self, latents: list[Tensor]) -> Tensor:
        """Return the code length of each frame in bits for one sequence, (n, T)."""
        models = zip(self._models(), latents, strict=False)  # the first frames will do
        return torch.stack([model.bits(y).sum(1) for model, y in models], 1) / self.shape.block

    def reconstruct(self, plf: str, latents: list[Tensor], noise: Tensor) -> Tensor:
        """Return the frames that the decoder for one loss makes, (n, T, k), as the noise.

        Each decoder minimises the loss of its own frame: no gradient goes back through frames that
        were reconstructed before (sequential objective).
        """
        frames: list[Tensor] = []
        for t, decoder in enumerate(self.decoders.of(plf)[: noise.shape[1]]):
            past = [frame.detach() for frame in frames]
            frames.append(decoder(torch.cat([*latents[: t + 1], *past, noise[:, t]], 1)))
        return torch.stack(frames, 1)
