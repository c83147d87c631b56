r"""Block preconditioner of the dual step that knows the triangle.

In the variables X, dQ = R X R^T with Q = R R^T, the answer of the scheme is
:math:`X \mapsto \operatorname{tril}(X V) V^T`, V = R^T K: row i of X enters with columns up to i
alone. Column j of the lower half of X is taken as one block; the blocks of all terms are exact.
Where noise is left in the scheme Q is nearly singular, the Kronecker approximation forgets the
triangle by the order of 1 / tau, and these blocks do not.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri

Array = np.ndarray


class ColumnBlocks:
    """Inverse of the column blocks of A + E, E X = M X H + H X M."""

    def __init__(self, root: Array, gains: Array, scaling: Array, map_: Array, cov: Array) -> None:
        n = len(root)
        self.root, self.root_t = root, np.ascontiguousarray(root.T)
        v = np.tril(self.root_t @ gains)
        w, m, h = (self.root_t @ matrix @ root for matrix in (scaling, map_, cov))
        self.inverse = np.zeros((n, n, n))
        rows = np.ones((n, n))
        for j in range(n):
            part = v[j:, : j + 1]
            block = part @ part.T
            block[np.arange(1, n - j), np.arange(1, n - j)] += block[0, 0]
            wj, mj, hj = w[j:, j], m[j:, j], h[j:, j]
            cross = np.outer(mj, hj)
            kron = w[j, j] * w[j:, j:] + np.outer(wj, wj)
            kron += h[j, j] * m[j:, j:] + m[j, j] * h[j:, j:] + cross + cross.T
            kron[0, :] *= 0.5
            kron[:, 0] *= 0.5
            # the right-hand side holds the off-diagonal entries twice: so does the form, halved
            factor, info = dpotrf(block + kron, lower=1)
            if info == 0:
                made, info = dpotri(factor, lower=1)
            if info != 0:
                made = np.diag(1 / np.maximum(np.diag(block + kron), 1e-300))
            low = np.tril(made, -1)
            self.inverse[j, j:, j:] = low + low.T + np.diag(np.diag(made))
            rows[j, j] = 0.5
        self.rows = np.triu(rows)

    def solve(self, matrix: Array) -> Array:
        """Sum over the blocks of their inverse times the symmetric `matrix`."""
        right = self.rows * (self.root_t @ matrix @ self.root)
        upper = np.matmul(self.inverse, right[:, :, None])[:, :, 0]
        own = np.diag(np.diag(upper))
        return self.root @ (upper + upper.T - own) @ self.root_t
