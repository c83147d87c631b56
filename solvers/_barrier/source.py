r"""Source and MMSE estimate of one point."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from solvers._barrier.workspace import Matrix, Vector
from solvers._parts import part

Array = np.ndarray


class Source(NamedTuple):
    """Source and loss, the same for all points."""

    plf: int  # JD or SA of solvers._barrier.constants
    gain: Array  # (T,)
    innovation: Array  # (T,)
    variance: Array  # (T,)
    transition: Array  # (T, T) phi[t, s]: E[X_t | X_s] = phi[t, s] X_s, t >= s
    root: Array  # (T, T) factor of the covariance, phi[t, s] sqrt(q_s)


@part
def set_backbone(source: Source, rates: Array, mats: Array, vecs: Array) -> None:
    """MMSE of all frames and FULL_ESTIMATE E, the factor of the estimate Xtil = E u.

    m_t = 2^(-2 R_t) v_t, v_t = a_t^2 m_(t-1) + q_t, E[t, s] = phi[t, s] sqrt(v_s - m_s).
    """
    previous = 0.0
    for s in range(len(rates)):
        v = source.gain[s] * source.gain[s] * previous + source.innovation[s]
        exponent = -2.0 * math.log(2.0) * rates[s]
        previous = math.exp(exponent) * v
        vecs[Vector.MMSE, s] = previous
        scale = math.sqrt(-math.expm1(exponent) * v)
        for t in range(len(rates)):
            mats[Matrix.FULL_ESTIMATE, t, s] = source.transition[t, s] * scale if t >= s else 0.0
