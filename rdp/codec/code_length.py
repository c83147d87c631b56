"""Ideal code lengths of the dithered codec by quadrature, in place of bytes."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def code_lengths(v: Array, noise: Array, gain: Array, innovation: Array) -> Array:
    """Return the mean bits of each frame and mode under a Gaussian model of its prediction error.

    Parameters
    ----------
    v, noise, gain, innovation : (T, d) arrays
        Variances of the prediction error and of the quantisation noise (inf where nothing is sent),
        coefficient of the frame before and variance of the innovation.
    """
    rates = np.zeros_like(v)
    for i in range(v.shape[1]):
        gaussian, widths = 0.0, np.empty(0)  # e_t: Gaussian variance, widths of uniform parts
        for t in range(len(v)):
            gaussian = gain[t, i] ** 2 * gaussian + innovation[t, i]
            widths = np.abs(gain[t, i]) * widths
            if noise[t, i] == np.inf:
                continue
            step = np.sqrt(12 * noise[t, i])
            rates[t, i] = _code_length(v[t, i], step, gaussian, widths)
            kept = noise[t, i] / (v[t, i] + noise[t, i])  # share of e_t that stays in the error
            gaussian, widths = kept**2 * gaussian, np.append(kept * widths, (1 - kept) * step)
    return rates


def _code_length(v: float, step: float, gaussian: float, widths: Array) -> float:
    """Return the mean bits of an integer under a Gaussian model of variance v, by quadrature.

    The input is the sum of a Gaussian part and uniform parts of given widths. The quantiser adds
    one more uniform part.
    """
    from scipy.special import ndtr

    half = 13 * np.sqrt(v) + step  # the density of e + N is below rounding beyond
    points = 1 << 16
    y = (np.arange(points) - points // 2) * (2 * half / points)
    omega = np.fft.rfftfreq(points, d=2 * half / points) * 2 * np.pi
    transform = np.exp(-gaussian * omega**2 / 2)
    for width in (*widths, step):
        transform = transform * np.sinc(omega * width / (2 * np.pi))
    density = np.fft.fftshift(np.fft.irfft(transform, points)) * (points / (2 * half))
    sd = np.sqrt(v)
    mass = ndtr((step / 2 - np.abs(y)) / sd) - ndtr((-step / 2 - np.abs(y)) / sd)
    bits = -np.log2(np.maximum(mass, np.finfo(float).tiny))
    return float((density * bits).sum() * (2 * half / points))
