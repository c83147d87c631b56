r"""The MMSE encoder in the steady state, with a bound: the best one-dimensional measurement.

.. math::
    \min_{P \succeq 0} \operatorname{tr} C P \quad\text{s.t.}\quad
    P \preceq P^- = A P A^T + W, \qquad \tfrac12 \log_2 \frac{\det P^-}{\det P} \le R ,

the program of Tanaka et al., arXiv:1411.7632, with :math:`C = h h^T` for the error of the frame
:math:`X = h^T S`. It is convex. A measurement of one direction makes
:math:`P^- - P = \gamma \gamma^T`. With :math:`\gamma = \sqrt\tau d` everything is explicit,

.. math:: P = \Sigma - \tau X_d, \qquad X_d = A X_d A^T + d d^T, \qquad
          \tau\, d^T (\Sigma - \tau A X_d A^T)^{-1} d = 1 - 2^{-2R},

where :math:`\Sigma` is the covariance of the state. Descent over d finds the optimum.

**Certificate** (derived in this project). For any :math:`\lambda \ge 0, M \succeq 0` the Lagrangian
:math:`L(P) = \operatorname{tr} CP + \lambda (\ln\det P^- - \ln\det P - 2R \ln 2)
+ \operatorname{tr} M (P - P^-)` is convex, so with its gradient G at a point :math:`P_*`

.. math:: \operatorname{tr} C P \ge L(P_*) - \operatorname{tr} G P_*
          + \min_{0 \preceq P \preceq \Sigma} \operatorname{tr} G P .

Where :math:`G = 0` the bound is L itself. Given :math:`\lambda`, M solves a Lyapunov equation, and
complementarity :math:`\operatorname{tr} M \gamma\gamma^T = 0` fixes :math:`\lambda`. So the search
proves its own optimum, over measurements of any rank.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from rdp import _check
from rdp.linear_source import LinearSource, innovations, lyapunov, scalar, steady_innovations
from rdp.solution import Status
from solvers.errors import SolverError
from solvers.linear._direction import Direction, square_root

Array = np.ndarray

_HIGH = 3.0  # bits, from where on the measurement of the frame itself is nearly the best
_SETTLED = 64  # frames after which the innovation is nearly that of the steady state
_CLOSED = 1e-6  # relative gap at which no other start is tried
_INACCURATE = 1e-3  # relative gap above which the answer is not returned


@dataclass(frozen=True, eq=False)
class SteadyEncoder:
    """A measurement of the state in the steady state.

    Parameters
    ----------
    measurement : (n,) array
        c, the direction that is measured, of unit length.
    gain : (n,) array
        gamma = E[S_t u_t].
    error : (n, n) array
        P, covariance of the state given the representation.
    mmse : float
        m = h' P h, error of the frame.
    lower_bound : float
        No encoder of this rate, of any rank, has a smaller tr C P.
    value : float
        tr C P; equal to `mmse` for C = h h'.
    """

    measurement: Array
    gain: Array
    error: Array
    mmse: float
    lower_bound: float
    value: float


def steady_encoder(source: LinearSource, rate: float, weight: object = None) -> SteadyEncoder:
    r"""Least error of the MMSE estimate in the steady state, with its measurement.

    Parameters
    ----------
    source : LinearSource
        Scalar frames, all poles inside the unit circle.
    rate : float, >= 0, bits per frame
        R; inf allowed.
    weight : (n, n) array or None
        C, positive semidefinite; None is :math:`h h^T`, the error of the frame.

    Returns
    -------
    SteadyEncoder

    Raises
    ------
    ValueError
        Vector frames, poles on or outside the unit circle, a bad rate.
    SolverError
        More than one part in a thousand is left between value and bound.

    Examples
    --------
    >>> from rdp.autoregressive import AutoRegressive
    >>> poles = 0.95 * np.exp([0.3j, -0.3j])
    >>> answer = steady_encoder(AutoRegressive.from_poles(poles), 0.5)
    >>> round(answer.mmse, 4), bool(answer.value - answer.lower_bound < 1e-8)
    (0.0558, True)
    """
    a, w, h = scalar(source)
    bits = float(_check.nonnegative("rate", rate, ndim=0))
    c = np.outer(h, h) if weight is None else _check.array("weight", weight, ndim=2)
    sigma = lyapunov(a, w)
    if np.isinf(bits):
        gain, _ = steady_innovations(source)
        error = lyapunov(a, w - np.outer(gain, gain))
        value = max(float((c * error).sum()), 0.0)
        m = max(float(h @ error @ h), 0.0)
        return SteadyEncoder(h / np.linalg.norm(h), gain, error, m, 0.0, value)
    if bits == 0:
        m = float(h @ sigma @ h)
        value = float((c * sigma).sum())
        return SteadyEncoder(h / np.linalg.norm(h), np.zeros(len(h)), sigma, m, value, value)
    root = square_root(sigma)
    search = Direction(root, a, bits)
    observed = lyapunov(search.transition.T, root.T @ c @ root)
    values, vectors = np.linalg.eigh(observed)
    scale = max(float(values[-1]), 1e-300)
    # the innovation of the frame is nearly the best direction; the others are for the rest
    starts = [np.linalg.pinv(root, rcond=1e-13) @ _late_gain(source)]
    starts += [root.T @ h, *(vectors * np.sqrt(np.maximum(values, 0.0))).T[::-1][:3]]

    def gained(d: Array) -> tuple[float, Array]:
        return float(d @ observed @ d) / scale, 2 * (observed @ d) / scale

    try:
        for number in (1, len(starts)):
            gain, error = search.maximise(gained, starts[:number])
            value = float((c * error).sum())
            bound = rate_bound(a, w, c, bits, error)
            if value - bound <= _CLOSED * value:
                break
    except np.linalg.LinAlgError as singular:  # an error of the state that float64 cannot hold
        if weight is None and bits >= _HIGH:
            return _of_the_frame(source, bits, 0.0)
        raise SolverError(Status.INACCURATE, f"steady_encoder: {singular}") from singular
    if not value - bound <= _INACCURATE * value:
        if weight is None and bits >= _HIGH:
            return _of_the_frame(source, bits, bound)
        raise SolverError(
            Status.INACCURATE,
            f"steady_encoder: value {value:.3e} but bound {bound:.3e}; poles too near the circle, "
            "or an error too small, for float64",
        )
    measured = measured_by(a, w, gain, error)
    gain = gain if h @ gain >= 0 else -gain
    return SteadyEncoder(measured, gain, error, float(h @ error @ h), bound, value)


@lru_cache(maxsize=32)
def _late_gain(source: LinearSource) -> Array:
    """Gain of the innovations form after many frames; the same at each rate of a source."""
    return innovations(source, _SETTLED).gain[-1]


def _of_the_frame(source: LinearSource, bits: float, bound: float) -> SteadyEncoder:
    r"""The measurement of the frame itself, best in the limit of high rates; no cancellation.

    The bound is :math:`m \ge 2^{-2R} q`, tight there.
    """
    a, w, h = scalar(source)
    gain, error = steady_gain(source, bits, h)
    left = float(np.exp2(-2 * bits))
    value = left * float(h @ (a @ error @ a.T + w) @ h)
    bound = max(bound, left * steady_innovations(source)[1])
    if not value - bound <= _INACCURATE * value:
        raise SolverError(
            Status.INACCURATE,
            f"steady_encoder: value {value:.3e} but bound {bound:.3e}; poles too near the circle "
            "for float64",
        )
    return SteadyEncoder(h / np.linalg.norm(h), gain, error, value, bound, value)


def steady_gain(source: LinearSource, rate: float, measurement: object) -> tuple[Array, Array]:
    r"""Gain gamma and error P in the steady state of an encoder that measures a given direction.

    Parameters
    ----------
    source : LinearSource
        Scalar frames, all poles inside the unit circle.
    rate : float, >= 0, finite, bits per frame
    measurement : (n,) array
        c.

    Raises
    ------
    SolverError
        The filter does not settle within a million frames.

    Examples
    --------
    >>> from rdp.autoregressive import AutoRegressive
    >>> gain, error = steady_gain(AutoRegressive([0.9]), 0.5, [1.0])
    >>> error.round(6)
    array([[0.159664]])
    """
    a, w, _ = scalar(source)
    c = _check.array("measurement", measurement, ndim=1)
    captured = -np.expm1(-2 * np.log(2) * float(rate))
    ahead = lyapunov(a, w)
    for _ in range(1_000_000):
        column = ahead @ c
        gain = np.sqrt(captured / float(c @ column)) * column
        error = ahead - np.outer(gain, gain)
        later = a @ error @ a.T + w
        if np.abs(later - ahead).max() <= 4e-15 * np.abs(ahead).max():
            return gain, error
        ahead = later
    raise SolverError(Status.FAILED, "steady_gain: the Kalman filter does not settle")


def rate_bound(a: Array, w: Array, weight: Array, rate: float, error: Array) -> float:
    r"""Lower bound of tr C P over all encoders of a rate, from a point P near the optimum.

    The certificate of the module docstring. Any P gives a valid bound; it is tight at the optimum.

    Parameters
    ----------
    a, w, weight : (n, n) arrays
        Transition (stable), covariance of the noise, and C.
    rate : float, > 0, finite, bits per frame
    error : (n, n) array
        P.
    """
    root = square_root(lyapunov(a, w))
    inverse = np.linalg.pinv(root, rcond=1e-13)
    a, w = inverse @ a @ root, inverse @ w @ inverse.T  # unit covariance of the state
    c, p = root.T @ weight @ root, inverse @ error @ inverse.T
    ahead = a @ p @ a.T + w
    before, after = np.linalg.inv(ahead), np.linalg.inv(p)
    from_rate = lyapunov(a.T, after - a.T @ before @ a)
    from_cost = lyapunov(a.T, c)
    step = ahead - p
    best = -np.inf
    price = max(float((from_cost * step).sum() / (from_rate * step).sum()), 0.0)
    for lam in (price, price * (1 + 1e-9), price * (1 + 1e-7)):
        values, vectors = np.linalg.eigh(lam * from_rate - from_cost)
        m = (vectors * np.maximum(values, 0.0)) @ vectors.T
        gradient = c + lam * (a.T @ before @ a - after) + m - a.T @ m @ a
        excess = np.linalg.slogdet(ahead)[1] - np.linalg.slogdet(p)[1] - 2 * rate * np.log(2)
        value = float((c * p).sum() + lam * excess - (m * step).sum() - (gradient * p).sum())
        value += float(np.minimum(np.linalg.eigvalsh(gradient), 0.0).sum())
        best = max(best, value)
    return best - 64 * np.finfo(np.float64).eps * abs(float((c * p).sum()))


def measured_by(a: Array, w: Array, gain: Array, error: Array) -> Array:
    """Direction c of unit length whose measurement has the given gain, gain ~ P^- c."""
    ahead = a @ error @ a.T + w
    c = np.linalg.lstsq(ahead, gain, rcond=1e-13)[0]
    return c / np.linalg.norm(c) * (1.0 if gain @ c >= 0 else -1.0)
