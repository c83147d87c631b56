r"""Filters of a noisily observed source under PLF-FMD and PLF-SA, at zero perception loss.

With :math:`X_t = H S_t`, the Kalman error :math:`P_t` and
:math:`M_t = \operatorname{tr} H P_t H^T`:

.. math::
    \text{FMD: } & D_t = M_t + W_2^2(\operatorname{Cov} H \hat S_t, \operatorname{Cov} X_t), \\
    \text{SA: } & D_t = M_t + W_2^2(H Q_t H^T, \Omega_t), \qquad
        \Omega_t = H (P_t + Q_t) H^T = \operatorname{Cov}(X_t | \hat X^{t-1}),

with :math:`Q_t = \operatorname{Cov}(\hat S_t | \hat X^{t-1})`. FMD is best for every frame at once;
SA minimises the first frame, then the second given that, and so on. Derived in this project; losses
of Salehkalaibar et al., arXiv:2305.19301 and arXiv:2502.10628.
"""

from __future__ import annotations

import numpy as np

from rdp import _check
from rdp.gaussian import psd_sqrt
from solvers.linear.held_back import HeldBack, innovations_of
from solvers.linear.perceptual_filter import Observed, PerceptualFilter, block_factor, use_all

Array = np.ndarray


def framewise_filter(observed: Observed, frames: int) -> PerceptualFilter:
    """Best causal filter whose every frame has the distribution of the source's frame.

    Parameters
    ----------
    observed : Observed
        Source and observation.
    frames : int
        T.

    Returns
    -------
    PerceptualFilter
        The objective is the sum of the distortions, and its own bound.

    Examples
    --------
    >>> from rdp.state_space import StateSpace
    >>> walk = StateSpace([[0.9]], [[0.19]], [1.0])
    >>> framewise_filter(Observed(walk, [[1.0]], [[1.0]]), frames=1).distortion.round(6)
    array([0.585786])
    """
    count = _check.count("frames", frames)
    source, size = observed.source, observed.source.size
    gains, errors = observed.estimate(count)
    estimate = block_factor(source, gains)
    decoder, noise = np.zeros_like(estimate), np.zeros((count * size, count * size))
    h = source.output
    for t, state in enumerate(source.state_covariances(count)):
        rows = slice(t * size, (t + 1) * size)
        target = h @ state @ h.T
        root = psd_sqrt(target)
        left, stretch, right = np.linalg.svd(root @ estimate[rows])
        rank = int((stretch > 1e-13 * max(float(stretch[0]), 1e-300)).sum())
        decoder[rows] = root @ left[:, :rank] @ right[:rank]
        noise[rows, t * size + rank : (t + 1) * size] = root @ left[:, rank:]
    return _filter(estimate, decoder, noise, errors, h)


def self_adaptive_filter(observed: Observed, frames: int) -> PerceptualFilter:
    """Sequential filter that is realistic given its own past, 0-PLF-SA.

    Parameters
    ----------
    observed : Observed
        Source and observation.
    frames : int
        T.

    Returns
    -------
    PerceptualFilter
        The objective is the sum of the distortions; the bound belongs to the sequential objective.

    Examples
    --------
    >>> from rdp.state_space import StateSpace
    >>> walk = StateSpace([[0.9]], [[0.19]], [1.0])
    >>> self_adaptive_filter(Observed(walk, [[1.0]], [[1.0]]), frames=1).distortion.round(6)
    array([0.585786])
    """
    count = _check.count("frames", frames)
    source, size = observed.source, observed.source.size
    gains, errors = observed.estimate(count)
    a, h = source.transition, source.output
    held = np.zeros_like(a)
    used, kept, roots = [], [], []
    for gain, error in zip(gains, errors, strict=True):
        known = a @ held @ a.T + gain @ gain.T
        root = psd_sqrt(h @ (error + known) @ h.T)
        correlation, held = use_all(known, h.T @ root)
        used.append(correlation)
        kept.append(held)
        roots.append(root)
    answer = HeldBack(np.array(used), np.array(kept), 0.0, 0.0)
    rows = innovations_of(a, gains, answer)
    factor = block_factor(source, answer.correlation)  # its diagonal blocks are replaced
    for t, root in enumerate(roots):
        block = slice(t * size, (t + 1) * size)
        factor[block, block] = root
    estimate = block_factor(source, gains)
    return _filter(estimate, factor @ rows.from_estimate, factor @ rows.from_noise, errors, h)


def _filter(
    estimate: Array, decoder: Array, noise: Array, errors: Array, h: Array
) -> PerceptualFilter:
    """Answer with the distortions of a decoder."""
    mmse = np.maximum(np.einsum("ij,tjk,ik->t", h, errors, h), 0.0)
    excess = ((estimate - decoder) ** 2).sum(axis=1) + (noise**2).sum(axis=1)
    distortion = mmse + excess.reshape(len(errors), len(h)).sum(axis=1)
    total = float(distortion.sum())
    return PerceptualFilter(distortion, mmse, total, total, decoder, noise)
