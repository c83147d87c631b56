"""Networks on blocks of a source: encoder, entropy model and one decoder for each loss.

A block holds k independent sequences of T frames, so that frames are vectors (n, T, k). At frame t

- the encoder sees the source frame and the past representation,
- a decoder sees the representation so far, the frames it has shown, and noise.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from neural.codecs.entropy import EntropyModel, Table
from neural.codecs.quantiser import Quantiser

Tensor = torch.Tensor
Channel = Callable[[int, Any], Tensor]


class SkipNet(nn.Module):
    """Linear map plus a small network that starts at zero.

    Parameters
    ----------
    inputs, hidden, outputs : int
        Widths.
    """

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


class BlockCritic(nn.Module):
    """Critic of frames that are vectors.

    Parameters
    ----------
    frames, block : int
        The critic takes (n, frames, block).
    hidden : int
        Width.
    """

    def __init__(self, frames: int, block: int, hidden: int = 64) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Flatten(), nn.Linear(frames * block, hidden), nn.SiLU(),
            nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, 1),
        )  # fmt: skip

    def forward(self, frames: Tensor) -> Tensor:
        """Return a score for each sample, (n,)."""
        return self.net(frames).squeeze(-1)


@dataclass(frozen=True)
class Shape:
    """Sizes of a block codec.

    Parameters
    ----------
    frames : int
        T.
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


class BlockCodec(nn.Module):
    """Sequential codec of blocks; every decoder reads the same representation.

    Parameters
    ----------
    shape : Shape
        Sizes.
    decoders : sequence of {"MMSE", "FMD", "JD", "SA"}
        Which decoders it has.

    Examples
    --------
    >>> codec = BlockCodec(Shape(frames=2, block=4, latents=4))
    >>> x, noise = torch.randn(8, 2, 4), torch.randn(8, 2, 4)
    >>> latents = codec.represent(x, lambda t, y: codec.quantisers[t].noisy(y))
    >>> codec.show("MMSE", latents, noise).shape, codec.bits(latents).shape
    (torch.Size([8, 2, 4]), torch.Size([8, 2]))
    """

    def __init__(self, shape: Shape, decoders: tuple[str, ...] = ("MMSE",)) -> None:
        super().__init__()
        self.shape, self.quantisers = shape, [Quantiser()] * shape.frames
        frames, block, latents, hidden = shape.frames, shape.block, shape.latents, shape.hidden
        self.encoder = nn.ModuleList(
            SkipNet(block + t * latents, hidden, latents) for t in range(frames)
        )
        self.entropy = nn.ModuleList(EntropyModel(latents) for _ in range(frames))
        # what a bit costs in distortion, learnt when rates are prescribed
        self.register_buffer("log_price", torch.full((frames,), -3.0))
        for network in self.encoder:
            assert isinstance(network, SkipNet)
            nn.init.eye_(network.skip.weight)  # begin loud: what is below the noise learns nothing
        self.decoders = nn.ModuleDict()
        for name in decoders:
            self.decoders[name] = nn.ModuleList(
                SkipNet((t + 1) * latents + (t + 1) * block, hidden, block) for t in range(frames)
            )

    def prepare(self, plfs: Iterable[str], frames: Iterable[int] | None = None) -> None:
        """Make decoders ready for training: those that are missing begin as the MMSE decoder.

        Parameters
        ----------
        plfs : iterable of {"MMSE", "FMD", "JD", "SA"}
            Losses that will be trained.
        frames : iterable of int, or None
            Frames that will be trained; not needed here.
        """
        for plf in plfs:
            if plf not in self.decoders:
                self.add_decoder(plf)

    def add_decoder(self, name: str) -> None:
        """Add a decoder that starts as a copy of the MMSE decoder.

        Parameters
        ----------
        name : {"FMD", "JD", "SA"}
            Perception loss it will be trained for.
        """
        self.decoders[name] = copy.deepcopy(self.decoders["MMSE"])

    def encoding_modules(self, frames: Iterable[int] | None = None) -> list[nn.Module]:
        """Return what decides the bytes: encoder and entropy model.

        Parameters
        ----------
        frames : iterable of int, or None
            Frames it is for, from 0; None is all.
        """
        chosen = range(self.shape.frames) if frames is None else frames
        return [part[t] for t in chosen for part in (self.encoder, self.entropy)]

    def networks(self) -> list[nn.Module]:
        """Return the networks, each called as one function."""
        decoders = [m for plf in self.decoders for m in cast(nn.ModuleList, self.decoders[plf])]
        return [*self.encoder, *decoders]

    def deciding_modules(self) -> list[nn.Module]:
        """Return all that decides the bytes."""
        return self.encoding_modules()

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
        """Return the shape of the decoders' noise for n blocks.

        Parameters
        ----------
        n : int
            Blocks.
        """
        return n, self.shape.frames, self.shape.block

    def tabulate(
        self, draw: Callable[[int], Tensor] | None = None, frames: Iterable[int] | None = None
    ) -> None:
        """Fix the tables that coding uses, from the entropy models as they are now.

        Parameters
        ----------
        draw : callable, or None
            Draws source frames; not needed here.
        frames : iterable of int, or None
            Frames whose encoders were trained; not needed here.
        """
        for model in self._models():
            model.tabulate()

    def represent(self, x: Tensor | None, channel: Channel) -> list[Tensor]:
        """Return the representation of each frame.

        The same code serves the encoder and the decoder, so that they cannot get out of step.

        Parameters
        ----------
        x : (n, T, k) tensor, or None
            Source frames; None in a decoder.
        channel : callable, (number of the latent vector, limited latents) -> noisy latents
            Noise in training; quantisation, and writing, in an encoder. That of a decoder is
            given None and reads.

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
        """Return the code length of each frame in bits for one sequence, (n, T).

        Parameters
        ----------
        latents : list of T tensors (n, latents)
            The representation.
        """
        models = zip(self._models(), latents, strict=False)  # the first frames will do
        return torch.stack([model.bits(y).sum(1) for model, y in models], 1) / self.shape.block

    def show(self, plf: str, latents: list[Tensor], noise: Tensor) -> Tensor:
        """Reconstruct the frames for one perception loss.

        Parameters
        ----------
        plf : {"MMSE", "FMD", "JD", "SA"}
            Which decoder.
        latents : list of T tensors (n, latents)
            The representation.
        noise : (n, T, k) tensor
            Randomness of the decoder.

        Returns
        -------
        (n, T, k) tensor. Each decoder answers for its own frame: what was shown before is given,
        and no gradient goes back through it (sequential objective).
        """
        shown: list[Tensor] = []
        for t, decoder in enumerate(cast(nn.ModuleList, self.decoders[plf])[: noise.shape[1]]):
            past = [frame.detach() for frame in shown]
            shown.append(decoder(torch.cat([*latents[: t + 1], *past, noise[:, t]], 1)))
        return torch.stack(shown, 1)
