"""Random numbers of a codec: those that encoder and decoder both draw from the seed in the stream.

Each frame and mode has a Philox counter of its own, so any frame can be drawn without those before
it. The decoder's own noise has a counter of its own too.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray

_DITHER, _NOISE, _PRIVATE = 0, 1, 2  # purposes, which get different counters


def uniform_dither(seed: int, frame: int, mode: int, shape: tuple[int, int]) -> Array:
    """Return numbers uniform over [0, 1), the dither of one frame and mode (both from 0).

    They are made from the raw 64 bits of the generator, which no release of numpy may change.
    """
    raw = _philox(seed, frame, mode, _DITHER).random_raw(shape[0] * shape[1])
    return (raw >> np.uint64(11)).astype(np.float64).reshape(shape) * 2.0**-53


def coarse_dither(
    seed: int, frame: int, mode: int, shape: tuple[int, int], levels: int
) -> Array:
    """Return numbers uniform over 0, 1/levels, .., 1 - 1/levels, the dither of one frame and mode.

    The share of a number is off by less than levels / 2^64.
    """
    raw = _philox(seed, frame, mode, _DITHER).random_raw(shape[0] * shape[1])
    return (raw % np.uint64(levels)).astype(np.float64).reshape(shape) / levels


def decoder_noise(seed: int, frame: int, mode: int, n: int) -> Array:
    """Return n standard Gaussian numbers, which replace the white variable of a frame at rate 0."""
    return np.random.Generator(_philox(seed, frame, mode, _NOISE)).standard_normal(n)


def private_noise(seed: int, shape: tuple[int, ...]) -> Array:
    """Return standard Gaussian numbers of the decoder alone; the seed is not in the stream."""
    return np.random.Generator(_philox(seed, 0, 0, _PRIVATE)).standard_normal(shape)


def _philox(seed: int, frame: int, mode: int, purpose: int) -> np.random.Philox:
    return np.random.Philox(key=seed, counter=[0, purpose, mode, frame])
