r"""Rates as unknowns, in decimal arithmetic: least total rate, and best split of a total rate.

With :math:`d_t = a_t^2 m_{t-1} + q_t - m_t`, the variance of what frame t adds to the estimate, and
:math:`J_{ts}` the covariance of :math:`\hat X_t` with what frame s adds, everything but the rates
is linear in (m, J, H) on the cone of :math:`Z = \begin{bmatrix} \operatorname{diag} d & J^T \\
J & H \end{bmatrix}`, and

.. math:: 2 \ln 2 \sum_t R_t = \ln \sigma_1^2 + \sum_t r_t(m_t), \qquad
          r_t(m) = \ln (a_{t+1}^2 + q_{t+1} / m), \quad r_T(m) = - \ln m

is convex. The bound is that of :mod:`solvers._precise.weighted`, whose minimum over J and H is
:math:`c - \sum_s d_s f_s`; what is left separates into terms of one m each. A larger f only prices
:math:`d_s \ge 0`, so that the f of the barrier may be taken where it is the larger one.
"""

from __future__ import annotations

import math
from decimal import Decimal
from functools import cached_property
from typing import NamedTuple

import numpy as np

from rdp.problem import Problem
from solvers._precise.arithmetic import (
    cholesky,
    exact,
    joined,
    solve_lower,
    solve_positive,
    zeros,
)
from solvers._precise.determinant import Moves
from solvers._precise.newton import AT_CENTRE, Derivatives, Value, follow
from solvers._precise.program import LITTLE, SMALLEST, Program
from solvers._precise.rate_terms import RateTerms
from solvers._precise.transport import Transport

Array = np.ndarray

GAP = Decimal("1e-10")  # of a rate in nats, or of a distortion relative to it
_FELT = Decimal("1e-14")  # of the variance: distortions that feel what stands for 0
_LESS = Decimal("1e-8")  # of the noise of a frame that repeats another: what it receives at first


class Split(NamedTuple):
    """Distortions, losses, rates, second moments, errors, and the bound: bits, or a distortion."""

    distortion: Array
    perception: Array
    rates: Array
    cov: Array
    cross: Array
    mmse: Array
    bound: Decimal


class _State(NamedTuple):
    errors: Array
    gains: Array
    cov: Array
    inverse: Array  # of the factor of Z
    determinant: Decimal  # of Z
    maps: list[Transport]
    room: Array  # what is left of thresholds
    spare: Array  # what is left of distortions, or of the rate


def needs_more_digits(problem: Problem, targets: Array | None) -> bool:
    """Whether distortions are so small that their multipliers, the inverses, have too few digits.

    Parameters
    ----------
    problem : Problem
    targets : (T,) array or None
        Distortions that are allowed.
    """
    return targets is not None and bool(
        (targets < float(_FELT) * problem.source.variance).any()
    )


def free_rates(problem: Problem, targets: Array | None) -> Split:
    """Return the least total rate with D_t <= targets, or the best split of the total rate."""
    return _FreeRates(problem, targets).solve()


class _FreeRates(Program):
    def __init__(self, problem: Problem, targets: Array | None) -> None:
        self.targets: Array | None = None if targets is None else exact(targets)
        felt = problem.frame_weights > 0 if targets is None else np.isfinite(targets)
        self.felt = felt
        self.stake = self._stake(problem)
        super().__init__(problem)

    def _stake(self, problem: Problem) -> Decimal:
        if self.targets is None:
            return Decimal(1)
        asked = self.targets[self.felt] / exact(problem.source.variance)[self.felt]
        return Decimal(min([Decimal(1), *(asked / _FELT)]))

    def _choose(self, bound: list[int], weights: Array) -> None:
        last = bound[-1] if self.joint else -1
        self.rows = [
            t for t in range(len(weights)) if self.felt[t] or t <= last or t in bound
        ]
        self.columns = list(range(self.rows[-1] + 1))
        self.estimate = self.given.phi[np.ix_(self.rows, self.columns)]
        self.a2 = self.given.squared_gain[self.columns]
        self.q = self.given.innovation[self.columns]
        self.terms = RateTerms.of(self.given, len(self.columns))
        self.next_a2, self.next_q = self.terms.squared_gain, self.terms.innovation

    def _weights(self) -> None:
        super()._weights()
        if self.targets is not None:
            self.cost, self.base = Decimal(0), Decimal(0)
            self.linear = zeros(len(self.linear))
        two = 2 * Decimal(2).ln()
        self.two = two
        self.budget = two * sum(exact(self.problem.rates), Decimal(0))
        self.linear = joined(self.linear, zeros(len(self.columns)))
        self.capped = [
            i for i, t in enumerate(self.rows) if self.targets is not None and self.felt[t]
        ]
        self.caps = [self._distortion_row(i) for i in self.capped]

    def _worth(self, weights: Array) -> Decimal:
        """What the objective is at least: all the rate would go to each frame."""
        total = sum(exact(self.problem.rates), Decimal(0))
        return Decimal(self.scale * max(Decimal(2) ** (-2 * total), LITTLE))

    def _distortion_row(self, i: int) -> Array:
        """D_i - sigma_i^2 as a row of the unknowns."""
        out = zeros(len(self.linear))
        for k, (j, c) in enumerate(self.of_gains):
            if j == i:
                out[k] = -2 * self.estimate[i, c]
        out[len(self.of_gains) + self.of_cov.index((i, i))] = Decimal(1)
        return out

    # -- the path --------------------------------------------------------------------------------

    def solve(self) -> Split:
        """Follow the path, and put the frames together again."""
        count = 2 * len(self.columns) + len(self.bound) + len(self.caps)
        first = count / (self.base if self.targets is None else Decimal(1))

        def enough(point: Array, s: Decimal) -> bool:
            if self.targets is not None:
                return count / s <= GAP
            objective = self.base + self.linear @ point
            return count / s <= max(GAP * objective, SMALLEST * self.scale)

        # the multiplier of a distortion next to 0 is as large as its inverse
        centre = AT_CENTRE * self.stake**2
        point, s = follow(self, self._start(), first, enough, centre)
        return self._split(point, s)

    def _start(self) -> Array:
        errors, count = zeros(len(self.columns)), len(self.columns)
        if self.targets is None:  # an independent reconstruction, half of the rate
            share = (-self.budget / (2 * count)).exp()
            for t in range(count):
                before = errors[t - 1] if t else Decimal(0)
                errors[t] = share * (self.a2[t] * before + self.q[t])
            return self._point(errors, zeros(len(self.rows), count), None)
        least = min(
            self.targets[self.rows[i]] / self.given.variance[self.rows[i]] for i in self.capped
        )
        share = min(least / 4, Decimal("0.25"))
        for t in range(count):
            before = errors[t - 1] if t else Decimal(0)
            added = share * self.q[t]
            if self.q[t] == 0:
                added = -_LESS * self.given.noise[t]
            errors[t] = self.a2[t] * before + added
        return self._point(errors, self.estimate * self._added(errors), errors)

    def _added(self, errors: Array) -> Array:
        before = joined(Decimal(0), errors[:-1])
        return np.asarray(self.a2 * before + self.q - errors)

    def _point(self, errors: Array, gains: Array, known: Array | None) -> Array:
        """A scheme at distance 0: the estimate of these errors, and noise; or only noise."""
        given, variance = self.given, self.given.variance
        cov = []
        for i, j in self.of_cov:
            t, s = self.rows[i], self.rows[j]
            if self.joint or i == j:
                cov.append(given.covariance[t, s])
            elif known is None:
                cov.append(Decimal(0))
            else:
                cov.append(given.phi[t, s] * (variance[s] - known[s]))
        return np.array([*(gains[i, c] for i, c in self.of_gains), *cov, *errors], dtype=object)

    # -- the barrier function --------------------------------------------------------------------

    def state(self, point: Array) -> _State | None:
        """The point with its factors; None outside the interior."""
        count = len(self.columns)
        errors = point[-count:]
        if not all(value > 0 for value in errors):
            return None
        gains, cov = self.matrices(point[:-count])
        whole = np.block([[np.diag(self._added(errors)), gains.T], [gains, cov]])
        root = cholesky(whole)
        if root is None:
            return None
        found = self.measured(gains, cov)
        if found is None:
            return None
        spare = self._spare(point)
        if not all(value > 0 for value in spare):
            return None
        determinant = math.prod(root[i, i] for i in range(len(root))) ** 2
        inverse = solve_lower(root, exact(np.eye(len(root))))
        return _State(errors, gains, cov, inverse, determinant, *found, spare)

    def _spare(self, point: Array) -> Array:
        if self.targets is None:
            spent = self.terms.total(point[-len(self.columns) :])
            return np.array([self.budget - spent], dtype=object)
        spare = [
            self.targets[self.rows[i]] - self.given.variance[self.rows[i]] - row @ point
            for i, row in zip(self.capped, self.caps, strict=True)
        ]
        return np.array(spare, dtype=object)

    def value(self, point: Array, state: _State) -> Value:
        """The objective, and what the barrier is the logarithm of."""
        room = state.determinant * math.prod([*state.room, *state.spare])
        if self.targets is None:
            return Value(self.linear @ point, room)
        return Value(self.terms.total(state.errors), room)

    def derivatives(self, point: Array, state: _State, s: Decimal) -> Derivatives:
        """Gradient and matrix of second derivatives of the barrier function."""
        count = len(self.columns)
        first, hessian = self.moves.derivatives(state.inverse.T @ state.inverse)
        gradient = s * self.linear - self._of_errors(first)
        hessian = self._of_errors(self._of_errors(hessian).T)
        self.add_thresholds(gradient, hessian, state.maps, state.room)
        m = state.errors
        inner = self.next_a2 * m + self.next_q
        first = joined(zeros(len(point) - count), self.next_a2 / inner - 1 / m)
        second = joined(zeros(len(point) - count), 1 / m**2 - (self.next_a2 / inner) ** 2)
        scale = s if self.targets is not None else 1 / state.spare[0]
        gradient = gradient + scale * first
        hessian = hessian + np.diag(scale * second)
        rows = [scale * first] if self.targets is None else []
        for row, spare in zip(self.caps, state.spare, strict=False):
            gradient = gradient + row / spare
            rows.append(row / spare)
        for row in rows:
            hessian = hessian + np.outer(row, row)
        return Derivatives(gradient, hessian, self.linear if self.targets is None else first)

    @cached_property
    def moves(self) -> Moves:
        """What J, H and d move Z by."""
        count = len(self.columns)
        of_gains = [(count + i, c) for i, c in self.of_gains]
        of_cov = [(count + i, count + j) for i, j in self.of_cov]
        return Moves.of([*of_gains, *of_cov, *((t, t) for t in range(count))])

    def _of_errors(self, rows: Array) -> Array:
        """Derivatives in the errors, of which d_t is a_t^2 m_t-1 + q_t - m_t, from those in d."""
        out, count = -rows, len(self.columns)
        out[:-count] = rows[:-count]
        later = self.next_a2[:-1].reshape(-1, *[1] * (rows.ndim - 1))
        out[-count:-1] += later * rows[len(rows) - count + 1 :]
        return out

    # -- the answer ------------------------------------------------------------------------------

    def _bound(self, point: Array, state: _State, s: Decimal) -> Decimal | None:
        """Bound at the multipliers of a point, nats or a distortion; None if not feasible."""
        count = len(self.columns)
        row, constant = self.linear.copy(), self.base
        for cap, i, spare in zip(self.caps, self.capped, state.spare, strict=False):
            price, t = 1 / (s * spare), self.rows[i]
            row = row + price * cap
            assert self.targets is not None
            constant += price * (self.given.variance[t] - self.targets[t])
        for place, found, room in zip(self.places, state.maps, state.room, strict=True):
            slope = self.loss_slope(place, found)
            mu = 1 / (s * room)
            row = row + mu * slope
            constant -= mu * (room + slope @ point)
        price_of_gains, size = self.matrices(row[:-count])
        cov = (size + np.diag(np.diagonal(size))) / 2
        if cholesky(cov) is None:
            return None
        gain = zeros(count)
        for c in self.columns:
            kept = [i for i, t in enumerate(self.rows) if t >= c]
            moved = price_of_gains[kept, c]
            best = solve_positive(cov[np.ix_(kept, kept)], moved)
            if best is None:
                return None
            own = (state.inverse[:, c] @ state.inverse[:, c]) / s
            gain[c] = max(moved @ best / 4, own)
        price = Decimal(1) if self.targets is not None else 1 / (s * state.spare[0])
        constant -= gain @ self.q
        if self.targets is None:
            least = self.terms.least(gain, price) - price * self.budget
            return Decimal(least + constant - self.cost)
        return Decimal(self.terms.least(gain, price) + constant)

    def _split(self, point: Array, s: Decimal) -> Split:
        state = self.state(point)
        assert state is not None
        bound = self._bound(point, state, s)
        frames, count = self.problem.source.frames, len(self.columns)
        given, mmse = self.given, zeros(frames)
        added = self._added(state.errors)
        rates = zeros(frames)
        mmse[:count] = state.errors
        for t in range(count):
            rates[t] = ((added[t] + mmse[t]) / mmse[t]).ln() / self.two
        for t in range(count, frames):
            gain = given.phi[t, t - 1]
            mmse[t] = given.variance[t] - gain * gain * (given.variance[t - 1] - mmse[t - 1])
        cov, cross, distortion = self._moments(state, mmse)
        unit = Decimal(1) if self.targets is None else self.two
        value = Decimal("-Infinity") if bound is None else bound / unit
        losses = self.losses(state.gains, state.cov)
        return Split(distortion, losses, rates, cov, cross, mmse, value)

    def _moments(self, state: _State, mmse: Array) -> tuple[Array, Array, Array]:
        """Covariance of Xhat, E[Xhat_t Xtil_s] and distortions of all frames."""
        frames, given = self.problem.source.frames, self.given
        cov, gains = zeros(frames, frames), zeros(frames, frames)
        cov[np.ix_(self.rows, self.rows)] = state.cov
        gains[np.ix_(self.rows, self.columns)] = state.gains
        cross = gains @ given.phi.T
        distortion = given.variance + np.diagonal(cov) - 2 * np.diagonal(cross)
        return cov, cross, distortion
