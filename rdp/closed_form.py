r"""Closed forms: distortion of every frame at given rates, without optimisation.

All are evaluated as :math:`D_t = m_t + E_t`: the MMSE distortion plus the squared distance of the
reconstruction from the MMSE estimate. This form has no cancellation at small and large rates:

.. math::
    \text{FMD: } E_t = \Big(\sigma_t - \sqrt{\sigma_t^2 - m_t} - \sqrt{P_t}\Big)_+^2, \quad
    \text{JD: } E_t = a_t^2 E_{t-1} + (\sqrt{q_t} - k_t \sqrt{v_t})^2, \quad
    \text{SA: } E_t = v_t (1 - k_t)^2.

The recursion of JD shows error permanence: a later frame inherits the excess of an earlier one with
gain :math:`a_t^2`, at any rate.

Every function raises ValueError for rates that are negative, NaN or of the wrong shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from rdp import _check
from rdp.linear_source import need_first_order
from rdp.mmse import check_rates, mmse_recursion, over_blocks, steps
from rdp.perception import FMD
from rdp.source import GaussMarkov

Array = np.ndarray

_LARGEST_SHRINKAGE = 600.0  # -ln of the least share of the variance that KL leaves


def mmse(source: GaussMarkov, rates: object) -> Array:
    """Least distortion of each frame without a perception constraint.

    Over causal codecs of rates R_1..R_T, one codec is best for all frames:
    D_t = m_t = 2^(-2 R_t) (a_t^2 m_{t-1} + q_t).

    Parameters
    ----------
    source : GaussMarkov, T frames or T frames of d modes
    rates : (..., T) array or (..., T, d), bits per frame (and mode), >= 0, inf allowed

    Returns
    -------
    (..., T) array or (..., T, d), squared units of the source

    Notes
    -----
    Ma and Ishwar, arXiv:cs/0701197; Tanaka et al., arXiv:1411.7632.

    Examples
    --------
    >>> mmse(GaussMarkov.stationary(rho=0.9, frames=2), [0.5, 0.5])
    array([0.5   , 0.2975])
    """
    given = check_rates(source, rates)
    return over_blocks(source, lambda block: (step.m for step in steps(source, block)), given)


def rate_for_distortion(source: GaussMarkov, distortion: object) -> Array:
    r"""Least rates, in bits per frame, for given MMSE distortions of each frame.

    .. math:: R_t = \max\{0, \tfrac12 \log_2(v_t / D_t)\}, \qquad
              v_t = a_t^2 \min(D_{t-1}, v_{t-1}) + q_t.

    Parameters
    ----------
    source : GaussMarkov, T frames or T frames of d modes
    distortion : (..., T) array, or (..., T, d), >= 0
        Distortion D_t allowed at each frame; 0 needs an infinite rate.

    Examples
    --------
    >>> rate_for_distortion(GaussMarkov.stationary(rho=0.9, frames=2), [0.5, 0.2975])
    array([0.5, 0.5])
    """
    need_first_order("the closed form", source)
    allowed = _check.nonnegative("distortion", distortion)
    core = source.sigma.shape
    if allowed.shape[-len(core) :] != core:
        raise ValueError(
            f"distortion: expected shape (..., {', '.join(map(str, core))}), got {allowed.shape}"
        )
    return over_blocks(source, lambda block: _rates(source, block), allowed)


def _rates(source: GaussMarkov, target: Array) -> Iterator[Array]:
    m: Array | float = 0.0
    for t in range(source.frames):
        v = source.gain[t] ** 2 * m + source.innovation[t]
        m = np.minimum(target[t], v)
        with np.errstate(divide="ignore", invalid="ignore"):  # D = 0 needs an infinite rate
            bits = 0.5 * (np.log2(v) - np.log2(m))
        # a frame that is known already needs no rate, not even for D = 0
        yield bits if np.all(source.innovation[t]) else np.where(v > m, bits, 0.0)


def framewise(
    source: GaussMarkov, rates: object, levels: object = 0.0, metric: str = "w2"
) -> Array:
    r"""Distortion of each frame under PLF-FMD.

    Minimise all :math:`D_t` subject to :math:`\phi(P_{X_t}, P_{\hat X_t}) \le P_t`:

    .. math:: D_t = m_t + \max(0, \hat s_t - \sqrt{\sigma_t^2 - m_t})^2.

    The smallest standard deviation is :math:`\hat s_t = \sigma_t - \sqrt{P_t}` for squared W2. It
    is :math:`\hat s_t = \sigma_t \sqrt u` for :math:`KL(P_{\hat X_t} \| P_{X_t})` in nats, with
    u <= 1 the root of :math:`(u - 1 - \ln u)/2 = P_t`.

    Parameters
    ----------
    source : GaussMarkov, T frames or T frames of d modes
    rates : (..., T) array or (..., T, d), bits per frame (and mode), >= 0, inf allowed
    levels : float or array that broadcasts with rates, >= 0
        Perception thresholds; inf is no constraint.
    metric : {"w2", "kl"}
        Squared Wasserstein-2 distance (squared units of the source), or KL in nats.

    Returns
    -------
    (..., T) array or (..., T, d), squared units of the source

    Notes
    -----
    Loss function of Salehkalaibar et al., arXiv:2305.19301; for one frame the W2 form is in Zhang
    et al., arXiv:2106.10311. The form for many frames is derived in this project: the constraints
    on the frames are separate, and the MMSE backbone is best for all frames.

    Examples
    --------
    >>> source = GaussMarkov.stationary(rho=0.9, frames=2)
    >>> framewise(source, [0.5, 0.5]).round(4)
    array([0.5858, 0.3237])
    >>> framewise(source, [0.5, 0.5], levels=0.01, metric="kl").round(4)
    array([0.5379, 0.3015])
    """
    given = check_rates(source, rates)
    FMD(0.0, metric=metric)  # one place that knows the metrics
    allowed = _check.nonnegative("levels", levels)
    sigma = source.sigma
    try:
        shape = np.broadcast_shapes(given.shape, allowed.shape)
    except ValueError:
        shape = ()
    if shape[-sigma.ndim :] != sigma.shape:
        raise ValueError(
            f"levels: expected a shape that broadcasts with rates {given.shape}, "
            f"got {allowed.shape}"
        )

    def drops(level: Array) -> Iterator[Array]:
        """Yield sigma minus the smallest standard deviation of each frame."""
        for t in range(source.frames):
            if metric == "w2":
                yield np.minimum(np.sqrt(level[t]), sigma[t])
            else:
                yield sigma[t] - smallest_sd(sigma[t], level[t], metric)

    def compute(block: Array, below: Iterable[Array | None]) -> Iterator[Array]:
        estimate: Array | float = 0.0
        for step, drop in zip(steps(source, block), below, strict=True):
            estimate = source.gain[step.t] ** 2 * estimate + step.captured() * step.v
            # sigma - sd of the estimate, without cancellation
            missing = step.m / (sigma[step.t] + np.sqrt(estimate))
            if drop is not None:
                missing = np.maximum(missing - drop, 0.0)
            yield step.m + missing**2

    if allowed.ndim <= sigma.ndim:  # the same levels for all rates
        same = [
            drop if np.any(drop) else None for drop in drops(np.broadcast_to(allowed, sigma.shape))
        ]
        return over_blocks(source, lambda block: compute(block, same), given)
    return over_blocks(
        source,
        lambda block, level: compute(block, drops(level)),
        np.broadcast_to(given, shape),
        np.broadcast_to(allowed, shape),
    )


def zero_perception_framewise(source: GaussMarkov, rates: object) -> Array:
    r"""Distortion of each frame under perfect framewise realism (0-PLF-FMD).

    Minimise all :math:`D_t` subject to :math:`P_{\hat X_t} = P_{X_t}`:

    .. math:: D_t = 2\sigma_t^2 - 2\sigma_t \sqrt{\sigma_t^2 - m_t} \le 2 m_t.

    Parameters
    ----------
    source : GaussMarkov, T frames or T frames of d modes
    rates : (..., T) array or (..., T, d), bits per frame (and mode), >= 0, inf allowed

    Returns
    -------
    (..., T) array or (..., T, d), squared units of the source

    Notes
    -----
    Loss function of Salehkalaibar et al., arXiv:2305.19301. The reconstruction is the MMSE
    estimate scaled to the variance of the source.

    Examples
    --------
    >>> zero_perception_framewise(GaussMarkov.stationary(rho=0.9, frames=2), [0.0, np.inf])
    array([2., 0.])
    """
    return framewise(source, rates, 0.0)


def zero_perception_joint(source: GaussMarkov, rates: object) -> Array:
    r"""Distortion of each frame under perfect joint realism (0-PLF-JD), sequential objective.

    Minimise :math:`D_t` frame after frame subject to
    :math:`P_{\hat X_1..\hat X_t} = P_{X_1..X_t}`:

    .. math:: D_t = a_t^2 D_{t-1} + 2 (q_t - k_t \sqrt{q_t v_t}), \qquad D_0 = 0.

    Parameters
    ----------
    source : GaussMarkov, T frames or T frames of d modes
    rates : (..., T) array or (..., T, d), bits per frame (and mode), >= 0, inf allowed

    Returns
    -------
    (..., T) array or (..., T, d), squared units of the source

    Notes
    -----
    The first term is the error that the decoder must repeat, because the past reconstruction and
    the joint distribution determine a part of the new frame. Derived in this project; loss function
    of Salehkalaibar et al., arXiv:2305.19301. The optimal decoder is
    Xhat_t = a_t Xhat_{t-1} + sqrt(q_t) u_t. A frame with |rho_t| = 1 is determined by the past, so
    the decoder keeps what it receives and uses it in the next frame with an innovation.

    Examples
    --------
    >>> zero_perception_joint(GaussMarkov.stationary(rho=0.9, frames=2), [0.5, 0.5]).round(4)
    array([0.5858, 0.379 ])
    """

    def compute(block: Array) -> Iterator[Array]:
        excess: Array | float = 0.0
        unused: Array | float = 0.0  # variance known to the decoder, not yet reconstructed
        for step in steps(source, block):
            squared = source.gain[step.t] ** 2
            q, captured, carried = source.innovation[step.t], step.captured(), squared * unused
            known = captured * step.v + carried
            # sqrt q - sqrt known, without cancellation; a root is zero or far above 1e-200
            total = np.maximum(np.sqrt(q) + np.sqrt(known), 1e-200)
            missing = (step.residual * q - captured * step.inherited - carried) / total
            new = q > 0
            if np.all(new):
                unused = 0.0
            else:  # the past determines the frame, so nothing new can be reconstructed
                missing, unused = np.where(new, missing, 0.0), np.where(new, 0.0, known)
            excess = squared * excess + missing**2
            yield step.m + unused + excess

    return over_blocks(source, compute, check_rates(source, rates))


def zero_perception_self_adaptive(source: GaussMarkov, rates: object) -> Array:
    r"""Distortion of each frame under perfect self-adaptive realism (0-PLF-SA), sequential.

    Minimise :math:`D_t` frame after frame subject to
    :math:`P_{\hat X_1..\hat X_t} = P_{\hat X_1..\hat X_{t-1} X_t}`:

    .. math:: D_t = 2 v_t (1 - k_t) \le 2 m_t.

    Parameters
    ----------
    source : GaussMarkov, T frames or T frames of d modes
    rates : (..., T) array or (..., T, d), bits per frame (and mode), >= 0, inf allowed

    Returns
    -------
    (..., T) array or (..., T, d), squared units of the source

    Notes
    -----
    Derived in this project; loss function of Salehkalaibar et al., arXiv:2502.10628. The optimal
    decoder is Xhat_t = a_t E[X_{t-1} | representation] + sqrt(v_t) u_t.

    Examples
    --------
    >>> source = GaussMarkov.stationary(rho=0.9, frames=2)
    >>> zero_perception_self_adaptive(source, [0.5, 0.5]).round(4)
    array([0.5858, 0.3485])
    """

    def compute(block: Array) -> Iterator[Array]:
        for step in steps(source, block):
            loss = step.residual / (1 + np.sqrt(step.captured()))  # 1 - k, without cancellation
            yield step.m + step.v * loss**2

    return over_blocks(source, compute, check_rates(source, rates))


def joint_tradeoff(source: GaussMarkov, rates: object, alpha: object) -> Array:
    r"""Distortions (D_1, D_2) under 0-PLF-JD when frame 1 uses only part of what was received.

    With standard deviations scaled to one, the first reconstruction is
    :math:`\hat X_1 = \alpha U_1 + \sqrt{1-\alpha^2}\, Z`, where U_1 is the output of the test
    channel and Z is noise of the decoder. Then the least second distortion under perfect joint
    realism is :math:`D_t = 2\sigma_t^2 (1 - c_t)` with :math:`A_t = 1 - m_t/\sigma_t^2` and

    .. math:: c_1 = \alpha \sqrt{A_1}, \qquad
              c_2 = \rho^2 \sqrt{A_1} \alpha
                    + \sqrt{1-\rho^2} \sqrt{A_2 - \rho^2 A_1 \alpha^2}.

    Parameters
    ----------
    source : GaussMarkov
        Two scalar frames.
    rates : (2,) array
        Bits per frame, >= 0, inf allowed.
    alpha : array, in [0, 1]
        Weight of the output of the first test channel; 1 minimises D_1.

    Returns
    -------
    (..., 2) array
        D_1 and D_2 for each alpha, squared units of the source.

    Raises
    ------
    ValueError
        Not two scalar frames, bad rates, alpha outside [0, 1].

    Notes
    -----
    Derived in this project. D_2 is least at alpha = min(1, sqrt(A_2 / A_1)). So if the decoder
    knows the second frame less well than the first, a worse first frame helps the second.

    Examples
    --------
    >>> source = GaussMarkov.stationary(rho=0.9, frames=2)
    >>> joint_tradeoff(source, [4.0, 0.05], [1.0, 0.9]).round(4)
    array([[0.0039, 0.284 ],
           [0.2035, 0.1894]])
    """
    need_first_order("the closed form", source)
    if source.frames != 2 or source.modes is not None:
        raise ValueError(
            f"source: expected two scalar frames, got sigma of shape {source.sigma.shape}"
        )
    share = _check.nonnegative("alpha", alpha)
    if (share > 1).any():
        raise ValueError(f"alpha: expected values in [0, 1], got {share.max():g}")
    bits = _check.array("rates", rates, ndim=1)
    backbone = mmse_recursion(source, bits)
    square, new = source.rho[0] ** 2, (1 - source.rho[0]) * (1 + source.rho[0])
    missing, known = (
        backbone.mmse[0] / source.variance[0],
        backbone.variance[0] / source.variance[0],
    )
    captured, residual = backbone.gain[1] ** 2, np.exp2(-2 * bits[1])

    def compute(block: Array) -> Iterator[Array]:
        """Yield D_t = m_t + excess, without cancellation; c is the correlation of frame 1."""
        weight = block[0]
        dropped = (1 - weight) * (1 + weight)
        short = (dropped + weight**2 * missing) / (1 + np.sqrt(known) * weight)  # 1 - c
        yield 2 * source.variance[0] * short
        # A_2 - rho^2 c^2, then sqrt(1 - rho^2) minus its root
        carried = square * known * dropped
        available = captured * (new + square * missing) + carried
        total = np.maximum(np.sqrt(new) + np.sqrt(available), 1e-200)
        lack = (residual * new - captured * square * missing - carried) / total
        yield backbone.mmse[1] + source.variance[1] * (square * short**2 + lack**2)

    return over_blocks(source, compute, np.repeat(share[..., None], 2, axis=-1))


def smallest_sd(sigma: object, levels: object, metric: str = "w2") -> Array:
    r"""Smallest standard deviation of a reconstruction that a framewise threshold allows.

    It is :math:`\sigma - \sqrt P` for squared W2 and :math:`\sigma \sqrt u` for KL in nats, where
    u <= 1 solves :math:`(u - 1 - \ln u)/2 = P`. It is at least :math:`e^{-600}`, as a much smaller
    variance is no number.

    Parameters
    ----------
    sigma : array, > 0
        Standard deviation of the source.
    levels : array, >= 0
        Threshold P; broadcasts with sigma.
    metric : {"w2", "kl"}
        Squared Wasserstein-2 distance, or KL in nats.

    Returns
    -------
    array, units of the source

    Examples
    --------
    >>> float(smallest_sd(2.0, 1.0))
    1.0
    """
    sd, allowed = np.asarray(sigma), np.asarray(levels, dtype=np.float64)
    if metric == "w2":
        return np.maximum(sd - np.sqrt(allowed), 0.0)
    shrinkage = np.minimum(_log_shrinkage(2 * allowed), _LARGEST_SHRINKAGE)
    return np.where(np.isinf(allowed), 0.0, sd * np.exp(-0.5 * shrinkage))


def _log_shrinkage(target: Array) -> Array:
    """Root y >= 0 of f(y) = exp(-y) - 1 + y = target, by Householder's method.

    The slope f' = 1 - exp(-y) gives all derivatives. The start is exact to 1e-16 for targets below
    1e-10, where f cancels. For large targets it is within 1/2 of the root. Convergence is of fourth
    order, so two steps suffice.
    """
    bounded = np.minimum(target, 1e300)
    start = (bounded + np.sqrt(bounded) * np.sqrt(4 * bounded + 18)) / 3
    y, goal = np.maximum(start, 1e-5), np.maximum(bounded, 1e-10)
    for _ in range(2):
        slope = -np.expm1(-y)
        newton = (y - slope - goal) / slope
        bend = 0.5 * newton * (1 - slope) / slope
        y = y - newton * (1 - bend) / (1 - 2 * bend - newton * bend / 3)
    return np.where(target < 1e-10, start, y)
