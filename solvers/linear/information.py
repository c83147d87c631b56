r"""Least information for a given error: the semidefinite programs of Tanaka and others.

.. math:: \min_{P} \tfrac12 \log_2 \frac{\det P^-}{\det P} \quad\text{s.t.}\quad
          \operatorname{tr} C P \le D, \qquad P \preceq P^- = A P A^T + W,

in the steady state, for any weight C, stable or not. Tanaka et al., arXiv:1411.7632 and
arXiv:1510.04214, write the rate with one more matrix. For positive definite W,

.. math:: \frac{\det P^-}{\det P} = \frac{\det W}{\det \Pi}, \qquad
    \begin{bmatrix} P - \Pi & P A^T \\ A P & A P A^T + W \end{bmatrix} \succeq 0,

and for :math:`W = F F^T` of any rank and an invertible A,

.. math:: \frac{\det P^-}{\det P} = \frac{(\det A)^2}{\det \Pi}, \qquad
    \begin{bmatrix} I - \Pi & F^T \\ F & A P A^T + W \end{bmatrix} \succeq 0 .

The measurement that reaches P is any C_m with unit noise and
:math:`C_m^T C_m = P^{-1} - (P^-)^{-1}`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from rdp import _check
from rdp.linear_source import lyapunov, stable
from rdp.solution import Status
from solvers.errors import SolverError

Array = np.ndarray

_ACCURACIES = (1e-10, 1e-8)  # asked of CLARABEL, the second where it fails at the first
_SOLVED = ("optimal", "optimal_inaccurate")
_NO_NOISE = 1e-10  # relative eigenvalue below which a noise covariance is singular
_RESIDUAL = 1e-6
_NO_INFORMATION = 1e-5  # share of the error that a direction would take away


@dataclass(frozen=True, eq=False)
class Information:
    """Error of the state and the measurement that reaches it.

    Parameters
    ----------
    rate : float
        Bits per frame, recomputed from the error.
    error : (n, n) array
        P, covariance of the state given the representation.
    cost : float
        tr C P.
    measurement : (r, n) array
        C_m with unit noise; r is the number of directions measured.
    """

    rate: float
    error: Array
    cost: float
    measurement: Array


def minimum_information(
    transition: object, noise: object, weight: object, distortion: float
) -> Information:
    r"""Least rate in the steady state at a weighted error of the state.

    Parameters
    ----------
    transition : (n, n) array
        A, stable or not.
    noise : (n, n) array
        W, positive semidefinite.
    weight : (n, n) array
        C, positive semidefinite.
    distortion : float, > 0
        D, bound on tr C P.

    Returns
    -------
    Information

    Raises
    ------
    ValueError
        Matrices of the wrong shape; a singular transition with singular noise.
    SolverError
        The solver failed.

    Examples
    --------
    The scalar case in closed form, rate 1/2 log2(a^2 + w / D):

    >>> answer = minimum_information([[1.2]], [[1.0]], [[1.0]], 0.5)
    >>> round(answer.rate, 6), round(float(0.5 * np.log2(1.2**2 + 1 / 0.5)), 6)
    (0.891204, 0.891204)
    """
    import cvxpy as cp

    a, w, c = _matrices(transition, noise, weight)
    limit = float(_check.positive("distortion", distortion, ndim=0))
    unit, (u, v, weigh) = _balanced(a, w, c)
    p = cp.Variable(a.shape, symmetric=True)
    shrink, constraints, _ = rate_terms(u, v, p)
    constraints += [cp.trace(weigh @ p) / limit <= 1, u @ p @ u.T + v - p >> 0]
    solve_program(cp.Problem(cp.Maximize(cp.log_det(shrink)), constraints), "minimum_information")
    return _steady(a, w, c, unit, p.value)


def attention(
    transition: object, noise: object, weight: object, price: float, discount: float = 1.0
) -> Information:
    r"""Least error plus priced information in the steady state (rational inattention).

    .. math:: \min \sum_t \beta^t \left(\operatorname{tr} C P_t
              + \omega \ln \frac{\det P_t^-}{\det P_t}\right),

    at its stationary point: :math:`C + \omega(\beta A^T (P^-)^{-1} A - P^{-1}) + M
    - \beta A^T M A = 0` with :math:`M \succeq 0` and :math:`M (P^- - P) = 0`.

    Parameters
    ----------
    transition, noise, weight : (n, n) arrays
        A, W and C.
    price : float, > 0
        omega, squared units of the source per nat.
    discount : float, in (0, 1]
        beta.

    Raises
    ------
    ValueError
        Bad arguments, as for `minimum_information`.
    SolverError
        The solver failed, or more than one direction is measured and beta < 1.

    Notes
    -----
    Sims (2010), *Rational inattention and monetary economics*. beta = 1 is one convex program; for
    beta < 1 the conditions are solved by Newton's method from there, for one measured direction.

    Examples
    --------
    >>> answer = attention([[0.9]], [[0.19]], [[1.0]], 0.1)
    >>> round(answer.cost, 4)
    0.0756
    """
    import cvxpy as cp

    a, w, c = _matrices(transition, noise, weight)
    omega = float(_check.positive("price", price, ndim=0))
    beta = float(_check.array("discount", discount, ndim=0))
    if not 0 < beta <= 1:
        raise ValueError(f"discount: expected a number in (0, 1], got {beta:g}")
    unit, (u, v, weigh) = _balanced(a, w, c)
    p = cp.Variable(a.shape, symmetric=True)
    shrink, constraints, _ = rate_terms(u, v, p)
    constraints.append(u @ p @ u.T + v - p >> 0)
    goal = cp.Minimize(cp.trace(weigh @ p) / omega - cp.log_det(shrink))
    solve_program(cp.Problem(goal, constraints), "attention")
    start = _steady(a, w, c, unit, p.value)
    if beta == 1:
        return start
    return _steady(a, w, c, np.eye(len(a)), _discounted(a, w, c, omega, beta, start))


def _matrices(transition: object, noise: object, weight: object) -> tuple[Array, Array, Array]:
    """Return A, W and C, or raise ValueError."""
    given = {"transition": transition, "noise": noise, "weight": weight}
    out = [_check.finite(name, _check.array(name, of, ndim=2)) for name, of in given.items()]
    for name, value in zip(given, out, strict=True):
        if value.shape != (len(out[0]), len(out[0])):
            raise ValueError(f"{name}: expected shape {(len(out[0]),) * 2}, got {value.shape}")
    a, w, c = out
    return a, 0.5 * (w + w.T), 0.5 * (c + c.T)


def rate_terms(a: Array, w: Array, p: Any) -> tuple[Any, list[Any], float]:
    """Pi, its constraints, and k with ln(det P^- / det P) = k - ln det Pi for the next frame."""
    import cvxpy as cp

    values, vectors = np.linalg.eigh(w)
    keep = values > _NO_NOISE * values[-1]
    ahead = a @ p @ a.T + w
    if keep.all():
        shrink = cp.Variable(a.shape, symmetric=True)
        block = cp.bmat([[p - shrink, p @ a.T], [a @ p, ahead]])
        return shrink, [block >> 0], float(np.log(values).sum())
    singular = np.linalg.svd(a, compute_uv=False)
    if not singular[-1] > _NO_NOISE * singular[0]:
        raise ValueError("transition: expected an invertible matrix where the noise is singular")
    root = vectors[:, keep] * np.sqrt(values[keep])
    size = root.shape[1]
    if size == 0:  # nothing is new: the next frame is determined up to the error of this one
        return cp.Constant(np.eye(1)), [], 2 * float(np.log(singular).sum())
    shrink = cp.Variable((size, size), symmetric=True)
    block = cp.bmat([[np.eye(size) - shrink, root.T], [root, ahead]])
    return shrink, [block >> 0], 2 * float(np.log(singular).sum())


def solve_program(problem: Any, name: str) -> None:
    """Solve with CLARABEL, or raise SolverError."""
    import cvxpy as cp

    found = "no answer"
    for accuracy in _ACCURACIES:
        tight = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), accuracy)
        try:
            # what comes back is recomputed from the matrices
            with warnings.catch_warnings(), np.errstate(invalid="ignore"):
                warnings.filterwarnings("ignore", "Solution may be inaccurate")
                problem.solve(solver=cp.CLARABEL, **tight)
        except cp.SolverError:
            continue
        found = problem.status
        if found in _SOLVED:
            return
    raise SolverError(Status.FAILED, f"{name}: CLARABEL ended with {found}")


def _balanced(a: Array, w: Array, c: Array) -> tuple[Array, tuple[Array, Array, Array]]:
    """Coordinates in which a stable state has the unit covariance, and A, W, C in them."""
    unit = np.eye(len(a))
    if stable(a):
        values, vectors = np.linalg.eigh(lyapunov(a, w))
        if values[0] > _NO_NOISE * values[-1]:
            unit = vectors * np.sqrt(values)
    inverse = np.linalg.inv(unit)
    return unit, (inverse @ a @ unit, inverse @ w @ inverse.T, unit.T @ c @ unit)


def _steady(a: Array, w: Array, c: Array, unit: Array, found: Any) -> Information:
    """Answer from P in the coordinates of the program, with the rate recomputed."""
    p = unit @ (0.5 * (found + found.T)) @ unit.T
    ahead = a @ p @ a.T + w
    inverse = np.linalg.inv(unit)
    if np.linalg.eigvalsh(inverse @ (ahead - p) @ inverse.T)[0] < -_RESIDUAL:
        raise SolverError(Status.INACCURATE, "P is not below A P A' + W")
    rate = 0.5 * (np.linalg.slogdet(ahead)[1] - np.linalg.slogdet(p)[1]) / np.log(2)
    return Information(float(rate), p, float((c * p).sum()), measured(p, ahead))


def measured(p: Array, ahead: Array) -> Array:
    """C_m with C_m' C_m = P^-1 - (P^-)^-1, strongest direction first."""
    root = np.linalg.cholesky(p)
    shared = np.eye(len(p)) - root.T @ np.linalg.solve(ahead, root)
    values, vectors = np.linalg.eigh(0.5 * (shared + shared.T))
    keep = values > _NO_INFORMATION
    return np.linalg.solve(root.T, vectors[:, keep] * np.sqrt(values[keep])).T[::-1]


def _discounted(
    a: Array, w: Array, c: Array, omega: float, beta: float, start: Information
) -> Array:
    """P of the stationary point with discounting, one direction measured: M gamma = 0."""
    from scipy.optimize import root

    n = len(a)
    if len(start.measurement) != 1:
        raise SolverError(
            Status.UNSUPPORTED, "attention: discount < 1 needs one measured direction"
        )
    ahead = a @ start.error @ a.T + w
    values, vectors = np.linalg.eigh(ahead - start.error)
    first = vectors[:, -1] * np.sqrt(values[-1])
    lift = np.eye(n * n) - np.kron(a, a)
    pull = np.eye(n * n) - beta * np.kron(a.T, a.T)

    def error_of(gamma: Array) -> Array:
        return np.linalg.solve(lift, (w - np.outer(gamma, gamma)).ravel()).reshape(n, n)

    def slope(gamma: Array) -> Array:
        p = error_of(gamma)
        before = np.linalg.inv(p + np.outer(gamma, gamma))
        added = omega * (np.linalg.inv(p) - beta * a.T @ before @ a) - c
        return np.linalg.solve(pull, added.ravel()).reshape(n, n)

    found = root(lambda gamma: slope(gamma) @ gamma, first, tol=1e-12)
    p, m = error_of(found.x), slope(found.x)
    if not found.success or min(np.linalg.eigvalsh(p)[0], np.linalg.eigvalsh(m)[0]) < -1e-8:
        raise SolverError(Status.FAILED, f"attention: no stationary point found ({found.message})")
    return p
