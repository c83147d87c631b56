r"""Encoders over a finite horizon whose bits may be spent later: convex programs, and their duals.

.. math:: \sum_{s \le t} I(S_s; U_s | U^{s-1}) \le \sum_{s \le t} R_s \quad\text{for every } t,

with the covariances P_t of the state given the representation as unknowns (Tanaka et al.,
arXiv:1411.7632; see `information` for the form of the rates). The rate of one frame alone is not
convex in them, its sums from the first frame on are. So these programs bound every encoder that
spends R_t in frame t.

The solver (CLARABEL) finds a point. From its directions a search finds better ones that spend R_t
in frame t (`_directions`). The bounds come from `encoder_bound` at both points and do not depend on
the accuracy of either. Under PLF-FMD, :math:`D_t = \phi_t(m_t)` with :math:`\phi_t` convex and
increasing, so its tangent keeps the bound. No other loss has less distortion than PLF-FMD at the
same thresholds, as what it compares has the frame as a part.

At high rates the solver has no digits left. Then the bound for encoders that spend R_t in frame t
is :math:`m_t \ge 2^{-2R_t} \operatorname{Var}(X_t | S_{t-1})`, tight there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rdp import _check
from rdp.linear_source import LinearSource, innovations, scalar
from solvers.errors import SolverError
from solvers.linear._directions import Cost, better_directions, worth
from solvers.linear.encoder_bound import encoder_bound
from solvers.linear.held_back import demand
from solvers.linear.information import measured, rate_terms, solve_program
from solvers.linear.measurement import Representation, represent

Array = np.ndarray

_SINGULAR = 1e-10  # relative eigenvalue of the first state below which the rates are infinite
_SOME_BITS = 1e-6  # of a frame in the program, whose sets have no interior at 0
_SOME_NOISE = 1e-5  # of the state in the program, where it and the transition are singular
_LEAST = 1e-13  # eigenvalue of an error where the first state has the unit covariance
_LIFTS = (0.0, 1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6)  # of a multiplier that must be definite


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
        sum_t w_t m_t, or sum_t w_t D_t under the loss.
    lower_bound : float
        No encoder that spends at most R_t in frame t has less, with any decoder that keeps the
        loss. Encoders whose bits wait may, and `objective`, where they may, may be less too.
    measurement : list of (r_t, n) arrays
        What is measured in each frame, with unit noise.
    directions : (T, n) array
        Directions of measurement that are good if frame t spends R_t.
    """

    rate: Array
    error: Array
    mmse: Array
    objective: float
    lower_bound: float
    measurement: list[Array]
    directions: Array


def budget_encoder(
    source: LinearSource, rates: object, weights: object = None, floors: object = None
) -> BudgetEncoder:
    r"""Encoder of least weighted distortion over a finite horizon, without a loss or under PLF-FMD.

    .. math:: \min \sum_t w_t \phi_t(m_t), \qquad
              \phi_t(m) = m + \bigl(\hat s_t - \sqrt{\sigma_t^2 - m}\bigr)_+^2 .

    Parameters
    ----------
    source : LinearSource
        Scalar frames, first state with a positive definite covariance.
    rates : (T,) array, >= 0, finite, bits per frame
        R_t, whose sums bound the sums of the rates used.
    weights : (T,) array, >= 0, or None
        w_t; None is 1.
    floors : (T,) array, >= 0, or None
        Smallest standard deviation of the reconstruction of each frame, at most that of the frame;
        None is 0, no loss.

    Returns
    -------
    BudgetEncoder

    Raises
    ------
    ValueError
        Bad rates, weights or floors; a singular first state.

    Examples
    --------
    If the second frame alone counts, all bits wait for it:

    >>> from rdp.autoregressive import AutoRegressive
    >>> answer = budget_encoder(AutoRegressive([0.9]), [0.5, 0.5], weights=[0.0, 1.0])
    >>> bool(abs(answer.rate - [0, 1]).max() < 1e-3)
    True
    >>> bool(answer.objective - answer.lower_bound < 1e-6)
    True
    """
    import cvxpy as cp

    program = _Budget(source, rates, weights)
    floor = program.floors(floors)
    goal = sum(
        weight * program.framewise(t, float(floor[t])) for t, weight in enumerate(program.weights)
    )
    try:
        program.solve(cp.Minimize(goal), [], "budget_encoder")
    except SolverError:  # the search alone, from the measurement of the frame itself
        own = represent(source, program.bits).error
        program.keep([program.back @ p @ program.back.T for p in own], [0.0] * len(own))
    return program.answer(floor)


def budget_joint_encoder(
    source: LinearSource, rates: object, weights: object = None
) -> BudgetEncoder:
    r"""Encoder and decoder together at perfect joint realism over a finite horizon.

    .. math:: \min \sum_t w_t D_t \quad\text{s.t.}\quad P_{\hat X_1..\hat X_T} = P_{X_1..X_T},

    over all encoders within the budget and all decoders. With :math:`f_t` of `held_back`, which the
    encoder does not change, and the covariances Z_t of the state given the reconstruction,

    .. math:: \max \sum_t f_t^T g_t \quad\text{s.t.}\quad
              g_t g_t^T \preceq A Z_{t-1} A^T + W - Z_t, \qquad Z_t \succeq P_t .

    Derived in this project; `joint_encoder` is its steady state. For any :math:`B_t \succ 0` with
    :math:`C_t = B_t - A^T B_{t+1} A \succeq 0`,

    .. math:: \sum_t f_t^T g_t \le \tfrac14 \sum_t f_t^T B_t^{-1} f_t + \operatorname{tr} B_1 \Pi
              + \sum_{t > 1} \operatorname{tr} B_t W - \min \sum_t \operatorname{tr} C_t P_t ,

    and `encoder_bound` bounds the last term.

    Parameters
    ----------
    source : LinearSource
        Scalar frames, first state with a positive definite covariance.
    rates : (T,) array, >= 0, finite, bits per frame
        R_t, whose sums bound the sums of the rates used.
    weights : (T,) array, >= 0, or None
        w_t; None is 1.

    Returns
    -------
    BudgetEncoder

    Raises
    ------
    ValueError
        Bad rates or weights; a singular first state.
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
    a, _ = program.moved
    n, frames = len(a), len(program.bits)
    own = innovations(source, frames).gain[:, :, None]
    wanted = demand(program.a, program.h[None], own, program.weights)[0][:, :, 0]
    gains = [cp.Variable((n, 1)) for _ in wanted]
    seen = [cp.Variable((n, n), symmetric=True) for _ in wanted]
    links, more = [], []
    before: Any = np.eye(n)
    for z, p, g in zip(seen, program.errors, gains, strict=True):
        more.append(z - p >> 0)
        links.append(cp.bmat([[before - z, g], [g.T, np.ones((1, 1))]]) >> 0)
        before = a @ z @ a.T + program.noise
    pulls = wanted @ program.root / program.unit
    used = sum(f @ g[:, 0] for f, g in zip(pulls, gains, strict=True))
    program.solve(cp.Maximize(used), more + links, "budget_joint_encoder")
    duals = [np.asarray(link.dual_value)[:n, :n] for link in links]
    return program.joint_answer(float(used.value), wanted, duals)


class _Budget:
    """Unknowns P_t and the constraints on the sums of the rates.

    The program has coordinates in which the first state has the unit covariance, and frames in
    units of the largest deviation. What leaves it is in those of the source.
    """

    def __init__(self, source: LinearSource, rates: object, weights: object) -> None:
        import cvxpy as cp

        self.source = source
        self.a, self.w, self.h = scalar(source)
        self.bits = _check.finite("rates", _check.nonnegative("rates", rates, ndim=1))
        frames = len(self.bits)
        given = np.ones(frames) if weights is None else weights
        self.weights = _check.finite("weights", _check.nonnegative("weights", given, ndim=1))
        if self.weights.shape != self.bits.shape:
            raise ValueError(f"weights: expected shape {(frames,)}, got {self.weights.shape}")
        self.first = source.realisation().initial
        values = np.linalg.eigvalsh(self.first)
        if not values[0] > _SINGULAR * values[-1]:
            raise ValueError(
                "source: expected a first state with a positive definite covariance for encoder "
                "'optimal'; take encoder 'mmse'"
            )
        self.root = np.linalg.cholesky(self.first)
        self.back = np.linalg.inv(self.root)
        self.variance = np.diag(source.covariance(frames))
        self.unit = float(self.variance.max())
        a, w = self.back @ self.a @ self.root, self.back @ self.w @ self.back.T
        self.moved, self.noise = (a, self.h @ self.root / np.sqrt(self.unit)), _regular(a, w)
        self.errors = [cp.Variable(a.shape, symmetric=True) for _ in self.bits]
        self.sums: list[Any] = []
        self.constraints: list[Any] = []
        passed: Any = 0.0  # plus ln(det P_{t+1}^- / det P_t) so far
        before: Any = np.eye(len(a))
        allowed = np.cumsum(np.maximum(self.bits, _SOME_BITS))
        for t, error in enumerate(self.errors):
            spent = passed - cp.log_det(error)
            self.sums.append(spent <= 2 * np.log(2) * float(allowed[t]))
            self.constraints += [before - error >> 0, self.sums[-1]]
            if t + 1 < frames:
                shrink, more, constant = rate_terms(a, self.noise, error)
                self.constraints += more
                passed = passed + constant - cp.log_det(shrink)
                before = a @ error @ a.T + self.noise

    def floors(self, floors: object) -> Array:
        """Smallest deviations of the reconstructions."""
        given = np.zeros(len(self.bits)) if floors is None else floors
        out = _check.finite("floors", _check.nonnegative("floors", given, ndim=1))
        if out.shape != self.bits.shape:
            raise ValueError(f"floors: expected shape {self.bits.shape}, got {out.shape}")
        sd = np.sqrt(self.variance)
        if (out > sd * (1 + 1e-9)).any():
            raise ValueError(f"floors: expected at most the deviations {sd}, got {out}")
        return np.minimum(out, sd)

    def framewise(self, t: int, floor: float) -> Any:
        """phi_t(m_t) as an expression; r is what the estimate has beyond the floor."""
        import cvxpy as cp

        h = self.moved[1]
        m = h @ self.errors[t] @ h
        if floor == 0:
            return m
        variance, least = float(self.variance[t]) / self.unit, floor / np.sqrt(self.unit)
        rest = cp.Variable(nonneg=True)
        return variance + least**2 - 2 * least * cp.sqrt(variance - m - rest) - rest

    def solve(self, goal: Any, more: list[Any], name: str) -> None:
        """Solve, and keep P_t, the prices of the sums, and the directions."""
        import cvxpy as cp

        solve_program(cp.Problem(goal, self.constraints + more), name)
        self.keep(
            [np.asarray(error.value) for error in self.errors],
            [float(np.asarray(spent.dual_value)) for spent in self.sums],
        )

    def keep(self, errors: list[Array], prices: list[float]) -> None:
        """Keep a point of the program, in the coordinates of the source."""
        found = [_definite(error) for error in errors]
        self.found = np.array([self.root @ p @ self.root.T for p in found])
        self.prices = self.unit * np.array(prices)
        a, w = self.a, self.w
        self.ahead = np.concatenate([self.first[None], a @ self.found[:-1] @ a.T + w])
        self.measurement = [measured(p, q) for p, q in zip(self.found, self.ahead, strict=True)]

    def best(self, cost: Cost) -> Representation:
        """The best measurement of one direction a frame at its own rate, from some starts."""
        own = np.tile(self.h, (len(self.bits), 1))
        rows = [row[0] if len(row) else self.h for row in self.measurement]
        tried = [
            represent(self.source, self.bits, better_directions(self.source, self.bits, c, cost))
            for c in (own, np.array(rows))
        ]
        return min(tried, key=lambda sent: cost(sent)[0])

    def bound(self, costs: Array, sent: Representation, price: Array) -> float:
        """Least sum_t tr C_t P_t, at the point of the solver and at that of a representation."""
        own = np.maximum(-np.diff(np.append(price, 0.0)), 0.0)
        points = ((self.found, self.prices), (sent.error, own))
        return max(
            encoder_bound(self.a, self.w, self.first, costs, self.bits, errors, prices)
            for errors, prices in points
        )

    def framewise_cost(self, floor: Array, m: Array) -> tuple[float, Array]:
        """sum_t w_t phi_t(m_t), and w_t times the slope of phi_t."""
        spread = np.sqrt(np.maximum(self.variance - m, 1e-18 * self.variance))
        slope = np.maximum(floor / spread, 1.0)
        distortion = m + np.maximum(floor - spread, 0.0) ** 2
        return float(self.weights @ distortion), self.weights * slope

    def high_rate_bound(self, floor: Array) -> float:
        """Weighted distortion if each frame knew the state before it exactly."""
        fresh = np.full(len(self.bits), float(self.h @ self.w @ self.h))
        fresh[0] = self.variance[0]
        least = np.exp2(-2 * self.bits) * fresh * (1 - 1e-12)
        return self.framewise_cost(floor, least)[0] * (1 - 1e-12)

    def answer(self, floor: Array) -> BudgetEncoder:
        """What was found under PLF-FMD, with rates, errors and the bound recomputed."""
        square = np.outer(self.h, self.h)

        def cost(sent: Representation) -> tuple[float, Array, Array]:
            value, slope = self.framewise_cost(floor, np.minimum(sent.mmse, self.variance))
            return value, slope[:, None, None] * square, np.zeros_like(sent.gain)

        sent = self.best(cost)
        mmse = np.einsum("i,tij,j->t", self.h, self.found, self.h)
        lowest = self.high_rate_bound(floor)
        silent = np.cumsum(self.bits) == 0  # their phi is known, and steep
        for m in (mmse, np.minimum(sent.mmse, self.variance)):  # tangents of phi
            m = np.where(silent, self.variance, m)
            value, slope = self.framewise_cost(floor, m)
            slope = np.where(silent, 0.0, slope)
            costs = slope[:, None, None] * square
            price, _ = worth(sent, costs, np.zeros_like(sent.gain))
            own = value - float(slope @ m)
            rounding = 64 * np.finfo(np.float64).eps * (value + 2 * float(slope @ m))
            lowest = max(lowest, own + self.bound(costs, sent, price) - rounding)
        return self._answer(self.framewise_cost(floor, mmse)[0], lowest, sent)

    def joint_answer(self, value: float, wanted: Array, duals: list[Array]) -> BudgetEncoder:
        """What was found at perfect joint realism, with its bound."""
        nothing = np.zeros((len(self.bits), *self.a.shape))

        def cost(sent: Representation) -> tuple[float, Array, Array]:
            # a decoder that uses all it knows at once; `plan` finds a better one, if there is one
            used = np.einsum("ti,ti->t", wanted, sent.gain)
            sign = np.where(used >= 0, 2.0, -2.0)
            return total - float(sign @ used), nothing, sign[:, None] * wanted

        total = 2 * float(self.weights @ self.variance)
        sent = self.best(cost)
        found = [self.unit * self.back.T @ dual @ self.back for dual in duals]
        highest = min(self._used_at_most(wanted, found, sent, lift) for lift in _LIFTS)
        sd = np.sqrt(self.variance)
        lowest = max(total - 2 * highest, self.high_rate_bound(sd))
        return self._answer(total - 2 * self.unit * value, lowest, sent)

    def _used_at_most(
        self, wanted: Array, found: list[Array], sent: Representation, lift: float
    ) -> float:
        """Bound of sum_t f_t' g_t at multipliers near the given ones; inf if one is singular."""
        n, later = len(self.a), np.zeros_like(self.a)
        unit = self.back.T @ self.back * max(
            float(np.abs(self.root.T @ b @ self.root).max()) for b in found
        )
        value, magnitude, costs = 0.0, 0.0, []
        for t in range(len(found) - 1, -1, -1):
            moved = self.a.T @ later @ self.a
            missing = self.root.T @ (0.5 * (found[t] + found[t].T) - moved) @ self.root
            values, vectors = np.linalg.eigh(missing)
            half = self.back.T @ vectors
            cost = (half * np.maximum(values, 0.0)) @ half.T + lift * unit
            costs.append(cost)
            later = moved + cost
            values, vectors = np.linalg.eigh(self.root.T @ later @ self.root)
            along = (vectors.T @ self.root.T @ wanted[t]) ** 2
            some = along > 0
            if not (values[some] > 1e-15 * float(values[-1])).all():
                return np.inf
            free = 0.25 * float((along[some] / values[some]).sum())
            noise = float((later * (self.w if t else self.first)).sum())
            value, magnitude = value + free + noise, magnitude + free + abs(noise)
        weights = np.array(costs[::-1])
        price, _ = worth(sent, weights, np.zeros_like(sent.gain))
        left = self.bound(weights, sent, price)
        return value - left + 64 * (n + 2) * np.finfo(np.float64).eps * (magnitude + abs(left))

    def _answer(self, objective: float, lowest: float, sent: Representation) -> BudgetEncoder:
        used = np.linalg.slogdet(self.ahead)[1] - np.linalg.slogdet(self.found)[1]
        return BudgetEncoder(
            rate=0.5 * used / np.log(2),
            error=self.found,
            mmse=np.einsum("i,tij,j->t", self.h, self.found, self.h),
            objective=objective,
            lower_bound=lowest,
            measurement=self.measurement,
            directions=sent.measurement,
        )


def _definite(value: Array) -> Array:
    """The nearest covariance that has an inverse in float64."""
    values, vectors = np.linalg.eigh(0.5 * (value + value.T))
    return (vectors * np.maximum(values, _LEAST)) @ vectors.T


def _regular(a: Array, w: Array) -> Array:
    """The noise; with a little more of it where it is singular and so is the transition."""
    values, singular = np.linalg.eigvalsh(w), np.linalg.svd(a, compute_uv=False)
    if values[0] > _SINGULAR * values[-1] or singular[-1] > _SINGULAR * singular[0]:
        return w
    return w + _SOME_NOISE * np.eye(len(w))
