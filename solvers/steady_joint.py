r"""PLF-JD at P > 0 and rates that repeat: least mean distortion in the long run, with its bound.

One block is a period of N frames. The MMSE estimate is :math:`\tilde X = \Phi u` with white u,
the source :math:`X = F w`, and the reconstruction :math:`\hat X = G (u, z)` with noise z of the
decoder; Phi, F and G are matrices of N rows at each frequency, and the columns of G for u are
causal. (Any noise is allowed: a causal one has the same spectrum.) With V the best coupling,

.. math::
    \min_G \|(\Phi, 0) - G\|^2
    \quad\text{s.t.}\quad \min_{V V^* \le 1} \|F V - G\|^2 \le N P,

norms being means over the frequencies. Given the coupling, the best G is the causal part of
the combination :math:`(\Phi + \lambda F V) / (1 + \lambda)`; given G, the best V is the polar
factor of :math:`F^* G`. Each step keeps the threshold and lowers the distortion; extrapolation
makes the steps few.

**The bound.** For every spectrum :math:`\Gamma > 0`,
:math:`W_2^2 \ge \operatorname{tr}(S_X - \Gamma^{-1} S_X) + \operatorname{tr}(S_{\hat X} - \Gamma
S_{\hat X})`. With :math:`M = (1 + \lambda) - \lambda \Gamma > 0` and Z any strictly anticausal
matrix, which no causal G feels,

.. math::
    D \ge m + \|\Phi\|^2 - \langle \Phi + Z,\, M^{-1} (\Phi + Z) \rangle
        + \lambda \big(\operatorname{tr}(S_X - \Gamma^{-1} S_X) - N P\big).

Gamma is the map of the coupling, :math:`F V G^* (G G^*)^{-1}`, and Z the anticausal part of M G.
Derived in this project.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rdp.source import GaussMarkov
from rdp.steady_state import backbone, parameters

Array = np.ndarray

MOST_FRAMES = 1 << 13  # of the grid of lags: beyond |rho| = 0.994 the memory is longer
_MEMORY = 1e-10  # what is left of a frame at half the grid
_GAP = 1e-8  # of the distortion, at which the steps end
_STEPS = 2000
_BETWEEN = 25  # steps from one look at the gap to the next
_NOISE = 0.3  # angle of the first scheme: share of the decoder's noise
_ROOMS = 10.0 ** -np.arange(3, 13)  # distances of Gamma from what M > 0 allows, relative


class SteadyJoint(NamedTuple):
    """Least mean distortion under PLF-JD, at unit variance.

    Parameters
    ----------
    distortion : (N,) array
        Of each frame of the period, of a scheme whose distance per frame is at most P.
    lower_bound : float
        No causal scheme has a smaller mean.
    change : float
        What a grid of twice as many frequencies changes in the bound and the price of the distance.
    """

    distortion: Array
    lower_bound: float
    change: float


class _Spectra(NamedTuple):
    """Phi and F at the frequencies of a grid of so many blocks; the MMSE distortions."""

    estimate: Array
    source: Array
    blocks: int
    mmse: Array


class _Step(NamedTuple):
    """A scheme, the price lambda, and the root of its error beyond the MMSE."""

    scheme: Array
    price: float
    error: float


def steady_joint(source: GaussMarkov, rates: Array, level: float) -> SteadyJoint | None:
    """Least mean distortion per frame at rho-bar distance P; None if |rho| is too near to 1.

    Parameters
    ----------
    source : GaussMarkov
        A stationary scalar source.
    rates : (N,) array, bits per frame
        Rates of one period.
    level : float
        P > 0, squared units of the source per frame.

    Examples
    --------
    >>> source = GaussMarkov.stationary(rho=0.9, frames=2)
    >>> found = steady_joint(source, np.array([1.0, 0.1]), 0.01)
    >>> print(found.distortion.mean().round(6), round(found.lower_bound, 6))
    0.170036 0.170036
    """
    rho, sigma = parameters(source)
    period = len(rates)
    lags = 2 * np.log(_MEMORY) / np.log(abs(rho)) if 0 < abs(rho) < 1 else period
    if abs(rho) == 1 or max(lags, 16 * period) > MOST_FRAMES:
        return None
    blocks = 1 << int(np.ceil(np.log2(max(lags / period, 16))))
    spectra, allowed = _spectra(source, rates, blocks), level / sigma**2 * period
    first = (np.cos(_NOISE) * spectra.source, np.sin(_NOISE) * spectra.source)
    scheme = np.concatenate(first, axis=2)  # the distribution of the source
    best: SteadyJoint | None = None
    before, age, least = scheme, 0, np.inf
    for step in range(_STEPS):
        ahead = scheme + age / (age + 3) * (scheme - before)  # Nesterov's step
        found = _improved(spectra, ahead, allowed)
        if found.error > least and age:  # too far
            age, found = 0, _improved(spectra, scheme, allowed)
        before, (scheme, price, least) = scheme, found
        age += 1
        if step % _BETWEEN == _BETWEEN - 1 or price == 0:
            best = _judged(source, rates, scheme, price, allowed, blocks)
            if best.distortion.mean() - best.lower_bound <= _GAP * best.distortion.mean():
                break
    return best


def _spectra(source: GaussMarkov, rates: Array, blocks: int) -> _Spectra:
    """Phi and F, in closed form, at the frequencies of `blocks` lags, at unit variance."""
    rho, sigma = parameters(source)
    state = backbone(source, rates)
    period = len(rates)
    delay = np.exp(-2j * np.pi * np.arange(blocks // 2 + 1) / blocks)
    age = np.subtract.outer(np.arange(period), np.arange(period))
    inside = np.where(age >= 0, float(rho) ** np.maximum(age, 0), 0.0)
    handed = rho ** np.arange(1.0, period + 1)  # of the last frame of the block before

    def response(deviation: Array) -> Array:
        block = inside * deviation
        last = delay[:, None] * block[-1] / (1 - rho**period * delay[:, None])
        return block + handed[:, None] * last[:, None, :]

    captured = np.sqrt(state.captured * state.prediction_error) / sigma
    new = np.full(period, np.sqrt((1 - rho) * (1 + rho)))
    return _Spectra(response(captured), response(new), blocks, state.mmse / sigma**2)


def _coupling(spectra: _Spectra, scheme: Array) -> Array:
    """V: the polar factor of F* G, which has full rank: the noise makes it so."""
    across = _adjoint(spectra.source) @ scheme
    values, vectors = np.linalg.eigh(across @ _adjoint(across))
    roots = np.sqrt(np.maximum(values, 1e-30 * values[:, -1:]))
    return (vectors / roots[:, None, :]) @ _adjoint(vectors) @ across


def _improved(spectra: _Spectra, scheme: Array, allowed: float) -> _Step:
    """The best causal scheme within the distance from the coupled source."""
    target = spectra.source @ _coupling(spectra, scheme)
    causal = _causal(target, spectra.blocks)
    fixed = _mean(target - causal, spectra.blocks)
    fixed += _mean(spectra.source, spectra.blocks) - _mean(target, spectra.blocks)
    apart = -causal
    apart[:, :, : len(spectra.mmse)] += spectra.estimate
    whole = np.sqrt(_mean(apart, spectra.blocks))
    if fixed > allowed * (1 + 1e-9):
        return _Step(causal, np.inf, np.inf)
    room = np.sqrt(max(allowed - fixed, 1e-12 * allowed))
    share = min(room / whole, 1.0) if whole > 0 else 1.0  # 1 / (1 + lambda)
    return _Step(causal + share * apart, 1 / share - 1, (1 - share) * whole)


def _judged(
    source: GaussMarkov, rates: Array, scheme: Array, price: float, allowed: float, blocks: int
) -> SteadyJoint:
    """Distortion of a scheme and the bound of its price, on a grid twice as fine."""
    found = []
    taps = np.fft.irfft(scheme, blocks, axis=0)
    for finer in (1, 2):
        grid = finer * blocks
        spectra = _spectra(source, rates, grid)
        response = np.fft.rfft(_padded(taps, grid), axis=0)
        found.append(_value(spectra, response, price, allowed))
    (_, coarse, near), (distortion, bound, distance) = found
    change = (abs(bound - coarse) + price * abs(distance - near)) / len(rates)
    # a distance above the threshold by rounding is paid for
    distortion = distortion + price * max(distance - allowed, 0.0) / len(rates)
    return SteadyJoint(distortion, bound / len(rates), change)


def _value(
    spectra: _Spectra, scheme: Array, price: float, allowed: float
) -> tuple[Array, float, float]:
    """Distortion of each frame, bound of their sum, and distance of a block."""
    blocks, period = spectra.blocks, len(spectra.mmse)
    estimate, source = spectra.estimate, spectra.source
    error = scheme.copy()
    error[:, :, :period] -= estimate
    power = (np.abs(error) ** 2).sum(axis=2)
    distortion = spectra.mmse + _weights(blocks) @ power
    coupling = _coupling(spectra, scheme)
    target = source @ coupling
    distance = _mean(target - scheme, blocks) + _mean(source, blocks) - _mean(target, blocks)
    if price == 0:
        return distortion, float(spectra.mmse.sum()), distance
    own = scheme @ _adjoint(scheme)
    linear = np.linalg.solve(own, scheme @ _adjoint(target))  # of X given Xhat, transposed
    values, vectors = np.linalg.eigh((linear + _adjoint(linear)) / 2)
    most, bound = (1 + price) / price, float(spectra.mmse.sum())
    own, moved = _adjoint(vectors), scheme[:, :, :period]
    for room in _ROOMS:
        allowed_values = np.clip(values, 1e-12 * most, most * (1 - room))
        curvature = (1 + price) - price * allowed_values
        pulled = vectors @ (curvature[:, :, None] * (own @ moved))
        facing = own @ (estimate + pulled - _causal(pulled, blocks))
        gain = (np.abs(facing) ** 2).sum(axis=2) / curvature
        kept = (np.abs(own @ source) ** 2).sum(axis=2) * (1 - 1 / allowed_values)
        value = spectra.mmse.sum() + _mean(estimate, blocks) - price * allowed
        value += _weights(blocks) @ (price * kept - gain).sum(axis=1)
        bound = max(bound, float(value))
    return distortion, bound, distance


def _causal(response: Array, blocks: int) -> Array:
    """Causal part of the columns of u: no later block, no later frame; any noise is allowed."""
    period = response.shape[1]
    taps = np.fft.irfft(response[:, :, :period], blocks, axis=0)
    taps[blocks // 2 :] = 0
    taps[0] *= np.tri(period)
    return np.concatenate([np.fft.rfft(taps, axis=0), response[:, :, period:]], axis=2)


def _padded(taps: Array, blocks: int) -> Array:
    """Taps on a longer grid; the second half are negative lags, of the noise."""
    half = len(taps) // 2
    out = np.zeros((blocks, *taps.shape[1:]))
    out[:half], out[blocks - half :] = taps[:half], taps[half:]
    return out


def _weights(blocks: int) -> Array:
    """Weights of the frequencies of a real signal in a mean."""
    weights = np.full(blocks // 2 + 1, 2.0)
    weights[[0, -1]] = 1.0
    return weights / blocks


def _mean(response: Array, blocks: int) -> float:
    """Mean squared norm over the frequencies."""
    return float(_weights(blocks) @ (np.abs(response) ** 2).sum(axis=(1, 2)))


def _adjoint(matrices: Array) -> Array:
    return matrices.conj().swapaxes(-1, -2)
