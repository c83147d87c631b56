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

from rdp.linear_source import accumulated, doublings, lyapunov
from rdp.solution import Status
from solvers.errors import SolverError

Array = np.ndarray

_NEAR = 1e-9  # gradient at which the search from one start ends
_NEWTON = 4  # steps of Newton's method
_STEP = 1e-5  # of the differences that give its matrix


def square_root(sigma: Array) -> Array:
    """A square factor of a covariance on its support, (n, rank)."""
    values, vectors = np.linalg.eigh(sigma)
    keep = values > 1e-14 * values[-1]
    return vectors[:, keep] * np.sqrt(values[keep])


def rate_slope(a: Array, error: Array, ahead: Array) -> Array:
    """K, the derivative of the rate in P^- - P at the steady state."""
    return lyapunov(a.T, _own_slope(a, error, ahead))


def _own_slope(a: Array, error: Array, ahead: Array) -> Array:
    """What one frame adds to K."""
    return np.linalg.inv(error) - a.T @ np.linalg.inv(ahead) @ a


def settled(gradient: Callable[[Array], Array], point: Array) -> Array:
    """The point after some Newton steps that make the gradient of a function smaller.

    The function does not depend on the length of a direction, so that its second derivatives, taken
    from differences of the gradient, are singular.

    Parameters
    ----------
    gradient : callable
        (n,) array -> (n,) array.
    point : (n,) array
        Near a minimum.
    """
    here = gradient(point)
    for _ in range(_NEWTON):
        columns = [
            gradient(point + _STEP * unit) - gradient(point - _STEP * unit)
            for unit in np.eye(point.size)
        ]
        hessian = np.array(columns) / (2 * _STEP)
        step = np.linalg.lstsq(hessian + hessian.T, 2 * here, rcond=1e-9)[0]
        there = gradient(point - step)
        if not np.linalg.norm(there) < 0.5 * np.linalg.norm(here):
            break
        point, here = point - step, there
    return point


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
        self.powers = doublings(self.transition)
        self.back = [power.T for power in self.powers]

    def power(self, d: Array, lifted: Array) -> float:
        """tau, by Newton's method with bisection on an increasing convex function."""
        spectrum, vectors = np.linalg.eigh(self.transition @ lifted @ self.transition.T)
        values = spectrum.tolist()  # numbers: an array of a few costs ten times as much
        along = ((vectors.T @ d) ** 2).tolist()
        tau = high = self.captured / float(d @ d)
        low = 0.0
        for _ in range(200):
            inside = tau * values[-1] < 1
            later = value = 0.0
            if inside:
                total = slope = 0.0
                for size, part in zip(values, along, strict=True):
                    left = 1 - tau * size
                    total += part / left
                    slope += part / (left * left)
                value = tau * total - self.captured
                later = tau - value / slope
            if not inside or value > 0:
                high = tau
            else:
                low = tau
            later = later if inside else 0.5 * (low + high)
            if not low <= later <= high:
                later = 0.5 * (low + high)
            if abs(later - tau) <= 1e-15 * tau:
                break
            tau = later
        return tau

    def at(self, d: Array) -> tuple[Array, Array]:
        """Gain gamma along d and error P."""
        lifted = accumulated(self.powers, np.outer(d, d))
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
            Directions to start from; zeros are left out. With one of them, the search is quick and
            may end before float64 is used up.
        """
        from scipy.optimize import minimize

        def loss(d: Array) -> tuple[float, Array]:
            length = float(np.linalg.norm(d))
            gamma, error = self.at(d / length)
            ahead = error + np.outer(gamma, gamma)
            price = accumulated(self.back, _own_slope(self.transition, error, ahead)) @ gamma
            value, slope = gained(gamma)
            # along a constant rate: without the part of the gradient that more power explains
            slope = slope - (slope @ gamma) / float(price @ gamma) * price
            return -value, -slope * float(np.linalg.norm(gamma)) / length

        options = {"gtol": 1e-11 if len(starts) > 1 else _NEAR, "maxiter": 300}
        found = [
            minimize(loss, start / np.linalg.norm(start), jac=True, method="BFGS", options=options)
            for start in starts
            if np.linalg.norm(start) > 1e-9
        ]
        if not found:
            raise SolverError(Status.FAILED, "no direction of the state matters to the objective")
        best = min(found, key=lambda one: one.fun).x
        gamma, error = self.at(best / np.linalg.norm(best))
        error = self.root @ error @ self.root.T
        return self.root @ gamma, 0.5 * (error + error.T)
