r"""Search over encoders that measure one direction of the state, in the steady state.

With :math:`P^- - P = \gamma\gamma^T` and :math:`\gamma = \sqrt\tau d`, in coordinates where
the state has the unit covariance,

.. math:: P = I - \tau X_d, \qquad X_d = A X_d A^T + d d^T, \qquad
          \tau\, d^T (I - \tau A X_d A^T)^{-1} d = 1 - 2^{-2R} .

The derivative of the rate in :math:`\Delta = \gamma\gamma^T` is, up to a constant, the matrix K of

.. math:: K = A^T K A + P^{-1} - A^T (P^-)^{-1} A .
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from rdp.linear_source import lyapunov
from rdp.solution import Status
from solvers.errors import SolverError

Array = np.ndarray


def square_root(sigma: Array) -> Array:
    """A square factor of a covariance on its support, (n, rank)."""
    values, vectors = np.linalg.eigh(sigma)
    keep = values > 1e-14 * values[-1]
    return vectors[:, keep] * np.sqrt(values[keep])


def rate_slope(a: Array, error: Array, ahead: Array) -> Array:
    """K, the derivative of the rate in P^- - P at the steady state."""
    return lyapunov(a.T, np.linalg.inv(error) - a.T @ np.linalg.inv(ahead) @ a)


class Direction:
    """Encoders of one rate.

    Parameters
    ----------
    root : (n, r) array
        Square factor of the covariance of the state.
    a : (n, n) array
        Transition, stable.
    bits : float, > 0, finite
        Rate.
    """

    def __init__(self, root: Array, a: Array, bits: float) -> None:
        self.root = root
        self.transition = np.linalg.pinv(root, rcond=1e-13) @ a @ root
        self.captured = -np.expm1(-2 * np.log(2) * bits)

    def power(self, d: Array, lifted: Array) -> float:
        """tau, by Newton's method with bisection on an increasing convex function."""
        past = self.transition @ lifted @ self.transition.T
        unit = np.eye(len(d))
        tau = high = self.captured / float(d @ d)
        low = 0.0
        for _ in range(200):
            half, slope = None, 0.0
            if np.linalg.eigvalsh(unit - tau * past)[0] > 0:
                half = np.linalg.solve(unit - tau * past, d)
                value = tau * float(d @ half) - self.captured
                slope = float(d @ half) + tau * float(half @ past @ half)
            if half is None or value > 0:
                high = tau
            else:
                low = tau
            later = 0.5 * (low + high) if half is None else tau - value / slope
            if not low <= later <= high:
                later = 0.5 * (low + high)
            if abs(later - tau) <= 1e-15 * tau:
                break
            tau = later
        return tau

    def at(self, d: Array) -> tuple[Array, Array]:
        """Gain gamma along d and error P."""
        lifted = lyapunov(self.transition, np.outer(d, d))
        tau = self.power(d, lifted)
        return np.sqrt(tau) * d, np.eye(len(d)) - tau * lifted

    def maximise(
        self, gained: Callable[[Array], tuple[float, Array]], starts: Sequence[Array]
    ) -> tuple[Array, Array]:
        """Return gamma and P, in the coordinates of the source, that maximise a function of gamma.

        Parameters
        ----------
        gained : callable
            Takes gamma; returns the value, near 1 in size, and its gradient.
        starts : list of (r,) arrays
            Directions to start from; zeros are left out.
        """
        from scipy.optimize import minimize

        def loss(d: Array) -> tuple[float, Array]:
            length = float(np.linalg.norm(d))
            gamma, error = self.at(d / length)
            ahead = error + np.outer(gamma, gamma)
            price = rate_slope(self.transition, error, ahead) @ gamma
            value, slope = gained(gamma)
            # along a constant rate: without the part of the gradient that more power explains
            slope = slope - (slope @ gamma) / float(price @ gamma) * price
            return -value, -slope * float(np.linalg.norm(gamma)) / length

        found = [
            minimize(
                loss,
                start / np.linalg.norm(start),
                jac=True,
                method="BFGS",
                options={"gtol": 1e-11, "maxiter": 300},
            )
            for start in starts
            if np.linalg.norm(start) > 1e-9
        ]
        if not found:
            raise SolverError(Status.FAILED, "no direction of the state matters to the objective")
        best = min(found, key=lambda one: one.fun).x
        gamma, error = self.at(best / np.linalg.norm(best))
        error = self.root @ error @ self.root.T
        return self.root @ gamma, 0.5 * (error + error.T)
