r"""Subtractively dithered uniform quantisation, and the randomness that both sides share.

With dither :math:`d` uniform over :math:`[-\frac12, \frac12)`, known to encoder and decoder,

.. math:: \hat y = \lfloor y + d + \tfrac12 \rfloor - d = y + N,

where N is uniform over a cell of width one and independent of y. Training adds such noise, so
it sees exactly the law that the bytes will have. (Zamir and Feder, "On universal quantization by
randomized uniform/lattice quantizers", IEEE Trans. Inf. Theory 38 (1992).)

The shared randomness is counter-based: any frame is drawn without those before it, and it is the
same to the last bit on every device, because it is made of integers.
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


def shared_dither(seed: int, frame: int, shape: Sequence[int]) -> Tensor:
    """Dither of one frame, uniform over [-1/2, 1/2) in steps of 2**-24.

    Parameters
    ----------
    seed : int, 0 <= seed < 2**63
        Common randomness.
    frame : int
        Which frame.
    shape : sequence of int
        Shape of the latents of that frame.

    Returns
    -------
    float32 tensor of that shape, exact

    Examples
    --------
    >>> torch.equal(shared_dither(1, 2, (3, 4)), shared_dither(1, 2, (12,)).reshape(3, 4))
    True
    """
    return (_uniform(seed, frame, _DITHER, shape, _FLOAT_BITS) - 0.5).float()


def shared_noise(seed: int, frame: int, shape: Sequence[int]) -> Tensor:
    """Standard Gaussian noise of one frame, for decoders that need randomness of their own.

    Parameters
    ----------
    seed : int, 0 <= seed < 2**63
        Common randomness.
    frame : int
        Which frame.
    shape : sequence of int
        Shape of the noise.

    Returns
    -------
    float32 tensor of that shape
    """
    cell = 2.0**-_DOUBLE_BITS
    return torch.special.ndtri(_uniform(seed, frame, _NOISE, shape, 52) + cell).float()


def _uniform(seed: int, frame: int, purpose: int, shape: Sequence[int], bits: int) -> Tensor:
    """Uniform over [0, 1) in steps of 2**-bits, float64, from raw integers."""
    philox = np.random.Philox(key=seed, counter=[0, purpose, 0, frame])
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
        """Clip softly to the values of the levels, where the error of `value` is uniform.

        Parameters
        ----------
        y : tensor
            Latents as the encoder's network gives them.
        """
        return y if self.levels is None else self.half * torch.tanh(y / self.half)

    def noisy(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """What training sees: y plus uniform noise, in law equal to `value` of `index`.

        Parameters
        ----------
        y : tensor
            Limited latents.
        generator : torch.Generator or None
            Source of randomness, on the device of y.
        """
        noise = torch.rand(y.shape, generator=generator, device=y.device, dtype=y.dtype)
        return y + (noise - 0.5)

    def index(self, y: Tensor, dither: Tensor) -> Tensor:
        """What is sent: integers.

        Parameters
        ----------
        y : tensor
            Limited latents.
        dither : tensor of the shape of y
            From `shared_dither`.

        Returns
        -------
        int64 tensor
        """
        index = torch.floor(y + dither + (self.half + 0.5)).long()
        return index if self.levels is None else index.clamp(0, self.levels - 1)

    def value(self, index: Tensor, dither: Tensor) -> Tensor:
        """What the decoder sees: y plus noise that is uniform over [-1/2, 1/2].

        Parameters
        ----------
        index : int64 tensor
            From `index`.
        dither : tensor of the same shape
            The dither used there.

        Returns
        -------
        float32 tensor, the same to the last bit on every device
        """
        return index.to(dither.dtype) - self.half - dither
