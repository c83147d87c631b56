r"""Perfect realism when encoder and decoder share few random bits, frame by frame.

Frame t brings a message of rate R_t and shared random bits of rate R_c,t. Everything that the
decoder knows at frame t was chosen among :math:`2^{n S_t}` possibilities of a block of length n,

.. math:: S_t = \sum_{i \le t} (R_i + R_{c,i}),

so that bits already sent serve as shared randomness. Private randomness of the decoder is free.
This module keeps two kinds of statement apart:

- a **bound** is a converse: no code of any block length has less distortion;
- a **scheme** is a construction: long codes reach its distortion. Its second moments are exact and
  can be simulated; that long codes have them rests on soft covering by layered random codebooks,
  of which the argument is sketched here and not proved in detail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from rdp import _check
from rdp.linear_scheme import LinearScheme
from rdp.linear_source import need_first_order
from rdp.mmse import check_rates, estimate_factor, over_blocks, steps
from rdp.source import GaussMarkov

Array = np.ndarray

_NOTHING = 1e-100  # overlap relative to the largest: its square is a number, and no gain


def framewise_bound(source: GaussMarkov, rates: object, common: object) -> Array:
    r"""Lower bound on D_t under perfect framewise realism with limited common randomness.

    .. math:: D_t \ge 2\sigma_t^2 \Big(1 - \sqrt{(1 - m_t/\sigma_t^2)(1 - 2^{-2 S_t})}\Big).

    Parameters
    ----------
    source : GaussMarkov
        T frames, or T frames of d modes.
    rates : (..., T) array, or (..., T, d)
        Rate R_t of the message of each frame (and mode), bits, >= 0, inf allowed.
    common : float or array that broadcasts to the shape of rates
        Rate R_c,t of the shared random bits, >= 0; inf is unlimited.

    Returns
    -------
    array of the shape of rates, squared units of the source

    Raises
    ------
    ValueError
        Arrays of the wrong shape, negative or NaN.

    Notes
    -----
    Derived in this project. Let U be what the decoder knows of messages and shared bits. Then
    :math:`E X_t \hat X_t = E[E[X_t|U]\, E[\hat X_t|U]]`, by Cauchy-Schwarz at most the product of
    the deviations of the two conditional means. The first is at most that of the MMSE estimate; the
    second is bounded by :math:`I(\hat X_t; U) \le S_t`, as the reconstruction is Gaussian. The
    bound holds even if all shared bits are known to the encoder from the start. It is that of
    PLF-FMD for R_c = inf, and :func:`rdp.bounds.limited_common_randomness` for T = 1.
    :func:`framewise_scheme` often reaches it.

    Examples
    --------
    Without shared bits the first frame costs twice the MMSE distortion. Later frames draw on the
    bits of the earlier ones:

    >>> source = GaussMarkov.stationary(rho=0.9, frames=4)
    >>> framewise_bound(source, [0.5, 0.5, 0.5, 0.5], 0.0).round(5)
    array([1.     , 0.54828, 0.34296, 0.24886])
    """
    given, shared = _both(source, rates, common)

    def compute(block: Array, shared_block: Array) -> Iterator[Array]:
        estimate: Array | float = 0.0
        sent: Array | float = 0.0
        for step in steps(source, block):
            variance = source.variance[step.t]
            estimate = source.gain[step.t] ** 2 * estimate + step.captured() * step.v
            sent = sent + block[step.t] + shared_block[step.t]
            # 1 - sqrt((1 - a)(1 - b)) without cancellation
            a, b = step.m / variance, np.exp2(-2 * sent)
            both = estimate / variance * -np.expm1(-2 * np.log(2) * sent)
            yield 2 * variance * (a + b - a * b) / (1 + np.sqrt(both))

    return over_blocks(source, compute, given, shared)


def framewise_scheme(source: GaussMarkov, rates: object, common: object) -> LinearScheme:
    r"""Scheme with perfect framewise realism and limited common randomness, for scalar frames.

    With the white innovations u_j of the MMSE representation and
    :math:`\xi_j = E[\tilde X_t u_j] / \sigma_t`,

    .. math::
        \hat X_t = \sigma_t \Big(\sum_{j \le t} \beta_j u_j
                   + \sqrt{1 - {\textstyle\sum} \beta_j^2}\; z_t\Big), \qquad
        \max_\beta \sum_j \beta_j \xi_j \;\text{ s.t. }\;
        \sum_{j \le i} \beta_j^2 \le 1 - 2^{-2 S_i} \text{ for } i \le t.

    Parameters
    ----------
    source : GaussMarkov
        T scalar frames.
    rates : (T,) array, >= 0, bits
        Rate R_t of the message of each frame; inf allowed.
    common : float or (T,) array, >= 0, bits
        Rate R_c,t of the shared random bits; inf is unlimited.

    Returns
    -------
    LinearScheme
        Its `distortion` is the achievable value.

    Raises
    ------
    ValueError
        Vector frames; arrays of the wrong shape, negative or NaN.

    Notes
    -----
    Derived in this project. Layer j of the codebook has rate R_j + R_c,j. The output of the decoder
    looks like independent samples of N(0, sigma_t^2) if, for every i, the first i layers carry at
    least :math:`I(\hat X_t; u_1..u_i) = -\tfrac12 \log_2 (1 - \sum_{j\le i} \beta_j^2)` bits: soft
    covering by superposition codes. With :math:`\Xi_i = \sum_{j \le i} \xi_j^2` and
    :math:`B_i = 1 - 2^{-2S_i}`, the best running sum of :math:`\beta_j^2` is the greatest convex
    minorant of the points :math:`(\Xi_i, B_i)`.

    The scheme reaches :func:`framewise_bound` when the minorant is a straight line, as for a
    stationary source at constant rates. It does not when shared bits come late: the encoder of
    frame 1 cannot use bits that it does not have yet. If it learns the bits of frame t at frame t
    only, there is a tighter converse: Cauchy-Schwarz for each difference of the martingales
    E[X_t|U^i] and E[Xhat_t|U^i], maximised over representations and layers. Its value is a convex
    program, and it agrees with this scheme in all cases tried.

    Examples
    --------
    >>> source = GaussMarkov.stationary(rho=0.9, frames=2)
    >>> framewise_scheme(source, [0.5, 0.5], 0.0).distortion.round(5)
    array([1.     , 0.54828])
    >>> late = [0.0, np.inf]  # all the randomness comes at frame 2
    >>> framewise_scheme(source, [0.5, 0.5], late).distortion.round(4)
    array([1.    , 0.3286])
    >>> framewise_bound(source, [0.5, 0.5], late).round(4)
    array([1.    , 0.3237])
    """
    bits, sent = _one_point(source, rates, common)
    factor = estimate_factor(source, bits)
    total = np.cumsum(sent)
    decoder, noise = np.zeros_like(factor), np.zeros_like(factor)
    for t in range(source.frames):
        share, left = _layers(factor[t, : t + 1] / source.sigma[t], total[: t + 1])
        decoder[t, : t + 1] = source.sigma[t] * share
        noise[t, t] = source.sigma[t] * left
    return LinearScheme(source, bits, decoder, noise)


def joint_scheme(source: GaussMarkov, rates: object, common: object) -> LinearScheme:
    r"""Sequential scheme with perfect joint realism and limited common randomness, scalar frames.

    :math:`\hat X_t = a_t \hat X_{t-1} + \sqrt{q_t}\,(k'_t u_t + \sqrt{1 - k_t'^2}\, z_t)` with
    :math:`k'_t = \sqrt{1 - 2^{-2(R_t + R_{c,t})}}`, so that

    .. math:: D_t = a_t^2 D_{t-1} + 2 (q_t - \sqrt{q_t v_t}\, k_t k'_t), \qquad D_0 = 0.

    Parameters
    ----------
    source : GaussMarkov
        T scalar frames.
    rates : (T,) array, >= 0, bits
        Rate R_t of the message of each frame; inf allowed.
    common : float or (T,) array, >= 0, bits
        Rate R_c,t of the shared random bits; inf is unlimited.

    Returns
    -------
    LinearScheme
        Its `distortion` is the achievable value.

    Raises
    ------
    ValueError
        Vector frames; arrays of the wrong shape, negative or NaN.

    Notes
    -----
    Derived in this project. The innovation of the reconstruction given its past uses the bits of
    its own frame only. Among linear schemes of layers no other has a smaller :math:`D_2` at the
    least :math:`D_1`: frame 1 uses all bits of the first layer, so that the innovation of frame 2
    must not depend on that layer. (A search over all such schemes of two frames agrees.) Whether
    codes of another kind do better is open. :func:`framewise_bound` holds for it too, as joint
    realism implies framewise realism. R_c = inf gives PLF-JD without this limit, T = 1 gives
    :func:`rdp.bounds.limited_common_randomness`. Frames that the past determines (:math:`|\rho_t| =
    1`) pass their bits to the next frame that brings something new, which uses them as in
    :func:`framewise_scheme`.

    Examples
    --------
    Without shared bits the penalty of the start stays, at constant rates too:

    >>> source = GaussMarkov.stationary(rho=0.9, frames=60)
    >>> joint_scheme(source, np.full(60, 0.5), 0.0).distortion[[0, 1, 59]].round(5)
    array([1.     , 0.85377, 0.70359])
    """
    bits, sent = _one_point(source, rates, common)
    factor = estimate_factor(source, bits)
    decoder, noise = np.zeros_like(factor), np.zeros_like(factor)
    start = 0  # first frame whose bits no reconstruction has used yet
    for t in range(source.frames):
        decoder[t], noise[t] = source.gain[t] * decoder[t - 1], source.gain[t] * noise[t - 1]
        deviation = np.sqrt(source.innovation[t])
        if deviation > 0:
            layers = slice(start, t + 1)
            share, left = _layers(factor[t, layers] / source.sigma[t], np.cumsum(sent[layers]))
            decoder[t, layers] += deviation * share
            noise[t, t] = deviation * left
            start = t + 1
    return LinearScheme(source, bits, decoder, noise)


def framewise_achievable(source: GaussMarkov, rates: object, common: object) -> Array:
    """Distortion that :func:`framewise_scheme` achieves at each of several points.

    Parameters
    ----------
    source : GaussMarkov
        T scalar frames.
    rates : (..., T) array, >= 0, bits
        Rates of the messages.
    common : float or array that broadcasts to the shape of rates
        Rates of the shared random bits, >= 0; inf is unlimited.

    Returns
    -------
    (..., T) array, squared units of the source

    Examples
    --------
    >>> source = GaussMarkov.stationary(rho=0.9, frames=1)
    >>> framewise_achievable(source, [[1.0], [1.0], [1.0]], [[0.0], [1.0], [np.inf]]).T.round(4)
    array([[0.5   , 0.3229, 0.2679]])
    """
    return _each(framewise_scheme, source, rates, common)


def joint_achievable(source: GaussMarkov, rates: object, common: object) -> Array:
    """Distortion that :func:`joint_scheme` achieves at each of several points.

    Parameters
    ----------
    source : GaussMarkov
        T scalar frames.
    rates : (..., T) array, >= 0, bits
        Rates of the messages.
    common : float or array that broadcasts to the shape of rates
        Rates of the shared random bits, >= 0; inf is unlimited.

    Returns
    -------
    (..., T) array, squared units of the source

    Examples
    --------
    >>> source = GaussMarkov.stationary(rho=0.9, frames=2)
    >>> joint_achievable(source, [0.5, 0.5], np.inf).round(4)
    array([0.5858, 0.379 ])
    """
    return _each(joint_scheme, source, rates, common)


def _layers(overlap: Array, total: Array) -> tuple[Array, float]:
    """Best coefficients beta over layers with overlaps xi, and that of the decoder's noise.

    total[i] is the number of bits S_i of the layers up to i.
    """
    share = np.zeros_like(overlap)
    largest = np.abs(overlap).max()
    if largest == 0:
        return share, 1.0
    overlap = overlap / largest
    used = np.flatnonzero(np.abs(overlap) > _NOTHING)
    x = np.concatenate([[0.0], np.cumsum(overlap[used] ** 2)])
    y = np.concatenate([[0.0], -np.expm1(-2 * np.log(2) * total[used])])
    hull = [0]
    for i in range(1, len(x)):  # greatest convex minorant, from left to right
        while len(hull) > 1:
            p, q = hull[-2:]
            if (y[q] - y[p]) * (x[i] - x[q]) < (y[i] - y[q]) * (x[q] - x[p]):
                break
            hull.pop()
        hull.append(i)
    for p, q in pairwise(hull):
        block = used[p:q]
        rise, length = y[q] - y[p], np.linalg.norm(overlap[block])
        share[block] = np.sqrt(rise) * overlap[block] / length
    return share, float(np.exp2(-total[used[-1]]))


def _each(
    build: Callable[[GaussMarkov, object, object], LinearScheme],
    source: GaussMarkov,
    rates: object,
    common: object,
) -> Array:
    given, shared = _both(source, rates, common)
    out = np.empty(given.shape)
    for index in np.ndindex(given.shape[:-1]):
        out[index] = build(source, given[index], shared[index]).distortion
    return out


def _one_point(source: GaussMarkov, rates: object, common: object) -> tuple[Array, Array]:
    """Rates of one point, and the bits R_t + R_c,t of each frame."""
    need_first_order("the closed form", source)
    if source.modes is not None:
        raise ValueError(f"source: expected scalar frames, got {source.modes} modes")
    given, shared = _both(source, rates, common)
    if given.ndim != 1:
        raise ValueError(f"rates: expected shape ({source.frames},), got {given.shape}")
    return given, given + shared


def _both(source: GaussMarkov, rates: object, common: object) -> tuple[Array, Array]:
    given, shared = check_rates(source, rates), _check.nonnegative("common", common)
    try:
        given, shared = np.broadcast_arrays(given, shared)
    except ValueError:
        raise ValueError(
            f"common: expected a shape that broadcasts with rates {given.shape}, got {shared.shape}"
        ) from None
    return check_rates(source, given), shared
