"""The task of coding blocks of a Gauss-Markov source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch

from neural.codecs.block import BlockCodec, BlockShape
from neural.training.critic_networks import BlockCritic
from rdp.gaussian import psd_cholesky
from rdp.source import GaussMarkov


class BlockTask:
    """Blocks of a source, with networks for them; see `neural.interfaces.Task`.

    Parameters
    ----------
    source : dict
        sigma and rho of `rdp.GaussMarkov`, scalar frames.
    codec : dict
        block, latents and hidden of `neural.codecs.block.BlockShape`.
    critic : dict
        hidden of `neural.training.critic_networks.BlockCritic`.

    Raises
    ------
    ValueError
        Malformed values; the message names them.
    """

    prescribes_rates = True
    may_be_published = False  # numbers are no pictures

    def __init__(
        self, source: dict[str, Any], codec: dict[str, Any], critic: dict[str, Any]
    ) -> None:
        self.source = GaussMarkov(**source)
        if self.source.modes is not None:
            raise ValueError("source: expected scalar frames, got modes")
        self.shape = BlockShape(frames=self.source.frames, **codec)
        self.critic_hidden = int(critic.get("hidden", 64))
        self.device = "cpu"

    @cached_property
    def _factor(self) -> torch.Tensor:
        """Factor of the covariance, made when the first blocks are drawn."""
        return torch.from_numpy(psd_cholesky(self.source.covariance())).float()

    def to(self, device: str) -> None:
        """Give blocks on a device from now on."""
        self.device = device

    def make_codec(self, rates: Sequence[float]) -> BlockCodec:
        """Return an untrained codec of as many frames as there are rates; training reaches them."""
        if not 1 <= len(rates) <= self.shape.frames:
            raise ValueError(f"rates: expected up to {self.shape.frames} frames, got {len(rates)}")
        return BlockCodec(replace(self.shape, frames=len(rates)))

    def make_critic(self, frames: int) -> BlockCritic:
        """Return an untrained critic of so many frames."""
        return BlockCritic(frames, self.shape.block, self.critic_hidden)

    def batch(self, generator: torch.Generator, n: int) -> torch.Tensor:
        """Draw blocks of the source, (n, T, k)."""
        shape = (n, self.shape.frames, self.shape.block)
        white = torch.randn(shape, generator=generator, device=generator.device)
        self._factor = self._factor.to(generator.device)
        return (self._factor @ white).to(self.device)
