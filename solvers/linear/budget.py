r"""Encoders over a finite horizon whose bits may be spent later: convex programs.

.. math:: \sum_{s \le t} I(S_s; U_s | U^{s-1}) \le \sum_{s \le t} R_s \quad\text{for every } t,

with the covariances P_t of the state given the representation as unknowns (Tanaka et al.,
arXiv:1411.7632; see `information` for the form of the rates). The rate of one frame alone is not
convex in them, its sums from the first frame on are. So these programs bound every encoder that
spends R_t in frame t.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rdp import _check
from rdp.linear_source import LinearSource, innovations, scalar
from solvers.linear.held_back import demand
from solvers.linear.information import measured, rate_terms, solve_program

Array = np.ndarray

_SINGULAR = 1e-10  # relative eigenvalue of the first state below which the rates are infinite


@dataclass(frozen=True, eq=False)
class BudgetEncoder:
    """Encoder of a finite horizon, and its decoder if there is a perception loss.

    Parameters
    ----------
    rate : (T,) array
        Bits of each frame, recomputed from the errors.
    error : (T, n, n) array
        P_t, covariance of the state given the representation.
    mmse : (T,) array
        m_t.
    objective : float
        sum_t w_t m_t, or sum_t w_t D_t at perfect joint realism.
    measurement : list of (r_t, n) arrays
        What is measured in each frame, with unit noise.
    """

    rate: Array
    error: Array
    mmse: Array
    objective: float
    measurement: list[Array]


def budget_encoder(source: LinearSource, rates: object, weights: object = None) -> BudgetEncoder:
    r"""MMSE encoder over a finite horizon: minimise :math:`\sum_t w_t m_t`.

    Parameters
    ----------
    source : LinearSource
        Scalar frames, first state with a positive definite covariance.
    rates : (T,) array, > 0, finite, bits per frame
        R_t, whose sums bound the sums of the rates used.
    weights : (T,) array, >= 0, or None
        w_t; None is 1.

    Returns
    -------
    BudgetEncoder

    Raises
    ------
    ValueError
        Bad rates or weights; a singular transition with singular noise; a singular first state.
    SolverError
        The solver failed.

    Examples
    --------
    If the second frame alone counts, all bits wait for it:

    >>> from rdp.autoregressive import AutoRegressive
    >>> answer = budget_encoder(AutoRegressive([0.9]), [0.5, 0.5], weights=[0.0, 1.0])
    >>> bool(abs(answer.rate - [0, 1]).max() < 1e-3)
    True
    """
    import cvxpy as cp

    program = _Budget(source, rates, weights)
    solve_program(
        cp.Problem(cp.Minimize(sum(program.costs())), program.constraints), "budget_encoder"
    )
    return program.answer(None)


def budget_joint_encoder(
    source: LinearSource, rates: object, weights: object = None
) -> BudgetEncoder:
    r"""Encoder and decoder together at perfect joint realism over a finite horizon.

    .. math:: \min \sum_t w_t D_t \quad\text{s.t.}\quad P_{\hat X_1..\hat X_T} = P_{X_1..X_T},

    over all encoders within the budget and all decoders. With :math:`f_t` of `held_back`, which the
    encoder does not change, and the covariances Z_t of the state given the reconstruction,

    .. math:: \max \sum_t f_t^T g_t \quad\text{s.t.}\quad
              g_t g_t^T \preceq A Z_{t-1} A^T + W - Z_t, \qquad Z_t \succeq P_t .

    Derived in this project; `joint_encoder` is its steady state.

    Parameters
    ----------
    source : LinearSource
        Scalar frames, first state with a positive definite covariance.
    rates : (T,) array, > 0, finite, bits per frame
        R_t, whose sums bound the sums of the rates used.
    weights : (T,) array, >= 0, or None
        w_t; None is 1.

    Returns
    -------
    BudgetEncoder

    Raises
    ------
    ValueError
        Bad rates or weights; a singular transition with singular noise; a singular first state.
    SolverError
        The solver failed.

    Examples
    --------
    >>> from rdp.autoregressive import AutoRegressive
    >>> answer = budget_joint_encoder(AutoRegressive([0.9]), [0.5])
    >>> round(answer.objective, 4), round(float(2 - 2 * np.sqrt(0.5)), 4)
    (0.5858, 0.5858)
    """
    import cvxpy as cp

    program = _Budget(source, rates, weights)
    a, w, h = program.a, program.w, program.h
    own = innovations(source, len(program.bits)).gain[:, :, None]
    wanted = demand(a, h[None], own, program.weights)[0][:, :, 0]
    gains = [cp.Variable((len(a), 1)) for _ in wanted]
    seen = [cp.Variable(a.shape, symmetric=True) for _ in wanted]
    more: list[Any] = []
    before: Any = program.first
    for z, p, g in zip(seen, program.errors, gains, strict=True):
        more += [z - p >> 0, cp.bmat([[before - z, g], [g.T, np.ones((1, 1))]]) >> 0]
        before = a @ z @ a.T + w
    used = sum(f @ g[:, 0] for f, g in zip(wanted, gains, strict=True))
    goal = cp.Maximize(used)
    problem = cp.Problem(goal, program.constraints + more)
    solve_program(problem, "budget_joint_encoder")
    variances = np.diag(source.covariance(len(wanted)))
    return program.answer(2 * float(program.weights @ variances) - 2 * float(used.value))


class _Budget:
    """Unknowns P_t and the constraints on the sums of the rates."""

    def __init__(self, source: LinearSource, rates: object, weights: object) -> None:
        import cvxpy as cp

        self.a, self.w, self.h = scalar(source)
        self.bits = _check.finite("rates", _check.positive("rates", rates, ndim=1))
        frames = len(self.bits)
        given = np.ones(frames) if weights is None else weights
        self.weights = _check.finite("weights", _check.nonnegative("weights", given, ndim=1))
        if self.weights.shape != self.bits.shape:
            raise ValueError(f"weights: expected shape {(frames,)}, got {self.weights.shape}")
        self.first = source.realisation().initial
        values = np.linalg.eigvalsh(self.first)
        if not values[0] > _SINGULAR * values[-1]:
            raise ValueError("source: expected a first state with a positive definite covariance")
        self.errors = [cp.Variable(self.a.shape, symmetric=True) for _ in self.bits]
        self.constraints: list[Any] = []
        passed: Any = np.linalg.slogdet(self.first)[1]  # plus ln(det P_{t+1}^- / det P_t) so far
        before: Any = self.first
        for t, error in enumerate(self.errors):
            spent = passed - cp.log_det(error)
            self.constraints += [
                before - error >> 0,
                spent <= 2 * np.log(2) * float(self.bits[: t + 1].sum()),
            ]
            if t + 1 < frames:
                shrink, more, constant = rate_terms(self.a, self.w, error)
                self.constraints += more
                passed = passed + constant - cp.log_det(shrink)
                before = self.a @ error @ self.a.T + self.w

    def costs(self) -> list[Any]:
        """w_t m_t as expressions."""
        return [
            weight * (self.h @ error @ self.h)
            for weight, error in zip(self.weights, self.errors, strict=True)
        ]

    def answer(self, objective: float | None) -> BudgetEncoder:
        """What was found, with rates and errors recomputed."""
        values = [np.asarray(error.value) for error in self.errors]
        found = np.array([0.5 * (value + value.T) for value in values])
        ahead = np.concatenate([self.first[None], self.a @ found[:-1] @ self.a.T + self.w])
        used = 0.5 * (np.linalg.slogdet(ahead)[1] - np.linalg.slogdet(found)[1]) / np.log(2)
        mmse = np.einsum("i,tij,j->t", self.h, found, self.h)
        return BudgetEncoder(
            rate=used,
            error=found,
            mmse=mmse,
            objective=float(self.weights @ mmse) if objective is None else objective,
            measurement=[measured(p, q) for p, q in zip(found, ahead, strict=True)],
        )
