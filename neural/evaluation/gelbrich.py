"""Gelbrich distance of laws of clips, from the lowest DCT coefficients of their frames.

A lower bound on squared W2 per pixel, in the units of distortion, free of critics.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from neural.training.critics import compared
from rdp.gaussian import gelbrich

Array = np.ndarray
Tensor = torch.Tensor

FREQUENCIES = 12  # in each direction; 144 features of a frame


def dct_features(frames: Tensor, frequencies: int = FREQUENCIES) -> Array:
    """Lowest coefficients of the orthonormal DCT of each frame, over the square root of pixels.

    Parameters
    ----------
    frames : (n, t, h, w) tensor
        Clips.
    frequencies : int
        How many to keep in each direction.

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


def gelbrich_interval(
    wanted: Array, shown: Array, batches: int = 10, quantile: float = 1.96
) -> tuple[float, float]:
    """Gelbrich distance of samples of two laws, and half the width of its interval.

    Parameters
    ----------
    wanted, shown : (n, k) arrays
        Features, sample i of both from the same clip.
    batches : int
        Groups of clips for the jackknife.
    quantile : float
        Width in standard errors.

    Returns
    -------
    value, half width : float
        The value is that of all clips, less the bias that the jackknife sees, not below zero.
    """
    value, half = jackknife(gelbrich_without(wanted, shown, batches), quantile)
    return max(value, 0.0), half


def gelbrich_without(wanted: Array, shown: Array, batches: int = 10) -> Array:
    """Gelbrich distance of all samples, and of those without each batch in turn.

    Parameters
    ----------
    wanted, shown : (n, k) arrays
        Features, sample i of both from the same clip.
    batches : int
        Groups of clips, one after the other.

    Returns
    -------
    (batches + 1,) array
    """
    both = np.concatenate([wanted, shown], axis=1)
    shift = both.mean(axis=0)  # taken out, so that moments are not differences of large numbers
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


def jackknife(values: Array, quantile: float = 1.96) -> tuple[float, float]:
    """Value without the bias that the jackknife sees, and half the width of its interval.

    Parameters
    ----------
    values : (batches + 1,) array
        From all samples, and from those without each batch in turn.
    quantile : float
        Width in standard errors.
    """
    full, left = values[0], values[1:]
    count, mean = len(left), left.mean()
    spread = math.sqrt((count - 1) / count * ((left - mean) ** 2).sum())
    return float(count * full - (count - 1) * mean), quantile * spread


def _gelbrich(count: int, first: Array, second: Array, shift: Array) -> float:
    mean = first / count
    cov = second / count - np.outer(mean, mean)
    mean = mean + shift
    k = len(mean) // 2
    return float(gelbrich(mean[:k], cov[:k, :k], mean[k:], cov[k:, k:]))


def laws(loss: str, frame: int, x: Array, xhat: Array) -> tuple[Array, Array]:
    """Return features of the two laws that a perception loss compares at one frame.

    Parameters
    ----------
    loss : {"FMD", "JD", "SA"}
        Which perception loss.
    frame : int
        Frame, from 0.
    x, xhat : (n, T, k) arrays
        Features of source and reconstruction.

    Returns
    -------
    wanted, shown : (n, .) arrays
    """
    wanted, shown = compared(loss, frame, torch.from_numpy(x), torch.from_numpy(xhat))
    return wanted.flatten(1).numpy(), shown.flatten(1).numpy()
