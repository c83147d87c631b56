r"""Least weighted error of any encoder whose bits may wait: a bound from any dual point.

The encoders are those of `budget`: covariances P_t of the state given the representation with

.. math:: P_t \preceq P_t^- = A P_{t-1} A^T + W, \quad P_1^- = \Pi, \qquad
          \sum_{s \le t} \ln \frac{\det P_s^-}{\det P_s} \le 2 \ln 2 \sum_{s \le t} R_s .

For prices :math:`\lambda_t \ge 0` of the sums and :math:`M_t \succeq 0`, the Lagrangian of
:math:`\sum_t \operatorname{tr} C_t P_t` is convex, as :math:`\ln\det(A P A^T + W) - \ln\det P` is.
With :math:`\Lambda_t = \sum_{s \ge t} \lambda_s` its gradient at any point :math:`P_*` is

.. math:: G_t = C_t - \Lambda_t P_t^{-1} + \Lambda_{t+1} A^T (P_{t+1}^-)^{-1} A
               + M_t - A^T M_{t+1} A .

Where all :math:`G_t \succeq 0`, no encoder has less than
:math:`L(P_*) - \sum_t \operatorname{tr} G_t P_{*t}`. Given :math:`P_*` and the prices, M is chosen
backwards: the positive part of what makes :math:`G_t = 0`. So every point near the optimum is made
feasible, and the bound does not depend on the accuracy of the solver that found it; that accuracy
decides how tight it is. Derived in this project; `steady_encoder` has the steady state.

All matrices are taken in coordinates where :math:`P_{*t}` is the unit matrix, so that rounding is
relative to the prices. What is left of it is subtracted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Array = np.ndarray

_EPS = np.finfo(np.float64).eps


def encoder_bound(
    transition: Array,
    noise: Array,
    first: Array,
    costs: Sequence[Array] | Array,
    bits: Array,
    errors: Sequence[Array] | Array,
    prices: Array,
) -> float:
    r"""Lower bound of sum_t tr C_t P_t over all encoders whose bits may wait.

    Parameters
    ----------
    transition, noise, first : (n, n) arrays
        A, W and the covariance of the first state.
    costs : T (n, n) arrays
        C_t, positive semidefinite.
    bits : (T,) array, bits per frame
        R_t.
    errors : T (n, n) arrays
        P_*, positive definite; any point gives a bound, and one near the optimum a tight one.
    prices : (T,) array
        lambda_t, in units of the cost per nat of :math:`\ln \det`; negative ones count as 0.

    Returns
    -------
    float
        -inf where an error is not positive definite.

    Examples
    --------
    One frame: least variance :math:`2^{-2R}`, at the price of the same size.

    >>> unit = np.eye(1)
    >>> value = encoder_bound(unit, unit, unit, [unit], [1.0], [0.25 * unit], np.array([0.25]))
    >>> round(value, 9)
    0.25
    """
    count, n = len(errors), len(transition)
    price = np.maximum(prices, 0.0)
    total = np.append(np.cumsum(price[::-1])[::-1], 0.0)  # Lambda_t
    budget = 2 * np.log(2) * np.cumsum(bits)
    try:
        roots = [np.linalg.cholesky(error) for error in errors]
    except np.linalg.LinAlgError:
        return -np.inf
    # in the coordinates of P_t: P_t^-, the noise, and the step from the frame before
    moves, noises, aheads, largest = [], [], [], []
    covariance = first
    for t, root in enumerate(roots):
        covariance = transition @ covariance @ transition.T + noise if t else first
        largest.append(float((np.linalg.solve(root, covariance) * np.linalg.inv(root)).sum()))
        added = noise if t else first
        half = np.linalg.solve(root, np.linalg.solve(root, added).T)
        noises.append(0.5 * (half + half.T))
        moves.append(np.linalg.solve(root, transition @ roots[t - 1]) if t else np.zeros((n, n)))
        aheads.append(noises[-1] + moves[-1] @ moves[-1].T)
    spent = np.cumsum([np.linalg.slogdet(ahead)[1] for ahead in aheads])
    value = float(price @ (spent - budget))
    size = float(price @ (np.abs(spent) + budget))
    later = np.zeros((n, n))  # M of the next frame
    slack = 0.0
    for t in range(count - 1, -1, -1):
        wanted = total[t] * np.eye(n) - roots[t].T @ costs[t] @ roots[t]
        value += n * total[t]
        if t + 1 < count:
            move, after = moves[t + 1], aheads[t + 1]
            kept = np.linalg.solve(after, move)
            wanted += move.T @ later @ move - total[t + 1] * (move.T @ kept)
            value -= total[t + 1] * float((move * kept).sum())
        values, vectors = np.linalg.eigh(0.5 * (wanted + wanted.T))
        scale = n * total[t] + float(np.abs(values).max()) + float(np.abs(later).max(initial=0.0))
        later = (vectors * np.maximum(values, 0.0)) @ vectors.T
        value -= float((later * noises[t]).sum())
        size += scale + float((np.abs(later) * np.abs(noises[t])).sum())
        # rounding may leave a gradient that is negative; P_t is at most the covariance of the state
        slack += scale * largest[t]
    return float(value - 64 * (n + 2) * _EPS * (size + slack))
