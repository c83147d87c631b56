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
"""

from __future__ import annotations

import numpy as np

from rdp.measure import self_adaptive_target
from rdp.mmse import estimate_factor, mmse_recursion
from rdp.perception import JD
from rdp.problem import Problem

Array = np.ndarray

# shares of the way to a strictly feasible dual point, as in solvers._barrier.dual_bound.best_bound
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
    return _sequential_bound(problem, mu, slope, cov_xhat, cross)


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
    from solvers._barrier import constants, dual_bound
    from solvers._barrier.slots import slope_slot
    from solvers._barrier.workspace import Matrix, Vector, new_work

    source, levels = problem.source, problem.thresholds
    bounded = np.isfinite(levels)
    relevant = bounded | (weights > 0)
    mu = np.where(bounded, mu, 0.0)
    slope = np.where(bounded[:, None, None], slope, 0.0)
    if problem.plf == "SA":
        # W2 of fewer frames is no larger, so the bound stays valid without the other frames
        slope = slope * relevant[:, None] * relevant
    frames = source.frames
    ints, mats, vecs, _ = new_work(frames)
    mats[Matrix.COVARIANCE] = source.covariance()
    mats[Matrix.TRANSITION] = source.transition()
    mats[Matrix.ESTIMATE] = estimate_factor(source, problem.rates)
    vecs[Vector.WEIGHTS, :frames] = weights
    vecs[Vector.FRAME_LEVEL, :frames] = levels
    vecs[Vector.BOUND_MU, :frames] = mu
    vecs[Vector.BOUND_COST] = np.nan
    first = slope_slot(mats, 0)
    mats[first : first + frames] = slope
    plf = constants.SA if problem.plf == "SA" else constants.JD
    if not isinstance(problem.perception, JD) or problem.perception.window is None:
        return float(dual_bound.best_bound(plf, frames, np.inf, ints, mats, vecs))
    best = -np.inf
    lift = _lift_of_frames_without_weight(problem, weights)
    for share in (*_SHARES, 1.0):
        lifted = (1 - share) * np.where(np.isinf(mu), 0.0, mu) + share * weights.max()
        vecs[Vector.BOUND_MU, :frames] = np.where(bounded & np.isfinite(mu), lifted, mu)
        mats[first : first + frames] = (1 - share) * slope + share * lift
        best = max(best, float(dual_bound.weighted_bound(plf, frames, ints, mats, vecs)))
    return best


def _lift_of_frames_without_weight(problem: Problem, weights: Array) -> Array:
    """Slopes (T, T, T) that are positive on each frame without weight that a threshold sees."""
    lift = np.zeros((problem.source.frames,) * 3)
    seen = [range(problem.first_seen(t), t + 1) for t in range(problem.source.frames)]
    for t in np.flatnonzero(weights == 0):
        homes = [s for s in np.flatnonzero(np.isfinite(problem.thresholds)) if t in seen[s]]
        if homes:
            lift[homes[0], t, t] = 0.5 * weights.max()
    return lift


def _sequential_bound(
    problem: Problem, mu: Array, slope: Array, cov_xhat: Array, cross: Array
) -> float:
    """Sum of the bounds of the frames, each given the frames before it."""
    from solvers._barrier import dual_bound
    from solvers._barrier.slots import slope_slot
    from solvers._barrier.workspace import Matrix, Vector, new_work

    source, levels = problem.source, problem.thresholds
    backbone = mmse_recursion(source, problem.rates)
    _, mats, vecs, _ = new_work(source.frames)
    frames, given = source.frames, Matrix.RECONSTRUCTION
    mats[given] = cov_xhat
    total = 0.0
    for t in range(frames):
        mats[Matrix.TARGET_COVARIANCE] = source.covariance()
        if problem.plf == "SA":
            target = self_adaptive_target(cov_xhat[None], cross[None], source.sigma[None], t)[0]
            mats[Matrix.TARGET_COVARIANCE, : t + 1, : t + 1] = target
        vecs[Vector.X0, :frames] = cross[:, t]
        values = [backbone.mmse[t]]
        for share in _SHARES if np.isfinite(levels[t]) and mu[t] > 0 else []:
            at = slope_slot(mats, t)
            mats[at] = (1 - share) * slope[t]
            residual = dual_bound.prediction_error(
                mats, given, at, vecs, Vector.X0, t + 1, backbone.variance[t]
            )
            values.append(
                dual_bound.frame_bound(
                    mats,
                    Matrix.TARGET_COVARIANCE,
                    given,
                    at,
                    t + 1,
                    residual,
                    source.variance[t],
                    levels[t],
                    _lifted(mu[t], share),
                    (np.nan, np.nan),
                )
            )
        total += max(values)
    return float(total)


def _lifted(mu: float, share: float) -> float:
    """Multiplier on the way to the dual point mu = 1, slope 0, strictly feasible for singular A."""
    return mu if np.isinf(mu) else (1 - share) * mu + share
