"""The chain of matrix inequalities of `held_back`, given to CLARABEL as one sparse cone program."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rdp.solution import Status
from solvers.errors import SolverError

Array = np.ndarray

_SOLVED = ("Solved", "AlmostSolved", "InsufficientProgress")


class Chain(NamedTuple):
    """Coordinates at frame t in which the covariance of the estimate is the unit matrix.

    Parameters
    ----------
    transition : list of (n_t, n_{t-1}) arrays
    arriving : list of (n_t, r) arrays
    wanted : list of (n_t, d) arrays
    """

    transition: list[Array]
    arriving: list[Array]
    wanted: list[Array]


def solve_chain(chain: Chain, periodic: bool = False) -> tuple[list[Array], list[Array]]:
    """Return G_t and the multipliers B_t, to the accuracy of the solver.

    In a periodic chain the last frame comes before the first one.
    """
    import clarabel
    from scipy import sparse

    d = chain.wanted[0].shape[1]
    sizes = [len(want) for want in chain.wanted]
    frames = len(sizes)
    start, at = [], 0
    for n in sizes:  # Y_t as a triangle, then G_t
        start.append(at)
        at += n * (n + 1) // 2 + n * d
    cost = np.zeros(at)
    blocks: list[tuple[Array, Array, Array]] = []
    rhs: list[Array] = []
    cones: list[Any] = []
    row = 0
    links: list[tuple[int, int]] = []
    for t, n in enumerate(sizes):
        pick = _triangle(n)
        first = start[t]
        place = first + n * (n + 1) // 2
        cost[place : place + n * d] = -chain.wanted[t].ravel()
        keeps = periodic or t + 1 < frames  # the last Y_t has no effect later and is zero
        if keeps and n:
            _add(blocks, -_triangle_rows(pick), row, first)
            rhs.append(np.zeros(len(pick[0])))
            cones.append(clarabel.PSDTriangleConeT(n))
            row += len(pick[0])
        big = _triangle(n + d)
        constant = np.zeros((n + d, n + d))
        constant[:n, :n] = chain.arriving[t] @ chain.arriving[t].T
        constant[n:, n:] = np.eye(d)
        rhs.append(_svec(constant, big))
        if keeps and n:
            units = np.array([_padded(-unit, n + d) for unit in _units(pick, n)])
            _add(blocks, -_svec(units, big).T, row, first)
        if t or periodic:
            before = _units(_triangle(sizes[t - 1]), sizes[t - 1])
            moved = chain.transition[t] @ before @ chain.transition[t].T
            units = np.array([_padded(unit, n + d) for unit in moved])
            if len(units):
                _add(blocks, -_svec(units, big).T, row, start[t - 1])
        corners = np.zeros((n * d, n + d, n + d))
        for k in range(n * d):
            i, j = divmod(k, d)
            corners[k, i, n + j] = corners[k, n + j, i] = 1.0
        if n:
            _add(blocks, -_svec(corners, big).T, row, place)
        links.append((row, len(big[0])))
        cones.append(clarabel.PSDTriangleConeT(n + d))
        row += len(big[0])
    parts = [np.concatenate(part) for part in zip(*blocks, strict=True)]
    matrix = sparse.csc_matrix((parts[2], (parts[0], parts[1])), shape=(row, at))
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-11
    settings.max_iter = 200
    solver = clarabel.DefaultSolver(
        sparse.csc_matrix((at, at)), cost, matrix, np.concatenate(rhs), cones, settings
    )
    answer = solver.solve()
    if str(answer.status) not in _SOLVED:
        raise SolverError(Status.FAILED, f"hold_back: CLARABEL ended with {answer.status}")
    x, z = np.array(answer.x), np.array(answer.z)
    correlation, dual = [], []
    for t, n in enumerate(sizes):
        place = start[t] + n * (n + 1) // 2
        correlation.append(x[place : place + n * d].reshape(n, d))
        first, length = links[t]
        dual.append(_smat(z[first : first + length], n + d)[:n, :n])
    return correlation, dual


def _triangle(n: int) -> tuple[Array, Array]:
    """Indices of the upper triangle, column after column, as CLARABEL stacks it."""
    columns, rows = np.tril_indices(n)
    return rows, columns


def _units(pick: tuple[Array, Array], n: int) -> Array:
    """Symmetric matrices with one entry of the triangle equal to one, (n (n + 1) / 2, n, n)."""
    out = np.zeros((len(pick[0]), n, n))
    index = np.arange(len(pick[0]))
    out[index, pick[0], pick[1]] = out[index, pick[1], pick[0]] = 1.0
    return out


def _triangle_rows(pick: tuple[Array, Array]) -> Array:
    """Map from the entries of the triangle to their scaled stack."""
    return np.diag(np.where(pick[0] == pick[1], 1.0, np.sqrt(2.0)))


def _svec(matrix: Array, pick: tuple[Array, Array]) -> Array:
    """Scaled stack of symmetric matrices (..., n, n)."""
    return matrix[..., pick[0], pick[1]] * np.where(pick[0] == pick[1], 1.0, np.sqrt(2.0))


def _smat(stack: Array, n: int) -> Array:
    """Inverse of `_svec`."""
    pick = _triangle(n)
    out = np.zeros((n, n))
    out[pick] = stack * np.where(pick[0] == pick[1], 1.0, np.sqrt(0.5))
    return out + np.triu(out, 1).T


def _padded(matrix: Array, size: int) -> Array:
    """The matrix in the corner of a larger one."""
    out = np.zeros((size, size))
    out[: len(matrix), : len(matrix)] = matrix
    return out


def _add(blocks: list[tuple[Array, Array, Array]], values: Array, row: int, column: int) -> None:
    """Add the entries of a dense block that are not zero."""
    i, j = np.nonzero(values)
    blocks.append((row + i, column + j, values[i, j]))
