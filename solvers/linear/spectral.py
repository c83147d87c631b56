r"""Perfect joint realism in the steady state from spectra: H1 approximation, Nehari's problem.

The source has the spectrum :math:`S = |\Psi|^2` with :math:`\Psi` of minimum phase, the estimate is
:math:`\tilde X = \Phi(z) u`, and :math:`\hat X = \Psi G u` plus noise with G causal and
:math:`|G| \le 1`. With :math:`M = \bar\Psi \Phi`,

.. math:: D = 2\sigma^2 - 2 \max_{G} \operatorname{Re} \langle M, G \rangle, \qquad
    \max_{G \text{ causal}, |G| \le 1} \operatorname{Re} \langle M, G \rangle
    = \min_{H \text{ strictly anticausal}} \|M + H\|_{L^1},

means over frequency (duality of H1 and Nehari's problem; stated for this loss in this project).
G = 1 is the sequential decoder. Frequencies are a uniform grid, so every step is an FFT: ADMM on
the dual, certified by a pair of feasible G and H. `steady_decoder` gets the same number from a
matrix inequality of the size of the state.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rdp import _check
from rdp.linear_source import LinearSource, lyapunov, scalar, steady_innovations
from rdp.solution import Status
from solvers.errors import SolverError
from solvers.linear.measurement import frame_error
from solvers.linear.steady_encoder import steady_encoder, steady_gain

Array = np.ndarray

_TAIL = 1e-17  # what the impulse responses may have left at half the grid


class SpectralJoint(NamedTuple):
    """Joint distortion in the steady state.

    Parameters
    ----------
    distortion : float
        D of the filter G found.
    lower_bound : float
        No causal filter does better, from H.
    filter : (N,) complex array
        G on the grid of frequencies 2 pi k / N.
    steps : int
        Number of steps.
    """

    distortion: float
    lower_bound: float
    filter: Array
    steps: int


def spectral_joint(
    source: LinearSource,
    rate: float,
    measurement: object = None,
    gap: float = 1e-8,
    max_steps: int = 20_000,
) -> SpectralJoint:
    r"""Least distortion at perfect joint realism of one representation, in the steady state.

    Parameters
    ----------
    source : LinearSource
        Scalar frames, all poles inside the unit circle.
    rate : float, >= 0, finite, bits per frame
        R.
    measurement : (n,) array or None
        Direction of the state that is measured; None is the one of the MMSE encoder.
    gap : float
        Gap at which the method stops, relative to the variance of a frame.
    max_steps : int
        Number of steps after which the method gives up.

    Raises
    ------
    ValueError
        Vector frames, poles on or outside the unit circle, a bad rate.
    SolverError
        Poles too near the circle for a grid of 2^18 frequencies, or the gap was not reached.

    Examples
    --------
    >>> from rdp.autoregressive import AutoRegressive
    >>> poles = 0.9 * np.exp([0.5j, -0.5j])
    >>> round(spectral_joint(AutoRegressive.from_poles(poles), 0.5).distortion, 6)
    0.220218
    """
    psi, phi, variance, _ = spectra(source, rate, measurement)
    m = np.conj(psi) * phi / variance
    found, value, bound, steps = _nehari(m, gap / 2, max_steps)
    return SpectralJoint(2 * variance * (1 - value), 2 * variance * (1 - bound), found, steps)


class Spectra(NamedTuple):
    """Source and estimate of a representation in the steady state.

    Parameters
    ----------
    psi, phi : (N,) complex arrays
        Transfer functions on the frequencies 2 pi k / N.
    variance, mmse : float
        Of a frame, and the error of its estimate.
    """

    psi: Array
    phi: Array
    variance: float
    mmse: float


def spectra(source: LinearSource, rate: float, measurement: object) -> Spectra:
    """Psi and Phi on a grid of frequencies, the variance of a frame and its MMSE.

    Parameters
    ----------
    source : LinearSource
        Scalar frames, all poles inside the unit circle.
    rate : float, >= 0, finite, bits per frame
    measurement : (n,) array or None
        Direction of the state that is measured; None is the one of the MMSE encoder.
    """
    a, w, h = scalar(source)
    bits = float(_check.finite("rate", _check.nonnegative("rate", rate, ndim=0)))
    c = steady_encoder(source, bits).measurement if measurement is None else measurement
    gamma, error = steady_gain(source, bits, c)
    gamma = gamma if h @ gamma >= 0 else -gamma
    own, _ = steady_innovations(source)
    psi, phi = (np.fft.fft(row) for row in _responses(a, h, own, gamma))
    m = frame_error(h, a @ error @ a.T + w, np.asarray(c, dtype=np.float64), bits)
    return Spectra(psi, phi, float(h @ lyapunov(a, w) @ h), m)


def _responses(a: Array, h: Array, own: Array, gamma: Array) -> tuple[Array, Array]:
    """Impulse responses h' A^j b and h' A^j gamma on a grid long enough for both to end."""
    radius = float(np.abs(np.linalg.eigvals(a)).max(initial=0.0))
    length = 64
    power = np.linalg.matrix_power(a, length)
    while np.abs(power).max() > _TAIL:
        length *= 2
        power = power @ power
        if length > 2**17:
            raise SolverError(
                Status.UNSUPPORTED,
                f"spectra: a pole of modulus {radius:.6f} needs too many frequencies; at threshold "
                "0, 'steady_distortion' needs none",
            )
    states = np.stack([own, gamma], axis=1)
    out = np.zeros((2, 2 * length))
    for j in range(length):
        out[:, j] = h @ states
        states = a @ states
    return out[0], out[1]


def _nehari(m: Array, gap: float, max_steps: int) -> tuple[Array, float, float, int]:
    """Causal |G| <= 1 and its value Re <M, G>, and the bound ||M + H||_1; means over the grid."""
    size = len(m)
    # times 1 .. N/2 - 1 are causal, N/2 .. N - 1 strictly anticausal
    times = np.fft.ifft(m)
    times[size // 2 :] = 0.0
    causal = np.fft.fft(times)
    # G = 1 is optimal if a real function with the causal part of M is positive
    mirrored = 2 * causal.real - times[0].real
    one = float(times[0].real)
    bound, value, found = float(np.abs(mirrored).mean()), one, np.ones(size, dtype=complex)
    slack = mirrored - m  # H
    price = np.zeros(size, dtype=complex)
    step = 2.0 / max(float(np.abs(mirrored).mean()), 1e-300)
    for count in range(max_steps + 1):
        if bound - value <= gap:
            return found, value, bound, count
        target = m + slack - price / step
        size_of = np.abs(target)
        point = target * np.maximum(1 - 1 / (step * np.maximum(size_of, 1e-300)), 0.0)
        mixed = 1.6 * point + (1 - 1.6) * (m + slack)
        slack = anticausal(mixed + price / step - m)
        price = price + step * (mixed - m - slack)
        if count % 10 == 9:
            candidate = price - anticausal(price)
            for sign in (1.0, -1.0):
                unit = sign * candidate / max(float(np.abs(candidate).max()), 1.0)
                reached = float((np.conj(unit) * m).real.mean())
                if reached > value:
                    value, found = reached, unit
            bound = min(bound, float(np.abs(m + slack).mean()))
    raise SolverError(
        Status.INACCURATE, f"spectral_joint: gap {2 * (bound - value):.1e} after {max_steps} steps"
    )


def anticausal(values: Array) -> Array:
    """Strictly anticausal part of a function on the grid.

    Parameters
    ----------
    values : (N,) complex array
    """
    times = np.fft.ifft(values)
    times[: len(times) // 2] = 0.0
    return np.fft.fft(times)
