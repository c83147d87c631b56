r"""Squared W2 of covariances and the losses of a scheme, from factors."""

from __future__ import annotations

import math

import numpy as np

from solvers._barrier.constants import JD
from solvers._barrier.linear_algebra import append_row, multiply_factors, orthogonalise_rows
from solvers._barrier.source import Source
from solvers._barrier.workspace import Big, Matrix, Number, Vector
from solvers._parts import part

Array = np.ndarray


@part
def squared_w2(mats: Array, first: int, second: int, n: int, vecs: Array) -> float:
    """Squared W2 between centred Gaussian distributions, A = L L^T and B = M M^T.

    L = mats[first] and M = mats[second] are lower triangular. With L^T M = V S Z^T the best
    coupling is L V w against M Z w + M (I - Z Z^T) w', w and w' white. Its squared distance is a
    sum of squares, which keeps relative digits where tr A + tr B - 2 tr S cancels.
    """
    multiply_factors(mats, first, second, Matrix.PRODUCT, n)
    orthogonalise_rows(
        mats, Matrix.PRODUCT, Matrix.ROTATION, vecs, Vector.SCRATCH, n, n, Number.ZERO
    )
    for k in range(n):  # PRODUCT becomes Z^T
        length = vecs[Vector.SCRATCH, k]
        for j in range(n):
            value = mats[Matrix.PRODUCT, k, j]
            mats[Matrix.PRODUCT, k, j] = value / length if length > 0.0 else 0.0
    total = 0.0
    for i in range(n):
        for k in range(n):
            left, right = 0.0, 0.0
            for j in range(i + 1):
                left += mats[first, i, j] * mats[Matrix.ROTATION, j, k]
                right += mats[second, i, j] * mats[Matrix.PRODUCT, k, j]
            total += (left - right) ** 2
            mats[Matrix.SECOND_ROOT, i, k] = right
        for j in range(n):
            rest = mats[second, i, j] if j <= i else 0.0
            for k in range(n):
                rest -= mats[Matrix.SECOND_ROOT, i, k] * mats[Matrix.PRODUCT, k, j]
            total += rest * rest
    return total


@part
def measure_losses(
    source: Source, mats: Array, vecs: Array, big: Array, distortion: Array, perception: Array
) -> None:
    """Losses of the scheme (FULL_GAINS K, FULL_NOISE_FACTOR N); FULL_FACTOR becomes that of H.

    JD compares Xhat^t with X^t; SA compares it with (Xhat^(t-1), X_t). X_t is Xtil_t plus an
    independent error. The rows of the basis are the variables as combinations of the independent
    ones: u, the decoder noise, and the error of the present frame.
    """
    frames = len(source.gain)
    columns, row = 2 * frames + 1, frames + 1
    rank = int(np.int64(0))  # no literal: see solve_sequential
    for t in range(frames):
        distortion[t] = vecs[Vector.MMSE, t]
        for c in range(frames):
            distortion[t] += (mats[Matrix.FULL_GAINS, t, c] - mats[Matrix.FULL_ESTIMATE, t, c]) ** 2
            distortion[t] += mats[Matrix.FULL_NOISE_FACTOR, t, c] ** 2
            big[Big.BASIS, row, c] = mats[Matrix.FULL_ESTIMATE, t, c]
            big[Big.BASIS, row, frames + c] = 0.0
            mats[Matrix.FULL_TARGET_FACTOR, t, c] = source.root[t, c]
        if source.plf != JD:
            big[Big.BASIS, row, columns - 1] = math.sqrt(vecs[Vector.MMSE, t])
            append_row(big, Big.BASIS, rank, row, columns, mats, Matrix.FULL_TARGET_FACTOR, t)
        for c in range(frames):
            big[Big.BASIS, row, c] = mats[Matrix.FULL_GAINS, t, c]
            big[Big.BASIS, row, frames + c] = mats[Matrix.FULL_NOISE_FACTOR, t, c]
        big[Big.BASIS, row, columns - 1] = 0.0
        rank = append_row(big, Big.BASIS, rank, row, columns, mats, Matrix.FULL_FACTOR, t)
        perception[t] = squared_w2(mats, Matrix.FULL_TARGET_FACTOR, Matrix.FULL_FACTOR, t + 1, vecs)
        if source.plf != JD:
            for c in range(frames):
                mats[Matrix.FULL_TARGET_FACTOR, t, c] = mats[Matrix.FULL_FACTOR, t, c]
