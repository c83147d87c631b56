r"""Noisy observation of a source: the perceptual Kalman filter, exactly.

The decoder sees :math:`Y_t = C S_t + V_t`, without a limit on the rate, and reconstructs the frames
:math:`X_t = H S_t` at once:

.. math:: \min \sum_t w_t E\|X_t - \hat X_t\|^2 \quad\text{s.t.}\quad
          P_{\hat X_1..\hat X_T} = P_{X_1..X_T}, \quad \hat X_t \text{ a function of }
          Y_1..Y_t \text{ and noise.}

The Kalman estimate :math:`\hat S_t = A \hat S_{t-1} + \Gamma_t u_t` carries all that is known, and
:math:`D_t = \operatorname{tr} H P_t H^T + E\|H \hat S_t - \hat X_t\|^2`. What is left is the
program of `held_back`, in blocks. Freirich, Michaeli and Meir, NeurIPS 2023, pose the problem and
give a recursive filter; the exact optimum and its bound are derived in this project.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rdp import _check
from rdp.linear_source import covariance_matrix
from rdp.state_space import StateSpace
from solvers.acceptance import check_block
from solvers.linear.held_back import HeldBack, demand, hold_back, innovations_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Array = np.ndarray

_NO_INNOVATION = 1e-12  # share of the variance of a frame that rounding leaves


@dataclass(frozen=True, eq=False)
class Observed:
    r"""A source that is seen through noise, :math:`Y_t = C S_t + V_t`.

    Parameters
    ----------
    source : StateSpace
        State and frames X_t = H S_t.
    observation : (k, n) array
        C.
    noise : (k, k) array
        Covariance of V_t, positive semidefinite.

    Raises
    ------
    ValueError
        Shapes that do not match, a covariance that is not positive semidefinite.

    Examples
    --------
    >>> walk = StateSpace([[0.9]], [[0.19]], [1.0])
    >>> Observed(walk, [[1.0]], [[1.0]]).estimate(frames=1)[1]
    array([[[0.5]]])
    """

    source: StateSpace
    observation: Array
    noise: Array

    if TYPE_CHECKING:  # types of the arguments; the fields have the types after validation

        def __init__(
            self, source: StateSpace, observation: ArrayLike, noise: ArrayLike
        ) -> None: ...

    def __post_init__(self) -> None:
        """Validate the matrices and freeze them."""
        c = np.atleast_2d(_check.array("observation", self.observation, ndim=(1, 2)))
        r = covariance_matrix("noise", np.atleast_2d(self.noise), len(c))
        if c.shape[1] != self.source.order:
            raise ValueError(
                f"observation: expected {self.source.order} columns for as many states, "
                f"got shape {c.shape}"
            )
        object.__setattr__(self, "observation", _check.frozen(_check.finite("observation", c)))
        object.__setattr__(self, "noise", _check.frozen(r))

    def estimate(self, frames: int) -> tuple[Array, Array]:
        """Gains Gamma_t = E[S_t u_t'], (T, n, k), and errors P_t, (T, n, n), of the Kalman filter.

        Parameters
        ----------
        frames : int
            T.
        """
        source, c = self.source, self.observation
        ahead = source.initial
        gains, errors = [], []
        for _ in range(_check.count("frames", frames)):
            gain = ahead @ c.T @ _inverse_root(c @ ahead @ c.T + self.noise)
            error = ahead - gain @ gain.T
            gains.append(gain)
            errors.append(0.5 * (error + error.T))
            ahead = source.transition @ errors[-1] @ source.transition.T + source.noise
        return np.array(gains), np.array(errors)


@dataclass(frozen=True, eq=False)
class PerceptualFilter:
    """Reconstruction of an observed source at perfect joint realism.

    Parameters
    ----------
    distortion : (T,) array
        E|X_t - Xhat_t|^2.
    mmse : (T,) array
        tr H P_t H', the error of the Kalman estimate.
    objective : float
        sum_t w_t D_t.
    lower_bound : float
        No causal filter with perfect joint realism has a smaller objective.
    decoder : (T d, T k) array
        Coefficients of the white innovations u of the observation.
    decoder_noise : (T d, T d) array
        Coefficients of the filter's own noise.
    """

    distortion: Array
    mmse: Array
    objective: float
    lower_bound: float
    decoder: Array
    decoder_noise: Array

    @property
    def gap(self) -> float:
        """Objective minus its bound, >= 0."""
        return self.objective - self.lower_bound

    @property
    def cov_xhat(self) -> Array:
        """Covariance of the reconstruction, (T d, T d)."""
        return self.decoder @ self.decoder.T + self.decoder_noise @ self.decoder_noise.T


def perceptual_filter(observed: Observed, frames: int, weights: object = None) -> PerceptualFilter:
    r"""Best causal filter at perfect joint realism, for any weights of the frames.

    Parameters
    ----------
    observed : Observed
        Source and observation.
    frames : int
        T.
    weights : (T,) array, >= 0, or None
        w_t; None is the sequential objective: the first frame first, then the second given that.

    Returns
    -------
    PerceptualFilter
        For the sequential objective the bound is the objective itself.

    Raises
    ------
    ValueError
        Bad weights.
    SolverError
        The solver failed, or its certified gap is too large or negative.

    Examples
    --------
    >>> walk = StateSpace([[0.9]], [[0.19]], [1.0])
    >>> answer = perceptual_filter(Observed(walk, [[1.0]], [[1.0]]), 2, weights=[1.0, 1.0])
    >>> answer.gap < 1e-8
    True
    """
    source = observed.source
    count = _check.count("frames", frames)
    gains, errors = observed.estimate(count)
    own = block_innovations(source, count)
    if weights is None:
        answer = _sequential(source, gains, own)
        w = np.ones(count)
    else:
        w = _check.nonnegative("weights", weights, ndim=1)
        if w.shape != (count,):
            raise ValueError(f"weights: expected shape ({count},), got {w.shape}")
        wanted, _ = demand(source.transition, source.output, own, _check.finite("weights", w))
        answer = hold_back(source.transition, gains, wanted)
    rows = innovations_of(source.transition, gains, answer)
    factor = block_factor(source, own)
    decoder, noise = factor @ rows.from_estimate, factor @ rows.from_noise
    excess = (block_factor(source, gains) - decoder) ** 2
    size = source.size
    h = source.output
    mmse = np.maximum(np.einsum("ij,tjk,ik->t", h, errors, h), 0.0)
    per_row = excess.sum(axis=1) + (noise**2).sum(axis=1)
    distortion = mmse + per_row.reshape(count, size).sum(axis=1)
    objective = float(w @ distortion)
    variance = float(w @ (factor**2).sum(axis=1).reshape(count, size).sum(axis=1))
    bound = check_block("perceptual_filter", {}, objective, objective - 2 * answer.gap, variance)
    return PerceptualFilter(distortion, mmse, objective, bound, decoder, noise)


def innovation_filter(observed: Observed, frames: int, weights: object = None) -> PerceptualFilter:
    r"""Best filter whose innovation follows the new observation of the same frame alone.

    :math:`\hat e_t` is a function of :math:`u_t` and noise: nothing is held back for later, and
    nothing late is made good. This is the published filter, with its gains optimised for the
    weights. The bound is the one of `perceptual_filter`.

    Parameters
    ----------
    observed : Observed
        Source and observation.
    frames : int
        T.
    weights : (T,) array, >= 0, or None
        w_t; None is 1 for every frame.

    Notes
    -----
    Freirich, Michaeli and Meir, *Perceptual Kalman filters*, NeurIPS 2023. K is block diagonal, so
    each block is the polar factor of its gradient.

    Examples
    --------
    >>> walk = StateSpace([[0.9]], [[0.19]], [1.0])
    >>> answer = innovation_filter(Observed(walk, [[1.0]], [[1.0]]), frames=2)
    >>> answer.objective >= answer.lower_bound
    True
    """
    count = _check.count("frames", frames)
    best = perceptual_filter(observed, count, np.ones(count) if weights is None else weights)
    w = np.ones(count) if weights is None else _check.array("weights", weights)
    source = observed.source
    gains, own = observed.estimate(count)[0], block_innovations(source, count)
    wanted, _ = demand(source.transition, source.output, own, w)
    size, k = source.size, gains.shape[2]
    along, noise = np.zeros((count * size, count * k)), np.zeros((count * size, count * size))
    for t, (gain, want) in enumerate(zip(gains, wanted, strict=True)):
        left, stretch, right = np.linalg.svd(want.T @ gain, full_matrices=False)
        some = stretch > 1e-13 * max(float(stretch.max(initial=0.0)), 1e-300)
        polar = left[:, some] @ right[some]
        rows = slice(t * size, (t + 1) * size)
        along[rows, t * k : (t + 1) * k] = polar
        noise[rows, rows] = np.eye(size) - left[:, some] @ left[:, some].T
    factor = block_factor(source, own)
    decoder, decoder_noise = factor @ along, factor @ noise
    excess = ((block_factor(source, gains) - decoder) ** 2).sum(axis=1)
    excess += (decoder_noise**2).sum(axis=1)
    distortion = best.mmse + excess.reshape(count, size).sum(axis=1)
    return PerceptualFilter(
        distortion, best.mmse, float(w @ distortion), best.lower_bound, decoder, decoder_noise
    )


def block_innovations(source: StateSpace, frames: int) -> Array:
    """Gains b_t = E[S_t e_t'], (T, n, d), of the innovations form of vector frames.

    Parameters
    ----------
    source : StateSpace
    frames : int
        T.
    """
    h = source.output
    ahead, out = source.initial, []
    for _ in range(frames):
        gain = ahead @ h.T @ _inverse_root(h @ ahead @ h.T)
        out.append(gain)
        left = source.transition @ (ahead - gain @ gain.T) @ source.transition.T + source.noise
        ahead = 0.5 * (left + left.T)
    return np.array(out)


def block_factor(source: StateSpace, gains: Array) -> Array:
    """Block lower-triangular matrix with H A^(t-s) gains_s at (t, s), (T d, T k)."""
    frames, _, k = gains.shape
    size = source.size
    out = np.zeros((frames * size, frames * k))
    for s, gain in enumerate(gains):
        for t in range(s, frames):
            out[t * size : (t + 1) * size, s * k : (s + 1) * k] = source.output @ gain
            gain = source.transition @ gain
    return out


def _sequential(source: StateSpace, gains: Array, own: Array) -> HeldBack:
    """Use at each frame what is best for that frame: wanted_t = H' H b_t alone."""
    wanted = np.einsum("ki,kj,tjd->tid", source.output, source.output, own)
    held = np.zeros_like(source.transition)
    used, kept = [], []
    for gain, want in zip(gains, wanted, strict=True):
        known = source.transition @ held @ source.transition.T + gain @ gain.T
        correlation, held = use_all(known, want)
        used.append(correlation)
        kept.append(held)
    value = float(sum((g * want).sum() for g, want in zip(used, wanted, strict=True)))
    return HeldBack(np.array(used), np.array(kept), value, value)


def use_all(known: Array, want: Array) -> tuple[Array, Array]:
    """Maximise <want, G> over G G' <= known: return G and what is left, known - G G'.

    Parameters
    ----------
    known : (n, n) array
        Covariance of what is known.
    want : (n, d) array
    """
    values, vectors = np.linalg.eigh(known)
    keep = values > 1e-13 * max(float(values[-1]), 0.0)
    root = vectors[:, keep] * np.sqrt(values[keep])
    left, stretch, right = np.linalg.svd(root.T @ want, full_matrices=False)
    some = stretch > 1e-13 * max(float(stretch.max(initial=0.0)), 1e-300)
    contraction = left[:, some] @ right[some]
    rest = root @ (np.eye(root.shape[1]) - contraction @ contraction.T) @ root.T
    return root @ contraction, rest


def _inverse_root(covariance: Array) -> Array:
    """Inverse symmetric root on the support of a covariance."""
    values, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T))
    keep = values > _NO_INNOVATION * max(float(values[-1]), 0.0)
    return (vectors[:, keep] / np.sqrt(values[keep])) @ vectors[:, keep].T
