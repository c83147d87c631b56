r"""Closed forms in the long run: periodic rates, and the distortion of each frame of the period.

A stationary source is coded at rates :math:`R_1, .., R_N` that repeat without end. The answer of
the sequential objective converges to a periodic one, from the first frame of the source on:

.. math::
    v_t = \rho^2 m_{t-1} + q, \quad m_t = 2^{-2R_t} v_t, \qquad
    D_t^{FMD} = m_t + \big(\sigma - \sqrt{\sigma^2 - m_t} - \sqrt{P_t}\big)_+^2, \quad
    D_t^{JD} = \rho^2 D_{t-1}^{JD} + 2 (q - k_t \sqrt{q v_t}), \quad
    D_t^{SA} = 2 v_t (1 - k_t),

with indices modulo N. Each recursion is affine, so that its periodic state is explicit. (PLF-JD(w)
is a fixed point in w numbers: `rdp.steady_windowed`.) The number of frames of the source plays no
role.

At constant rate PLF-JD and PLF-JD(w) agree with PLF-FMD. For |rho| = 1 the source is known after
any rate, but PLF-JD keeps the error of the first frame without end.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rdp import _check
from rdp.closed_form import smallest_sd
from rdp.linear_source import need_first_order
from rdp.source import GaussMarkov

Array = np.ndarray

_LN4 = 2 * np.log(2)


class PeriodicBackbone(NamedTuple):
    """MMSE backbone of each frame of the period; arrays of the shape of the rates.

    Parameters
    ----------
    prediction_error : array
        v_t, squared units of the source.
    mmse : array
        m_t.
    captured : array
        k_t^2 = 1 - 2^(-2 R_t).
    variance : array
        Variance of the MMSE estimate, sigma^2 - m_t, without cancellation.
    """

    prediction_error: Array
    mmse: Array
    captured: Array
    variance: Array


def parameters(source: GaussMarkov) -> tuple[float, float]:
    """Return (rho, sigma) of a stationary scalar source, or raise ValueError.

    Parameters
    ----------
    source : GaussMarkov
        At least two scalar frames, all of the same deviation and correlation.
    """
    need_first_order("the closed form", source)
    if source.modes is not None:
        raise ValueError(f"source: expected scalar frames, got {source.modes} modes")
    if source.frames < 2:
        raise ValueError("source: expected at least 2 frames, which say what rho is, got 1")
    if np.ptp(source.sigma) > 0 or np.ptp(source.rho) > 0:
        raise ValueError(
            f"source: expected a stationary source, got sigma {source.sigma} and rho {source.rho}"
        )
    return float(source.rho[0]), float(source.sigma[0])


def check_period(rates: object) -> Array:
    """Return the rates of one period as an array (..., N), or raise ValueError.

    Parameters
    ----------
    rates : float or (..., N) array, >= 0, bits per frame
        One number is a period of one frame.
    """
    period = np.atleast_1d(_check.nonnegative("rates", rates))
    if period.shape[-1] == 0:
        raise ValueError("rates: expected at least one frame in the period, got none")
    return period


def backbone(source: GaussMarkov, rates: object) -> PeriodicBackbone:
    r"""Periodic state of the MMSE recursion.

    Parameters
    ----------
    source : GaussMarkov
        A stationary scalar source.
    rates : float or (..., N) array, >= 0, bits per frame
        Rates of one period; inf allowed.

    Returns
    -------
    PeriodicBackbone

    Raises
    ------
    ValueError
        The source is not stationary; rates negative, NaN or empty.

    Examples
    --------
    >>> backbone(GaussMarkov.stationary(rho=0.9, frames=2), 0.5).mmse.round(6)
    array([0.159664])
    """
    rho, sigma = parameters(source)
    bits = check_period(rates)
    q, captured = _new(rho, sigma), -np.expm1(-_LN4 * bits)
    if abs(rho) == 1:  # nothing is ever known without rate, and all is with any
        m = np.where(np.any(bits > 0, axis=-1, keepdims=True), 0.0, sigma**2 + 0 * captured)
        return PeriodicBackbone(m, m, captured, sigma**2 - m)
    decay = np.full(bits.shape, _log_square(rho))
    m = _periodic(decay - _LN4 * bits, np.exp(-_LN4 * bits) * q)
    v = rho**2 * np.roll(m, 1, axis=-1) + q
    return PeriodicBackbone(v, m, captured, _periodic(decay, captured * v))


def missing_deviation(state: PeriodicBackbone, rho: float, sigma: float) -> Array:
    """Difference sqrt q - k_t sqrt v_t of each frame, without cancellation.

    Parameters
    ----------
    state : PeriodicBackbone
        MMSE backbone of the period.
    rho, sigma : float
        Parameters of the source, |rho| < 1.
    """
    q = _new(rho, sigma)
    handed = rho**2 * np.roll(state.mmse, 1, axis=-1)
    known = np.sqrt(state.captured * state.prediction_error)
    return ((1 - state.captured) * q - state.captured * handed) / (np.sqrt(q) + known)


def mmse(source: GaussMarkov, rates: object) -> Array:
    """Least distortion of each frame of the period without a perception constraint.

    Minimise every D_t at once over causal codecs of periodic rates, in the long run.

    Parameters
    ----------
    source : GaussMarkov
        A stationary scalar source.
    rates : float or (..., N) array, >= 0, bits per frame
        Rates of one period; inf allowed.

    Returns
    -------
    (..., N) array, squared units of the source

    Raises
    ------
    ValueError
        The source is not stationary; rates negative, NaN or empty.

    Examples
    --------
    >>> mmse(GaussMarkov.stationary(rho=0.9, frames=2), [1.0, 0.0]).round(4)
    array([0.1028, 0.2733])
    """
    return backbone(source, rates).mmse


def framewise(
    source: GaussMarkov, rates: object, levels: object = 0.0, metric: str = "w2"
) -> Array:
    r"""Distortion of each frame of the period under PLF-FMD, at any threshold.

    Minimise every D_t at once subject to :math:`\phi(P_{X_t}, P_{\hat X_t}) \le P_t`, in the long
    run: :math:`D_t = m_t + \max(0, \hat s_t - \sqrt{\sigma^2 - m_t})^2` as in
    :func:`rdp.closed_form.framewise`.

    Parameters
    ----------
    source : GaussMarkov
        A stationary scalar source.
    rates : float or (..., N) array, >= 0, bits per frame
        Rates of one period; inf allowed.
    levels : float or array that broadcasts to the shape of rates, >= 0
        Threshold P_t of each frame of the period; inf is no constraint.
    metric : {"w2", "kl"}
        Squared Wasserstein-2 distance (squared units of the source), or KL in nats.

    Returns
    -------
    (..., N) array, squared units of the source

    Raises
    ------
    ValueError
        The source is not stationary; rates or levels negative, NaN or of the wrong shape.

    Examples
    --------
    >>> framewise(GaussMarkov.stationary(rho=0.9, frames=2), 0.5).round(6)
    array([0.166603])
    """
    state = backbone(source, rates)
    sigma = float(source.sigma[0])
    allowed = _check.nonnegative("levels", levels)
    try:
        allowed = np.broadcast_to(allowed, state.mmse.shape)
    except ValueError:
        raise ValueError(
            f"levels: expected a shape that broadcasts to {state.mmse.shape}, got {allowed.shape}"
        ) from None
    drop = sigma - smallest_sd(sigma, allowed, metric)
    short = state.mmse / (sigma + np.sqrt(state.variance))
    return state.mmse + np.maximum(short - drop, 0.0) ** 2


def zero_perception_joint(source: GaussMarkov, rates: object) -> Array:
    r"""Distortion of each frame of the period under perfect joint realism, 0-PLF-JD.

    The limit of the sequential objective: :math:`D_t = \rho^2 D_{t-1} + 2(q - k_t\sqrt{q v_t})`,
    periodic. For :math:`|\rho| = 1` every reconstruction repeats the first, and
    :math:`D_t = 2\sigma^2 (1 - k_1)`.

    Parameters
    ----------
    source : GaussMarkov
        A stationary scalar source.
    rates : float or (..., N) array, >= 0, bits per frame
        Rates of one period; inf allowed.

    Returns
    -------
    (..., N) array, squared units of the source

    Raises
    ------
    ValueError
        The source is not stationary; rates negative, NaN or empty.

    Examples
    --------
    At constant rate the joint loss is free; quality that changes is not:

    >>> source = GaussMarkov.stationary(rho=0.9, frames=2)
    >>> zero_perception_joint(source, 0.5).round(6)
    array([0.166603])
    >>> float(zero_perception_joint(source, [1.0, 0.0]).mean().round(4))
    0.7257
    >>> float(framewise(source, [1.0, 0.0]).mean().round(4))
    0.2004
    """
    rho, sigma = parameters(source)
    state = backbone(source, rates)
    if abs(rho) == 1:
        first = np.sqrt(state.captured[..., :1])
        return np.broadcast_to(2 * sigma**2 * (1 - first), state.mmse.shape).copy()
    missing = missing_deviation(state, rho, sigma)
    return state.mmse + _periodic(np.full(missing.shape, _log_square(rho)), missing**2)


def zero_perception_self_adaptive(source: GaussMarkov, rates: object) -> Array:
    r"""Distortion of each frame of the period under perfect self-adaptive realism, 0-PLF-SA.

    The limit of the sequential objective: :math:`D_t = 2 v_t (1 - k_t)`. At constant rate a penalty
    stays.

    Parameters
    ----------
    source : GaussMarkov
        A stationary scalar source.
    rates : float or (..., N) array, >= 0, bits per frame
        Rates of one period; inf allowed.

    Returns
    -------
    (..., N) array, squared units of the source

    Raises
    ------
    ValueError
        The source is not stationary; rates negative, NaN or empty.

    Examples
    --------
    >>> zero_perception_self_adaptive(GaussMarkov.stationary(rho=0.9, frames=2), 0.5).round(6)
    array([0.187058])
    """
    state = backbone(source, rates)
    short = (1 - state.captured) / (1 + np.sqrt(state.captured))  # 1 - k
    return state.mmse + state.prediction_error * short**2


def contraction(source: GaussMarkov, rates: object, joint: bool = False) -> float:
    r"""Factor by which the distance to the periodic state shrinks in one period.

    :math:`\prod_t \rho^2 2^{-2R_t}` for the MMSE backbone, and with it for PLF-FMD and PLF-SA;
    :math:`\rho^{2N}` for PLF-JD, whatever the rates: that is error permanence.

    Parameters
    ----------
    source : GaussMarkov
        A stationary scalar source.
    rates : float or (N,) array, >= 0, bits per frame
        Rates of one period.
    joint : bool
        PLF-JD.
    """
    bits = check_period(rates)
    decay = bits.shape[-1] * _log_square(parameters(source)[0])
    return float(np.exp(decay - (0.0 if joint else _LN4 * bits.sum())))


def _new(rho: float, sigma: float) -> float:
    return (1 - rho) * (1 + rho) * sigma**2


def _log_square(rho: float) -> float:
    return 2 * np.log(abs(rho)).item() if rho else -np.inf


def _periodic(log_gain: Array, add: Array) -> Array:
    """Periodic solution of x_t = gain_t x_{t-1} + add_t over the last axis, gains below one."""
    gain, x = np.exp(log_gain), np.zeros(add.shape[:-1])
    for t in range(add.shape[-1]):
        x = gain[..., t] * x + add[..., t]
    x = x / -np.expm1(log_gain.sum(axis=-1))
    out = np.empty(add.shape)
    for t in range(add.shape[-1]):
        x = gain[..., t] * x + add[..., t]
        out[..., t] = x
    return out
