"""Small dense linear algebra for the compiled solvers.

Call overhead of LAPACK (about a microsecond) exceeds the whole arithmetic of the matrices met
here, so the few factorisations needed are written out. Every routine works on the leading
n x n block of arrays given by the caller and allocates nothing.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

Array = np.ndarray


@njit(cache=True)
def cholesky(a: Array, n: int) -> bool:
    """Overwrite the lower triangle of a by L, a = L L^T; False when a is not positive definite."""
    for j in range(n):
        pivot = a[j, j]
        for k in range(j):
            pivot -= a[j, k] * a[j, k]
        if not pivot > 0.0:
            return False
        pivot = math.sqrt(pivot)
        a[j, j] = pivot
        inverse = 1.0 / pivot
        for i in range(j + 1, n):
            value = a[i, j]
            for k in range(j):
                value -= a[i, k] * a[j, k]
            a[i, j] = value * inverse
    return True


@njit(cache=True)
def solve_lower(low: Array, b: Array, n: int) -> None:
    """Overwrite b by L^-1 b, L = low."""
    for i in range(n):
        value = b[i]
        for k in range(i):
            value -= low[i, k] * b[k]
        b[i] = value / low[i, i]


@njit(cache=True)
def solve_lower_transposed(low: Array, b: Array, n: int) -> None:
    """Overwrite b by L^-T b, L = low."""
    for i in range(n - 1, -1, -1):
        value = b[i]
        for k in range(i + 1, n):
            value -= low[k, i] * b[k]
        b[i] = value / low[i, i]


@njit(cache=True)
def reverse_cholesky(q: Array, u: Array, n: int) -> bool:
    """Upper-triangular U with q = U U^T; False when q is not positive definite.

    Trailing blocks factor with it: q[s:, s:] = U[s:, s:] U[s:, s:]^T for every s.
    """
    for j in range(n - 1, -1, -1):
        pivot = q[j, j]
        for k in range(j + 1, n):
            pivot -= u[j, k] * u[j, k]
        if not pivot > 0.0:
            return False
        pivot = math.sqrt(pivot)
        u[j, j] = pivot
        inverse = 1.0 / pivot
        for i in range(j):
            value = q[i, j]
            for k in range(j + 1, n):
                value -= u[i, k] * u[j, k]
            u[i, j] = value * inverse
    return True
