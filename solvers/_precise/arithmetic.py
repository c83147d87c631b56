"""Linear algebra on small arrays of decimal numbers, as many digits as the context has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal, getcontext, localcontext
from operator import mul, truediv
from typing import NamedTuple

import numpy as np

Array = np.ndarray

DIGITS = 140
MORE_DIGITS = 240  # where these are lost
_SWEEPS = 60  # of Jacobi rotations at most; two to ten are usual
# squared cosine of columns that count as orthogonal: sums of singular values feel it relative to 1
_OFF = Decimal("1e-180")


@contextmanager
def many_digits(digits: int = DIGITS) -> Iterator[None]:
    """Compute with so many decimal digits."""
    with localcontext() as context:
        context.prec = digits
        yield


def exact(values: object) -> Array:
    """Return numbers as decimals, without rounding."""
    given = np.asarray(values, dtype=np.float64)
    decimals = [Decimal(value) for value in given.ravel().tolist()]
    return np.array(decimals, dtype=object).reshape(given.shape)


def joined(*parts: Array | Decimal) -> Array:
    """Return decimals and vectors of decimals as one vector."""
    return np.concatenate([np.array(part, dtype=object).ravel() for part in parts])


def zeros(*shape: int) -> Array:
    """Return an array of decimal zeros."""
    return np.full(shape, Decimal(0), dtype=object)


def roots(values: Array) -> Array:
    """Return the square roots of a vector."""
    return np.array([value.sqrt() for value in values], dtype=object)


def cholesky(matrix: Array) -> Array | None:
    """Return the lower triangular factor; None where the matrix is not positive definite."""
    rest, size = matrix.copy(), len(matrix)
    out = zeros(size, size)
    for j in range(size):
        if not rest[j, j] > 0:
            return None
        column = rest[j:, j] / rest[j, j].sqrt()
        out[j:, j] = column
        rest[j:, j:] -= np.outer(column, column)
    return out


def solve_lower(factor: Array, right: Array) -> Array:
    """Solve factor @ x = right for a lower triangular factor."""
    out = right.copy()
    for i in range(len(factor)):
        if i:
            out[i] = out[i] - factor[i, :i] @ out[:i]
        out[i] = out[i] / factor[i, i]
    return out


def solve_upper(factor: Array, right: Array) -> Array:
    """Solve factor.T @ x = right for a lower triangular factor."""
    out = right.copy()
    for i in reversed(range(len(factor))):
        if i + 1 < len(factor):
            out[i] = out[i] - factor[i + 1 :, i] @ out[i + 1 :]
        out[i] = out[i] / factor[i, i]
    return out


class Factored(NamedTuple):
    """A symmetric matrix as L D L^T with a unit diagonal of L: rows below it, and D."""

    rows: list[list[Decimal]]
    pivots: list[Decimal]


def factored(matrix: Array) -> Factored | None:
    """Return the factors, without roots; None where the matrix is not positive definite."""
    rows: list[list[Decimal]] = []
    pivots: list[Decimal] = []
    for i, given in enumerate(matrix.tolist()):
        scaled: list[Decimal] = []  # L D of this row
        for j in range(i):
            scaled.append(given[j] - sum(map(mul, scaled, rows[j]), Decimal(0)))
        row = list(map(truediv, scaled, pivots))
        pivot = given[i] - sum(map(mul, scaled, row), Decimal(0))
        if not pivot > 0:
            return None
        rows.append(row)
        pivots.append(pivot)
    return Factored(rows, pivots)


def solve_factored(factor: Factored, right: Array) -> Array:
    """Solve L D L^T x = right."""
    out: list[Decimal] = []
    for row, value in zip(factor.rows, right.tolist(), strict=True):
        out.append(value - sum(map(mul, row, out), Decimal(0)))
    out = list(map(truediv, out, factor.pivots))
    for i in reversed(range(len(out))):
        own = out[i]
        for j, value in enumerate(factor.rows[i]):
            out[j] -= value * own
    return np.array(out, dtype=object)


def solve_positive(matrix: Array, right: Array) -> Array | None:
    """Solve matrix @ x = right; None where the matrix is not positive definite."""
    factor = factored(matrix)
    if factor is None:
        return None
    if right.ndim == 1:
        return solve_factored(factor, right)
    return np.stack([solve_factored(factor, column) for column in right.T], axis=1)


def half(matrices: Array) -> tuple[Array, Array]:
    """Entries on and above the diagonals of symmetric (k, n, n), (k, m), and how often they occur.

    Inner products of the matrices are those of the entries with these weights.
    """
    i, j = np.triu_indices(matrices.shape[-1])
    return matrices[:, i, j], exact(np.where(i == j, 1.0, 2.0))


def gram(rows: Array, weights: Array) -> Array:
    """Return rows @ diag(weights) @ rows.T, of which half is computed."""
    given, scaled = rows.tolist(), (rows * weights).tolist()
    out = zeros(len(given), len(given))
    for i, row in enumerate(given):
        for j in range(i + 1):
            out[i, j] = out[j, i] = sum(map(mul, row, scaled[j]), Decimal(0))
    return out


def orthogonal(columns: Array, others: Array) -> tuple[Array, Array]:
    """Return columns @ V and others @ V, V orthogonal, such that the columns become orthogonal.

    By Jacobi rotations of pairs of columns: the nearer they are to orthogonal, the fewer. Small
    columns keep their relative digits beside large ones.
    """
    own, carried, size = columns.T.copy(), others.T.copy(), len(columns.T)
    far = Decimal(10) ** (getcontext().prec // 2 + 2)  # beside its square 1 is not felt
    pairs = [(p, q) for q in range(size) for p in range(q)]
    for _ in range(_SWEEPS):
        done, square = True, (own * own).sum(axis=1)
        for p, q in pairs:
            off = own[p] @ own[q]
            if off * off <= _OFF * square[p] * square[q]:
                continue
            done = False
            ratio = (square[q] - square[p]) / (2 * off)
            root = (1 + ratio * ratio).sqrt() if abs(ratio) < far else abs(ratio)
            tangent = 1 / (ratio + root) if ratio >= 0 else 1 / (ratio - root)
            square[p] -= tangent * off
            square[q] += tangent * off
            for rows in (own, carried):
                _turn(rows, p, q, tangent, abs(tangent) * far < 1)
        if done:
            break
    return own.T, carried.T


def _turn(rows: Array, p: int, q: int, tangent: Decimal, little: bool) -> None:
    """Rotate two rows; by so little that the cosine is 1 in all digits."""
    left, right = rows[p].copy(), rows[q].copy()
    if little:
        rows[p] -= tangent * right
        rows[q] += tangent * left
        return
    cosine = 1 / (1 + tangent * tangent).sqrt()
    sine = tangent * cosine
    rows[p], rows[q] = cosine * left - sine * right, sine * left + cosine * right
