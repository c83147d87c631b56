r"""Squared W2 of two covariances, and its first and second derivatives in both.

With :math:`S A S = B`, the map of the optimal coupling, and any R with :math:`R R^T = S`,
:math:`R^T A R = R^{-1} B R^{-T}`; R is chosen so that both are a diagonal matrix
:math:`\Lambda`. Then, for changes :math:`\tilde A = R^T\,dA\,R` and
:math:`\tilde B = R^{-1}\,dB\,R^{-T}`,

.. math::
    W_2^2 = \operatorname{tr}(A + B) - 2\operatorname{tr}\Lambda, \quad
    dW_2^2 = \operatorname{tr}(dA + dB - \tilde A - \tilde B), \quad
    d^2W_2^2 = \sum_{ij} \frac{(\tilde A - \tilde B)_{ij}^2}{\lambda_i + \lambda_j}.

Derived in this project, from :math:`2\operatorname{tr}\Lambda = \min_S \operatorname{tr}(S A +
S^{-1} B)`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import numpy as np

from solvers._precise.arithmetic import gram, half, joined, orthogonal, roots

Array = np.ndarray


class Transport(NamedTuple):
    r"""Squared W2 of A and B, and the map.

    F and G are factors of both, A = F F^T and B = G G^T, and :math:`G^T F = U \Lambda` with U
    orthogonal. So R is :math:`F^{-T} \Lambda^{1/2} = G\,U \Lambda^{-1/2}`.
    """

    factor: Array
    other: Array
    turn: Array
    values: Array
    distance: Decimal

    @property
    def root(self) -> Array:
        """R."""
        return self.other @ (self.turn / roots(self.values))

    @property
    def inverse(self) -> Array:
        """The inverse of R."""
        return (self.factor[: len(self.other)] / roots(self.values)).T

    def bend(self, slope: Array, moved: Array, room: Decimal) -> Array:
        """Second derivatives of - ln(room), the room falling like squared W2, in k unknowns.

        Parameters
        ----------
        slope : (k,) array
            Gradient of squared W2.
        moved : (k, n, n) array
            What the unknowns change, symmetric.
        room : Decimal
        """
        i, j = np.triu_indices(len(self.values))
        entries, weights = half(moved)
        weights = weights / (room * (self.values[i] + self.values[j]))
        return gram(np.column_stack([entries, slope]), joined(weights, 1 / room**2))


def transport(factor: Array, other: Array) -> Transport | None:
    """Return the optimal map of A = F F^T and B = G G^T; None unless both have full rank.

    Parameters
    ----------
    factor : (m, n) array
        F, and rows below it that are carried along. The `factor` of a map to a covariance near B
        saves time.
    other : (n, n) array
        G.
    """
    first = factor[: len(other)]
    total = (first * first).sum() + (other * other).sum()
    columns, factor = orthogonal(other.T @ first, factor)
    values = roots((columns * columns).sum(axis=0))
    if not all(value > 0 for value in values):
        return None
    return Transport(factor, other, columns / values, values, total - 2 * values.sum())


def pairs(rows: Array) -> Array:
    """Return the products r_i r_j^T + r_j r_i^T of rows, (k, k, n, n); r_i r_i^T where i = j."""
    outer = rows[:, None, :, None] * rows[None, :, None, :]
    out = outer + outer.transpose(0, 1, 3, 2)
    for i in range(len(rows)):
        out[i, i] = outer[i, i]
    return out
