"""Gaussian algebra that is correct for singular covariances too.

Low rates produce singular covariances, where Cholesky raises and sqrtm returns nan. All functions
use eigenvalues or singular values with clipping. They broadcast over leading axes, and raise
ValueError for matrices that are not square, of different sizes, or clearly not positive
semidefinite.
"""

from __future__ import annotations

import numpy as np

from rdp import _check

Array = np.ndarray

_EPS = np.finfo(np.float64).eps
_LARGE = 1e-3  # of the largest singular value, above which vectors keep nearly all digits


def _covariance(name: str, value: object) -> Array:
    """Return square matrices, symmetrised, or raise ValueError naming `name`."""
    out = _check.finite(name, _check.array(name, value))
    if out.ndim < 2 or out.shape[-1] != out.shape[-2]:
        raise ValueError(f"{name}: expected square matrices (..., k, k), got shape {out.shape}")
    return 0.5 * (out + np.swapaxes(out, -1, -2))


def _pair(cov_a: object, cov_b: object) -> tuple[Array, Array]:
    """Return two covariances of the same number of variables, or raise ValueError."""
    a, b = _covariance("cov_a", cov_a), _covariance("cov_b", cov_b)
    if a.shape[-1] != b.shape[-1]:
        raise ValueError(f"cov_b: expected {a.shape[-1]} variables like cov_a, got {b.shape[-1]}")
    return a, b


def _traces(a: Array, b: Array) -> Array:
    """Sum of the two traces: the total variance of both."""
    return np.trace(a, axis1=-2, axis2=-1) + np.trace(b, axis1=-2, axis2=-1)


def _eigen(cov: Array, name: str) -> tuple[Array, Array]:
    """Eigenvalues and vectors; eigenvalues within rounding of zero are set to zero."""
    values, vectors = np.linalg.eigh(cov)
    top = np.abs(values).max(axis=-1, keepdims=True, initial=0.0)
    if (values < -1e-6 * top).any():
        raise ValueError(
            f"{name}: expected a positive semidefinite matrix, got eigenvalue {values.min():g}"
        )
    return np.where(values > cov.shape[-1] * _EPS * top, values, 0.0), vectors


def psd_sqrt(cov: object) -> Array:
    """Symmetric square root of positive semidefinite matrices, singular ones included.

    Parameters
    ----------
    cov : (..., k, k) array
        Covariances. Eigenvalues within rounding of zero are taken as zero.

    Examples
    --------
    >>> psd_sqrt([[4.0, 0.0], [0.0, 0.0]])
    array([[2., 0.],
           [0., 0.]])
    """
    values, vectors = _eigen(_covariance("cov", cov), "cov")
    return (vectors * np.sqrt(values)[..., None, :]) @ np.swapaxes(vectors, -1, -2)


def _factor(cov: Array, name: str) -> Array:
    """Any F with F F^T = cov: eigenvectors times the roots of their eigenvalues."""
    values, vectors = _eigen(cov, name)
    return vectors * np.sqrt(values)[..., None, :]


def psd_cholesky(cov: object) -> Array:
    """Lower-triangular factor of covariances (..., k, k), singular ones included.

    Column s is the effect of the innovation of variable s given the variables before it. If they
    determine variable s, its column is zero. The diagonal is non-negative.

    Examples
    --------
    >>> psd_cholesky([[1.0, 1.0], [1.0, 1.0]])
    array([[1., 0.],
           [1., 0.]])
    """
    rest = _covariance("cov", cov).copy()
    size = rest.shape[-1]
    floor = size * _EPS * np.diagonal(rest, axis1=-2, axis2=-1)
    factor = np.zeros_like(rest)
    for s in range(size):
        pivot = rest[..., s, s]
        keep = pivot > floor[..., s]
        column = np.where(
            keep[..., None], rest[..., :, s] / np.sqrt(np.where(keep, pivot, 1.0))[..., None], 0.0
        )
        column[..., :s] = 0.0
        factor[..., :, s] = column
        rest -= column[..., :, None] * column[..., None, :]
    return factor


def bures(cov_a: object, cov_b: object) -> Array:
    r"""Squared Wasserstein-2 distance between centred Gaussian distributions.

    .. math:: \min E\|A - B\|^2 = \operatorname{tr} \Sigma_A + \operatorname{tr} \Sigma_B
              - 2 \operatorname{tr} (\Sigma_A^{1/2} \Sigma_B \Sigma_A^{1/2})^{1/2}.

    Parameters
    ----------
    cov_a, cov_b : (..., k, k) arrays
        Covariances, singular ones included; leading axes broadcast.

    Returns
    -------
    (...) array, >= 0, squared units

    Notes
    -----
    The trace of the root is computed as the nuclear norm of :math:`F^T G`, with factors
    :math:`\Sigma_A = F F^T` and :math:`\Sigma_B = G G^T`. Singular values keep absolute accuracy;
    square roots of eigenvalues lose half of the digits.

    Examples
    --------
    >>> float(bures([[4.0]], [[1.0]]))
    1.0
    """
    a, b = _pair(cov_a, cov_b)
    product = np.swapaxes(_factor(a, "cov_a"), -1, -2) @ _factor(b, "cov_b")
    fidelity = np.linalg.svd(product, compute_uv=False).sum(axis=-1)
    return np.maximum(_traces(a, b) - 2 * fidelity, 0.0)


def bures_of_factors(factor_a: object, factor_b: object) -> float:
    r"""Squared Wasserstein-2 distance of two covariances :math:`A A^T` and :math:`B B^T`.

    Parameters
    ----------
    factor_a, factor_b : (k, n) and (k, m) arrays
        Any factors.

    Returns
    -------
    float, >= 0, squared units
        Never below the distance but by the rounding of its root, as a coupling has it. That is
        the rounding of the factors.

    Notes
    -----
    With the singular value decomposition :math:`A^T B = U S V^T` the best coupling is
    :math:`A U w` against :math:`B V w`, w white, what is left of both independent. Its squared
    distance is a sum of squares. :func:`bures` subtracts traces, so that its rounding is that of
    the traces. Rounding mixes the singular vectors of small singular values. So only those of
    large ones are taken, and what they leave of both factors is decomposed anew. Derived in this
    project.

    Examples
    --------
    >>> bures_of_factors([[1.0, 0.0], [0.0, 1e-12]], [[1.0, 0.0], [0.0, 3e-12]])
    4e-24
    """
    a, b = _check.array("factor_a", factor_a), _check.array("factor_b", factor_b)
    if a.ndim != 2 or b.ndim != 2 or len(a) != len(b):
        raise ValueError(f"factor_b: expected as many rows as factor_a, got {a.shape}, {b.shape}")
    total, rounding = 0.0, _EPS**2 * float((a**2).sum() + (b**2).sum())
    while True:
        rest = float((a**2).sum() + (b**2).sum())
        if not a.size or not b.size or rest <= rounding:
            return total + rest
        left, values, right = np.linalg.svd(a.T @ b)
        large = int(np.count_nonzero(values > _LARGE * values[0]))
        if not large:  # uncorrelated
            return total + rest
        a, b = a @ left, b @ right.T
        total += float(((a[:, :large] - b[:, :large]) ** 2).sum())
        a, b = a[:, large:], b[:, large:]


def bures_of_prefixes(cov_a: object, cov_b: object, apart: Array | None = None) -> Array:
    r"""Squared Wasserstein-2 distances of the first variable, of the first two, and so on.

    Parameters
    ----------
    cov_a, cov_b : (..., k, k) arrays
        Covariances, singular ones included; leading axes broadcast.
    apart : (..., k) bool array, or None
        Entries to compute; the others are known to be 0. None computes all.

    Returns
    -------
    (..., k) array, >= 0, squared units
        Entry t - 1 is :func:`bures` of the first t variables.

    Notes
    -----
    The triangular factor of the first t variables is the leading block of the whole factor, and
    :math:`L_A^T L_B` of t variables is that of t - 1 plus one product of rows. So no prefix is
    factored, and only its singular values are computed.

    Examples
    --------
    >>> bures_of_prefixes([[4.0, 0.0], [0.0, 9.0]], [[1.0, 0.0], [0.0, 1.0]])
    array([1., 5.])
    """
    a, b = _pair(cov_a, cov_b)
    a, b = np.broadcast_arrays(a, b)
    wanted = np.ones(a.shape[:-1], bool) if apart is None else np.asarray(apart, dtype=bool)
    out = np.zeros(a.shape[:-1])
    if not wanted.any():
        return out
    left, right = psd_cholesky(a), psd_cholesky(b)
    product = np.zeros_like(left)
    own = np.diagonal(a, axis1=-2, axis2=-1) + np.diagonal(b, axis1=-2, axis2=-1)
    traces = own.cumsum(axis=-1)
    for t in range(left.shape[-1]):
        product += left[..., t, :, None] * right[..., t, None, :]
        chosen = wanted[..., t]
        if chosen.any():
            seen = product[chosen, : t + 1, : t + 1]
            fidelity = np.linalg.svd(seen, compute_uv=False).sum(axis=-1)
            out[chosen, t] = np.maximum(traces[chosen, t] - 2 * fidelity, 0.0)
    return out


def gelbrich(mean_a: object, cov_a: object, mean_b: object, cov_b: object) -> Array:
    r"""Gelbrich's lower bound on squared W2, exact for Gaussian distributions.

    :math:`W_2^2 \ge \|\mu_A - \mu_B\|^2 + \operatorname{Bures}(\Sigma_A, \Sigma_B)` for any two
    distributions with these means (..., k) and covariances (..., k, k).

    Examples
    --------
    >>> float(gelbrich([1.0], [[4.0]], [0.0], [[1.0]]))
    2.0
    """
    shift = _check.array("mean_a", mean_a) - _check.array("mean_b", mean_b)
    return (shift**2).sum(axis=-1) + bures(cov_a, cov_b)


def kl_divergence(mean_a: object, cov_a: object, mean_b: object, cov_b: object) -> Array:
    r"""Kullback-Leibler divergence KL(A || B) between Gaussian distributions, in nats.

    .. math:: \tfrac12 \big[\operatorname{tr} \Sigma_B^{-1} \Sigma_A - k
              + \ln \tfrac{\det \Sigma_B}{\det \Sigma_A}
              + (\mu_A - \mu_B)^T \Sigma_B^{-1} (\mu_A - \mu_B)\big].

    Means have the shape (..., k), covariances (..., k, k). If B is singular, the distributions are
    compared on its support. The result is inf if A has mass outside the support of B, or a lower
    rank than B.

    Examples
    --------
    >>> float(kl_divergence([0.0], [[1.0]], [0.0], [[1.0]]))
    0.0
    >>> float(kl_divergence([0.0], [[0.0]], [0.0], [[1.0]]))
    inf
    """
    a, b = _pair(cov_a, cov_b)
    shift = _check.array("mean_a", mean_a) - _check.array("mean_b", mean_b)
    values, vectors = _eigen(b, "cov_b")
    support = values > 0
    inverse = np.where(support, 1 / np.where(support, values, 1.0), 0.0)
    whiten = vectors * np.sqrt(inverse)[..., None, :]
    inside = np.swapaxes(whiten, -1, -2) @ a @ whiten
    ratio, _ = _eigen(inside, "cov_a")
    moved = np.swapaxes(vectors, -1, -2) @ shift[..., None]
    variance_off = np.einsum("...ik,...ij,...jk->...k", vectors, a, vectors)
    top = np.trace(a, axis1=-2, axis2=-1)[..., None] + values.max(axis=-1, keepdims=True)
    tiny = 1e-12 * top + 1e-300
    outside = (~support & ((variance_off > tiny) | (moved[..., 0] ** 2 > tiny))).any(axis=-1)
    rank = support.sum(axis=-1)
    # ratio is in ascending order; its first entries belong to the null space of b
    used = np.arange(ratio.shape[-1]) >= ratio.shape[-1] - rank[..., None]
    with np.errstate(divide="ignore"):
        logs = np.where(used, np.log(np.where(used, ratio, 1.0)), 0.0).sum(axis=-1)
    quadratic = (inverse * moved[..., 0] ** 2).sum(axis=-1)
    value = 0.5 * (np.where(used, ratio, 0.0).sum(axis=-1) - rank - logs + quadratic)
    return np.where(outside, np.inf, np.maximum(value, 0.0))


def adapted_w2(cov_a: object, cov_b: object) -> Array:
    r"""Squared adapted Wasserstein-2 distance between centred Gaussian processes.

    Minimum of :math:`E\|A - B\|^2` over bicausal couplings:
    :math:`\operatorname{tr}\Sigma_A + \operatorname{tr}\Sigma_B - 2 \sum_t |(L_A^T L_B)_{tt}|`
    with L the lower-triangular factors.

    Parameters
    ----------
    cov_a, cov_b : (..., k, k) arrays
        Covariances over time, singular ones included.

    Returns
    -------
    (...) array, >= 0, squared units; never below :func:`bures`

    Notes
    -----
    Gunasingam and Wong, arXiv:2404.06625, for regular covariances. For singular ones the factor has
    a zero column for each frame without an innovation.

    Examples
    --------
    >>> float(adapted_w2([[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]]))
    2.0
    """
    a, b = _pair(cov_a, cov_b)
    matched = np.abs(np.einsum("...ij,...ij->...j", psd_cholesky(a), psd_cholesky(b))).sum(axis=-1)
    return np.maximum(_traces(a, b) - 2 * matched, 0.0)


def mutual_information(cov: object, first: int) -> Array:
    r"""Mutual information between the first variables of a Gaussian vector and the rest, in bits.

    :math:`I = -\tfrac12 \sum_i \log_2 (1 - c_i^2)` over the canonical correlations
    :math:`c_i`; inf if one group determines a direction of the other exactly.

    Parameters
    ----------
    cov : (..., k, k) array
        Joint covariance, singular ones included.
    first : int
        Number of variables in the first group, 1 <= first < k.

    Examples
    --------
    >>> float(mutual_information([[1.0, 0.5**0.5], [0.5**0.5, 1.0]], 1).round(12))
    0.5
    """
    joint = _covariance("cov", cov)
    if not 0 < _check.count("first", first) < joint.shape[-1]:
        raise ValueError(f"first: expected a number below {joint.shape[-1]}, got {first}")
    whitened = _whitener(joint[..., :first, :first]) @ joint[..., :first, first:]
    whitened = whitened @ np.swapaxes(_whitener(joint[..., first:, first:]), -1, -2)
    correlations = np.linalg.svd(whitened, compute_uv=False)
    unexplained = (1 - correlations) * (1 + correlations)
    exact = unexplained < 4 * joint.shape[-1] * _EPS
    bits = -0.5 * np.log2(np.where(exact, 1.0, unexplained))
    return np.where(exact, np.inf, bits).sum(axis=-1)


def _whitener(cov: Array) -> Array:
    """Inverse square root of a covariance on its support."""
    values, vectors = _eigen(cov, "cov")
    root = np.where(values > 0, 1 / np.sqrt(np.where(values > 0, values, 1.0)), 0.0)
    return root[..., :, None] * np.swapaxes(vectors, -1, -2)
