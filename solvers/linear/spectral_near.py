r"""PLF-JD above threshold 0 in the steady state, from spectra, with a bound.

The threshold is on the rho-bar distance of the processes, which for stationary Gaussian ones is
:math:`\int (\sqrt{S} - \sqrt{S_{\hat X}})^2` (Gray, Neuhoff and Shields, 1975). With the estimate
:math:`\tilde X = \Phi(z) u` and a causal filter K,

.. math:: D = m + \|\Phi - K\|^2 + \int (H - |K|^2), \qquad H = S_{\hat X} \ge |K|^2, \qquad
          \int (\sqrt S - \sqrt H)^2 \le P,

means over frequency: convex in (K, H). **Bound** (derived in this project). For any strictly
anticausal F let :math:`v = \Phi + F`; since :math:`\langle F, K \rangle = 0`, the minimum over K
and H and the maximum over the multiplier are explicit,

.. math:: D \ge \sigma^2 - \|v\|^2 + (W - \sqrt P)_+^2, \qquad W = \| |v| - \sqrt S \| .

F = 0 is the formula of PLF-FMD with spectra in the place of variances. At the best F the filter
:math:`K = (1 - \theta) v + \theta \sqrt S\, v / |v|`, with :math:`\theta = 1 - \sqrt P / W`, is
causal and reaches the bound. F is found by a quasi-Newton method; K is then made causal and its
noise chosen so that the threshold is kept.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rdp import _check
from rdp._threads import one_thread
from rdp.linear_source import LinearSource
from solvers.linear.spectral import anticausal, spectra

Array = np.ndarray

_STEPS = 2000  # of the search for F
_TINY = 1e-300
_NOTHING = 1e-12  # of the root of the spectrum


class SpectralNear(NamedTuple):
    """Distortion under PLF-JD above threshold 0, in the steady state.

    Parameters
    ----------
    distortion : float
        D of the filter found.
    lower_bound : float
        No decoder of this representation does better.
    perception : float
        Its rho-bar distance per frame.
    filter, noise : (N,) arrays
        K, complex, and the spectrum of the decoder's noise, on the frequencies 2 pi k / N.
    """

    distortion: float
    lower_bound: float
    perception: float
    filter: Array
    noise: Array


def spectral_near(
    source: LinearSource, rate: float, level: float, measurement: object = None
) -> SpectralNear:
    r"""Least distortion of one representation at a joint distance per frame, in the steady state.

    Parameters
    ----------
    source : LinearSource
        Scalar frames, all poles inside the unit circle.
    rate : float, >= 0, finite, bits per frame
        R.
    level : float, > 0, squared units of the source
        P, for the mean of the squared differences of a frame.
    measurement : (n,) array or None
        Direction of the state that is measured; None is the one of the MMSE encoder.

    Raises
    ------
    ValueError
        Vector frames, poles on or outside the unit circle, a bad rate or level.
    SolverError
        Poles too near the circle for a grid of 2^18 frequencies.

    Examples
    --------
    Motion of second order: a distance of 0.001 of the variance is worth three quarters of the
    penalty of JD, which is 0.1199 at distance 0 and 0.0558 without a threshold.

    >>> from rdp.autoregressive import AutoRegressive
    >>> motion = AutoRegressive.from_poles(0.95 * np.exp([0.3j, -0.3j]))
    >>> [round(spectral_near(motion, 0.5, level).distortion, 4) for level in (1e-8, 1e-3, 1e-2)]
    [0.1197, 0.0734, 0.0558]
    """
    allowed = float(_check.positive("level", level, ndim=0))
    psi, phi, variance, error = spectra(source, rate, measurement)
    phi, root = phi / np.sqrt(variance), np.abs(psi) / np.sqrt(variance)
    m = error / variance  # without the cancellation that a difference of variances has
    apart = abs(m - 1.0 + float((np.abs(phi) ** 2).mean()))
    limit = np.sqrt(allowed / variance)
    value, slope = _dual(phi, root, limit)
    if _distance(phi, root) > limit:
        value, slope = _searched(phi, root, limit, value, slope)
    filtered = slope - anticausal(slope)
    made, spectrum = _kept(filtered, root, limit)
    noise = np.maximum(spectrum - np.abs(made) ** 2, 0.0)
    reached = m + float((np.abs(phi - made) ** 2).mean()) + float(noise.mean())
    distance = float(((np.sqrt(spectrum) - root) ** 2).mean())
    bound = value - apart - 64 * np.finfo(np.float64).eps * len(phi) ** 0.5
    return SpectralNear(
        variance * reached,
        variance * bound,
        variance * distance,
        made * np.sqrt(variance),
        noise * variance,
    )


def _distance(v: Array, root: Array) -> float:
    """W, root mean squared difference of |v| and the root of the spectrum."""
    return float(np.sqrt(((np.abs(v) - root) ** 2).mean()))


def _dual(v: Array, root: Array, limit: float) -> tuple[float, Array]:
    """The bound at v, for unit variance, and K there."""
    size = np.abs(v)
    apart = _distance(v, root)
    theta = max(1.0 - limit / max(apart, _TINY), 0.0)
    value = 1.0 - float((size**2).mean()) + max(apart - limit, 0.0) ** 2
    # where v = 0 any |K| <= theta sqrt(S) is as good, as noise does the same
    phase = np.divide(v, size, out=np.zeros_like(v), where=size > _NOTHING * root)
    return value, (1 - theta) * v + theta * root * phase


def _searched(
    phi: Array, root: Array, limit: float, value: float, slope: Array
) -> tuple[float, Array]:
    """The best bound over strictly anticausal F, and K there."""
    from scipy.optimize import minimize

    size = len(phi)
    free = slice(size // 2 + 1, size)  # times -N/2 + 1 .. -1

    def moved(x: Array) -> Array:
        times = np.zeros(size)
        times[free] = x
        return phi + np.fft.fft(times)

    def loss(x: Array) -> tuple[float, Array]:
        bound, gain = _dual(moved(x), root, limit)
        # mean of Re conj(K) dF, as a sum over times
        return -bound, 2 * np.fft.ifft(gain).real[free]

    options = {"maxiter": _STEPS, "maxfun": 2 * _STEPS, "ftol": 1e-15, "gtol": 1e-12, "maxcor": 30}
    start = np.zeros(size // 2 - 1)
    with one_thread():  # its products are small: with two threads they take thirty times as long
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
    if -found.fun < value:
        return value, slope
    return _dual(moved(found.x), root, limit)


def _kept(gain: Array, root: Array, limit: float) -> tuple[Array, Array]:
    """A filter near the given one and the spectrum of its reconstruction, within the threshold.

    The spectrum is at least |K|^2 and raised to a share of that of the source; where that is not
    enough, because |K| exceeds the root of the spectrum, K is made smaller.
    """
    for shrink in (1.0, *(1 - 10.0 ** np.arange(-9, 0)), 0.0):
        size = np.abs(shrink * gain)

        def distance(share: float, size: Array = size) -> float:
            return _distance(np.maximum(size, share * root), root)

        if distance(1.0) <= limit:
            low, high = 0.0, 1.0
            if distance(0.0) <= limit:
                high = 0.0
            for _ in range(60):
                middle = 0.5 * (low + high)
                if distance(middle) <= limit:
                    high = middle
                else:
                    low = middle
            return shrink * gain, np.maximum(size, high * root) ** 2
    raise AssertionError("a filter of zero with the spectrum of the source keeps every threshold")
