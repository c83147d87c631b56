"""The task of coding blocks of a Gauss-Markov source: data, networks and measurement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from neural.codecs.block import BlockCodec, BlockCritic, Shape
from rdp.gaussian import psd_cholesky
from rdp.source import GaussMarkov


class BlockTask:
    """What the training loop and the commands need to know about blocks of a source.

    Parameters
    ----------
    source : dict
        sigma and rho of `rdp.GaussMarkov`, scalar frames.
    codec : dict
        block, latents and hidden of `neural.codecs.block.Shape`.
    critic : dict
        hidden of `neural.codecs.block.BlockCritic`.

    Raises
    ------
    ValueError
        Malformed values; the message names them.
    """

    def __init__(
        self,
        source: dict[str, Any],
        codec: dict[str, Any],
        critic: dict[str, Any],
    ) -> None:
        self.prescribes_rates = True
        self.source = GaussMarkov(**source)
        if self.source.modes is not None:
            raise ValueError("source: expected scalar frames, got modes")
        self.shape = Shape(frames=self.source.frames, **codec)
        self.critic_hidden = int(critic.get("hidden", 64))
        self._factor = torch.from_numpy(psd_cholesky(self.source.covariance())).float()

    def make_codec(self, rates: Sequence[float] | None = None) -> BlockCodec:
        """Return an untrained codec with an MMSE decoder.

        Parameters
        ----------
        rates : sequence of float, or None
            Bits of each frame; not needed here, since training brings the rates about.
        """
        return BlockCodec(self.shape)

    def to(self, device: str) -> None:
        """Do nothing: blocks are drawn where their generator is.

        Parameters
        ----------
        device : str
            Where the networks compute.
        """

    def make_critic(self, frames: int) -> nn.Module:
        """Return an untrained critic.

        Parameters
        ----------
        frames : int
            Frames it sees.
        """
        return BlockCritic(frames, self.shape.block, self.critic_hidden)

    def batch(self, generator: torch.Generator, n: int) -> torch.Tensor:
        """Draw blocks of the source, (n, T, k).

        Parameters
        ----------
        generator : torch.Generator
            Source of all randomness.
        n : int
            Blocks.
        """
        shape = (n, self.shape.frames, self.shape.block)
        white = torch.randn(shape, generator=generator, device=generator.device)
        return self._factor.to(generator.device) @ white
