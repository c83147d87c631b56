r"""Measurements of one direction for each frame: what the directions and the rates are worth.

Frame t measures :math:`c_t` at its own rate, which makes :math:`P_t = P_t^- - \gamma_t \gamma_t^T`
with :math:`\gamma_t = k_t P_t^- c_t / \sqrt{s_t}`, :math:`s_t = c_t^T P_t^- c_t` and
:math:`k_t^2 = 1 - 2^{-2R_t}`. Costs are :math:`\sum_t \operatorname{tr} C_t P_t - p_t^T \gamma_t`,
or have these :math:`C_t, p_t` as slopes. Their derivatives go backwards: with
:math:`\kappa_t = P_t^- c_t / s_t` and V_t, U_t those in P_t and P_t^-,

.. math::
    V_t = C_t + A^T U_{t+1} A, \qquad
    U_t = V_t - k_t^2 (c \kappa^T V_t + V_t \kappa c^T - c\, \kappa^T V_t \kappa\, c^T)
          - \tfrac{k_t}{2 \sqrt{s_t}} (p c^T + c p^T - p^T \kappa\, c c^T) .

A nat of :math:`\ln(\det P_t^- / \det P_t)` is worth
:math:`(1 - k_t^2) (\kappa^T V_t \kappa\, s_t + p^T \kappa \sqrt{s_t} / 2 k_t)`, and the slope in
:math:`c_t` is :math:`-q + (q^T \kappa)\, c` seen through :math:`P_t^-`, with
:math:`q = 2 k_t^2 V_t \kappa + k_t p / \sqrt{s_t}`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rdp.linear_source import LinearSource, scalar
from solvers.linear._direction import settled
from solvers.linear.measurement import Representation, represent

Array = np.ndarray
# takes a representation; returns the cost and its slopes C_t (T, n, n) and p_t (T, n)
Cost = Callable[[Representation], tuple[float, Array, Array]]

_FEW = 64  # unknowns of Newton's method


def worth(sent: Representation, costs: Array, pulls: Array) -> tuple[Array, Array]:
    """Price of a nat of each frame, (T,), and the slope in each direction, (T, n).

    Parameters
    ----------
    sent : Representation
    costs : (T, n, n) array
        C_t.
    pulls : (T, n) array
        p_t.
    """
    a, _, _ = scalar(sent.source)
    frames, n = sent.gain.shape
    captured = -np.expm1(-2 * np.log(2) * sent.rates)
    ahead = covariances_ahead(sent)
    prices, slopes = np.zeros(frames), np.zeros((frames, n))
    later = np.zeros((n, n))
    for t in range(frames - 1, -1, -1):
        later = costs[t] + a.T @ later @ a
        c, p, k = sent.measurement[t], pulls[t], np.sqrt(captured[t])
        column = ahead[t] @ c
        spread = float(c @ column)
        if not sent.gain[t].any():
            continue
        kappa, root = column / spread, np.sqrt(spread)
        seen = later @ kappa
        along, pulled = float(kappa @ seen), float(p @ kappa)
        left = np.exp2(-2 * sent.rates[t])
        prices[t] = left * (along * spread + 0.5 * pulled * root / k)
        q = 2 * captured[t] * seen + k / root * p
        slopes[t] = -ahead[t] @ (q - float(q @ kappa) * c)
        # q has both parts of what the direction takes out
        later = later - 0.5 * (np.outer(c, q) + np.outer(q, c))
        later += (captured[t] * along + 0.5 * k / root * pulled) * np.outer(c, c)
    return prices, slopes


def covariances_ahead(sent: Representation) -> Array:
    """P_t^-, covariance of the state before each frame, (T, n, n)."""
    a, w, _ = scalar(sent.source)
    first = sent.source.realisation().initial
    return np.concatenate([first[None], a @ sent.error[:-1] @ a.T + w])


def better_directions(source: LinearSource, rates: Array, start: Array, cost: Cost) -> Array:
    """Directions of measurement, (T, n), that lower a cost, from given ones.

    Parameters
    ----------
    source : LinearSource
        Scalar frames.
    rates : (T,) array, bits per frame
    start : (T, n) array
    cost : callable
        Takes a representation; returns the cost and its slopes C_t and p_t.
    """
    from scipy.optimize import minimize

    first = represent(source, rates, start)
    # coordinates in which the state before each frame has the unit covariance, at the start
    units = np.array([_unit(ahead) for ahead in covariances_ahead(first)])
    size = max(abs(cost(first)[0]), 1e-300)

    def at(z: Array) -> Representation:
        return represent(source, rates, np.einsum("tij,tj->ti", units, z.reshape(start.shape)))

    def loss(z: Array) -> tuple[float, Array]:
        sent = at(z)
        value, costs, pulls = cost(sent)
        _, slopes = worth(sent, costs, pulls)
        return value / size, np.einsum("tij,ti->tj", units, slopes).ravel() / size

    z = np.stack([np.linalg.solve(u, c) for u, c in zip(units, start, strict=True)])
    z = (z / np.linalg.norm(z, axis=1, keepdims=True)).ravel()
    options = {"maxiter": 300, "ftol": 1e-16, "gtol": 1e-12}
    lowest = minimize(loss, z, jac=True, method="L-BFGS-B", options=options)
    better = lowest.x if lowest.fun < loss(z)[0] else z
    if better.size <= _FEW:
        better = settled(lambda point: loss(point)[1], better)
    found = at(better)
    _, _, h = scalar(source)
    return found.measurement * np.where(found.gain @ h < 0, -1.0, 1.0)[:, None]


def _unit(ahead: Array) -> Array:
    values, vectors = np.linalg.eigh(ahead)
    return vectors / np.sqrt(np.maximum(values, 1e-14 * max(float(values[-1]), 1e-300)))
