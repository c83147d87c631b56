"""The frames of a problem and what their thresholds ask for, in decimal arithmetic."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import numpy as np

from rdp.problem import Problem
from solvers._precise.arithmetic import cholesky, exact, zeros
from solvers._precise.source import exact_problem
from solvers._precise.transport import Transport, pairs, transport

Array = np.ndarray

SHARE = Decimal("2e-8")  # of the objective: what a frame that it does not feel is worth
LITTLE = Decimal("1e-24")  # of the weighted variance: what an objective of 0 counts as
SMALLEST = Decimal("1e-26")  # gap, relative to the weighted variance


class Loss(NamedTuple):
    """Derivatives of squared W2 in the unknowns that it depends on.

    Unknown k of `used` is `share` times that direction, of the second moments of Xhat and X_t, of
    which there are fewer: `slope` and `moved` are the gradient and what is moved along each.
    """

    used: list[int]
    direction: list[int]
    share: Array
    slope: Array
    moved: Array


class Program:
    """Gains K and H = Cov Xhat as unknowns, weights, and thresholds.

    `rows` are the frames that the program reconstructs, `columns` the bits they depend on, and
    E[Xhat_s X_t] is the product of row s of K and row t of `estimate`.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem, self.given = problem, exact_problem(problem, self._stake(problem))
        given, weights = self.given, problem.frame_weights
        bound = [t for t, level in enumerate(given.levels) if level is not None]
        self.joint = problem.plf == "JD"
        self._choose(bound, weights)
        self.bound = [t for t in bound if not self.joint or self._is_least(t)]
        self.levels = given.levels[self.bound]
        self.places = [self.rows.index(t) for t in self.bound]
        size = len(self.rows)
        self.of_gains = [
            (i, c) for i in range(size) for c, u in enumerate(self.columns) if u <= self.rows[i]
        ]
        self.of_cov = [(i, j) for i in range(size) for j in range(i + 1)]
        self.near: dict[int, Array] = {}  # PLF-JD: factors of the targets, of the last maps
        self._weights()

    def _stake(self, problem: Problem) -> Decimal:
        """What stands for 0, relative to what it is where distortions are felt."""
        return Decimal(1)

    def _choose(self, bound: list[int], weights: Array) -> None:
        """Frames that are reconstructed, bits that they know, and how: rows, columns, estimate."""
        # SA: a frame with neither weight nor threshold is reconstructed by zero
        self.rows = [
            t for t in range(bound[-1] + 1) if self.joint or weights[t] > 0 or t in bound
        ]
        self.columns = [c for c in range(bound[-1] + 1) if self.given.estimate[c, c] > 0]
        self.estimate = self.given.estimate[np.ix_(self.rows, self.columns)]

    def _is_least(self, t: int) -> bool:
        """Whether no later threshold of PLF-JD implies that of frame t."""
        levels = self.given.levels
        return all(level is None or level > levels[t] for level in levels[t + 1 :])

    def _weights(self) -> None:
        """Weights, raised a little where the objective does not feel a frame, and what it costs."""
        given = self.given
        variance = given.variance[self.rows]
        of_all = exact(self.problem.frame_weights)
        weights = of_all[self.rows]
        # all weight may lie on frames after the last threshold
        self.scale = weights @ variance or of_all @ given.variance
        worth = self._worth(weights)
        self.weights, self.cost = weights.copy(), Decimal(0)
        for i, t in enumerate(self.rows):
            seen = [self.given.levels[s] for s in self.bound if self._sees(s, t)]
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

    def _worth(self, weights: Array) -> Decimal:
        """What the objective is at least, or next to nothing."""
        return Decimal(max(weights @ self.given.mmse[self.rows], self.scale * LITTLE))

    def _sees(self, s: int, t: int) -> bool:
        """Whether the threshold of frame s bounds the reconstruction of frame t."""
        return s >= t if self.joint else s == t

    def matrices(self, point: Array) -> tuple[Array, Array]:
        """K and H of the unknowns."""
        size, split = len(self.rows), len(self.of_gains)
        gains, cov = zeros(size, len(self.columns)), zeros(size, size)
        for value, (i, c) in zip(point[:split], self.of_gains, strict=True):
            gains[i, c] = value
        for value, (i, j) in zip(point[split:], self.of_cov, strict=True):
            cov[i, j] = cov[j, i] = value
        return gains, cov

    def _compared(self, place: int, gains: Array, cov: Array) -> Array | None:
        """Factor of the covariance that the reconstruction of a frame is compared with."""
        if self.joint:
            if place in self.near:
                return self.near[place]
            t = self.rows[place]
            return cholesky(self.given.covariance[: t + 1, : t + 1])
        out = cov[: place + 1, : place + 1].copy()
        out[:place, place] = out[place, :place] = gains[:place] @ self.estimate[place]
        out[place, place] = self.given.covariance[self.rows[place], self.rows[place]]
        return cholesky(out)

    def _map(self, place: int, gains: Array, cov: Array, root: Array) -> Transport | None:
        """Transport of a frame, root a factor of the covariance of all; None if singular."""
        start = self._compared(place, gains, cov)
        found = None if start is None else transport(start, root[: place + 1, : place + 1])
        if found is not None and self.joint:
            self.near[place] = found.factor
        return found

    def measured(self, gains: Array, cov: Array) -> tuple[list[Transport], Array] | None:
        """Transport and what is left of each threshold; None where one is exceeded."""
        maps, room = [], []
        root = cholesky(cov)
        if root is None:
            return None
        for place, level in zip(self.places, self.levels, strict=True):
            found = self._map(place, gains, cov, root)
            if found is None or not found.distance < level:
                return None
            maps.append(found)
            room.append(level - found.distance)
        return maps, np.array(room, dtype=object)

    def losses(self, gains: Array, cov: Array) -> Array:
        """Squared W2 of all frames, (T,); nan where there is no threshold."""
        out = np.full(self.problem.source.frames, Decimal("nan"), dtype=object)
        root = cholesky(cov)
        assert root is not None  # the point is in the interior
        for place, t in enumerate(self.rows):
            if self.given.levels[t] is not None:
                found = self._map(place, gains, cov, root)
                assert found is not None
                out[t] = found.distance
        return out

    def loss_derivatives(self, place: int, found: Transport) -> Loss:
        """Derivatives of squared W2 of a frame."""
        split, last = len(self.of_gains), place
        cov = [k for k, (i, _) in enumerate(self.of_cov) if i <= last]
        used, direction = [split + k for k in cov], list(range(len(cov)))
        share = [Decimal(1)] * len(cov)
        i, j = np.array([self.of_cov[k] for k in cov]).T
        moved = -pairs(found.inverse.T)[i, j]
        slope = np.trace(moved, axis1=1, axis2=2) + np.where(i == j, 1, 0)
        if not self.joint:
            of_target = pairs(found.root)
            inner = i < last
            moved[inner] += of_target[i[inner], j[inner]]
            slope[inner] += np.where(i == j, 1, 0)[inner]
            slope[inner] -= np.trace(of_target[i[inner], j[inner]], axis1=1, axis2=2)
            ahead = of_target[:last, last]  # E[Xhat_i X_last]
            moved = np.concatenate([moved, ahead])
            slope = np.concatenate([slope, -np.trace(ahead, axis1=1, axis2=2)])
            for k, (i, c) in enumerate(self.of_gains):
                if i < last:
                    used.append(k)
                    direction.append(len(cov) + i)
                    share.append(self.estimate[last, c])
        return Loss(used, direction, np.array(share, dtype=object), slope, moved)

    def loss_slope(self, place: int, found: Transport) -> Array:
        """Gradient of squared W2 of a frame in all unknowns."""
        out, loss = zeros(len(self.linear)), self.loss_derivatives(place, found)
        out[loss.used] = loss.share * loss.slope[loss.direction]
        return out

    def add_thresholds(
        self, gradient: Array, hessian: Array, maps: list[Transport], rooms: Array
    ) -> None:
        """Add the derivatives of - sum ln(P - W2^2)."""
        for place, found, room in zip(self.places, maps, rooms, strict=True):
            used, direction, share, slope, moved = self.loss_derivatives(place, found)
            gradient[used] += share * slope[direction] / room
            bend = found.bend(slope, moved, room)[np.ix_(direction, direction)]
            hessian[np.ix_(used, used)] += np.outer(share, share) * bend
