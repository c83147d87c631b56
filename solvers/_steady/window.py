r"""PLF-JD(w) at P > 0 and rates that repeat: least mean distortion in the long run, with its bound.

The reconstruction is :math:`\hat X = G (u, z)`, as in :mod:`solvers._steady.joint`. The w frames
up to frame t of the period are at squared distance at most P_t from those of the source. Their
covariance H_t is that of a few lags of G, and the best coupling is linear: :math:`X' = \Gamma_t
\hat X`, with :math:`\Gamma_t H_t \Gamma_t = \Sigma`. Given the couplings, the best G is, frame by
frame, the causal part of the mean of Phi, with weight one, and of what each window asks of the
frame, with weight lambda_t. The prices lambda solve a small concave program.

**The bound.** For every :math:`\Gamma_t > 0`, :math:`W_2^2 \ge \operatorname{tr}(\Sigma -
\Gamma_t^{-1} \Sigma) + \operatorname{tr}(H_t - \Gamma_t H_t)`. Let M be the matrix over frequencies
with :math:`\sum_s |G_s|^2 + \sum_t \lambda_t \operatorname{tr}(H_t - \Gamma_t H_t) = \langle G, M
G \rangle`. With M > 0 and Z strictly anticausal,

.. math::
    \sum_s D_s \ge \sum_s m_s + \|\Phi\|^2 - \langle \Phi + Z,\, M^{-1} (\Phi + Z) \rangle
        + \sum_t \lambda_t \big(\operatorname{tr}(\Sigma - \Gamma_t^{-1} \Sigma) - P_t\big).

Derived in this project.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rdp.gaussian import psd_sqrt
from rdp.source import GaussMarkov
from rdp.steady_state import parameters
from solvers._steady.descent import ROOMS, Certificate, SteadyThreshold, Step, descend
from solvers._steady.spectra import (
    Spectra,
    causal_part,
    delays,
    mean_square,
    periodic,
    weights_of,
)

Array = np.ndarray

_MET = 1e-9  # of a threshold: how well a step meets it
_DEAREST = 1e15  # price of a distance; beyond, the couplings leave no room for a scheme


def steady_window(
    source: GaussMarkov, rates: Array, levels: Array, window: int
) -> SteadyThreshold | None:
    """Least mean distortion with every w frames within P_t; None if |rho| is too near to 1.

    Parameters
    ----------
    source : GaussMarkov
        A stationary scalar source.
    rates : (N,) array, bits per frame
        Rates of one period.
    levels : (N,) array, > 0, squared units of the source
        P_t of the w frames up to frame t, together; inf allowed.
    window : int
        w.

    Examples
    --------
    >>> source = GaussMarkov.stationary(rho=0.9, frames=2)
    >>> found = steady_window(source, np.array([1.0, 0.1]), np.array([0.02, 0.02]), window=2)
    >>> print(found.distortion.mean().round(5), round(found.lower_bound, 5))
    0.16652 0.16652
    """
    given = periodic(source, rates)
    if given is None or 2 * window > given.blocks:
        return None
    rho, sigma = parameters(source)
    return descend(given, _Window(rho, levels / sigma**2, window))


class _Window:
    """PLF-JD(w) at thresholds of each frame of the period."""

    def __init__(self, rho: float, levels: Array, window: int) -> None:
        self.levels, self.period, self.window = levels, len(levels), window
        self.bounded = np.flatnonzero(np.isfinite(levels))
        self.last = np.ones(len(self.bounded))  # prices of the last step
        age = np.arange(window)
        self.covariance = np.where(age, rho, 1.0) ** age
        self.covariance = self.covariance[np.abs(np.subtract.outer(age, age))]
        # frame t - j is frame `frames` of the block `back` blocks before
        place = self.bounded[:, None] - age
        self.frames, self.back = place % self.period, -(place // self.period)

    def improved(self, spectra: Spectra, scheme: Array) -> Step:
        """The best causal scheme within the distances from the coupled source."""
        blocks, flat = spectra.blocks, self.frames.ravel()
        rows, _, gamma = self.maps(spectra, scheme)
        back = np.conj(self.delay(blocks))[:, :, :, None]
        target = (np.einsum("tji,ktic->ktjc", gamma, rows) * back).reshape(
            len(rows), flat.size, -1
        )
        causal = causal_part(target, blocks, self.period, flat)
        lost = (weights_of(blocks) @ (np.abs(target - causal) ** 2).sum(axis=2)).reshape(
            self.frames.shape
        )
        estimate = np.zeros_like(scheme)
        estimate[:, :, : self.period] = spectra.estimate
        prices = self.prices(estimate, causal, lost.sum(axis=1), blocks)
        if prices is None:
            return Step(scheme, self.last, np.inf)
        self.last = prices
        each = np.repeat(prices, self.window)
        new, share = estimate.copy(), np.ones(self.period)
        for row, (frame, price) in enumerate(zip(flat, each, strict=True)):
            new[:, frame] += price * causal[:, row]
            share[frame] += price
        new /= share[:, None]
        return Step(new, prices, np.sqrt(mean_square(new - estimate, blocks)))

    def delay(self, blocks: int) -> Array:
        """Response of the delay of each row of each window, (K, thresholds, w)."""
        return delays(blocks)[:, None, None] ** self.back

    def maps(self, spectra: Spectra, scheme: Array) -> tuple[Array, Array, Array]:
        """Rows of all windows, H_t and Gamma_t."""
        rows = scheme[:, self.frames] * self.delay(spectra.blocks)[:, :, :, None]
        weights = weights_of(spectra.blocks)
        own = np.einsum("k,ktjc,ktic->tji", weights, rows, rows.conj()).real
        return rows, own, np.array([_transport(h, self.covariance) for h in own])

    def prices(self, estimate: Array, causal: Array, lost: Array, blocks: int) -> Array | None:
        """Prices at which the best G meets the thresholds; None if none does."""
        flat, owner = self.frames.ravel(), np.repeat(np.arange(len(lost)), self.window)
        weights = weights_of(blocks)
        groups = []
        for frame in range(self.period):
            members = np.flatnonzero(flat == frame)
            vectors = np.concatenate([estimate[:, frame][:, None], causal[:, members]], axis=1)
            gram = np.einsum("k,kac,kbc->ab", weights, vectors, vectors.conj()).real
            groups.append((owner[members], gram))
        limit = self.levels[self.bounded] - lost
        if (limit <= 0).any():
            return None

        def dual(price: Array) -> tuple[float, Array, Array]:
            """The dual function, its slope and its curvature."""
            value, slope = -float(price @ limit), -limit
            bend = np.zeros((len(price), len(price)))
            for owners, gram in groups:
                parts = np.concatenate([[1.0], price[owners]])
                apart = np.eye(len(parts)) - parts / parts.sum()  # of each from the mixture
                products = apart @ gram @ apart.T
                value += float(parts @ np.diag(products))
                choice = np.zeros((len(price), len(parts)))
                choice[owners, np.arange(1, len(parts))] = 1.0
                slope = slope + choice @ np.diag(products)
                bend -= 2 / parts.sum() * choice @ products @ choice.T
            return value, slope, bend

        return _maximum(dual, self.last, _MET * self.levels[self.bounded])

    def judged(self, spectra: Spectra, scheme: Array, price: Array) -> Certificate:
        """The bound of the module docstring, with the maps made small enough for M > 0."""
        blocks, period = spectra.blocks, self.period
        _, own, gamma = self.maps(spectra, scheme)
        allowed = self.levels[self.bounded]
        distance = np.trace(self.covariance) + np.einsum("tii->t", own)
        distance = distance - 2 * np.einsum("tij,tji->t", gamma, own)
        bound = float(spectra.mmse.sum())
        if not price.any():
            return Certificate(bound, price, distance - allowed)
        share = np.ones(period)
        np.add.at(share, self.frames.ravel(), np.repeat(price, self.window))
        pull = np.zeros((blocks // 2 + 1, period, period), dtype=complex)
        delay = self.delay(blocks)
        for t, frames in enumerate(self.frames):
            ahead = delay[:, t, :, None].conj() * delay[:, t, None, :]
            for j, i in np.ndindex(gamma[t].shape):
                pull[:, frames[j], frames[i]] += price[t] * gamma[t, j, i] * ahead[:, j, i]
        root = np.sqrt(share)
        values, vectors = np.linalg.eigh(pull / np.outer(root, root))
        turned = vectors.conj().swapaxes(1, 2) / root
        spread = vectors * root[:, None]
        kept = np.trace(self.covariance) - allowed
        inverse = np.array([np.trace(np.linalg.solve(g, self.covariance)) for g in gamma])
        for room in ROOMS:
            scale = min(1.0, (1 - room) / values.max())
            curvature = 1 - scale * values
            moved = spread.conj().swapaxes(1, 2) @ scheme[:, :, :period]
            pulled = spread @ (curvature[:, :, None] * moved)
            facing = turned @ (
                spectra.estimate + pulled - causal_part(pulled, blocks, period)
            )
            gain = (np.abs(facing) ** 2).sum(axis=2) / curvature
            value = spectra.mmse.sum() + mean_square(spectra.estimate, blocks)
            value += price @ (kept - inverse / scale) - weights_of(blocks) @ gain.sum(axis=1)
            bound = max(bound, float(value))
        return Certificate(bound, price, distance - allowed)


def _maximum(
    function: Callable[[Array], tuple[float, Array, Array]], start: Array, near: Array
) -> Array | None:
    """Largest value of a concave function of prices >= 0, by Newton steps; None without one."""
    price = start
    value, slope, bend = function(price)
    for _ in range(60):
        if _met(price, slope, near):
            return price
        if price.max() > _DEAREST:
            return None
        free = (price > 0) | (slope > 0)
        inner = bend[np.ix_(free, free)]
        inner = inner - 1e-13 * np.abs(np.trace(inner)) * np.eye(len(inner))
        move = np.zeros(len(price))
        move[free] = -np.linalg.solve(inner, slope[free])
        length = 1.0
        while length > 1e-6:
            new = np.maximum(price + length * move, 0.0)
            found = function(new)
            if found[0] >= value + 1e-4 * slope @ (new - price) - 1e-15 * abs(value):
                break
            length /= 2
        else:
            break  # rounding
        price, (value, slope, bend) = new, found
    return price if _met(price, slope, 1e3 * near) else None


def _met(price: Array, slope: Array, near: Array) -> bool:
    return bool(((np.abs(slope) <= near) | ((price == 0) & (slope < 0))).all())


def _transport(own: Array, covariance: Array) -> Array:
    """Gamma > 0 with Gamma H Gamma = Sigma."""
    values, vectors = np.linalg.eigh(own)
    values = np.maximum(values, 1e-14 * values[-1])
    root = (vectors * np.sqrt(values)) @ vectors.T
    inverse = (vectors / np.sqrt(values)) @ vectors.T
    found = inverse @ psd_sqrt(root @ covariance @ root) @ inverse
    return (found + found.T) / 2
