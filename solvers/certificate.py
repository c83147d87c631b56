r"""Certificates: rigorous lower bounds from dual points of any solver.

The program of least distortion has one multiplier :math:`\mu_t \ge 0` for each threshold. Squared
W2 between Gaussian distributions is a supremum of functions linear in the covariances,

.. math::
    \mu\, W_2^2(A, B) = \sup_{N < \mu I} \operatorname{tr} A L + \operatorname{tr} B N, \qquad
    L = -N (I - N / \mu)^{-1},

reached at the slope :math:`N = \mu (I - \Phi^{-1})`, where :math:`\Phi` is the optimal transport
map from A to B. With slopes in place of the distances the Lagrangian is linear in the second
moments of the scheme and its minimum is explicit, so every :math:`(\mu_t, N_t)` that leaves a
positive definite quadratic form bounds the optimum from below. At :math:`P_t = 0` the constraint is
an equality of covariances: :math:`\mu_t = \infty`, :math:`N_t` any symmetric matrix, L = -N.

A bound for the MMSE encoder holds for every encoder when frames are scalars: any causal
representation with the same rates has information :math:`1/m_t - 1/v_t` about each new frame no
larger than the MMSE one, by induction on :math:`v_{t+1} = a^2 m_t + q`, hence it is a degraded
version of it. Derived in this project.

Nothing here is compiled, and nothing is shared with the barrier method, whose kernels compute the
same bound inside its search: the certificates of the other methods are a second route to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_solve, solve_triangular

from rdp.measure import self_adaptive_target
from rdp.mmse import estimate_factor, mmse_recursion
from rdp.perception import JD
from rdp.problem import Problem

Array = np.ndarray

# shares of the way to a strictly feasible dual point
_SHARES = np.concatenate([[0.0], 10.0 ** np.arange(-15, 0)])


def slope_of(target: Array, cov_xhat: Array, mu: float) -> Array:
    r"""Slope :math:`N = \mu (I - \Phi^{-1})`, gradient of mu W2^2(target, cov_xhat) in cov_xhat.

    Parameters
    ----------
    target, cov_xhat : (k, k) arrays
        Covariances. Eigenvalues of `cov_xhat` near zero are raised to make it positive definite.
    mu : float, >= 0
        Multiplier.

    Returns
    -------
    (k, k) array

    Examples
    --------
    >>> slope_of(np.array([[4.0]]), np.array([[1.0]]), 1.0)
    array([[-1.]])
    """
    from rdp.gaussian import psd_sqrt

    values, vectors = np.linalg.eigh(cov_xhat)
    floor = 1e-14 * max(np.trace(target), values[-1], 1e-300)
    values = np.maximum(values, floor)
    root = (vectors * np.sqrt(values)) @ vectors.T
    inverse = (vectors / np.sqrt(values)) @ vectors.T
    back = inverse @ psd_sqrt(root @ target @ root) @ inverse
    return mu * (np.eye(len(values)) - 0.5 * (back + back.T))


def lower_bound(
    problem: Problem,
    mu: Array,
    slope: Array,
    cov_xhat: Array | None = None,
    cross: Array | None = None,
) -> float:
    r"""Lower bound on the objective from any dual point, made feasible if it is not.

    Weighted objective: with :math:`Q = \operatorname{diag}(w) + \sum_t N_t` (plus, for SA, the part
    of :math:`L_t` on the past) and :math:`M = \operatorname{diag}(\omega) \tilde L`,

    .. math::
        \sum_t w_t D_t \ge \sum_t w_t \sigma_t^2 + \sum_t (\operatorname{tr} A_t L_t - \mu_t P_t)
        - \sum_s M_{s:,s}^T Q_{s:,s:}^{-1} M_{s:,s} .

    Sequential objective: the same frame by frame, with everything before the frame given.
    A point outside the feasible set is moved towards a strictly feasible one. The bound is concave
    on the way, and the best of a fixed set of steps is returned. A bound on the rounding error is
    subtracted, so the result never exceeds the optimum.

    Parameters
    ----------
    problem : Problem
        Scalar frames; FMD, JD, SA or no perception loss. For FMD in nats the slope is the
        multiplier of the smallest variance, see Notes.
    mu : (T,) array, >= 0
        Multipliers of the thresholds in the units of the objective over those of the threshold;
        inf is allowed where P_t = 0, ignored where P_t = inf.
    slope : (T, T, T) array
        slope[t] is the symmetric N_t in its leading (t+1, t+1) block; FMD uses entry (t, t) alone,
        JD(w) the last w of these frames.
        See :func:`slope_of`.
    cov_xhat, cross : (T, T) arrays, optional
        Second moments H and C of the scheme, for the sequential objective: the bound of frame t
        is for frames 1..t-1 of this scheme.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        Arrays of the wrong shape, vector frames, sequential objective without a scheme.

    Notes
    -----
    FMD needs no dual search: the constraint is :math:`H_{tt} \ge \hat s_t^2` for the smallest
    allowed standard deviation, in either metric; its best multiplier is known and mu and slope
    are not used. Derived in this project.

    Examples
    --------
    >>> from rdp import JD, GaussMarkov
    >>> problem = Problem(GaussMarkov([1.0]), [0.5], JD(0.0), weights=[1.0])
    >>> lower_bound(problem, np.array([np.inf]), np.full((1, 1, 1), -0.2929)) <= 2 - 2**0.5
    True
    """
    frames = problem.source.frames
    if problem.plf == "CP":
        raise ValueError("problem: expected FMD, JD, SA or no perception loss, got CP")
    if problem.source.modes is not None:
        raise ValueError("problem: expected scalar frames, got vector frames")
    mu = _shaped("mu", mu, (frames,))
    slope = _seen(problem, _shaped("slope", slope, (frames, frames, frames)))
    if (mu < 0).any() or (np.isinf(mu) & (problem.thresholds > 0)).any():
        raise ValueError(f"mu: expected values >= 0, inf only where P_t = 0, got {mu}")
    if problem.plf == "FMD" or problem.plf == "MMSE":
        return _fmd_bound(problem)
    if problem.weights is not None:
        return _weighted_bound(problem, problem.weights, mu, slope)
    if cov_xhat is None or cross is None:
        raise ValueError("cov_xhat, cross: expected the scheme for the sequential objective")
    cov_xhat = _shaped("cov_xhat", cov_xhat, (frames, frames))
    cross = _shaped("cross", cross, (frames, frames))
    return float(sequential_bounds(problem, mu, slope, cov_xhat, cross).sum())


def _shaped(name: str, value: Array, shape: tuple[int, ...]) -> Array:
    out = np.asarray(value, dtype=np.float64)
    if out.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {out.shape}")
    return out


def _seen(problem: Problem, slope: Array) -> Array:
    """Slopes without the frames that a window leaves out: any slope on the others is a bound."""
    if not isinstance(problem.perception, JD) or problem.perception.window is None:
        return slope
    out = np.zeros_like(slope)
    for t in range(len(slope)):
        block = slice(problem.first_seen(t), t + 1)
        out[t, block, block] = slope[t, block, block]
    return out


def _fmd_bound(problem: Problem) -> float:
    """Lagrangian bound of H_tt >= floor_t^2 at its best multiplier, w (1 - sd / floor)_+."""
    from rdp.closed_form import smallest_sd

    weights = np.ones(problem.source.frames) if problem.weights is None else problem.weights
    backbone = mmse_recursion(problem.source, problem.rates)
    excess = np.zeros_like(backbone.mmse)
    if problem.perception is not None:
        floor = smallest_sd(problem.source.sigma, problem.thresholds, problem.perception.metric)
        # const - M^T Q^-1 M = w (floor - sd)_+^2 at that multiplier
        short = backbone.mmse / (problem.source.sigma + np.sqrt(backbone.variance))
        excess = np.maximum(short - (problem.source.sigma - floor), 0.0) ** 2
    value = weights * (backbone.mmse + excess)
    return float(value.sum() - 8 * np.finfo(np.float64).eps * value.sum())


def _weighted_bound(problem: Problem, weights: Array, mu: Array, slope: Array) -> float:
    """Best bound on the way from the given dual point to a strictly feasible one."""
    levels = problem.thresholds
    bounded = np.isfinite(levels)
    relevant = bounded | (weights > 0)
    mu = np.where(bounded, mu, 0.0)
    slope = np.where(bounded[:, None, None], slope, 0.0)
    if problem.plf == "SA":
        # W2 of fewer frames is no larger, so the bound stays valid without the other frames
        slope = slope * relevant[:, None] * relevant
    estimate = estimate_factor(problem.source, problem.rates)
    lift = _lift_of_frames_without_weight(problem, weights)
    finite, top = np.where(np.isinf(mu), 0.0, mu), weights.max()
    return _best_on_the_way(
        _dual_value(
            problem,
            weights,
            estimate,
            np.where(bounded & np.isfinite(mu), (1 - share) * finite + share * top, mu),
            (1 - share) * slope + share * lift,
        )
        for share in (*_SHARES, 1.0)
    )


def _best_on_the_way(values: Iterable[float]) -> float:
    """Largest value of a concave function at a few steps: once it falls it goes on falling.

    Two steps downwards, as rounding may take one.
    """
    best, falls = -np.inf, 0
    for value in values:
        falls = falls + 1 if value < best else 0
        best = max(best, value)
        if falls == 2:
            break
    return float(best)


def _dual_value(
    problem: Problem, weights: Array, estimate: Array, mu: Array, slope: Array
) -> float:
    """Bound of one dual point, rounded down; -inf where it is not feasible."""
    covariance, transition = problem.source.covariance(), problem.source.transition()
    quadratic, omega = np.diag(weights), weights.copy()
    value = scale = float(weights @ np.diag(covariance))
    for t in np.flatnonzero(mu):
        seen = slice(t + 1)
        conjugate = _conjugate(slope[t, seen, seen], mu[t])
        if conjugate is None:
            return -np.inf
        quadratic[seen, seen] += slope[t, seen, seen]
        if problem.plf != "SA":
            terms = covariance[seen, seen] * conjugate
        else:
            quadratic[:t, :t] += conjugate[:t, :t]
            omega[:t] -= transition[t, :t] * conjugate[t, :t]
            terms = covariance[t, t] * conjugate[t, t]
        price = mu[t] * problem.thresholds[t] if mu[t] < np.inf else 0.0
        value += float(np.sum(terms)) - price
        scale += float(np.sum(np.abs(terms))) + price
    used = (omega != 0) | (quadratic != 0).any(axis=1)
    root = _cholesky(quadratic[np.ix_(used, used)][::-1, ::-1])
    if root is None:
        return -np.inf
    # Q = U U^T with U upper triangular: each trailing block of Q has that of U as its factor
    columns = solve_triangular(root[::-1, ::-1], (omega[:, None] * estimate)[used])
    minimum = float(np.sum(columns[np.tri(len(used), dtype=bool)[used]] ** 2))
    return value - minimum - _rounding(len(used)) * (scale + minimum)


def _conjugate(slope: Array, mu: float) -> Array | None:
    """L = -N (I - N / mu)^-1, or -N at mu = inf; None unless I - N / mu > 0."""
    if np.isinf(mu):
        return -slope
    if (root := _cholesky(np.eye(len(slope)) - slope / mu)) is None:
        return None
    found = cho_solve((root, True), -slope)
    return 0.5 * (found + found.T)


def _cholesky(matrix: Array) -> Array | None:
    """Lower triangular factor; None where the matrix is not positive definite."""
    try:
        return np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return None


def _rounding(frames: int) -> float:
    """Bound on the relative rounding error of a sum of terms of this many frames."""
    return float(4 * (frames + 2) * np.finfo(np.float64).eps)


def _lift_of_frames_without_weight(problem: Problem, weights: Array) -> Array:
    """Slopes (T, T, T) that are positive on each frame without weight that a threshold sees."""
    lift = np.zeros((problem.source.frames,) * 3)
    bounded = np.flatnonzero(np.isfinite(problem.thresholds))
    for t in np.flatnonzero(weights == 0):
        if problem.plf == "SA":
            homes = [s for s in bounded if s == t]
        else:
            homes = [s for s in bounded if problem.first_seen(int(s)) <= t <= s]
        if homes:
            lift[homes[0], t, t] = 0.5 * weights.max()
    return lift


def sequential_bounds(
    problem: Problem, mu: Array, slope: Array, cov_xhat: Array, cross: Array
) -> Array:
    """Bounds of the frames, each given the frames before it, (T,) array."""
    source, levels = problem.source, problem.thresholds
    backbone = mmse_recursion(source, problem.rates)
    covariance, out = source.covariance(), np.empty(source.frames)
    for t in range(source.frames):
        seen = slice(t + 1)
        target = covariance[seen, seen]
        if problem.plf == "SA":
            target = self_adaptive_target(cov_xhat[None], cross[None], source.sigma[None], t)[0]
        given = Given(cov_xhat[:t, :t], cross[:t, t], backbone.variance[t], source.variance[t])
        least = float(backbone.mmse[t])
        found = frame_bound(given, target, float(mu[t]), slope[t, seen, seen], float(levels[t]))
        out[t] = max(least, found)
    return out


class Given(NamedTuple):
    """What is fixed when a frame is reconstructed.

    Parameters
    ----------
    past : (k, k) array
        Covariance of the earlier reconstructions that are compared.
    cross : (k,) array
        Their correlation with the estimate Xtil_t of the frame.
    known : float
        Variance of Xtil_t.
    variance : float
        Variance of the frame.
    """

    past: Array
    cross: Array
    known: float
    variance: float


def frame_bound(given: Given, target: Array, mu: float, slope: Array, level: float) -> float:
    """Best bound on D_t on the way from a dual point to 0; -inf without a finite threshold.

    Parameters
    ----------
    given : Given
        The scheme before the frame.
    target : (k + 1, k + 1) array
        Covariance that the reconstructions are compared with.
    mu : float, >= 0
        Multiplier; inf is allowed where the threshold is 0.
    slope : (k + 1, k + 1) array
        N.
    level : float
        P_t.
    """
    if not (np.isfinite(level) and mu > 0):
        return -np.inf
    return _best_on_the_way(
        _frame_value(
            *given,
            target,
            mu if np.isinf(mu) else (1 - share) * mu + share,
            (1 - share) * slope,
            level,
        )
        for share in _SHARES
    )


def _frame_value(
    past: Array,
    cross: Array,
    known: float,
    base: float,
    target: Array,
    mu: float,
    slope: Array,
    level: float,
) -> float:
    """Lower bound on D_t of the last frame, given those before; -inf where it is not feasible.

    With N = [[N', y], [y^T, kappa - 1]] the minimum over Xhat_t is
    const - E(Xtil_t - y . Xhat^(t-1))^2 / kappa.
    """
    y, kappa = slope[-1, :-1], 1 + slope[-1, -1]
    conjugate = _conjugate(slope, mu)
    if not kappa > 0 or conjugate is None:
        return -np.inf
    left = np.concatenate([[known], -2 * y * cross, (past * np.outer(y, y)).ravel()]) / kappa
    price = mu * level if mu < np.inf else 0.0
    kept = (past * slope[:-1, :-1]).ravel()
    terms = np.concatenate([[base, -price], (target * conjugate).ravel(), kept, -left])
    return float(terms.sum() - _rounding(len(slope)) * np.abs(terms).sum())
