r"""Perfect joint realism in the steady state, exactly: a small matrix inequality and its dual.

.. math:: \min \frac1N \sum_{t=1}^N E(X_t - \hat X_t)^2 \quad\text{s.t.}\quad
          P_{\hat X_1, \hat X_2, ..} = P_{X_1, X_2, ..}

at rates of period N. The chain of `held_back` closes to a ring: with
:math:`Y_t = A Y_{t-1} A^T + \gamma_t \gamma_t^T - g_t g_t^T \succeq 0` of period N,

.. math:: D = \sigma^2 \cdot 2 - \frac2N \max \sum_t f^T g_t, \qquad f = O b, \quad
          O = A^T O A + h h^T,

b the gain of the innovations form of the source. For constant rate the dual reads

.. math:: \max f^T g = \min_B \tfrac14 f^T B^{-1} f + \gamma^T B \gamma
          \quad\text{s.t.}\quad B \succeq A^T B A .

:math:`g_t = \gamma_t` is the sequential decoder. Derived in this project; `spectral` computes the
same number from spectra.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rdp import _check
from rdp.linear_source import LinearSource, lyapunov, scalar, steady_innovations
from rdp.solution import Status
from solvers.errors import SolverError
from solvers.linear._chain import Chain, solve_chain
from solvers.linear.measurement import frame_error
from solvers.linear.steady_encoder import steady_encoder

Array = np.ndarray

_PATIENCE = 20_000  # steps of the filter after which rounding counts as settled


@dataclass(frozen=True, eq=False)
class SteadyDistortion:
    """Mean distortion over a period in the steady state, squared units of the source.

    Parameters
    ----------
    mmse : float
        Without a perception loss.
    framewise : float
        Perfect realism of each frame, PLF-FMD.
    joint_sequential : float
        Perfect joint realism, PLF-JD, by the sequential decoder: each frame uses all it can.
    joint : float
        Perfect joint realism by the best decoder of this representation.
    lower_bound : float
        No decoder of this representation has a smaller joint distortion.
    """

    mmse: float
    framewise: float
    joint_sequential: float
    joint: float
    lower_bound: float

    @property
    def gap(self) -> float:
        """Joint distortion minus its bound, >= 0."""
        return self.joint - self.lower_bound


def steady_distortion(
    source: LinearSource, rates: object, measurement: object = None
) -> SteadyDistortion:
    r"""Distortion in the steady state at zero perception loss.

    Parameters
    ----------
    source : LinearSource
        Scalar frames, all poles inside the unit circle.
    rates : float or (N,) array, >= 0, bits per frame
        Rates of one period; inf allowed.
    measurement : (n,) array or None
        Direction of the state that the encoder measures; None is the best one for the MMSE at the
        mean rate.

    Returns
    -------
    SteadyDistortion

    Raises
    ------
    ValueError
        Vector frames, poles on or outside the unit circle, bad rates.
    SolverError
        The solver failed.

    Examples
    --------
    Realism of the motion costs for ever if the source is of second order:

    >>> from rdp.autoregressive import AutoRegressive
    >>> answer = steady_distortion(
    ...     AutoRegressive.from_poles(0.95 * np.exp([0.3j, -0.3j])), 0.5)
    >>> round(answer.mmse, 4), round(answer.framewise, 4), round(answer.joint, 4)
    (0.0558, 0.0566, 0.1199)
    """
    a, w, h = scalar(source)
    bits = np.atleast_1d(_check.nonnegative("rates", rates, ndim=(0, 1)))
    c = measurement
    if c is None:
        c = steady_encoder(source, float(bits.mean())).measurement
    gains, errors = periodic_filter(source, bits, c)
    variance = float(h @ lyapunov(a, w) @ h)
    m = np.minimum(frame_errors(source, bits, np.asarray(c), errors), variance)
    estimate = variance - m
    framewise = m + (np.sqrt(variance) - np.sqrt(estimate)) ** 2
    found = best_decoder(source, gains, m)
    return SteadyDistortion(
        mmse=float(m.mean()),
        framewise=float(framewise.mean()),
        joint_sequential=float(found.sequential.mean()),
        joint=float(found.distortion.mean()),
        lower_bound=found.lower_bound,
    )


class BestDecoder(NamedTuple):
    """Decoder of least mean distortion at perfect joint realism, over a period.

    Parameters
    ----------
    distortion : (N,) array
        D_t of each frame of the period.
    sequential : (N,) array
        D_t of the sequential decoder.
    lower_bound : float
        No decoder of this representation has a smaller mean.
    """

    distortion: Array
    sequential: Array
    lower_bound: float


def best_decoder(source: LinearSource, gains: Array, mmse: Array) -> BestDecoder:
    """Best decoder of a periodic representation under perfect joint realism.

    Parameters
    ----------
    source : LinearSource
        Scalar frames, all poles inside the unit circle.
    gains : (N, n) array
        gamma_t of the representation, see `periodic_filter`.
    mmse : (N,) array
        Its errors m_t.

    Raises
    ------
    SolverError
        The solver failed.
    """
    a, _, h = scalar(source)
    innovation, _ = steady_innovations(source)
    wanted = lyapunov(a.T, np.outer(h, h)) @ innovation
    back, bound = _ring(a, gains, wanted)
    # Xtil - Xhat = sum_j h' A^j (gamma - b) u: no cancellation at high rates
    missing = innovation - gains
    sequential = mmse + _periodic(a, np.einsum("ti,tj->tij", missing, missing)) @ h @ h
    # E[X_t Xhat_t] = h' V_t h with V_t = A V_{t-1} A' + g_t b'
    more = np.einsum("ti,j->tij", back - gains, innovation)
    distortion = sequential - 2 * (_periodic(a, 0.5 * (more + more.mT)) @ h @ h)
    mean = float(distortion.mean())
    lowest = mean - 2 * max(bound - float(np.mean(back @ wanted)), 0.0)
    return BestDecoder(distortion, sequential, lowest)


def periodic_filter(source: LinearSource, rates: Array, measurement: object) -> tuple[Array, Array]:
    """Gains gamma_t, (N, n), and errors P_t, (N, n, n), of the periodic Kalman filter.

    Parameters
    ----------
    source : LinearSource
        Scalar frames, stable.
    rates : (N,) array, >= 0, bits per frame
    measurement : (n,) array

    Raises
    ------
    SolverError
        The filter does not settle within a million frames.
    """
    a, w, h = scalar(source)
    c = _check.finite("measurement", _check.array("measurement", measurement, ndim=1))
    if c.shape != h.shape or not c.any():
        raise ValueError(f"measurement: expected a direction of shape {h.shape}, got {c}")
    captured = -np.expm1(-2 * np.log(2) * rates)
    ahead = lyapunov(a, w)
    scale = float(np.abs(ahead).max())
    gains, errors = np.zeros((len(rates), len(a))), np.zeros((len(rates), *a.shape))
    if not captured.any():
        return gains, np.broadcast_to(ahead, errors.shape).copy()
    for count in range(1_000_000 // len(rates)):
        before = ahead
        for t, share in enumerate(captured):
            column = ahead @ c
            spread = float(c @ column)
            gains[t] = np.sqrt(share / spread) * column if spread > 1e-15 * scale else 0.0
            gains[t] *= 1.0 if h @ gains[t] >= 0 else -1.0
            errors[t] = ahead - np.outer(gains[t], gains[t])
            ahead = a @ errors[t] @ a.T + w
            ahead = 0.5 * (ahead + ahead.T)
        # rounding of an ill-conditioned state may never end
        settled = 4e-15 if count < _PATIENCE else 1e-12
        if np.abs(ahead - before).max() <= settled * scale:
            return gains, errors
    raise SolverError(Status.FAILED, "periodic_filter: the Kalman filter does not settle")


def frame_errors(source: LinearSource, rates: Array, measurement: Array, errors: Array) -> Array:
    """Errors m_t of the frames, (N,), of a periodic filter; they keep their digits at high rates.

    Parameters
    ----------
    source : LinearSource
        Scalar frames, stable.
    rates : (N,) array, >= 0, bits per frame
    measurement : (n,) array
    errors : (N, n, n) array
        P_t of the representation, see `periodic_filter`.
    """
    a, w, h = scalar(source)
    ahead = a @ np.roll(errors, 1, axis=0) @ a.T + w
    return np.array(
        [frame_error(h, p, measurement, float(bits)) for p, bits in zip(ahead, rates, strict=True)]
    )


def _ring(a: Array, gains: Array, wanted: Array) -> tuple[Array, float]:
    """Gains g_t of the best decoder, (N, n), and the bound of the mean of wanted' g_t."""
    period = len(gains)
    covariances = _periodic(a, np.einsum("ti,tj->tij", gains, gains))
    roots, inverses = [], []
    for covariance in covariances:
        values, vectors = np.linalg.eigh(covariance)
        keep = values > 1e-13 * max(float(values[-1]), 0.0)
        roots.append(vectors[:, keep] * np.sqrt(values[keep]))
        inverses.append((vectors[:, keep] / np.sqrt(values[keep])).T)
    scale = max(float(np.linalg.norm(root.T @ wanted)) for root in roots)
    if not scale > 0:
        return np.zeros_like(gains), 0.0
    chain = Chain(
        [inverses[t] @ a @ roots[t - 1] for t in range(period)],
        [inverse @ gain[:, None] for inverse, gain in zip(inverses, gains, strict=True)],
        [root.T @ wanted[:, None] / scale for root in roots],
    )
    best, dual = solve_chain(chain, periodic=True)
    value = float(np.mean(gains @ wanted))
    back = np.array([root @ g[:, 0] for root, g in zip(roots, best, strict=True)])
    # scaled so that nothing is used that is not known: Y_t = Cov(S^_t) - used_t >= 0
    used = _periodic(a, np.einsum("ti,tj->tij", back, back))
    excess = max(
        float(np.linalg.eigvalsh(inverse @ part @ inverse.T).max(initial=0.0))
        for inverse, part in zip(inverses, used, strict=True)
    )
    back = back / np.sqrt(max(excess, 1.0))
    if not float(np.mean(back @ wanted)) > value:
        back = gains
    return back, max(scale * _ring_bound(chain, dual) / period, value)


def _periodic(a: Array, added: Array) -> Array:
    """Periodic solution of X_t = A X_{t-1} A' + added_t, (N, n, n)."""
    period = len(added)
    total = np.zeros_like(a)
    for part in added:
        total = a @ total @ a.T + part
    state = lyapunov(np.linalg.matrix_power(a, period), total)
    out = np.empty_like(added)
    for t in range(period):
        state = a @ state @ a.T + added[t]
        out[t] = state
    return out


def _ring_bound(chain: Chain, dual: list[Array]) -> float:
    """Dual value at the feasible point B_t = A' B_{t+1} A + (positive part of the slack)."""
    period = len(dual)
    best = np.inf
    for lift in (0.0, 1e-14, 1e-12, 1e-10, 1e-8):
        slacks = []
        for t in range(period):
            after = chain.transition[(t + 1) % period]
            rest = dual[t] - after.T @ dual[(t + 1) % period] @ after
            values, vectors = np.linalg.eigh(0.5 * (rest + rest.T))
            slacks.append((vectors * (np.maximum(values, 0.0) + lift)) @ vectors.T)
        b = _backwards(chain, slacks)
        value = 0.0
        for t in range(period):
            values, vectors = np.linalg.eigh(0.5 * (b[t] + b[t].T))
            along = ((vectors.T @ chain.wanted[t]) ** 2).sum(axis=1)
            if (along[values <= 0] > 0).any():
                value = np.inf
                break
            keep = values > 0
            value += 0.25 * float((along[keep] / values[keep]).sum())
            value += float(chain.arriving[t][:, 0] @ b[t] @ chain.arriving[t][:, 0])
        best = min(best, value)
    return best


def _backwards(chain: Chain, slacks: list[Array]) -> list[Array]:
    """Periodic solution of B_t = A_{t+1}' B_{t+1} A_{t+1} + slack_t."""
    period = len(slacks)
    loop = np.eye(len(slacks[-1]))  # from the state after the last frame, once around
    for transition in chain.transition:
        loop = transition @ loop
    total = np.zeros_like(slacks[-1])
    for t in range(period - 1, -1, -1):
        if t < period - 1:
            total = chain.transition[t + 1].T @ total @ chain.transition[t + 1]
        total = total + slacks[t]
    # total is what one period adds to B at its first frame; move it to the last frame
    first = chain.transition[0]
    last = slacks[-1] + first.T @ (total - _around(chain, slacks[-1])) @ first
    state = lyapunov(loop.T, last)
    out = [np.zeros(0)] * period
    out[-1] = state
    for t in range(period - 2, -1, -1):
        after = chain.transition[t + 1]
        out[t] = after.T @ out[t + 1] @ after + slacks[t]
    return out


def _around(chain: Chain, slack: Array) -> Array:
    """What the slack of the last frame adds to B at the first frame."""
    out = slack
    for t in range(len(chain.transition) - 1, 0, -1):
        out = chain.transition[t].T @ out @ chain.transition[t]
    return out
