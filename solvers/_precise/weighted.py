r"""Weighted objective in decimal arithmetic: all frames in one barrier problem.

The unknowns are the decoder gains K and :math:`H = \operatorname{Cov} \hat X`, in which the
distortions are linear, :math:`D_t = \sigma_t^2 - 2 K_t \tilde L_t^T + H_{tt}`. The function

.. math::
    s \sum_t w_t D_t - \ln\det(H - K K^T) - \sum_t \ln(P_t - W_2^2(A_t, B_t))

is minimised by Newton's method for growing s. The bound takes squared W2 as what lies above its
tangent plane at the scheme (:mod:`solvers.certificate` has the same bound in other variables):
with multipliers :math:`\mu_t = 1 / (s (P_t - W_2^2))` the Lagrangian is
:math:`c + \langle Q, H\rangle + \langle M, K\rangle`, at least
:math:`c - \frac14 \sum_s M_{s:,s}^T Q_{s:,s:}^{-1} M_{s:,s}` for :math:`H \succeq K K^T`.
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
    solve_lower,
    solve_positive,
    zeros,
)
from solvers._precise.determinant import Moves
from solvers._precise.newton import Derivatives, Value, follow
from solvers._precise.program import SMALLEST, Program
from solvers._precise.transport import Transport

Array = np.ndarray

GAP = Decimal("1e-10")  # relative to the objective


class Found(NamedTuple):
    """Distortions, losses, gains K, root of the noise, and the bound on the objective."""

    distortion: Array
    perception: Array
    gains: Array
    noise: Array
    bound: Decimal


class State(NamedTuple):
    """A point of the interior: K, H, the factor of H - K K^T, and the transport of each frame."""

    gains: Array
    cov: Array
    root: Array
    maps: list[Transport]
    room: Array


def solve_weighted(problem: Problem) -> Found:
    """Return the best scheme of a problem with weights, PLF-JD or PLF-SA."""
    return Weighted(problem).solve()


class Weighted(Program):
    """The barrier problem of the frames up to the last threshold."""

    def solve(self) -> Found:
        """Follow the path, and put the frames together again."""
        size = len(self.rows)
        start = zeros(len(self.of_gains) + len(self.of_cov))
        for k, (i, j) in enumerate(self.of_cov, start=len(self.of_gains)):
            if self.joint or i == j:
                start[k] = self.given.covariance[self.rows[i], self.rows[j]]
        first = Decimal(size + len(self.bound)) / self.base

        def enough(point: Array, s: Decimal) -> bool:
            objective = self.base + self.linear @ point
            return (size + len(self.bound)) / s <= max(GAP * objective, SMALLEST * self.scale)

        point, s = follow(self, start, first, enough)
        return self._whole(point, s)

    @cached_property
    def moves(self) -> Moves:
        """What the unknowns move H - K K^T by: columns of the unit matrix, then those of K."""
        size = len(self.rows)
        of_gains = Moves.of([(i, size + c) for i, c in self.of_gains], sign=-1)
        return of_gains + Moves.of(self.of_cov)

    # -- the barrier function --------------------------------------------------------------------

    def state(self, point: Array) -> State | None:
        """The point with its factors; None outside the interior."""
        gains, cov = self.matrices(point)
        root = cholesky(cov - gains @ gains.T)
        if root is None:
            return None
        found = self.measured(gains, cov)
        if found is None:
            return None
        return State(gains, cov, root, *found)

    def value(self, point: Array, state: State) -> Value:
        """The objective, and what the barrier is the logarithm of."""
        root = math.prod(state.root[i, i] for i in range(len(self.rows)))
        return Value(self.linear @ point, root * root * math.prod(state.room))

    def derivatives(self, point: Array, state: State, s: Decimal) -> Derivatives:
        """Gradient and matrix of second derivatives of the barrier function."""
        size = len(self.rows)
        inverse = solve_lower(state.root, exact(np.eye(size)))
        whole = np.column_stack([inverse, inverse @ state.gains])
        first, hessian = self.moves.derivatives(whole.T @ whole)
        gradient = s * self.linear - first
        curved = 2 * inverse.T @ inverse
        for c in range(len(self.columns)):  # gains of one innovation
            own = [k for k, (_, d) in enumerate(self.of_gains) if d == c]
            rows = [self.of_gains[k][0] for k in own]
            hessian[np.ix_(own, own)] += curved[np.ix_(rows, rows)]
        self.add_thresholds(gradient, hessian, state.maps, state.room)
        return Derivatives(gradient, hessian, self.linear)

    # -- the answer ------------------------------------------------------------------------------

    def lower_bound(self, point: Array, state: State, s: Decimal) -> Decimal | None:
        """Bound at the multipliers of a point; None where it is not dual feasible."""
        row, constant = self.linear.copy(), self.base
        for place, found, room in zip(self.places, state.maps, state.room, strict=True):
            slope = self.loss_slope(place, found)
            mu = 1 / (s * room)
            row = row + mu * slope
            constant -= mu * (room + slope @ point)
        price, size = self.matrices(row)
        cov = (size + np.diag(np.diagonal(size))) / 2
        for c, u in enumerate(self.columns):
            kept = [i for i, t in enumerate(self.rows) if t >= u]
            moved = price[kept, c]
            best = solve_positive(cov[np.ix_(kept, kept)], moved)
            if best is None:
                return None
            constant -= moved @ best / 4
        if cholesky(cov) is None:
            return None
        return Decimal(constant - self.cost)

    def _whole(self, point: Array, s: Decimal) -> Found:
        given, frames = self.given, self.problem.source.frames
        state = self.state(point)
        assert state is not None
        bound = self.lower_bound(point, state, s)
        gains, noise = zeros(frames, frames), zeros(frames, frames)
        distortion = given.variance.copy()
        gains[np.ix_(self.rows, self.columns)] = state.gains
        noise[np.ix_(self.rows, self.rows)] = state.root
        own = np.diagonal(state.cov) - 2 * (state.gains * self.estimate).sum(axis=1)
        distortion[self.rows] = given.variance[self.rows] + own
        free = list(range(self.bound[-1] + 1, frames))
        gains[free], distortion[free] = given.estimate[free], given.mmse[free]
        weights = exact(self.problem.frame_weights)
        if bound is None:
            bound = Decimal("-Infinity")
        rest = weights[free] @ given.mmse[free] if free else Decimal(0)
        perception = self.losses(state.gains, state.cov)
        return Found(distortion, perception, gains, noise, bound + rest)
