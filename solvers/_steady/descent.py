"""Alternate between the best coupling and the best causal scheme, with a bound from time to time.

Given the coupling, the distance of a scheme G to the source is quadratic in G, and so is its
distortion beyond the MMSE, |Phi - G|^2: the best G mixes the two. Each step keeps the thresholds
and lowers the distortion; Nesterov's extrapolation makes the steps few.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np

from solvers._steady.deadline import time_is_up
from solvers._steady.spectra import Periodic, Spectra, on_finer_grid, weights_of

Array = np.ndarray

_GAP = 1e-8  # of the distortion, at which the steps end
_NEAR = 1e-6  # of the distortion: a small gap
_CLOSE = 3  # looks that do not halve a small gap, at which the steps end
_STEPS = 2000
_BETWEEN = 25  # steps from one look at the gap to the next
_NOISE = 0.3  # angle of the first scheme: share of the decoder's noise
ROOMS = 10.0 ** -np.arange(3, 13)  # distances of Gamma from what M > 0 allows, relative


class SteadyThreshold(NamedTuple):
    """Least mean distortion at thresholds above zero, at unit variance.

    Parameters
    ----------
    distortion : (N,) array
        Of each frame of the period, of a scheme that meets the thresholds.
    lower_bound : float
        No causal scheme has a smaller mean.
    change : float
        What a grid of twice as many frequencies changes in the bound and the price of the distance.
    """

    distortion: Array
    lower_bound: float
    change: float


class Step(NamedTuple):
    """A scheme, the prices of the thresholds, and the root of its error beyond the MMSE."""

    scheme: Array
    price: Any
    error: float


class Certificate(NamedTuple):
    """Bound of the sum of distortions; price of each distance, and its excess over P."""

    bound: float
    price: Array
    excess: Array


class Loss(Protocol):
    """A perception loss: its best step from a scheme, and its certificate."""

    def improved(self, spectra: Spectra, scheme: Array) -> Step:
        """The best scheme given the coupling of this one; the error is inf if there is none."""

    def judged(self, spectra: Spectra, scheme: Array, price: Any) -> Certificate:
        """The bound of these prices."""


def descend(given: Periodic, loss: Loss) -> SteadyThreshold:
    """Steps from the distribution of the source until the bound is near."""
    spectra = given.spectra()
    first = np.cos(_NOISE) * spectra.source, np.sin(_NOISE) * spectra.source
    scheme = before = np.concatenate(first, axis=2)
    age, least, best, gap, stale = 0, np.inf, None, np.inf, 0
    for step in range(_STEPS):
        ahead = scheme + age / (age + 3) * (scheme - before)
        found = loss.improved(spectra, ahead)
        if found.error > least and age:  # too far
            age, found = 0, loss.improved(spectra, scheme)
        before, (scheme, price, least) = scheme, found
        age += 1
        free = not np.any(price)
        late = time_is_up()
        if step % _BETWEEN == _BETWEEN - 1 or free or late:
            look = _looked_at(given, scheme, price, loss)
            mean = float(look.distortion.mean())
            missing = mean - look.lower_bound
            stale = 0 if missing < gap / 2 else stale + 1
            if best is None or missing < gap:
                best, gap = look, missing
            rests = stale >= _CLOSE and gap <= _NEAR * mean
            if free or late or rests or gap <= _GAP * mean:
                break
    assert best is not None
    return best


def _looked_at(given: Periodic, scheme: Array, price: Any, loss: Loss) -> SteadyThreshold:
    """Distortion and bound of a scheme, on a grid twice as fine."""
    fine, response = given.spectra(2), on_finer_grid(scheme, given.blocks, 2)
    near, found = loss.judged(given.spectra(), scheme, price), loss.judged(fine, response, price)
    period = len(given.rates)
    change = abs(found.bound - near.bound) + found.price @ np.abs(found.excess - near.excess)
    error = response.copy()
    error[:, :, :period] -= fine.estimate
    distortion = fine.mmse + weights_of(fine.blocks) @ (np.abs(error) ** 2).sum(axis=2)
    # a distance above the threshold by rounding is paid for
    distortion += found.price @ np.maximum(found.excess, 0.0) / period
    return SteadyThreshold(distortion, found.bound / period, float(change) / period)
