"""Spectra of one period of a stationary source, and filters on a grid of frequencies.

A filter is an array (K, rows, columns): its response at frequencies 0 .. pi, for blocks of one
period. Of the columns of a scheme the first N are for u, the innovations of the MMSE estimate; the
others are for noise of the decoder.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rdp.source import GaussMarkov
from rdp.steady_state import backbone, parameters

Array = np.ndarray

MOST_FRAMES = 1 << 16  # of the grid of lags: beyond |rho| = 0.9992 the memory is longer
_MEMORY = 1e-10  # what is left of a frame at half the grid


class Spectra(NamedTuple):
    """Phi and F at the frequencies of a grid of so many blocks; the MMSE distortions."""

    estimate: Array
    source: Array
    blocks: int
    mmse: Array


class Periodic(NamedTuple):
    """A stationary scalar source, the rates of a period, and the blocks of the grid."""

    source: GaussMarkov
    rates: Array
    blocks: int

    def spectra(self, finer: int = 1) -> Spectra:
        """Phi and F, in closed form, at unit variance, on a grid so many times as fine."""
        rho, sigma = parameters(self.source)
        state = backbone(self.source, self.rates)
        period, blocks = len(self.rates), finer * self.blocks
        delay = delays(blocks)
        age = np.subtract.outer(np.arange(period), np.arange(period))
        inside = np.where(age >= 0, float(rho) ** np.maximum(age, 0), 0.0)
        handed = rho ** np.arange(1.0, period + 1)  # of the last frame of the block before

        def response(deviation: Array) -> Array:
            block = inside * deviation
            last = delay[:, None] * block[-1] / (1 - rho**period * delay[:, None])
            return block + handed[:, None] * last[:, None, :]

        captured = np.sqrt(state.captured * state.prediction_error) / sigma
        new = np.full(period, np.sqrt((1 - rho) * (1 + rho)))
        return Spectra(response(captured), response(new), blocks, state.mmse / sigma**2)


def periodic(source: GaussMarkov, rates: Array) -> Periodic | None:
    """The grid on which the memory of the source fades; None if it is too long."""
    rho, period = abs(parameters(source)[0]), len(rates)
    lags = 2 * np.log(_MEMORY) / np.log(rho) if 0 < rho < 1 else period
    if rho == 1 or max(lags, 16 * period) > MOST_FRAMES:
        return None
    return Periodic(source, rates, 1 << int(np.ceil(np.log2(max(lags / period, 16)))))


def delays(blocks: int) -> Array:
    """Response of a delay of one block."""
    return np.exp(-2j * np.pi * np.arange(blocks // 2 + 1) / blocks)


def causal_part(response: Array, blocks: int, period: int, frames: Array | None = None) -> Array:
    """Causal part of the columns of u: no later block, no later frame; any noise is allowed.

    Rows belong to the frames 0..N-1 of the block, or to those given.
    """
    taps = np.fft.irfft(response[:, :, :period], blocks, axis=0)
    taps[blocks // 2 :] = 0
    taps[0] *= np.tri(period) if frames is None else np.tri(period)[frames]
    return np.concatenate([np.fft.rfft(taps, axis=0), response[:, :, period:]], axis=2)


def on_finer_grid(response: Array, blocks: int, finer: int) -> Array:
    """The same filter at more frequencies; the second half of its taps are negative lags."""
    taps = np.fft.irfft(response, blocks, axis=0)
    half, grid = blocks // 2, finer * blocks
    out = np.zeros((grid, *taps.shape[1:]))
    out[:half], out[grid - half :] = taps[:half], taps[half:]
    return np.fft.rfft(out, axis=0)


def weights_of(blocks: int) -> Array:
    """Weights of the frequencies of a real signal in a mean."""
    weights = np.full(blocks // 2 + 1, 2.0)
    weights[[0, -1]] = 1.0
    return weights / blocks


def mean_square(response: Array, blocks: int) -> float:
    """Mean squared norm over the frequencies."""
    return float(weights_of(blocks) @ (np.abs(response) ** 2).sum(axis=(1, 2)))


def adjoint(matrices: Array) -> Array:
    """Conjugate transpose at each frequency."""
    return matrices.conj().swapaxes(-1, -2)
