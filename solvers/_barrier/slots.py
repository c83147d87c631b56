"""Slots of the workspace that depend on the threshold or on the frame."""

from __future__ import annotations

import numpy as np

from solvers._barrier.workspace import Index, Matrix
from solvers._parts import part

Array = np.ndarray


@part
def threshold_slot(k: int) -> int:
    """First of the five matrices of threshold k."""
    return Matrix.PER_THRESHOLD + 5 * k


@part
def tie_slot(mats: Array, i: int) -> int:
    """Matrix of the coefficients of row i of H: mats[slot, j, c] times K[row, c]."""
    return Matrix.PER_THRESHOLD + 5 * mats.shape[1] + i


@part
def slope_slot(mats: Array, t: int) -> int:
    """Matrix N_t of the certificate."""
    return Matrix.PER_THRESHOLD + 6 * mats.shape[1] + t


@part
def tied_slot(mats: Array, i: int) -> int:
    """Row of ints: the rows of K that the entries of row i of H are tied to."""
    return Index.KIND + mats.shape[1] + i
