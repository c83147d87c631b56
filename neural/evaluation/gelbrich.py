"""Gelbrich distance between distributions of clips, from the lowest DCT coefficients of frames.

It is a lower bound on squared W2 of a pixel, in the units of distortion, and needs no critic.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from neural.evaluation.intervals import jackknife
from neural.training.critics import compared
from rdp.gaussian import gelbrich

Array = np.ndarray
Tensor = torch.Tensor
Features = dict[str, Array]  # (n, T, k) by name of the clips

FREQUENCIES = 12  # in each direction; 144 features of a frame
BATCHES = 10  # of clips, for the jackknife


def dct_features(frames: Tensor, frequencies: int = FREQUENCIES) -> Array:
    """Lowest coefficients of the orthonormal DCT of each frame, over the square root of pixels.

    Parameters
    ----------
    frames : (n, t, h, w) tensor
    frequencies : int
        Coefficients to keep in each direction.

    Returns
    -------
    (n, t, frequencies**2) float64 array; with all of them, the sum of squares of a frame's
    features is the mean square of its pixels
    """
    rows, columns = (_dct(size, frequencies, frames.device) for size in frames.shape[2:])
    found = rows @ frames.double() @ columns.T / math.sqrt(frames.shape[2] * frames.shape[3])
    return found.flatten(2).cpu().numpy()


def _dct(size: int, frequencies: int, device: torch.device) -> Tensor:
    k = torch.arange(frequencies, dtype=torch.float64)[:, None]
    place = torch.arange(size, dtype=torch.float64) + 0.5
    waves = torch.cos(math.pi / size * k * place) * math.sqrt(2 / size)
    waves[0] /= math.sqrt(2)
    return waves.to(device)


def compared_features(loss: str, frame: int, x: Array, xhat: Array) -> tuple[Array, Array]:
    """Features (n, .) of the two distributions that a perception loss compares at one frame.

    Parameters
    ----------
    loss : {"FMD", "JD", "SA"}
    frame : int
        Index of the frame, from 0.
    x, xhat : (n, T, k) arrays
        Features of source and reconstruction.
    """
    wanted, made = compared(loss, frame, torch.from_numpy(x), torch.from_numpy(xhat))
    return wanted.flatten(1).numpy(), made.flatten(1).numpy()


def gelbrich_interval(
    wanted: Array, made: Array, batches: int = BATCHES, quantile: float = 1.96
) -> tuple[float, float]:
    """Gelbrich distance between two samples, and half the width of its interval.

    Parameters
    ----------
    wanted, made : (n, k) arrays
        Features; row i of both comes from the same clip.
    batches : int
        Groups of clips for the jackknife.
    quantile : float
        Width in standard errors.

    Returns
    -------
    value, half width : float
        The bias that the jackknife finds is subtracted; the value is not negative.
    """
    value, half = jackknife(gelbrich_without(wanted, made, batches), quantile)
    return max(value, 0.0), half


def gelbrich_without(wanted: Array, made: Array, batches: int = BATCHES) -> Array:
    """Gelbrich distance of all samples, then of all samples but one batch, for each batch.

    Parameters
    ----------
    wanted, made : (n, k) arrays
        Features; row i of both comes from the same clip.
    batches : int
        Groups of consecutive clips.

    Returns
    -------
    (batches + 1,) array
    """
    both = np.concatenate([wanted, made], axis=1)
    shift = both.mean(axis=0)  # subtracted, so that moments are no differences of large numbers
    parts = np.array_split(both - shift, batches)
    counts = np.array([0, *(len(part) for part in parts)])
    first = np.array([np.zeros(len(shift)), *(part.sum(axis=0) for part in parts)])
    second = np.array([np.zeros((len(shift),) * 2), *(part.T @ part for part in parts)])
    total = counts.sum(), first.sum(axis=0), second.sum(axis=0)
    return np.array(
        [
            _gelbrich(total[0] - counts[b], total[1] - first[b], total[2] - second[b], shift)
            for b in range(batches + 1)
        ]
    )


def _gelbrich(count: int, first: Array, second: Array, shift: Array) -> float:
    mean = first / count
    cov = second / count - np.outer(mean, mean)
    mean = mean + shift
    k = len(mean) // 2
    return float(gelbrich(mean[:k], cov[:k, :k], mean[k:], cov[k:, k:]))
