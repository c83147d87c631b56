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
factor of :math:`F^* G`.

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

import numpy as np

from rdp.source import GaussMarkov
from rdp.steady_state import parameters
from solvers._steady.descent import ROOMS, Certificate, SteadyThreshold, Step, descend
from solvers._steady.spectra import (
    Spectra,
    adjoint,
    causal_part,
    mean_square,
    periodic,
    weights_of,
)

Array = np.ndarray


def steady_joint(source: GaussMarkov, rates: Array, level: float) -> SteadyThreshold | None:
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
    if (given := periodic(source, rates)) is None:
        return None
    return descend(given, _Joint(level / parameters(source)[1] ** 2 * len(rates)))


class _Joint:
    """PLF-JD at so much distance of a block."""

    def __init__(self, allowed: float) -> None:
        self.allowed = allowed

    def improved(self, spectra: Spectra, scheme: Array) -> Step:
        """The best causal scheme within the distance from the coupled source."""
        blocks, period = spectra.blocks, len(spectra.mmse)
        target = spectra.source @ _coupling(spectra, scheme)
        causal = causal_part(target, blocks, period)
        fixed = mean_square(target - causal, blocks)
        fixed += mean_square(spectra.source, blocks) - mean_square(target, blocks)
        apart = -causal
        apart[:, :, :period] += spectra.estimate
        whole = np.sqrt(mean_square(apart, blocks))
        if fixed > self.allowed * (1 + 1e-9):
            return Step(causal, np.inf, np.inf)
        room = np.sqrt(max(self.allowed - fixed, 1e-12 * self.allowed))
        share = min(room / whole, 1.0) if whole > 0 else 1.0  # 1 / (1 + lambda)
        return Step(causal + share * apart, 1 / share - 1, (1 - share) * whole)

    def judged(self, spectra: Spectra, scheme: Array, price: float) -> Certificate:
        """The bound of the module docstring, with the map made small enough for M > 0."""
        blocks, period = spectra.blocks, len(spectra.mmse)
        estimate, source = spectra.estimate, spectra.source
        target = source @ _coupling(spectra, scheme)
        distance = mean_square(target - scheme, blocks)
        distance += mean_square(source, blocks) - mean_square(target, blocks)
        prices, excess = np.array([price]), np.array([distance - self.allowed])
        bound = float(spectra.mmse.sum())
        if price == 0:
            return Certificate(bound, prices, excess)
        linear = np.linalg.solve(scheme @ adjoint(scheme), scheme @ adjoint(target))
        values, vectors = np.linalg.eigh((linear + adjoint(linear)) / 2)
        most = (1 + price) / price
        turned, moved = adjoint(vectors), scheme[:, :, :period]
        for room in ROOMS:
            gamma = np.clip(values, 1e-12 * most, most * (1 - room))
            curvature = (1 + price) - price * gamma
            pulled = vectors @ (curvature[:, :, None] * (turned @ moved))
            facing = turned @ (estimate + pulled - causal_part(pulled, blocks, period))
            gain = (np.abs(facing) ** 2).sum(axis=2) / curvature
            kept = (np.abs(turned @ source) ** 2).sum(axis=2) * (1 - 1 / gamma)
            value = spectra.mmse.sum() + mean_square(estimate, blocks) - price * self.allowed
            value += weights_of(blocks) @ (price * kept - gain).sum(axis=1)
            bound = max(bound, float(value))
        return Certificate(bound, prices, excess)


def _coupling(spectra: Spectra, scheme: Array) -> Array:
    """V: the polar factor of F* G, which has full rank: the noise makes it so."""
    across = adjoint(spectra.source) @ scheme
    values, vectors = np.linalg.eigh(across @ adjoint(across))
    roots = np.sqrt(np.maximum(values, 1e-30 * values[:, -1:]))
    return (vectors / roots[:, None, :]) @ adjoint(vectors) @ across
