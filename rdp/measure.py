"""Distortion and perception of a scheme, computed from its second moments.

A scheme is given by H = Cov(Xhat), (T, T), and C[t, s] = E[Xhat_t Xtil_s], (T, T); both get a
leading axis of modes for vector frames, over which distortion and squared W2 add.
"""

from __future__ import annotations

import numpy as np

from rdp import gaussian
from rdp.perception import FMD, JD, SA, Perception
from rdp.source import GaussMarkov

Array = np.ndarray


def distortion_of(source: GaussMarkov, mmse: Array, cov_xhat: Array, cross: Array) -> Array:
    r"""Mean squared error of each frame: :math:`m_t + E(\tilde X_t - \hat X_t)^2`.

    Parameters
    ----------
    source : GaussMarkov
        T frames.
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
    own = np.diagonal(cov_xhat, axis1=-2, axis2=-1) - 2 * np.diagonal(cross, axis1=-2, axis2=-1)
    excess = np.maximum(source.variance - mmse + np.moveaxis(own, -1, 0), 0.0)
    return (mmse + excess).reshape(source.frames, -1).sum(axis=1)


def perception_of(
    source: GaussMarkov, cov_xhat: Array, cross: Array, perception: Perception
) -> Array:
    """Perception loss of each frame.

    Parameters
    ----------
    source : GaussMarkov
        T frames.
    cov_xhat : (T, T) or (d, T, T) array
        Covariance of the reconstruction.
    cross : (T, T) or (d, T, T) array
        E[Xhat_t Xtil_s].
    perception : FMD, JD or SA
        Which loss; its thresholds play no role.

    Returns
    -------
    (T,) array, summed over modes; squared units of the source, or nats for KL

    Notes
    -----
    Definitions of Salehkalaibar et al., arXiv:2305.19301 (FMD, JD) and arXiv:2502.10628 (SA).
    """
    h = cov_xhat if cov_xhat.ndim == 3 else cov_xhat[None]
    c = cross if cross.ndim == 3 else cross[None]
    sigma = source.sigma.reshape(source.frames, -1).T
    if isinstance(perception, FMD):
        return _framewise(sigma, h, perception.metric)
    laws = source.covariance()
    laws = laws if laws.ndim == 3 else laws[None]
    out = np.empty(source.frames)
    for t in range(source.frames):
        if isinstance(perception, JD):
            target = laws[:, : t + 1, : t + 1]
        elif isinstance(perception, SA):
            target = shown_past(h, c, sigma, t)
        else:
            raise ValueError(f"perception: expected FMD, JD or SA, got {perception!r}")
        shown = h[:, : t + 1, : t + 1]
        # the same matrix is at distance zero, without a decomposition for every frame
        out[t] = 0.0 if np.array_equal(target, shown) else gaussian.bures(target, shown).sum()
    return out


def shown_past(cov_xhat: Array, cross: Array, sigma: Array, t: int) -> Array:
    """Covariance of (Xhat_1..Xhat_{t-1}, X_t), the law PLF-SA compares with, per mode.

    Parameters
    ----------
    cov_xhat, cross : (d, T, T) arrays
        Second moments of the scheme.
    sigma : (d, T) array
        Standard deviations of the source.
    t : int
        Frame, from 0.

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
    shown = np.sqrt(np.maximum(np.diagonal(h, axis1=-2, axis2=-1), 0.0))
    if metric == "w2":
        return ((sigma - shown) ** 2).sum(axis=0)
    ratio = (shown / sigma) ** 2
    with np.errstate(divide="ignore"):  # a constant frame is infinitely far in KL
        return 0.5 * (ratio - 1 - np.log(ratio)).sum(axis=0)
