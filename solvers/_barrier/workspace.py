"""Workspace of the compiled solvers: four arrays, and names for their parts.

Kernels take the same few arrays and address matrices by slot, mats[GAINS, i, j]. Views and tuples
of arrays cost more than the arithmetic at two or three frames, and minutes of compilation.

    mats (slots, T, T)   matrices           ints (rows, N)   dimensions and index lists
    vecs (rows, N)       vectors            big (3, M, M)    Newton matrix, its factor, a basis

N = T (T + 1) + T is the number of coordinates (K, H, C[s, s]).
"""

from __future__ import annotations

import numpy as np
from numba import njit

Array = np.ndarray

# -- mats: the program ---------------------------------------------------------------------------
ESTIMATE = 0  # E, factor of the MMSE estimate in white variables
COVARIANCE = 1  # H where it is fixed; law of the source
FACTOR = 2  # B, fixed target A_k = B B^T with B = FACTOR[:t_k, :rank_k]
PHI = 3  # moving target: E[Xhat_s X_t] = PHI[t, s] C[s, s]
# -- mats: the iterate ---------------------------------------------------------------------------
GAINS = 4  # K
NOISE = 5  # S = H - K K^T on the active block
DUAL = 6  # Q
SHOWN = 7  # H
TRIAL_GAINS = 8
TRIAL_NOISE = 9
STEP_GAINS = 10
STEP_NOISE = 11
STEP_DUAL = 12
STEP_SHOWN = 13
# -- mats: scratch -------------------------------------------------------------------------------
SCALING = 14  # V, V S V = Q
INVERSE = 15  # S^-1
ROOT = 16
BACK = 17
PRODUCT = 18
ROTATION = 19
WEIGHTED = 20
MIDDLE = 21
# -- mats: one point -----------------------------------------------------------------------------
FULL_ESTIMATE = 22  # E of all frames, before degenerate ones are taken out
FULL_GAINS = 23  # K of all frames
FULL_NOISE = 24  # N, H = K K^T + N N^T
FULL_ROOT = 25  # G, H = G G^T
TARGET = 26  # factor of the law compared with
LAW = 27  # factor of the law of the source, without degenerate frames
MEANING = 28  # E[y_i u_j]
FIXED_SLOTS = 29
# then for each threshold k: SLOPE, OTHER, SCALED, WEAVE, TURN at threshold_slot(k)
SLOPE = 0  # I - Phi^-1, gradient of f_k in its second argument
OTHER = 1  # I - Phi, gradient in the first
SCALED = 2  # Y = U / singular values
WEAVE = 3  # W = U^-T
TURN = 4  # V, left singular vectors of B^T R; those of one step are nearly those of the next
# then for each frame t: TIES (row t of H in terms of K) and BOUND_SLOPE (N_t of the certificate)

# -- vecs ----------------------------------------------------------------------------------------
WEIGHTS = 0
LEVEL = 1  # P_k
VARIANCE = 2
MU = 3
SLACK = 4  # P_k - f_k
STEP_MU = 5
OWN = 6  # C[s, s]
STEP_OWN = 7
GRADIENT = 8
FEATURE = 9
SCRATCH = 10
MMSE = 11
STRETCH = 12  # sqrt(gamma) of a frame that stands for several
SCALE = 13  # Xhat_t = SCALE[t] Xhat_owner
LEVELS = 14  # thresholds of the frames left
BOUND_MU = 15
LEFT = 16  # what of Xtil_t the past does not span, in u
X0 = 17
X = 18
BOUND_COST = 19  # tr A_t L_t where the solver knows it, else nan
ASIDE = 20  # direction of a continuation that W2 leaves free
FIXED_VECS = 21  # then the singular values of each threshold

# -- ints ----------------------------------------------------------------------------------------
DIMS = 0  # rows of K, its columns, frames in H, thresholds, moving target 0/1
WIDTH = 1  # columns that row i of K may use
SIZE = 2  # t_k
RANK = 3
KEPT = 4
OWNER = 5
FRAME = 6
FIXED_INTS = 7  # then KIND and TIE_ROW of each row of H

# -- big -----------------------------------------------------------------------------------------
MATRIX = 0
SYSTEM = 1
BASIS = 2

FREE, FIXED, TIED = 0, 1, 2


@njit(cache=True)
def new_work(frames: int) -> tuple[Array, Array, Array, Array]:
    """Allocate ints, mats, vecs, big for up to `frames` frames."""
    count = max(frames * (frames + 1) + frames, 5)
    ints = np.zeros((FIXED_INTS + 2 * frames, count), np.int64)
    mats = np.zeros((FIXED_SLOTS + 7 * frames, frames, frames))
    vecs = np.zeros((FIXED_VECS + frames, count))
    big = np.zeros((3, count + 2, count + 2))
    return ints, mats, vecs, big


@njit(cache=True)
def threshold_slot(k: int) -> int:
    """First of the five matrices of threshold k."""
    return FIXED_SLOTS + 5 * k


@njit(cache=True)
def tie_slot(mats: Array, i: int) -> int:
    """Matrix of the coefficients of row i of H: mats[slot, j, c] times K[row, c]."""
    return FIXED_SLOTS + 5 * mats.shape[1] + i


@njit(cache=True)
def slope_slot(mats: Array, t: int) -> int:
    """Matrix N_t of the certificate."""
    return FIXED_SLOTS + 6 * mats.shape[1] + t
