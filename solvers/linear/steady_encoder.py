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

import numpy as np

from rdp import _check
from rdp.linear_source import LinearSource, lyapunov, scalar, steady_innovations
from solvers.errors import SolverError

Array = np.ndarray


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

    Examples
    --------
    >>> from rdp.autoregressive import AutoRegressive
    >>> poles = 0.95 * np.exp([0.3j, -0.3j])
    >>> answer = steady_encoder(AutoRegressive.from_poles(poles), 0.5)
    >>> round(answer.mmse, 4), answer.value - answer.lower_bound < 1e-8
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
    root = _root(sigma)
    problem = _Direction(root, a, w, c, bits)
    d = problem.search(h)
    tau = problem.power(d)
    gain = root @ (np.sqrt(tau) * d)
    gain = gain if h @ gain >= 0 else -gain
    error = sigma - tau * root @ problem.lifted(d) @ root.T
    error = 0.5 * (error + error.T)
    ahead = a @ error @ a.T + w
    measured = np.linalg.lstsq(ahead, gain, rcond=1e-13)[0]
    measured = measured / np.linalg.norm(measured)
    value = float((c * error).sum())
    bound = rate_bound(a, w, c, bits, error)
    return SteadyEncoder(measured, gain, error, float(h @ error @ h), bound, value)


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
    a, w, h = scalar(source)
    c = _check.array("measurement", measurement, ndim=1)
    captured = -np.expm1(-2 * np.log(2) * float(rate))
    ahead = lyapunov(a, w)
    for _ in range(1_000_000):
        column = ahead @ c
        gain = np.sqrt(captured / float(c @ column)) * column
        error = ahead - np.outer(gain, gain)
        later = a @ error @ a.T + w
        if np.abs(later - ahead).max() <= 4e-16 * np.abs(ahead).max():
            return gain, error
        ahead = later
    raise SolverError("failed", "steady_gain: the Kalman filter does not settle")


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
    root = _root(lyapunov(a, w))
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


def _root(sigma: Array) -> Array:
    """A square factor of a covariance on its support, (n, rank)."""
    values, vectors = np.linalg.eigh(sigma)
    keep = values > 1e-14 * values[-1]
    return vectors[:, keep] * np.sqrt(values[keep])


class _Direction:
    """The search over d, in coordinates where the state has the unit covariance."""

    def __init__(self, root: Array, a: Array, w: Array, c: Array, bits: float) -> None:
        inverse = np.linalg.pinv(root, rcond=1e-13)
        self.a, self.w = inverse @ a @ root, inverse @ w @ inverse.T
        self.c, self.root = root.T @ c @ root, root
        self.captured = -np.expm1(-2 * np.log(2) * bits)
        self.observed = lyapunov(self.a.T, self.c)

    def lifted(self, d: Array) -> Array:
        """X_d."""
        return lyapunov(self.a, np.outer(d, d))

    def power(self, d: Array) -> float:
        """tau, by Newton's method on a convex increasing function of tau."""
        past = self.a @ self.lifted(d) @ self.a.T
        unit = np.eye(len(d))
        largest = float(np.linalg.eigvalsh(past)[-1])
        limit = 1 / largest if largest > 0 else np.inf  # where the prediction error is singular
        tau = self.captured / float(d @ d)
        low, high = 0.0, min(tau, limit)
        for _ in range(200):
            tau = min(max(tau, low), high)
            if tau >= limit:
                tau = 0.5 * (low + high)
            half = np.linalg.solve(unit - tau * past, d)
            value = tau * float(d @ half) - self.captured
            slope = float(d @ half) + tau * float(half @ past @ half)
            low, high = (tau, high) if value < 0 else (low, tau)
            step = value / slope
            tau -= step
            if abs(step) <= 1e-16 * tau:
                break
        return tau

    def objective(self, d: Array) -> tuple[float, Array]:
        """tr C P relative to no measurement, and its gradient in d."""
        scale = float(np.linalg.norm(d))
        d = d / scale
        tau = self.power(d)
        x = self.lifted(d)
        p = np.eye(len(d)) - tau * x
        ahead = p + tau * np.outer(d, d)
        from_rate = lyapunov(self.a.T, np.linalg.inv(p) - self.a.T @ np.linalg.inv(ahead) @ self.a)
        price = float(d @ self.observed @ d) / float(d @ from_rate @ d)
        slope = 2 * tau * (price * from_rate - self.observed) @ d
        return -tau * float((self.c * x).sum()), slope / scale

    def search(self, h: Array) -> Array:
        """Best direction from several starts."""
        from scipy.optimize import minimize

        values, vectors = np.linalg.eigh(self.observed)
        starts = [self.root.T @ h, vectors[:, -1], *(vectors * np.sqrt(np.maximum(values, 0))).T]
        size = max(abs(self.objective(starts[1])[0]), 1e-300)
        best = None
        for start in starts[:4]:
            if not np.linalg.norm(start) > 1e-9:
                continue
            found = minimize(
                lambda d: tuple(part / size for part in self.objective(d)),
                start / np.linalg.norm(start),
                jac=True,
                method="BFGS",
                options={"gtol": 1e-12, "maxiter": 300},
            )
            if best is None or found.fun < best.fun:
                best = found
        assert best is not None
        return best.x / np.linalg.norm(best.x)
