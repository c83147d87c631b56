"""Small dense linear algebra for the compiled solvers.

A call of LAPACK costs about a microsecond, more than all arithmetic on matrices of this size. The
few factorisations are therefore written out. Every routine works on the leading block of one matrix
in a stack of matrices, a[slot], and allocates nothing.
"""

from __future__ import annotations

import math

import numpy as np

from solvers._parts import part

Array = np.ndarray


@part
def cholesky(a: Array, slot: int, n: int, extra: int) -> bool:
    """Overwrite the lower triangle of a by L, a = L L^T; False when a is not positive definite.

    Each of the `extra` rows below the block is overwritten by (L^-1 row^T)^T.
    """
    for j in range(n):
        pivot = a[slot, j, j]
        for k in range(j):
            pivot -= a[slot, j, k] * a[slot, j, k]
        if not pivot > 0.0:
            return False
        pivot = math.sqrt(pivot)
        a[slot, j, j] = pivot
        inverse = 1.0 / pivot
        for i in range(j + 1, n + extra):
            value = a[slot, i, j]
            for k in range(j):
                value -= a[slot, i, k] * a[slot, j, k]
            a[slot, i, j] = value * inverse
    return True


@part
def solve_lower(a: Array, slot: int, other: int, row: int, n: int) -> None:
    """Overwrite b = a[other, row] by L^-1 b, L = a[slot]."""
    for i in range(n):
        value = a[other, row, i]
        for k in range(i):
            value -= a[slot, i, k] * a[other, row, k]
        a[other, row, i] = value / a[slot, i, i]


@part
def solve_lower_transposed(a: Array, slot: int, other: int, row: int, n: int) -> None:
    """Overwrite b = a[other, row] by L^-T b, L = a[slot]."""
    for i in range(n - 1, -1, -1):
        value = a[other, row, i] / a[slot, i, i]
        a[other, row, i] = value
        for k in range(i):
            a[other, row, k] -= a[slot, i, k] * value


@part
def reverse_cholesky(a: Array, slot: int, n: int) -> bool:
    """Overwrite the upper triangle of a by U, a = U U^T; False when a is not positive definite.

    It factors every trailing block too: a[s:, s:] = U[s:, s:] U[s:, s:]^T for every s.
    """
    for j in range(n - 1, -1, -1):
        pivot = a[slot, j, j]
        for k in range(j + 1, n):
            pivot -= a[slot, j, k] * a[slot, j, k]
        if not pivot > 0.0:
            return False
        pivot = math.sqrt(pivot)
        a[slot, j, j] = pivot
        inverse = 1.0 / pivot
        for i in range(j):
            value = a[slot, i, j]
            for k in range(j + 1, n):
                value -= a[slot, i, k] * a[slot, j, k]
            a[slot, i, j] = value * inverse
    return True


@part
def multiply(a: Array, first: int, second: int, out: int, rows: int, columns: int) -> None:
    """a[out] = A B, A = a[first] of size (rows, rows), B = a[second] of size (rows, columns)."""
    for i in range(rows):
        for j in range(columns):
            value = 0.0
            for k in range(rows):
                value += a[first, i, k] * a[second, k, j]
            a[out, i, j] = value


@part
def multiply_factors(a: Array, first: int, second: int, out: int, n: int) -> None:
    """a[out] = A^T B, where A = a[first] and B = a[second] are lower triangular."""
    for i in range(n):
        for j in range(n):
            value = 0.0
            for k in range(max(i, j), n):
                value += a[first, k, i] * a[second, k, j]
            a[out, i, j] = value


@part
def orthogonalise_rows(
    a: Array,
    slot: int,
    rotation: int,
    values: Array,
    row: int,
    rows: int,
    columns: int,
    warm: int,
) -> None:
    """Singular values of A = a[slot] in values[row], its left singular vectors V in a[rotation].

    One-sided Jacobi: rotations make the rows of V^T A orthogonal. The lengths of the rows are then
    the singular values. Small singular values keep their relative accuracy, which the square root
    of an eigenvalue would lose. a[slot] is overwritten by V^T A. If `warm`, a[rotation] holds a
    first guess of V and a[slot] holds V^T A for it. Convergence is quadratic: the sweep after the
    first one with all angles below 1e-7 would change nothing.
    """
    if warm == 0:
        for i in range(rows):
            for j in range(rows):
                a[rotation, i, j] = 1.0 if i == j else 0.0
    for _ in range(30):
        converged = True
        for i in range(rows - 1):
            for j in range(i + 1, rows):
                aii, ajj, aij = 0.0, 0.0, 0.0
                for k in range(columns):
                    aii += a[slot, i, k] * a[slot, i, k]
                    ajj += a[slot, j, k] * a[slot, j, k]
                    aij += a[slot, i, k] * a[slot, j, k]
                square, limit = aij * aij, aii * ajj
                if square <= 1e-31 * limit:
                    continue
                converged = converged and square <= 1e-14 * limit
                half = 0.5 * (ajj - aii)
                root = math.sqrt(half * half + aij * aij)
                tangent = aij / (half + root if half >= 0.0 else half - root)
                cosine = 1.0 / math.sqrt(1.0 + tangent * tangent)
                sine = cosine * tangent
                for k in range(columns):
                    x, y = a[slot, i, k], a[slot, j, k]
                    a[slot, i, k] = cosine * x - sine * y
                    a[slot, j, k] = sine * x + cosine * y
                for k in range(rows):
                    x, y = a[rotation, k, i], a[rotation, k, j]
                    a[rotation, k, i] = cosine * x - sine * y
                    a[rotation, k, j] = sine * x + cosine * y
        if converged:
            break
    for i in range(rows):
        total = 0.0
        for k in range(columns):
            total += a[slot, i, k] * a[slot, i, k]
        values[row, i] = math.sqrt(total)


@part
def append_row(
    big: Array, basis: int, rank: int, row: int, columns: int, out: Array, slot: int, target: int
) -> int:
    """Coordinates out[slot, target] of a row in an orthonormal basis; returns the new rank.

    The basis is big[basis, :rank]. The row is big[basis, row]; it is overwritten by its part
    outside the basis. This part, if it is not zero, extends the basis. Row by row this gives the
    lower-triangular factor of a covariance. A row that depends on the rows before it adds no
    column. Gram-Schmidt, twice.
    """
    before = 0.0
    for k in range(columns):
        before += big[basis, row, k] * big[basis, row, k]
    for j in range(out.shape[2]):
        out[slot, target, j] = 0.0
    for _ in range(2):
        for j in range(rank):
            value = 0.0
            for k in range(columns):
                value += big[basis, row, k] * big[basis, j, k]
            out[slot, target, j] += value
            for k in range(columns):
                big[basis, row, k] -= value * big[basis, j, k]
    after = 0.0
    for k in range(columns):
        after += big[basis, row, k] * big[basis, row, k]
    if not after > 1e-30 * before:
        return rank
    length = math.sqrt(after)
    out[slot, target, rank] = length
    for k in range(columns):
        big[basis, rank, k] = big[basis, row, k] / length
    return rank + 1
