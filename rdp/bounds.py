"""Bounds for real codecs: limits of all schemes, and the cost of short blocks and less randomness.

Each function says for which sources, codecs and objectives its bound holds. All functions raise
ValueError for negative or NaN values and for shapes that do not match.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from rdp import _check, gaussian
from rdp.closed_form import mmse as mmse_distortion
from rdp.linear_source import need_first_order
from rdp.mmse import mmse_recursion
from rdp.source import GaussMarkov

Array = np.ndarray


def one_shot_rate(information: object) -> Array:
    r"""Bits that a prefix code needs at most for one frame, where theory needs I bits.

    .. math:: I \le R \le I + \log_2(I + 1) + 5.

    Parameters
    ----------
    information : array, >= 0, bits
        Mutual information I of the test channel; inf allowed.

    Returns
    -------
    array, bits
        The upper end of the range.

    Notes
    -----
    Any source. The test channel is simulated exactly from common randomness (strong functional
    representation lemma, Li and El Gamal, arXiv:1701.02827). A prefix code sends the index.

    Examples
    --------
    >>> one_shot_rate([0.0, 1.0])
    array([5., 7.])
    """
    bits = _check.nonnegative("information", information)
    return bits + np.log2(bits + 1) + 5


def factor_two(mmse: object) -> Array:
    r"""Upper bound on the distortion at perfect realism, given the error of the MMSE estimate.

    .. math:: \min \{ D_t : \text{perfect realism} \} \le 2 m_t \quad \text{(PLF-FMD and PLF-SA)}.

    Parameters
    ----------
    mmse : array, >= 0
        Error m_t of the MMSE estimate from the representation.

    Notes
    -----
    Any source and any encoder. One decoder has exactly this distortion: it draws X_t from its
    distribution given the representations so far and the earlier reconstructions. Yan et al.,
    arXiv:2106.02782, for one frame. PLF-JD has no such bound: with R_1 = 0 and infinite later
    rates, m_t = 0 but D_t > 0.

    Examples
    --------
    >>> float(factor_two(0.25))
    0.5
    """
    return 2 * _check.nonnegative("mmse", mmse)


def no_common_randomness(rate: object, sigma: object = 1.0) -> Array:
    r"""Least distortion of one frame at perfect realism when no randomness is shared: 2 D(R).

    Minimise :math:`E(X - \hat X)^2` subject to :math:`P_{\hat X} = P_X`, over messages M of rate R
    with :math:`X - M - \hat X` a Markov chain.

    Parameters
    ----------
    rate : array, >= 0, bits
        Rate R; inf allowed.
    sigma : array, > 0
        Standard deviation of the Gaussian frame; broadcasts with rate.

    Returns
    -------
    array, squared units of the source

    Notes
    -----
    With A = E[X|M] and B = E[Xhat|M], the distortion is E(X-A)^2 + E(A-B)^2 + E(Xhat-B)^2. The
    message has at most R bits about X and at most R bits about Xhat, which has the distribution of
    X. So the first and the last term are each at least D(R). Factor two: Yan et al.,
    arXiv:2106.02782.

    Two warnings. The 2 is relative to the best encoder of the rate. A codec whose own estimate has
    the error m > D(R) may have less than 2 m; its best decoder has m + W2^2(E[X|M], X), see
    :func:`fmd_distortion_at_perception`. And the bound is for one frame. With memory, the decoder
    can know more about Xhat_t than about X_t from the past: for R = (inf, 0) and PLF-FMD, D_2 is
    2 (1 - |rho|) sigma^2 without any randomness, but 2 m_2 = 2 (1 - rho^2) sigma^2.

    Examples
    --------
    >>> float(no_common_randomness(1.0))
    0.5
    """
    return limited_common_randomness(rate, 0.0, sigma)


def limited_common_randomness(rate: object, common: object, sigma: object = 1.0) -> Array:
    r"""Least distortion of one Gaussian frame at perfect realism with limited shared randomness.

    .. math:: D = 2 \sigma^2 \Big(1 - \sqrt{(1 - 2^{-2R})(1 - 2^{-2(R + R_c)})}\Big).

    Parameters
    ----------
    rate : array, >= 0, bits
        Rate R of the message.
    common : array, >= 0, bits
        Rate R_c of the randomness that encoder and decoder share; inf is unlimited.
    sigma : array, > 0
        Standard deviation of the source. The three arrays broadcast.

    Returns
    -------
    array, squared units of the source

    Notes
    -----
    Derived in this project. Let U be the message and the shared randomness together:
    :math:`I(X;U) \le R`, :math:`I(\hat X;U) \le R + R_c`, and :math:`X - U - \hat X`. Then
    :math:`E X \hat X = E[\,E[X|U] E[\hat X|U]\,]`. By Cauchy-Schwarz this is at most the product of
    the standard deviations of the two conditional means. Each of them is bounded by its mutual
    information, because X and Xhat are Gaussian. So no code of any length does better. Long codes
    reach it, with Gaussian U in the rate region of Saldi, Linder and Yuksel, arXiv:1411.5767.

    Examples
    --------
    >>> limited_common_randomness(1.0, [0.0, 1.0, np.inf]).round(4)
    array([0.5   , 0.3229, 0.2679])
    """
    bits = _check.nonnegative("rate", rate)
    shared = _check.nonnegative("common", common)
    sd = _check.positive("sigma", sigma)
    try:
        bits, shared, sd = np.broadcast_arrays(bits, shared, sd)
    except ValueError:
        raise ValueError(
            f"common: expected a shape that broadcasts with rate {bits.shape} and sigma "
            f"{sd.shape}, got {shared.shape}"
        ) from None
    # shares of the variance of X and of Xhat that remain given U
    rest_x, rest_xhat = np.exp2(-2 * bits), np.exp2(-2 * (bits + shared))
    # 1 - sqrt((1 - a)(1 - b)) without cancellation
    known = -np.expm1(-2 * np.log(2) * bits) * -np.expm1(-2 * np.log(2) * (bits + shared))
    return 2 * sd**2 * (rest_x + rest_xhat - rest_x * rest_xhat) / (1 + np.sqrt(known))


def permanence_bound(source: GaussMarkov, rates: object) -> Array:
    r"""Error permanence: a lower bound on D_t for every scheme with perfect joint realism.

    With standard deviations scaled to one, :math:`r_{st} = \operatorname{Cov}(X_s, X_t)` and
    :math:`A_t = 1 - m_t`,

    .. math:: D_t \ge 2 \max_{s \le t} \Big(1 - r_{st}^2 c_{st}
              - \sqrt{1 - r_{st}^2} \sqrt{A_t - r_{st}^2 c_{st}^2}\Big), \qquad
              c_{st} = \sqrt{\min(A_s, A_t)}.

    Parameters
    ----------
    source : GaussMarkov
        T scalar frames.
    rates : (..., T) array, bits per frame
        Rates, >= 0, inf allowed.

    Returns
    -------
    (..., T) array, squared units of the source

    Notes
    -----
    Derived in this project. It holds for any weights, decoder and amount of shared randomness.
    Because the reconstruction has the joint distribution of the source, Xhat_t = r Xhat_s + N with
    N uncorrelated with Xhat_s. Causality gives E[X_t Xhat_s] = r c, c = E[X_s Xhat_s] <= sqrt(A_s).
    By Cauchy-Schwarz E[X_t N] <= sqrt(1 - r^2) sqrt(A_t - r^2 c^2). The sum of both terms is
    largest at c = c_st. If nothing is known about frame 1,
    :math:`D_t \ge 2 \sigma_t^2 (1 - \sqrt{1 - r_{1t}^2})` at any later rates. For two frames the
    bound on each D_t is tight.

    Examples
    --------
    >>> source = GaussMarkov.stationary(rho=0.9, frames=3)
    >>> permanence_bound(source, [0.0, np.inf, np.inf]).round(4)
    array([2.    , 1.1282, 0.8271])
    """
    need_first_order("the closed form", source)
    if source.modes is not None:
        raise ValueError(f"source: expected scalar frames, got {source.modes} modes")
    backbone = mmse_recursion(source, rates)
    missing = backbone.mmse / source.variance
    known = backbone.variance / source.variance
    correlation = GaussMarkov(np.ones(source.frames), source.rho).transition()
    bound = np.zeros_like(missing)
    for t in range(source.frames):
        r = correlation[t, : t + 1]
        new = (1 - r) * (1 + r)
        m, a = missing[..., t, None], known[..., t, None]
        lost = np.maximum(missing[..., : t + 1], m)
        kept = np.minimum(known[..., : t + 1], a)  # c^2 = 1 - lost
        # A_t - c^2, from the smaller of A and 1 - A
        better = np.where(a < 0.5, a - kept, lost - m)
        # 1 + A - 2 E[Xtil Xhat] is a sum of two squares, each without cancellation
        total = np.sqrt(new) + np.sqrt(better + new * kept)
        short = (new * lost - better) / np.maximum(total, 1e-200)
        excess = (r * lost / (1 + np.sqrt(kept))) ** 2 + short**2
        bound[..., t] = missing[..., t] + excess.max(axis=-1)
    return source.variance * bound


def shared_encoder_gap(estimate: object, reconstruction: object) -> float:
    r"""Lower bound on the extra distortion of realism when the decoders share one encoder.

    .. math:: D_{plf} - D_{mmse} = E\|\tilde X - \hat X\|^2 \ge W_2^2(P_{\tilde X}, P_{\hat X})
              \ge \|\mu_{\tilde X} - \mu_{\hat X}\|^2
              + \operatorname{Bures}(\Sigma_{\tilde X}, \Sigma_{\hat X}).

    Parameters
    ----------
    estimate : (n, ...) array
        Samples of the MMSE estimate E[X | representation]; trailing axes are flattened.
    reconstruction : (n, ...) array
        Samples of a reconstruction from the same representation.

    Returns
    -------
    float
        Gelbrich's distance between the two sets of samples.

    Notes
    -----
    Any source. The samples need not be paired. The inequality holds for the empirical
    distributions, so the result bounds the mean squared difference of the samples without error.

    Examples
    --------
    >>> shared_encoder_gap([[1.0], [-1.0]], [[3.0], [-3.0]])
    4.0
    """
    first = _check.finite("estimate", _check.array("estimate", estimate))
    second = _check.finite("reconstruction", _check.array("reconstruction", reconstruction))
    if first.ndim == 0 or len(first) < 2:
        raise ValueError(f"estimate: expected at least 2 samples, got shape {first.shape}")
    if second.ndim == 0 or len(second) < 2 or second.shape[1:] != first.shape[1:]:
        raise ValueError(
            f"reconstruction: expected shape (n, {', '.join(map(str, first.shape[1:]))}) with at "
            f"least 2 samples, got {second.shape}"
        )
    return float(gaussian.gelbrich(*_moments(first), *_moments(second)))


def _moments(samples: Array) -> tuple[Array, Array]:
    flat = samples.reshape(len(samples), -1)
    mean = flat.mean(axis=0)
    return mean, (flat - mean).T @ (flat - mean) / len(flat)


def fmd_distortion_at_perception(mmse: object, distance: object, level: object) -> Array:
    r"""Least distortion of one encoder's best decoder at a framewise perception level.

    .. math:: D = m + \Big(\sqrt{d} - \sqrt P\Big)_+^2, \qquad d = W_2^2(P_X, P_{\tilde X}).

    Parameters
    ----------
    mmse : array, >= 0
        Error m of the MMSE estimate from the representation.
    distance : array, >= 0
        Squared Wasserstein-2 distance d between the frame and the MMSE estimate.
    level : array, >= 0
        Threshold P on squared W2; inf is free. The three arrays broadcast.

    Returns
    -------
    array, squared units of the source

    Notes
    -----
    Any source. The decoder moves along the Wasserstein geodesic from the distribution of the
    estimate to that of the frame. Freirich et al., arXiv:2107.02555, for one frame and estimator.

    Examples
    --------
    >>> fmd_distortion_at_perception(0.25, 0.25, [0.0, 0.0625, 1.0])
    array([0.5   , 0.3125, 0.25  ])
    """
    far = np.sqrt(_check.finite("distance", _check.nonnegative("distance", distance)))
    near = np.sqrt(_check.nonnegative("level", level))
    return _check.nonnegative("mmse", mmse) + np.maximum(far - near, 0.0) ** 2


def joint_support_bound(frames: object, candidates: Iterable[object]) -> Array:
    r"""Squared distance of each frame from the nearest frame that joint realism allows.

    .. math:: D_2 \ge E \min_{c \in \mathcal C(\hat X_1)} \|X_2 - c\|^2.

    Perfect joint realism makes :math:`\hat X_2` a point of the support of
    :math:`P(X_2 | X_1 = \hat X_1)`. If that support is a finite set, such as the shifts of a moving
    digit, the mean of the result is a lower bound on D_2 at any rate.

    Parameters
    ----------
    frames : (n, ...) array
        The second frames X_2.
    candidates : iterable of (n, ...) arrays
        One array for each point of the support, made from the first reconstructions: sample i of
        each array may follow Xhat_1 of sample i. They are used one by one, so a generator saves
        memory.

    Returns
    -------
    (n,) array
        The minimum for each sample. Its mean is the bound, its spread gives the error bar.

    Examples
    --------
    >>> joint_support_bound([[1.0, 0.0]], [[[0.0, 1.0]], [[0.5, 0.0]]])
    array([0.25])
    """
    target = _check.array("frames", frames)
    if target.ndim == 0:
        raise ValueError(f"frames: expected samples (n, ...), got {target!r}")
    nearest = None
    for candidate in candidates:
        array = _check.array("candidates", candidate)
        if array.shape != target.shape:
            raise ValueError(
                f"candidates: expected shape {target.shape} like frames, got {array.shape}"
            )
        distance = ((target - array) ** 2).reshape(len(target), -1).sum(axis=1)
        nearest = distance if nearest is None else np.minimum(nearest, distance)
    if nearest is None:
        raise ValueError("candidates: expected at least one, got none")
    return nearest


def gaussian_reference(x: object, rates: object) -> Array:
    r"""MMSE distortion of the Gauss-Markov model fitted to data; long codes reach it on the data.

    Parameters
    ----------
    x : (n, T) or (n, T, d) array
        Independent sequences of any distribution.
    rates : (..., T) or (..., T, d) array, bits per frame (and mode)
        Rates, >= 0, inf allowed.

    Returns
    -------
    array of the shape of rates, squared units of the data

    Notes
    -----
    It is an upper bound on the least distortion of the data. The Gaussian test channels have the
    same errors for all distributions with these second moments, and a Gaussian input has the
    largest mutual information. The bound needs X_t - a_t X_{t-1} to be uncorrelated with all
    earlier frames. Two frames of any data satisfy this.

    Examples
    --------
    >>> x = GaussMarkov.stationary(rho=0.9, frames=2).sample(100_000, rng=0)
    >>> gaussian_reference(x, [0.5, 0.5]).round(2)
    array([0.5, 0.3])
    """
    return mmse_distortion(GaussMarkov.from_samples(x).source, rates)
