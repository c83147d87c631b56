r"""Lower bound on the weighted objective from multipliers and slopes, in O(T^3) for each threshold.

The Lagrangian of :mod:`solvers.certificate` is minimised column by column, with a Cholesky factor
of every trailing block of Q. One factor Q = R R^T, R upper triangular, holds them all:

.. math::
    K = R^{-T} \operatorname{tril}(R^{-1} M), \qquad
    \sum_s M_{s:,s}^T Q_{s:,s:}^{-1} M_{s:,s} = \|\operatorname{tril}(R^{-1} M)\|_F^2 .
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from solvers._long_horizon.program import Program
from solvers._long_horizon.transport import Block

Array = np.ndarray

_EPS = np.finfo(np.float64).eps
_SHARES = 10.0 ** np.arange(-14, 0)


def reverse_cholesky(matrix: Array) -> Array:
    """Upper-triangular R with R R^T = matrix; raises LinAlgError unless positive definite."""
    return np.ascontiguousarray(np.linalg.cholesky(matrix[::-1, ::-1])[::-1, ::-1])


def best_bound(program: Program, mu: Array, blocks: list[Block], enough: float) -> float:
    """Best bound from the slopes mu_k (I - Phi_k^-1) and points nearer a strictly feasible one.

    Stops at the first value of at least `enough`.
    """
    slopes = [factor * block.slope for factor, block in zip(mu, blocks, strict=True)]
    conjugates = [factor * block.target_slope for factor, block in zip(mu, blocks, strict=True)]
    best = _value(program, mu, slopes, conjugates)
    for share in _SHARES:
        if best >= enough:
            break
        near = (1 - share) * mu + share * program.weights.max()
        moved = [(1 - share) * slope for slope in slopes]
        _lift(program, moved, 0.5 * share * float(program.weights.max()))
        paired = [_conjugate(slope, factor) for slope, factor in zip(moved, near, strict=True)]
        if all(matrix is not None for matrix in paired):
            found = [matrix for matrix in paired if matrix is not None]
            best = max(best, _value(program, near, moved, found))
    return best


def _lift(program: Program, slopes: list[Array], amount: float) -> None:
    """Give frames without weight a curvature from their threshold (SA) or from the last (JD)."""
    places = {int(t): k for k, t in enumerate(program.compared)}
    for t in np.flatnonzero(program.weights == 0):
        home = len(slopes) - 1 if program.joint else places.get(int(t))
        if home is not None:
            slopes[home][t, t] += amount


def _conjugate(slope: Array, mu: float) -> Array | None:
    """L = -N (I - N / mu)^-1; None unless N < mu I."""
    try:
        factor = cho_factor(np.eye(len(slope)) - slope / mu, lower=True)
    except np.linalg.LinAlgError:
        return None
    out = -cho_solve(factor, slope)
    return 0.5 * (out + out.T)


def _value(program: Program, mu: Array, slopes: list[Array], conjugates: list[Array]) -> float:
    """Value of the Lagrangian less an allowance for rounding; -inf unless Q > 0."""
    matrix, omega = np.diag(program.weights), program.weights.copy()
    value = scale = program.total
    for t, factor, level, slope, conjugate in zip(
        program.compared, mu, program.levels, slopes, conjugates, strict=True
    ):
        m = int(t) + 1
        matrix[:m, :m] += slope
        if program.joint:
            # tr A L = tr F^T L F, a sum over the columns of the factor
            root = program.root[:m, :m]
            terms = np.einsum("ij,ij->i", root, conjugate @ root)
        else:
            matrix[:t, :t] += conjugate[:t, :t]
            omega[:t] -= program.transition[t, :t] * conjugate[t, :t]
            terms = np.array([conjugate[t, t] * program.variance[t]])
        value += float(terms.sum()) - factor * level
        scale += float(np.abs(terms).sum()) + factor * (level + float(program.variance[:m].sum()))
    try:
        root = reverse_cholesky(matrix)
    except np.linalg.LinAlgError:
        return -np.inf
    spread = np.tril(solve_triangular(root, omega[:, None] * program.estimate))
    explained = float((spread**2).sum())
    return value - explained - 4 * (program.frames + 2) * _EPS * (scale + explained)
