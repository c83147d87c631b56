"""First and second derivatives of ln det Z in unknowns that each move Z by a matrix of rank 2."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import numpy as np

Array = np.ndarray


class Moves(NamedTuple):
    """Unknown k moves Z by share_k (u v^T + v u^T), u and v columns `left_k`, `right_k` of W."""

    left: Array
    right: Array
    share: Array

    @classmethod
    def of(cls, pairs: list[tuple[int, int]], sign: int = 1) -> Moves:
        """Return the moves of the pairs of columns; of u u^T where both are the same."""
        share = [Decimal(sign) / (2 if i == j else 1) for i, j in pairs]
        left, right = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        return cls(left, right, np.array(share, dtype=object))

    def __add__(self, more: object) -> Moves:
        """Return these moves, and others after them."""
        if not isinstance(more, Moves):
            return NotImplemented
        return Moves(*map(np.concatenate, zip(self, more, strict=True)))

    def derivatives(self, products: Array) -> tuple[Array, Array]:
        """Return the gradient of ln det Z, and minus its second derivatives.

        Parameters
        ----------
        products : (m, m) array
            W^T Z^-1 W.
        """
        u, v = self.left, self.right
        outer = products[np.ix_(u, u)] * products[np.ix_(v, v)]
        outer = outer + products[np.ix_(u, v)] * products[np.ix_(v, u)]
        share = 2 * self.share
        return share * products[u, v], outer * np.outer(share, self.share)
