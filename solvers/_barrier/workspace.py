"""Workspace of the compiled solvers: four arrays, and names for their parts.

Kernels take the same few arrays and address a part by its slot, `mats[Matrix.GAINS, i, j]`. Views
and tuples of arrays cost more than the arithmetic at two or three frames, and minutes of
compilation.

    mats[Matrix]  (slots, T, T)   matrices
    vecs[Vector]  (rows, N)       vectors
    ints[Index]   (rows, N)       dimensions and index lists
    big[Big]      (3, M, M)       Newton matrix, its factor, a basis

N = T (T + 1) + T is the number of coordinates (K, H, C[s, s]).

Each group of slots is a named tuple of integers. Numba compiles a member to a constant. A member of
an `IntEnum` is one too, but it has a type of its own: a kernel that takes a slot as argument would
be compiled again for every group and for every sum of a member and a number.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvers._parts import part

Array = np.ndarray


class _Matrix(NamedTuple):
    """Slots of mats."""

    # the program
    ESTIMATE: int = 0  # E, factor of the MMSE estimate in white variables
    COVARIANCE: int = 1  # H where it is fixed; covariance of the source
    TARGET_FACTOR: int = 2  # B, fixed target A_k = B B^T with B = TARGET_FACTOR[:t_k, :rank_k]
    TRANSITION: int = 3  # moving target: E[Xhat_s X_t] = TRANSITION[t, s] C[s, s]
    # the iterate
    GAINS: int = 4  # K
    NOISE: int = 5  # S = H - K K^T on the active block
    DUAL: int = 6  # Q
    RECONSTRUCTION: int = 7  # H
    TRIAL_GAINS: int = 8
    TRIAL_NOISE: int = 9
    STEP_GAINS: int = 10
    STEP_NOISE: int = 11
    STEP_DUAL: int = 12
    STEP_RECONSTRUCTION: int = 13
    # of one Newton step
    SCALING: int = 14  # V, V S V = Q
    NOISE_INVERSE: int = 15  # S^-1
    SCALED_GAINS: int = 16  # V K
    SCALED_GRAM: int = 17  # K^T V K
    # scratch: no kernel reads what another one left here, unless its docstring says so
    ROOT: int = 18
    SECOND_ROOT: int = 19
    PRODUCT: int = 20
    ROTATION: int = 21
    # of one point
    FULL_ESTIMATE: int = 22  # E of all frames, before degenerate ones are taken out
    FULL_GAINS: int = 23  # K of all frames
    FULL_NOISE_FACTOR: int = 24  # N, H = K K^T + N N^T
    FULL_FACTOR: int = 25  # G, H = G G^T
    FULL_TARGET_FACTOR: int = 26  # factor of the covariance that H is compared with
    SOURCE_FACTOR: int = 27  # factor of the covariance of the source, without degenerate frames
    PAST_BASIS: int = 28  # E[y_i u_j]
    # of the certificates
    TARGET_COVARIANCE: int = 29  # A
    CONJUGATE: int = 30  # L = -N (I - N / mu)^-1
    COLUMN: int = 31  # in its row 0, a column of the Lagrangian's minimum
    WEIGHTED: int = 32  # V^T Z V, N* = B Z B^T
    # from here: five for each threshold, then those of `tie_slot` and `slope_slot` for each frame
    PER_THRESHOLD: int = 33


class _PerThreshold(NamedTuple):
    """Slots of mats for threshold k, counted from `threshold_slot(k)`."""

    SLOPE: int = 0  # I - Phi^-1, gradient of f_k in H
    TARGET_SLOPE: int = 1  # I - Phi, gradient of f_k in A, which moves
    RECONSTRUCTION_BASIS: int = 2  # Y = U / singular values
    TARGET_BASIS: int = 3  # W = U^-T where A moves; U where it is fixed
    LEFT_SINGULAR: int = 4  # V of B^T R; that of one step is nearly that of the next


class _Vector(NamedTuple):
    """Rows of vecs."""

    WEIGHTS: int = 0
    LEVEL: int = 1  # P_k
    VARIANCE: int = 2
    MU: int = 3
    SLACK: int = 4  # P_k - f_k
    STEP_MU: int = 5
    CROSS: int = 6  # C[s, s]
    STEP_CROSS: int = 7
    GRADIENT: int = 8
    SQUARE: int = 9  # a vector whose square is added to the Newton matrix
    DIAGONAL: int = 10  # scales the Newton matrix to a unit diagonal
    SCRATCH: int = 11
    SOLUTION: int = 12  # right-hand side and solution of a small system
    LAST_ROW: int = 13  # last row of B in the basis of the singular vectors
    MMSE: int = 14
    STRETCH: int = 15  # sqrt(gamma) of a frame that stands for several
    SCALE: int = 16  # Xhat_t = SCALE[t] Xhat_owner
    FRAME_LEVEL: int = 17  # thresholds of the frames that are left
    BOUND_MU: int = 18
    BOUND_COST: int = 19  # tr A_t L_t where the solver knows it, else nan
    INNOVATION: int = 20  # of Xtil_t given the past, in u
    X0: int = 21
    X: int = 22
    INTERIOR: int = 23  # X of the barrier method
    FREE_DIRECTION: int = 24  # direction of a continuation that W2 leaves free
    SINGULAR_VALUES: int = 25  # from here: of B^T R, one row for each threshold


class _Index(NamedTuple):
    """Rows of ints."""

    DIMS: int = 0  # see Dim
    WIDTH: int = 1  # columns that row i of K may use
    SIZE: int = 2  # t_k
    RANK: int = 3
    KEPT: int = 4
    OWNER: int = 5
    FRAME: int = 6
    KIND: int = 7  # from here: Entry of each row of H, then the rows of `tied_slot`


class _Dim(NamedTuple):
    """Columns of ints[Index.DIMS]."""

    ROWS: int = 0  # of K
    COLUMNS: int = 1  # of K
    FRAMES: int = 2  # in H
    THRESHOLDS: int = 3
    MOVING: int = 4  # 1 where the target of the thresholds moves with H (SA), else 0


class _Big(NamedTuple):
    """Slots of big."""

    MATRIX: int = 0
    SYSTEM: int = 1
    BASIS: int = 2


class _Entry(NamedTuple):
    """Kinds of entries of H."""

    FREE: int = 0
    FIXED: int = 1
    TIED: int = 2  # linear in a row of K


class _Number(NamedTuple):
    """Numbers that kernels get as arguments: for a literal, numba compiles the kernel once more."""

    ZERO: int = 0
    ONE: int = 1
    TWO: int = 2
    SIX: int = 6


Matrix = _Matrix()
PerThreshold = _PerThreshold()
Vector = _Vector()
Index = _Index()
Dim = _Dim()
Big = _Big()
Entry = _Entry()
Number = _Number()


@part
def new_work(frames: int) -> tuple[Array, Array, Array, Array]:
    """Allocate ints, mats, vecs, big for up to `frames` frames."""
    count = max(frames * (frames + 1) + frames, 5)
    ints = np.zeros((Index.KIND + 2 * frames, count), np.int64)
    mats = np.zeros((Matrix.PER_THRESHOLD + 7 * frames, frames, frames))
    vecs = np.zeros((Vector.SINGULAR_VALUES + frames, count))
    big = np.zeros((3, count + 2, count + 2))
    return ints, mats, vecs, big
