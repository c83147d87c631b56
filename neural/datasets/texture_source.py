r"""The source of textures: a vector Gauss-Markov source whose curves are known exactly.

The 4096 modes of the orthonormal DCT of 64 x 64 pixels are independent. Mode (u, v) has the
frequency :math:`f = \max(1, \sqrt{u^2 + v^2})` and is a stationary Gauss-Markov process:

.. math:: x_t = \rho x_{t-1} + w_t, \qquad
          \sigma \propto f^{-\text{exponent}}, \qquad \rho = e^{-f / \text{decay}}.

So the amplitudes fall as 1/f, as in pictures of nature, and fine structure changes faster than
coarse structure. This module needs no torch.
"""

from __future__ import annotations

import math

import numpy as np

from rdp.source import GaussMarkov

Array = np.ndarray

FIELD = 64


def spectrum(
    deviation: float = 0.1, exponent: float = 1.0, decay: float = 16.0
) -> tuple[Array, Array]:
    """Return the standard deviation and the correlation of each mode, two 64 x 64 arrays.

    Parameters
    ----------
    deviation : float, > 0
        Standard deviation of a pixel, in root mean square over the pixels of a frame.
    exponent : float, >= 0
        Amplitudes fall as the frequency to this power.
    decay : float, > 0
        Frequency, in half periods over the side of a frame, at which the correlation is 1/e.

    Raises
    ------
    ValueError
        A malformed argument; the message names it.

    Examples
    --------
    >>> sigma, rho = spectrum(deviation=0.1)
    >>> round(float((sigma**2).mean()), 4), round(float(rho[0, 16]), 4)
    (0.01, 0.3679)
    """
    for name, value in (("deviation", deviation), ("decay", decay)):
        if not 0 < value < math.inf:
            raise ValueError(f"{name}: expected a positive number, got {value!r}")
    if not 0 <= exponent < math.inf:
        raise ValueError(f"exponent: expected a number of at least 0, got {exponent!r}")
    row = np.arange(FIELD)
    frequency = np.maximum(1.0, np.hypot(row[:, None], row))
    amplitude = frequency**-exponent
    sigma = deviation * FIELD * amplitude / np.sqrt((amplitude**2).sum())
    return sigma, np.exp(-frequency / decay)


def texture_model(sigma: Array, rho: Array, frames: int) -> GaussMarkov:
    """Return the exact source: 4096 modes, row by row.

    Its units are such that the variances of the modes add up to the variance of a pixel, and
    the distortions of the modes to the mean squared error of a pixel.

    Parameters
    ----------
    sigma, rho : (64, 64) array
        As :func:`spectrum` returns them.
    frames : int
        Frames T of a clip.

    Examples
    --------
    >>> source = texture_model(*spectrum(deviation=0.1), frames=2)
    >>> source.frames, round(float((source.sigma[0] ** 2).sum()), 4)
    (2, 0.01)
    """
    return GaussMarkov.stationary(rho.ravel(), frames, sigma.ravel() / FIELD)
