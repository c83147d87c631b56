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

from decimal import Decimal
from typing import NamedTuple

import numpy as np

from rdp.problem import Problem
from solvers._precise.arithmetic import cholesky, exact, solve_lower, solve_positive, zeros
from solvers._precise.newton import Derivatives, follow
from solvers._precise.source import Exact, exact_problem
from solvers._precise.transport import Transport, pairs, transport

Array = np.ndarray

SHARE = Decimal("2e-8")  # of the objective: what a frame that it does not feel is worth
GAP = Decimal("1e-10")  # relative to the objective
SMALLEST = Decimal("1e-26")  # gap, relative to the weighted variance


class Found(NamedTuple):
    """Distortions, gains K, root of the noise, and the bound on the objective."""

    distortion: Array
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


class Weighted:
    """The barrier problem of the frames up to the last threshold."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.given = problem, exact_problem(problem)
        given, weights = self.given, problem.frame_weights
        bound = [t for t, level in enumerate(given.levels) if level is not None]
        self.joint = problem.plf == "JD"
        # SA: a frame with neither weight nor threshold is reconstructed by zero
        self.rows = [
            t for t in range(bound[-1] + 1) if self.joint or weights[t] > 0 or t in bound
        ]
        self.columns = [c for c in range(bound[-1] + 1) if given.estimate[c, c] > 0]
        self.bound = [t for t in bound if not self.joint or self._is_least(t)]
        self.levels = given.levels[self.bound]
        self.places = [self.rows.index(t) for t in self.bound]
        self.estimate = given.estimate[np.ix_(self.rows, self.columns)]
        size = len(self.rows)
        self.of_gains = [
            (i, c) for i in range(size) for c, u in enumerate(self.columns) if u <= self.rows[i]
        ]
        self.of_cov = [(i, j) for i in range(size) for j in range(i + 1)]
        self._weights()

    def _is_least(self, t: int) -> bool:
        """Whether no later threshold of PLF-JD implies that of frame t."""
        return all(level is None or level > self.given.levels[t] for level in self._later(t))

    def _later(self, t: int) -> Array:
        return np.asarray(self.given.levels[t + 1 :])

    def _weights(self) -> None:
        """Weights, raised a little where the objective does not feel a frame, and what it costs."""
        given = self.given
        variance, mmse = given.variance[self.rows], given.mmse[self.rows]
        weights = exact(self.problem.frame_weights)[self.rows]
        self.scale = weights @ variance
        worth = max(weights @ mmse, self.scale * Decimal("1e-24"))
        self.weights, self.cost = weights.copy(), Decimal(0)
        for i, t in enumerate(self.rows):
            seen = [level for s, level in zip(self.bound, self.levels, strict=True) if self._sees(s, t)]
            if not seen:
                continue
            most = (2 * variance[i].sqrt() + min(seen).sqrt()) ** 2  # of its distortion
            raised = SHARE * worth / most
            if raised > weights[i]:
                self.weights[i] = raised
                self.cost += (raised - weights[i]) * most
        self.base = self.weights @ variance
        self.linear = np.array(
            [-2 * self.weights[i] * self.estimate[i, c] for i, c in self.of_gains]
            + [self.weights[i] if i == j else Decimal(0) for i, j in self.of_cov],
            dtype=object,
        )

    def _sees(self, s: int, t: int) -> bool:
        """Whether the threshold of frame s bounds the reconstruction of frame t."""
        return s >= t if self.joint else s == t

    def solve(self) -> Found:
        """Follow the path, and put the frames together again."""
        size = len(self.rows)
        start = zeros(len(self.of_gains) + len(self.of_cov))
        for k, (i, j) in enumerate(self.of_cov, start=len(self.of_gains)):
            s, t = self.rows[j], self.rows[i]
            if self.joint or i == j:
                start[k] = self.given.covariance[t, s]
        first = (size + len(self.bound)) / self.base

        def enough(point: Array, s: Decimal) -> bool:
            objective = self.base + self.linear @ point
            return (size + len(self.bound)) / s <= max(GAP * objective, SMALLEST * self.scale)

        point, s = follow(self, start, first, enough)
        return self._whole(point, s)

    # -- the barrier function --------------------------------------------------------------------

    def matrices(self, point: Array) -> tuple[Array, Array]:
        """K and H of the unknowns."""
        size, split = len(self.rows), len(self.of_gains)
        gains, cov = zeros(size, len(self.columns)), zeros(size, size)
        for value, (i, c) in zip(point[:split], self.of_gains, strict=True):
            gains[i, c] = value
        for value, (i, j) in zip(point[split:], self.of_cov, strict=True):
            cov[i, j] = cov[j, i] = value
        return gains, cov

    def target(self, place: int, gains: Array, cov: Array) -> Array:
        """The covariance that the reconstruction of a frame is compared with."""
        t = self.rows[place]
        if self.joint:
            return self.given.covariance[: t + 1, : t + 1]
        out = cov[: place + 1, : place + 1].copy()
        out[:place, place] = out[place, :place] = gains[:place] @ self.estimate[place]
        out[place, place] = self.given.variance[t]
        return out

    def state(self, point: Array) -> State | None:
        """The point with its factors; None outside the interior."""
        gains, cov = self.matrices(point)
        root = cholesky(cov - gains @ gains.T)
        if root is None:
            return None
        maps, room = [], []
        for place, level in zip(self.places, self.levels, strict=True):
            seen = slice(place + 1)
            found = transport(self.target(place, gains, cov), cov[seen, seen])
            if found is None or not found.distance < level:
                return None
            maps.append(found)
            room.append(level - found.distance)
        return State(gains, cov, root, maps, np.array(room, dtype=object))

    def value(self, point: Array, state: State, s: Decimal) -> Decimal:
        """The barrier function."""
        logs = sum((2 * state.root[i, i].ln() for i in range(len(self.rows))), Decimal(0))
        logs += sum((room.ln() for room in state.room), Decimal(0))
        return Decimal(s * (self.linear @ point) - logs)

    def derivatives(self, point: Array, state: State, s: Decimal) -> Derivatives:
        """Gradient and matrix of second derivatives of the barrier function."""
        split = len(self.of_gains)
        inverse = solve_lower(state.root, exact(np.eye(len(self.rows))))
        both = pairs(inverse.T)
        moved = zeros(len(point), len(self.rows) ** 2)
        turned = inverse @ state.gains
        for k, (i, c) in enumerate(self.of_gains):
            outer = np.outer(inverse[:, i], turned[:, c])
            moved[k] = -(outer + outer.T).ravel()
        for k, (i, j) in enumerate(self.of_cov, start=split):
            moved[k] = both[i, j].ravel()
        trace = exact(np.eye(len(self.rows))).ravel()
        gradient = s * self.linear - moved @ trace
        hessian = moved @ moved.T
        curved = 2 * inverse.T @ inverse
        for k, (i, c) in enumerate(self.of_gains):
            for other, (j, d) in enumerate(self.of_gains):
                if c == d:
                    hessian[k, other] += curved[i, j]
        for place, found, room in zip(self.places, state.maps, state.room, strict=True):
            slope, bent = self.loss_derivatives(place, found)
            gradient = gradient + slope / room
            hessian = hessian + bent @ bent.T / room + np.outer(slope, slope) / room**2
        return Derivatives(gradient, hessian)

    def loss_derivatives(self, place: int, found: Transport) -> tuple[Array, Array]:
        """Gradient of squared W2 of a frame, and rows whose products are second derivatives."""
        count, split, last = len(self.linear), len(self.of_gains), place
        slope, bent = zeros(count), zeros(count, (place + 1) ** 2)
        of_xhat, of_target = pairs(found.inverse.T), pairs(found.root)
        weight = found.weight
        for k, (i, j) in enumerate(self.of_cov, start=split):
            if i > last:
                break
            moved = -of_xhat[i, j]
            slope[k] = np.trace(moved) + (1 if i == j else 0)
            if not self.joint and i < last:
                slope[k] += (1 if i == j else 0) - np.trace(of_target[i, j])
                moved = moved + of_target[i, j]
            bent[k] = (moved * weight).ravel()
        if not self.joint:
            for k, (i, c) in enumerate(self.of_gains):
                if i < last:
                    share = self.estimate[last, c]
                    slope[k] = -share * np.trace(of_target[i, last])
                    bent[k] = share * (of_target[i, last] * weight).ravel()
        return slope, bent

    # -- the answer ------------------------------------------------------------------------------

    def lower_bound(self, point: Array, state: State, s: Decimal) -> Decimal | None:
        """Bound at the multipliers of a point; None where it is not dual feasible."""
        row, constant = self.linear.copy(), self.base
        for place, found, room in zip(self.places, state.maps, state.room, strict=True):
            slope, _ = self.loss_derivatives(place, found)
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
        free = range(self.bound[-1] + 1, frames)
        gains[free], distortion[free] = given.estimate[free], given.mmse[free]
        weights = exact(self.problem.frame_weights)
        if bound is None:
            bound = Decimal("-Infinity")
        return Found(distortion, gains, noise, bound + sum(weights[t] * given.mmse[t] for t in free))
