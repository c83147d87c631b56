r"""Entropy model of latents: a smooth density for training, fixed tables for bytes.

The integer k of a dithered quantiser has, given the dither d, the probability

.. math:: P(k | d) = F(k - d + \tfrac12) - F(k - d - \tfrac12),

with F the distribution function of the latent. Training minimises :math:`-\log_2` of it at the
noisy latent :math:`\hat y = k - d`. For coding the probabilities are tabulated once, for bins of
the dither. The tables are stored with the model. Encoder and decoder read the same numbers and
compute none, so that they agree on every device.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from rdp.codec.bitstream import Coder

Array = np.ndarray
Tensor = torch.Tensor

BINS = 64  # of the dither; the loss against the exact dither is below 1e-4 bit
_ROWS = 1 << 15  # rows of a table that are handed to the coder at a time
_TINY = 1e-12


class Table(NamedTuple):
    """Probabilities of integers, for each channel and each bin of the dither.

    Parameters
    ----------
    low : int
        Smallest integer that can be sent.
    pmf : (C, B, K) float64 array
        Probabilities of low..low+K-1 for each of C channels and B bins, B a power of two.
    """

    low: int
    pmf: Array

    @property
    def channels(self) -> int:
        """Number C of integers in a latent vector."""
        return len(self.pmf)

    def clip(self, index: Tensor) -> Tensor:
        """Return integers brought into the range of the table."""
        return index.clamp(self.low, self.low + self.pmf.shape[2] - 1)

    def code(self, coder: Coder, dither: Tensor, index: Tensor | None = None) -> Tensor:
        """Encode or decode the integers of one frame.

        Parameters
        ----------
        coder : rdp.codec.bitstream.Encoder or Decoder
        dither : (n, C) tensor
            From `neural.codecs.quantiser.shared_dither`.
        index : (n, C) int64 tensor, or None
            Integers to encode; None to decode.

        Returns
        -------
        (n, C) int64 tensor
        """
        if dither.ndim != 2 or dither.shape[1] != len(self.pmf):
            raise ValueError(f"dither: expected shape (n, {len(self.pmf)}), got {dither.shape}")
        rows = self._rows(dither)
        flat = self.pmf.reshape(-1, self.pmf.shape[2])
        given = None if index is None else index.reshape(-1).cpu().numpy() - self.low
        out = np.empty(len(rows), dtype=np.int64)
        for start in range(0, len(rows), _ROWS):
            part = slice(start, start + _ROWS)
            symbols = None if given is None else given[part]
            out[part] = coder.table(flat[rows[part]], symbols)
        return torch.from_numpy(out + self.low).reshape(dither.shape)

    def bits(self, dither: Tensor, index: Tensor) -> Tensor:
        """Return the ideal code length of integers, (n, C); dither and index have that shape."""
        column = index.reshape(-1).cpu().numpy() - self.low
        mass = self.pmf.reshape(-1, self.pmf.shape[2])[self._rows(dither), column]
        return torch.from_numpy(-np.log2(np.maximum(mass, _TINY))).reshape(dither.shape)

    def signature(self) -> bytes:
        """Return all numbers that decide the bytes."""
        return str(self.low).encode() + self.pmf.tobytes()

    def _rows(self, dither: Tensor) -> Array:
        """Row of the table for each latent, by channel and bin of its dither."""
        channels, bins, _ = self.pmf.shape
        place = ((dither.cpu().double() + 0.5) * bins).long().clamp(0, bins - 1)
        return (place + bins * torch.arange(channels)).reshape(-1).numpy()


def count_table(dither: Tensor, index: Tensor, levels: int | None = None, bins: int = 16) -> Table:
    """Return a table from the integers that an encoder sent on training data: counts plus one half.

    Parameters
    ----------
    dither : (n, C) tensor
    index : (n, C) int64 tensor
    levels : int or None
        Number of levels of the quantiser; None takes the range of the data.
    bins : int, a power of two
        Bins of the dither.
    """
    low = int(index.min()) if levels is None else 0
    size = max(int(index.max()) - low + 1, 2) if levels is None else levels
    channels = dither.shape[1]
    table = Table(low, np.full((channels, bins, size), 0.5))
    flat = table._rows(dither) * size + (index.reshape(-1).cpu().numpy() - low)
    counts = 0.5 + np.bincount(flat, minlength=channels * bins * size).reshape(table.pmf.shape)
    return Table(low, counts / counts.sum(axis=2, keepdims=True))


class EntropyModel(nn.Module):
    """Factorised mixture of Gaussians for the latents of one frame.

    Parameters
    ----------
    channels : int
        Latents C of the frame.
    components : int
        Gaussians for each latent.

    Examples
    --------
    >>> model = EntropyModel(channels=2)
    >>> model.bits(torch.zeros(5, 2)).shape
    torch.Size([5, 2])
    """

    def __init__(self, channels: int, components: int = 3) -> None:
        super().__init__()
        spread = torch.linspace(-0.1, 0.1, components).expand(channels, -1)
        self.logits = nn.Parameter(torch.zeros(channels, components))
        self.mean = nn.Parameter(spread.clone())
        self.log_sd = nn.Parameter(torch.zeros(channels, components))
        self.table: Table | None = None

    def bits(self, noisy: Tensor) -> Tensor:
        """Return the code length of noisy latents, (n, C) bits, differentiable."""
        return -torch.log2(self._mass(noisy) + _TINY)

    def _mass(self, noisy: Tensor) -> Tensor:
        """Probability of the cell of width one around each noisy latent."""
        # the side of the mean does not matter, and on one side no digits cancel
        mean, sd = self._mixture()
        off = (noisy.unsqueeze(-1) - mean).abs()
        inverse = 1 / sd
        upper = torch.special.ndtr((0.5 - off) * inverse)
        lower = torch.special.ndtr((-0.5 - off) * inverse)
        return ((upper - lower) * torch.softmax(self.logits, dim=-1)).sum(dim=-1)

    def _mixture(self) -> tuple[Tensor, Tensor]:
        """Means and standard deviations (C, M).

        The factor lets the density follow an encoder that is trained at the same learning rate.
        """
        return 10 * self.mean, torch.exp(10 * self.log_sd)

    @torch.no_grad()
    def tabulate(self, bins: int = BINS) -> None:
        """Fix the table that coding uses, from the density as it is now.

        Parameters
        ----------
        bins : int, a power of two
            Bins of the dither.
        """
        mean, sd = self._mixture()
        reach = 9 * sd + 1
        low, high = int((mean - reach).min().floor()), int((mean + reach).max().ceil())
        centre = (torch.arange(bins) + 0.5) / bins - 0.5
        k = torch.arange(low, high + 1)
        channels = len(self.mean)
        noisy = (k - centre[:, None]).reshape(-1, 1).expand(-1, channels)
        mass = self._mass(noisy.to(self.mean)).double().cpu()
        pmf = mass.reshape(bins, len(k), channels).permute(2, 0, 1).numpy()
        self.table = Table(low, np.ascontiguousarray(pmf / pmf.sum(axis=2, keepdims=True)))

    def get_extra_state(self) -> dict[str, Any]:
        """Return the table for the model's file; torch calls this."""
        if self.table is None:
            return {}
        return {"low": self.table.low, "pmf": torch.from_numpy(self.table.pmf.copy())}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take the table from a model's file; torch calls this."""
        self.table = Table(int(state["low"]), state["pmf"].cpu().numpy()) if state else None
