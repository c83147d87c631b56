r"""Lookahead for any second moments: lower-triangular contractions and their nuclear-norm dual.

The reconstruction is :math:`\hat X = L \hat e` with white :math:`\hat e` and
:math:`\Sigma = L L^T`; the estimate is :math:`\tilde X = E u`. A causal coupling is a
(block) lower-triangular matrix :math:`K = E[\hat e u^T]` of norm at most 1, and
:math:`\sum_t w_t E[X_t^T \hat X_t] = \langle K, M \rangle` with :math:`M = L^T W E`:

.. math:: \max_{\|K\| \le 1,\ K \text{ lower triangular}} \langle K, M \rangle
          = \min_{N \text{ strictly upper triangular}} \|M + N\|_* .

Derived in this project. Every N gives a bound and every K, scaled to norm 1, a decoder. The method
is ADMM on the dual, with one singular value decomposition of the T x T matrix for each step.
`held_back` solves the same problem in time linear in T where the estimate has a state.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rdp import _check
from rdp.gaussian import psd_cholesky
from rdp.solution import Status
from solvers.errors import SolverError

Array = np.ndarray


class Coupling(NamedTuple):
    """Causal coupling of the reconstruction with the estimate.

    Parameters
    ----------
    coupling : (T d, T k) array
        K, block lower triangular, norm at most 1.
    value : float
        <K, M>.
    upper_bound : float
        ||M + N||_* at the best N found.
    steps : int
        Number of steps.
    """

    coupling: Array
    value: float
    upper_bound: float
    steps: int


def causal_coupling(
    matrix: object, rows: int = 1, columns: int = 1, gap: float = 1e-6, max_steps: int = 20_000
) -> Coupling:
    r"""Maximise <K, M> over block lower-triangular contractions, to a certified relative gap.

    Parameters
    ----------
    matrix : (T d, T k) array
        M.
    rows, columns : int
        d and k, sizes of a block.
    gap : float
        Relative gap at which the method stops.
    max_steps : int
        Number of steps after which the method gives up.

    Raises
    ------
    ValueError
        A shape that is not a multiple of the block.
    SolverError
        The gap was not reached.

    Examples
    --------
    >>> answer = causal_coupling([[1.0, 0.0], [3.0, 0.1]])
    >>> bool(answer.upper_bound - answer.value < 1e-5)
    True
    """
    m = _check.finite("matrix", _check.array("matrix", matrix, ndim=2))
    if m.shape[0] % rows or m.shape[1] % columns or m.shape[0] // rows != m.shape[1] // columns:
        raise ValueError(
            f"matrix: expected T blocks of {rows} x {columns} either way, got shape {m.shape}"
        )
    frames = m.shape[0] // rows
    later = np.kron(np.triu(np.ones((frames, frames)), 1), np.ones((rows, columns))) > 0
    scale = float(np.linalg.norm(m, 2))
    if not scale > 0:
        return Coupling(np.zeros_like(m), 0.0, 0.0, 0)
    m = m / scale
    free = np.where(later, m, 0.0)
    fixed = m - free
    slack = -free  # N, so that M + N starts lower triangular
    price = np.zeros_like(m)
    step = 1.0 / max(float(np.linalg.norm(fixed)) / np.sqrt(m.size / max(rows, columns)), 1e-3)
    best, bound, value = np.zeros_like(m), np.inf, -np.inf
    for count in range(1, max_steps + 1):
        target = m + slack - price / step
        left, stretch, right = np.linalg.svd(target, full_matrices=False)
        point = (left * np.maximum(stretch - 1 / step, 0.0)) @ right
        mixed = 1.6 * point + (1 - 1.6) * (m + slack)
        before = slack
        slack = np.where(later, mixed + price / step - m, 0.0)
        price = price + step * (mixed - m - slack)
        if count % 10 == 0 or count == 1:
            candidate = np.where(later, 0.0, -price)
            norm = max(float(np.linalg.norm(candidate, 2)), 1.0)
            for sign in (1.0, -1.0):
                reached = sign * float((candidate * m).sum()) / norm
                if reached > value:
                    value, best = reached, sign * candidate / norm
            bound = min(bound, float(np.linalg.svd(m + slack, compute_uv=False).sum()))
            if bound - value <= gap * abs(bound):
                return Coupling(best, value * scale, bound * scale, count)
            primal = float(np.linalg.norm(point - m - slack))
            dual = step * float(np.linalg.norm(slack - before))
            if count % 50 == 0 and primal > 5 * dual:
                step *= 2
            elif count % 50 == 0 and dual > 5 * primal:
                step /= 2
    raise SolverError(Status.INACCURATE, f"causal_coupling: relative gap {1 - value / bound:.1e}")


def lookahead_matrix(covariance: object, factor: Array, weights: Array) -> Array:
    """Return M = L' W E for scalar frames.

    Parameters
    ----------
    covariance : (T, T) array
        Covariance of the source.
    factor : (T, T) array
        E.
    weights : (T,) array
    """
    return psd_cholesky(covariance).T @ (weights[:, None] * factor)
