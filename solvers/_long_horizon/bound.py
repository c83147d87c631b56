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
_LIFTS = 10.0 ** np.arange(0, 6)  # of the diagonal of Q, in 1e-9 of the largest weight


def reverse_cholesky(matrix: Array) -> Array:
    """Upper-triangular R with R R^T = matrix; raises LinAlgError unless positive definite."""
    return np.ascontiguousarray(np.linalg.cholesky(matrix[::-1, ::-1])[::-1, ::-1])


def best_bound(
    program: Program, mu: Array, dual: Array, blocks: list[Block], enough: float
) -> float:
    """Best bound from the slopes mu_k (I - Phi_k^-1) and from points near them.

    Those are the slopes of which Q is the dual iterate, slopes that add a little to the diagonal of
    Q, and points on the way to a strictly feasible one.

    Stops at the first value of at least `enough`.
    """
    # symmetric to the last digit: of two Cholesky factors one reads the lower, one the upper half
    slopes = [factor * _even(block.slope) for factor, block in zip(mu, blocks, strict=True)]
    conjugates = [
        factor * _even(block.target_slope) for factor, block in zip(mu, blocks, strict=True)
    ]
    best = _value(program, mu, slopes, conjugates)
    top = float(program.weights.max())
    if best < enough:
        best = max(best, _paired_value(program, mu, _matched(program, mu, dual, slopes)))
    for amount in 1e-9 * top * _LIFTS:
        if best >= enough:
            return best
        moved = [slope.copy() for slope in slopes]
        _lift(program, mu, moved, amount, np.ones(program.frames, dtype=bool))
        best = max(best, _paired_value(program, mu, moved))
    for share in _SHARES:
        if best >= enough:
            break
        near = (1 - share) * mu + share * top
        moved = [(1 - share) * slope for slope in slopes]
        _lift(program, near, moved, 0.5 * share * top, program.weights == 0)
        best = max(best, _paired_value(program, near, moved))
    return best


def _even(matrix: Array) -> Array:
    return 0.5 * (matrix + matrix.T)


def _matched(program: Program, mu: Array, dual: Array, slopes: list[Array]) -> list[Array]:
    """Slopes changed until Q, which rounding makes indefinite first, is the dual iterate."""
    made = [slope.copy() for slope in slopes]
    for _ in range(1 if program.joint else 3):
        matrix = np.diag(program.weights)
        for t, slope, factor in zip(program.compared, made, mu, strict=True):
            m = int(t) + 1
            matrix[:m, :m] += slope
            if not program.joint:
                conjugate = _conjugate(slope, factor)
                if conjugate is None:
                    return slopes
                matrix[:t, :t] += conjugate[:t, :t]
        missing = _even(dual - matrix)
        if program.joint:
            _give_to_strongest(program, mu, missing, made)
            break
        for t, slope, factor in zip(program.compared, made, mu, strict=True):
            if factor > 4 * float(np.abs(missing[t, : t + 1]).sum()):
                slope[t, : t + 1] += missing[t, : t + 1]
                slope[:t, t] += missing[:t, t]
    return made


def _give_to_strongest(program: Program, mu: Array, missing: Array, slopes: list[Array]) -> None:
    """Add `missing` to the slopes: the strongest threshold takes its block, then later ones."""
    open_ = np.ones(len(mu), dtype=bool)
    while open_.any():
        home = int(np.argmax(np.where(open_, mu, -1.0)))
        m = int(program.compared[home]) + 1
        if mu[home] > 4 * float(np.abs(missing[:m, :m]).sum(axis=0).max()):
            slopes[home] += missing[:m, :m]
            missing[:m, :m] = 0.0
        open_ &= program.compared > (program.compared[home] if mu[home] > 0 else np.inf)


def _paired_value(program: Program, mu: Array, slopes: list[Array]) -> float:
    """Value at slopes whose conjugates are computed; -inf where a slope is not below mu I."""
    found = []
    for slope, factor in zip(slopes, mu, strict=True):
        conjugate = _conjugate(slope, factor)
        if conjugate is None:
            return -np.inf
        found.append(conjugate)
    return _value(program, mu, slopes, found)


def _lift(program: Program, mu: Array, slopes: list[Array], amount: float, which: Array) -> None:
    """Add to the diagonal of Q: from a frame's own threshold (SA), or the strongest over it (JD).

    Nothing is added where the threshold is too weak to take it.
    """
    for t in np.flatnonzero(which):
        able = program.compared >= t if program.joint else program.compared == t
        if not able.any():
            continue
        home = int(np.argmax(np.where(able, mu, -1.0)))
        if mu[home] > 4 * amount:
            slopes[home][t, t] += amount


def _conjugate(slope: Array, mu: float) -> Array | None:
    """L = -N (I - N / mu)^-1; None unless N < mu I."""
    try:
        factor = cho_factor(np.eye(len(slope)) - slope / mu, lower=True)
    except np.linalg.LinAlgError:
        return None
    out = -cho_solve(factor, slope)
    return _even(out)


def _value(program: Program, mu: Array, slopes: list[Array], conjugates: list[Array]) -> float:
    """Value of the Lagrangian less an allowance for rounding; -inf unless Q > 0."""
    matrix, omega = np.diag(program.weights), program.weights.copy()
    value = scale = program.total
    slip = 0.0
    for t, factor, level, slope, conjugate in zip(
        program.compared, mu, program.levels, slopes, conjugates, strict=True
    ):
        m = int(t) + 1
        matrix[:m, :m] += slope
        if program.joint:
            found = _conjugate_trace(program.root[:m, :m], slope, factor)
            if found is None:
                return -np.inf
            terms, slip = np.array(found[:1]), slip + found[1]
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
    gains = solve_triangular(root, spread, trans="T")
    slip += float(((np.abs(root.T) @ np.abs(gains)) ** 2).sum())
    return value - explained - 4 * (program.frames + 2) * _EPS * (scale + explained + slip)


def _conjugate_trace(root: Array, slope: Array, mu: float) -> tuple[float, float] | None:
    """Trace of A L, A = F F^T, and what rounding may change in it, in units of the rounding error.

    With the Cholesky factor C of I - N / mu it is mu (|F|^2 - |C^-1 F|^2). C is exact for a matrix
    that differs by |C| |C^T|, so that the trace differs by mu | |C^T| |C^-T C^-1 F| |^2. None
    unless N < mu I.
    """
    try:
        factor = np.linalg.cholesky(np.eye(len(slope)) - slope / mu)
    except np.linalg.LinAlgError:
        return None
    half = solve_triangular(factor, root, lower=True)
    whole = solve_triangular(factor, half, lower=True, trans="T")
    trace = mu * (float((root**2).sum()) - float((half**2).sum()))
    return trace, mu * float(((np.abs(factor.T) @ np.abs(whole)) ** 2).sum())
