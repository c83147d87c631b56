"""Distortion and perception of a scheme, computed from its second moments.

A scheme is given by H = Cov(Xhat), (T, T), and C[t, s] = E[Xhat_t Xtil_s], (T, T); both get a
leading axis of modes for vector frames, over which distortion and squared W2 add.
"""

from __future__ import annotations

import numpy as np

from rdp import gaussian
from rdp.linear_source import LinearFrames, LinearSource, need_first_order
from rdp.mmse import factor_from_mmse, factor_of_backbone, mmse_recursion, prediction_errors
from rdp.perception import CP, FMD, JD, SA, Perception
from rdp.perception import perception as as_perception
from rdp.problem import Problem
from rdp.source import GaussMarkov

Array = np.ndarray

_MANY_FRAMES = 16  # from here on, PLF-JD of all frames is measured from one factor
_TOGETHER = 1 << 10  # entries of the matrices of one call: below, calls take longer than arithmetic


def distortion_of(
    source: GaussMarkov | LinearFrames | LinearSource, mmse: Array, cov_xhat: Array, cross: Array
) -> Array:
    r"""Mean squared error of each frame: :math:`m_t + E(\tilde X_t - \hat X_t)^2`.

    Parameters
    ----------
    source : GaussMarkov, AutoRegressive or StateSpace
        T frames; the moments give T for a source that has no number of frames.
    mmse : (T,) or (T, d) array
        Errors m_t of the representation.
    cov_xhat : (T, T) or (d, T, T) array
        Covariance of the reconstruction.
    cross : (T, T) or (d, T, T) array
        E[Xhat_t Xtil_s].

    Returns
    -------
    (T,) array, summed over modes
    """
    source = _with_frames(source, cov_xhat)
    own = np.diagonal(cov_xhat, axis1=-2, axis2=-1) - 2 * np.diagonal(cross, axis1=-2, axis2=-1)
    excess = np.maximum(source.variance - mmse + own.T, 0.0)
    return (mmse + excess).reshape(source.frames, -1).sum(axis=1)


def reached_by(problem: Problem, mmse: Array, cov_xhat: Array, cross: Array) -> tuple[Array, Array]:
    """Distortion and perception loss of each frame, under the loss function of a problem.

    Parameters
    ----------
    problem : Problem
        Source and loss function.
    mmse : (T,) or (T, d) array
        Errors m_t of the representation.
    cov_xhat, cross : (T, T) or (d, T, T) arrays
        Second moments of the scheme.

    Returns
    -------
    distortion, perception : (T,) arrays
        The perception loss is nan without a loss function.
    """
    source, loss = problem.source, problem.perception
    distortion = distortion_of(source, mmse, cov_xhat, cross)
    if loss is None:
        return distortion, np.full(source.frames, np.nan)
    return distortion, perception_of(source, cov_xhat, cross, loss, mmse)


def _with_frames(
    source: GaussMarkov | LinearFrames | LinearSource, cov_xhat: Array
) -> GaussMarkov | LinearFrames:
    """The source with as many frames as the moments have."""
    if isinstance(source, (GaussMarkov, LinearFrames)):
        return source
    return LinearFrames(source, cov_xhat.shape[-1])


def perception_of(
    source: GaussMarkov | LinearFrames | LinearSource,
    cov_xhat: Array,
    cross: Array,
    perception: Perception | str,
    mmse: Array | None = None,
) -> Array:
    """Perception loss of each frame.

    Parameters
    ----------
    source : GaussMarkov, AutoRegressive or StateSpace
        T frames; the moments give T for a source that has no number of frames.
    cov_xhat : (T, T) or (d, T, T) array
        Covariance of the reconstruction.
    cross : (T, T) or (d, T, T) array
        E[Xhat_t Xtil_s].
    perception : FMD, JD, SA, CP or their name
        The loss; its thresholds play no role.
    mmse : (T,) or (T, d) array, or None
        Errors m_t of the representation; CP needs them.

    Returns
    -------
    (T,) array, summed over modes; squared units of the source, or nats for KL

    Notes
    -----
    Definitions of Salehkalaibar et al., arXiv:2305.19301 (FMD, JD) and arXiv:2502.10628 (SA).
    """
    source = _with_frames(source, cov_xhat)
    loss = as_perception(perception)
    if loss is None:
        raise ValueError(f"perception: expected FMD, JD or SA, got {perception!r}")
    if isinstance(loss, CP):
        if mmse is None:
            raise ValueError("mmse: expected the errors of the representation for CP, got none")
        need_first_order("PLF-CP", source)
        assert isinstance(source, GaussMarkov)
        return _conditional(source, mmse, cov_xhat, cross)
    h = cov_xhat if cov_xhat.ndim == 3 else cov_xhat[None]
    c = cross if cross.ndim == 3 else cross[None]
    sigma = source.sigma.reshape(source.frames, -1).T
    return losses(sigma, source.covariance(), h, c, loss).sum(axis=0)


def losses(
    sigma: Array, covariance: Array, cov_xhat: Array, cross: Array, perception: Perception
) -> Array:
    """Perception loss of each frame of n schemes: of several modes, or of several rates.

    Parameters
    ----------
    sigma : (n, T) or (1, T) array
        Standard deviations of the source.
    covariance : (n, T, T) or (T, T) array
        Covariance of the source.
    cov_xhat, cross : (n, T, T) arrays
        Second moments of the schemes.
    perception : FMD, JD or SA
        The loss; its thresholds play no role.

    Returns
    -------
    (n, T) array
    """
    if isinstance(perception, FMD):
        return _framewise(sigma, cov_xhat, perception.metric)
    out = np.empty(cov_xhat.shape[:2])
    plain = isinstance(perception, JD) and perception.window is None
    if plain and len(out.T) >= _MANY_FRAMES:
        return _all_prefixes(np.broadcast_to(covariance, cov_xhat.shape), cov_xhat)
    step = max(1, _TOGETHER // max(1, cov_xhat.size))
    for start in range(0, len(out.T), step):
        # several frames at once, their matrices filled up with zeros: what is always 0 adds nothing
        group = range(start, min(start + step, len(out.T)))
        sizes = [t + 1 - perception.first_seen(t) for t in group]
        target = np.zeros((len(out), len(group), max(sizes), max(sizes)))
        reconstruction = np.zeros_like(target)
        for i, (t, size) in enumerate(zip(group, sizes, strict=True)):
            seen = slice(t + 1 - size, t + 1)
            reconstruction[:, i, :size, :size] = cov_xhat[:, seen, seen]
            target[:, i, :size, :size] = (
                covariance[..., seen, seen]
                if isinstance(perception, JD)
                else self_adaptive_target(cov_xhat, cross, sigma, t)
            )
        out[:, start : group.stop] = distance(target, reconstruction)
    return out


def losses_from_factors(problem: Problem, gains: Array, noise: Array, frames: Array) -> Array:
    """Loss PLF-JD or PLF-SA of some frames, with relative digits where they are small.

    Parameters
    ----------
    problem : Problem
        Source of scalar frames, rates and loss.
    gains, noise : (T, T) arrays, lower triangular
        The reconstruction: gains of the innovations of the estimate, and of white noise.
    frames : (T,) bool array
        The frames to measure.

    Returns
    -------
    (T,) array, squared units of the source; nan for the other frames
    """
    source, loss = problem.source, problem.perception
    if not isinstance(loss, (JD, SA)):
        raise ValueError(f"perception: expected JD or SA, got {loss!r}")
    backbone = mmse_recursion(source, problem.rates)
    estimate, mmse = factor_of_backbone(source, backbone), backbone.mmse
    whole = source.transition() * np.sqrt(source.innovation)
    out = np.full(source.frames, np.nan)
    for t in np.flatnonzero(frames).tolist():
        seen, known = slice(loss.first_seen(t), t + 1), slice(0, t + 1)
        shown = np.hstack([gains[seen, known], noise[seen, known]])
        target = whole[seen, known]
        if isinstance(loss, SA):
            target = np.hstack([shown, np.zeros((len(shown), 1))])
            target[-1] = 0.0
            target[-1, : t + 1], target[-1, -1] = estimate[t, known], np.sqrt(mmse[t])
        out[t] = gaussian.bures_of_factors(target, shown)
    return out


def distance(target: Array, reconstruction: Array) -> Array:
    """Squared W2 of covariances, exactly 0 where they differ by rounding only.

    Parameters
    ----------
    target, reconstruction : (..., k, k) arrays
        Covariances.

    Returns
    -------
    (...) array
    """
    out = np.zeros(target.shape[:-2])
    apart = _apart(target, reconstruction)
    if apart.any():
        out[apart] = gaussian.bures(target[apart], reconstruction[apart])
    return out


def _all_prefixes(target: Array, reconstruction: Array) -> Array:
    """Loss PLF-JD of all frames (n, T), from one factor of each covariance."""
    rounding = 8 * np.finfo(float).eps * _largest_of_prefixes(np.abs(target))
    apart = _largest_of_prefixes(np.abs(target - reconstruction)) > rounding
    return gaussian.bures_of_prefixes(target, reconstruction, apart)


def _largest_of_prefixes(values: Array) -> Array:
    """Largest entry of each leading block of (n, T, T) arrays, (n, T)."""
    below = np.maximum.accumulate(np.maximum.accumulate(values, axis=1), axis=2)
    return np.diagonal(below, axis1=1, axis2=2)


def _apart(target: Array, reconstruction: Array) -> Array:
    """Whether covariances (..., k, k) differ by more than rounding, (...) bool array.

    The same matrix, to rounding, is at distance zero, without decomposing it: squared W2 is at
    most the nuclear norm of the difference.
    """
    rounding = 8 * np.finfo(float).eps * np.abs(target).max(axis=(-2, -1), keepdims=True)
    return np.asarray((np.abs(target - reconstruction) > rounding).any(axis=(-2, -1)))


def _conditional(source: GaussMarkov, mmse: Array, cov_xhat: Array, cross: Array) -> Array:
    """E W2^2 of the distributions of a frame and its reconstruction, both given the bits so far.

    Both are Gaussian: the means are Xtil_t and K_t u, the deviations sqrt(m_t) and what is left.
    """
    factor = factor_from_mmse(source, mmse)
    size = factor.shape[-1]
    known = np.diagonal(factor, axis1=-2, axis2=-1)
    out = np.zeros(mmse.shape)
    for t in range(size):
        seen = slice(0, t + 1)
        mean = np.linalg.pinv(factor[..., seen, seen], rcond=1e-9) @ cross[..., t, seen, None]
        mean = np.where(known[..., seen] > 0, mean[..., 0], 0.0)
        rest = np.maximum(cov_xhat[..., t, t] - (mean**2).sum(axis=-1), 0.0)
        apart = ((factor[..., t, seen] - mean) ** 2).sum(axis=-1)
        out[t] = apart + (np.sqrt(mmse[t]) - np.sqrt(rest)) ** 2
    return out.reshape(size, -1).sum(axis=1)


def self_adaptive_target(cov_xhat: Array, cross: Array, sigma: Array, t: int) -> Array:
    """Covariance of (Xhat_1..Xhat_{t-1}, X_t), the distribution PLF-SA compares with, per mode.

    Parameters
    ----------
    cov_xhat, cross : (d, T, T) arrays
        Second moments of the scheme.
    sigma : (d, T) or (1, T) array
        Standard deviations of the source.
    t : int
        Position of the frame, from 0.

    Returns
    -------
    (d, t+1, t+1) array
    """
    target = cov_xhat[:, : t + 1, : t + 1].copy()
    # Xhat_s depends on the representation up to s alone, so E[Xhat_s X_t] = E[Xhat_s Xtil_t]
    target[:, :t, t] = target[:, t, :t] = cross[:, :t, t]
    target[:, t, t] = sigma[:, t] ** 2
    return target


def _framewise(sigma: Array, h: Array, metric: str) -> Array:
    spread = np.sqrt(np.maximum(np.diagonal(h, axis1=-2, axis2=-1), 0.0))
    if metric == "w2":
        return (sigma - spread) ** 2
    ratio = (spread / sigma) ** 2
    with np.errstate(divide="ignore"):  # a constant frame is infinitely far in KL
        return 0.5 * (ratio - 1 - np.log(ratio))


def residuals_of(
    problem: Problem, mmse: Array, cov_xhat: Array, cross: Array, perception: Array
) -> dict[str, float]:
    """How far a scheme is from feasible, by constraint, relative to the source variance.

    Parameters
    ----------
    problem : Problem
        Source, rates and thresholds.
    mmse : (T,) or (T, d) array
        Errors m_t of the representation.
    cov_xhat, cross : (T, T) or (d, T, T) arrays
        Second moments of the scheme.
    perception : (T,) array
        Perception loss of the scheme.

    Returns
    -------
    dict
        "moments": the joint covariance of estimate and reconstruction is not positive
        semidefinite; "causality": the reconstruction depends on later frames; "rate": more bits
        than allowed; "perception": beyond the thresholds.
    """
    source = problem.source
    factor = factor_from_mmse(source, mmse)
    estimate = factor @ np.swapaxes(factor, -1, -2)
    scale = float(source.variance.max())
    size = cross.shape[-1]
    joint = np.empty((*cross.shape[:-2], 2 * size, 2 * size))
    joint[..., :size, :size], joint[..., size:, size:] = estimate, cov_xhat
    joint[..., size:, :size], joint[..., :size, size:] = cross, np.swapaxes(cross, -1, -2)
    own = np.diagonal(cross, axis1=-2, axis2=-1)
    future = np.triu(cross - own[..., :, None] * np.swapaxes(source.transition(), -1, -2))
    return {
        "moments": max(0.0, -float(np.linalg.eigvalsh(joint).min())) / scale,
        "causality": float(np.abs(future).max()) / scale,
        "rate": _excess_rate(problem, mmse),
        "perception": excess_perception(problem, perception),
    }


def excess_perception(problem: Problem, perception: Array) -> float:
    """Largest excess over a threshold, relative to the variance of all frames, or in nats.

    Parameters
    ----------
    problem : Problem
        Source, loss and thresholds.
    perception : (T,) array
        Perception loss of the scheme.
    """
    if problem.perception is None:
        return 0.0
    unit = 1.0 if problem.perception.metric == "kl" else float(problem.source.variance.sum())
    thresholds = problem.thresholds
    bound = np.isfinite(thresholds)  # a free frame may be infinitely far in KL
    beyond = perception[bound] - thresholds[bound]
    return float(np.max(beyond, initial=0.0)) / unit


def _excess_rate(problem: Problem, mmse: Array) -> float:
    """Prediction error removed beyond what the rates allow, relative to the variance."""
    source, rates = problem.source, problem.rates
    v = prediction_errors(source, mmse)
    if source.modes is None:
        least = np.exp2(-2 * rates) * v
        return float(np.max(np.maximum(least - mmse, mmse - v) / source.variance, initial=0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = np.where(v > mmse, 0.5 * np.log2(v / mmse), 0.0).sum(axis=1)
    finite = np.isfinite(rates)
    bits, rates = bits[finite], rates[finite]
    return float(np.max((bits - rates) / (1 + rates), initial=0.0))
