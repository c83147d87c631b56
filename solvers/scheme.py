"""What a method returns to `solve`: the second moments of a scheme and a certified bound."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

Array = np.ndarray


class Scheme(NamedTuple):
    """A scheme by its second moments, and a lower bound on the objective.

    Parameters
    ----------
    cov_xhat : (T, T) or (d, T, T) array
        Covariance of the reconstruction.
    cross : (T, T) or (d, T, T) array
        C[t, s] = E[Xhat_t Xtil_s] for all t and s.
    mmse : (T,) or (T, d) array
        Errors m_t of the representation.
    lower_bound : float
        Certified bound on the objective.
    message : str
        How the solver got there.
    mode_rates : (T, d) array or None
        Bits of each mode, for vector frames.
    """

    cov_xhat: Array
    cross: Array
    mmse: Array
    lower_bound: float
    message: str = ""
    mode_rates: Array | None = None
