r"""Subtractively dithered uniform quantisation, and the randomness that both sides share.

With dither :math:`d` uniform over :math:`[-\frac12, \frac12)`, known to encoder and decoder,

.. math:: \hat y = \lfloor y + d + \tfrac12 \rfloor - d = y + N,

where N is uniform over a cell of width one and independent of y. Training adds such noise, so its
latents have exactly the distribution that the received ones have. (Zamir and Feder, "On universal
quantization by randomized uniform/lattice quantizers", IEEE Trans. Inf. Theory 38 (1992).)

The shared randomness is counter-based: any frame is drawn without those before it. It is made of
integers, so it is the same to the last bit on every device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

Tensor = torch.Tensor

_DITHER, _NOISE = 0, 1  # what the shared randomness is for
_FLOAT_BITS, _DOUBLE_BITS = 24, 53


def shared_dither(seed: int, number: int, shape: Sequence[int]) -> Tensor:
    """Return the dither of one latent vector, uniform over [-1/2, 1/2) in steps of 2**-24.

    Parameters
    ----------
    seed : int, 0 <= seed < 2**63
        Seed of the common randomness.
    number : int
        Number of the latent vector, from 0.
    shape : sequence of int
        Shape of the latents.

    Returns
    -------
    float32 tensor, exact

    Examples
    --------
    >>> torch.equal(shared_dither(1, 2, (3, 4)), shared_dither(1, 2, (12,)).reshape(3, 4))
    True
    """
    return (_uniform(seed, number, _DITHER, shape, _FLOAT_BITS) - 0.5).float()


def shared_noise(seed: int, frame: int, shape: Sequence[int]) -> Tensor:
    """Return the standard Gaussian noise of the decoders for one frame, from 0, float32."""
    cell = 2.0**-_DOUBLE_BITS
    return torch.special.ndtri(_uniform(seed, frame, _NOISE, shape, 52) + cell).float()


def _uniform(seed: int, number: int, purpose: int, shape: Sequence[int], bits: int) -> Tensor:
    """Uniform over [0, 1) in steps of 2**-bits, float64, from raw integers."""
    philox = np.random.Philox(key=seed, counter=[0, purpose, 0, number])
    raw = philox.random_raw(math.prod(shape)) >> np.uint64(64 - bits)
    return torch.from_numpy(raw.astype(np.float64) * 2.0**-bits).reshape(tuple(shape))


@dataclass(frozen=True)
class Quantiser:
    """Uniform quantiser of step one with subtractive dither.

    Parameters
    ----------
    levels : int >= 2, or None
        Number L of levels: indices 0..L-1 stand for values symmetric about zero. None is
        unbounded: any integer.

    Raises
    ------
    ValueError
        Fewer than two levels.

    Examples
    --------
    >>> quantiser = Quantiser(levels=4)
    >>> y = quantiser.limit(torch.tensor([-9.0, 0.1, 9.0]))
    >>> dither = shared_dither(0, 0, y.shape)
    >>> index = quantiser.index(y, dither)
    >>> bool(((quantiser.value(index, dither) - y).abs() <= 0.5).all())
    True
    """

    levels: int | None = None

    def __post_init__(self) -> None:
        """Validate the number of levels."""
        if self.levels is not None and self.levels < 2:
            raise ValueError(f"levels: expected at least 2, or None, got {self.levels}")

    @property
    def half(self) -> float:
        """Value of the highest level; 0 if unbounded."""
        return 0.0 if self.levels is None else (self.levels - 1) / 2

    def limit(self, y: Tensor) -> Tensor:
        """Clip softly to the values of the levels, where the error of `value` is uniform."""
        return y if self.levels is None else self.half * torch.tanh(y / self.half)

    def noisy(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return y plus uniform noise: the distribution of `value` of `index`, for training.

        The generator is on the device of y.
        """
        noise = torch.rand(y.shape, generator=generator, device=y.device, dtype=y.dtype)
        return y + (noise - 0.5)

    def index(self, y: Tensor, dither: Tensor) -> Tensor:
        """Return the integers to send, int64, for limited latents and their dither."""
        index = torch.floor(y + dither + (self.half + 0.5)).long()
        return index if self.levels is None else index.clamp(0, self.levels - 1)

    def value(self, index: Tensor, dither: Tensor) -> Tensor:
        """Return the received latents: y plus noise that is uniform over [-1/2, 1/2].

        They are float32 and the same to the last bit on every device.
        """
        return index.to(dither.dtype) - self.half - dither
