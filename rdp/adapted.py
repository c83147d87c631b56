"""Adapted Wasserstein distance between Gaussian processes with vector frames."""

from __future__ import annotations

import numpy as np

from rdp import _check
from rdp.gaussian import psd_cholesky

Array = np.ndarray


def block_adapted_w2(
    cov_a: object, cov_b: object, size: int, mean_a: object = 0.0, mean_b: object = 0.0
) -> float:
    r"""Squared adapted Wasserstein-2 distance between Gaussian processes with frames in R^d.

    Minimum of :math:`E\|A - B\|^2` over bicausal couplings,

    .. math:: \|\mu_A - \mu_B\|^2 + \operatorname{tr}\Sigma_A + \operatorname{tr}\Sigma_B
              - 2 \sum_t \|(L_A^T L_B)_{tt}\|_*,

    with lower-triangular factors and the nuclear norm of each d x d block on the diagonal.

    Parameters
    ----------
    cov_a, cov_b : (T d, T d) arrays
        Covariances over time, frame after frame, singular ones included.
    size : int
        d.
    mean_a, mean_b : number or (T d,) array
        Means.

    Returns
    -------
    float, >= 0, squared units

    Raises
    ------
    ValueError
        Matrices that are not square, of different sizes, or not a multiple of d.

    Notes
    -----
    Gunasingam and Wong, arXiv:2404.06625, for scalar frames; a block is free to be turned by an
    orthogonal matrix, which gives the nuclear norm. For d = 1, `rdp.gaussian.adapted_w2`.

    Examples
    --------
    >>> block_adapted_w2(np.eye(2), [[1.0, 1.0], [1.0, 1.0]], size=1)
    2.0
    """
    a = psd_cholesky(_check.array("cov_a", cov_a, ndim=2))
    b = psd_cholesky(_check.array("cov_b", cov_b, ndim=2))
    d = _check.count("size", size)
    if a.shape != b.shape or len(a) % d:
        raise ValueError(
            f"cov_b: expected the shape of cov_a and a multiple of {d}, got {a.shape} and {b.shape}"
        )
    shift = np.broadcast_to(
        _check.array("mean_a", mean_a) - _check.array("mean_b", mean_b), len(a)
    )
    matched = 0.0
    for start in range(0, len(a), d):
        block = slice(start, start + d)
        matched += float(np.linalg.svd(a[:, block].T @ b[:, block], compute_uv=False).sum())
    total = float((shift**2).sum() + (a**2).sum() + (b**2).sum())
    return max(total - 2 * matched, 0.0)
