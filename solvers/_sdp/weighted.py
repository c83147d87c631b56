r"""Weighted objective by semidefinite programming: all frames in one program.

The unknowns are second moments. The first block is that of :math:`(u, \xi)`, where
:math:`\tilde X = \tilde L u` and :math:`\hat X - \tilde X` is a linear form of both: the excess
:math:`D_t - m_t` is a moment itself and nothing cancels at high rates. Each threshold
:math:`W_2^2(A_t, B_t) \le P_t` adds the moments of a coupling :math:`(Y, F)`, with Y of covariance
A, Y + F of covariance B and :math:`E\|F\|^2 \le P_t`; F is in units of :math:`\sqrt{P_t}`, so that
small thresholds are resolved too. A threshold 0 is an equality of covariances; inf adds nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from rdp import closed_form
from rdp.mmse import estimate_factor, mmse_recursion
from rdp.perception import FMD, JD
from rdp.problem import Problem
from rdp.source import GaussMarkov
from solvers._sdp.dual_bounds import Entries, best_bound, check_thresholds, pulled_back, symmetric
from solvers._sdp.moments import Answer, Moments
from solvers.scheme import Scheme

Array = np.ndarray


def solve_weighted(problem: Problem) -> Scheme:
    """Minimise the weighted distortion; equal weights where the problem has none."""
    return Weighted(problem).solve()


class Encoder(NamedTuple):
    """Errors m = mmse (base + spare @ eta), variances E u^2 = white + power @ eta, eta >= 0."""

    mmse: Array
    spare: Array
    power: Array
    base: float
    white: Array

    def errors(self, eta: Array) -> Array:
        """Errors m_t of the representation."""
        return self.mmse * (self.base + self.spare @ eta)


def free_encoder(source: GaussMarkov, rates: Array) -> Encoder:
    """Encoders of given rates; eta is the relative error above that of the MMSE encoder.

    m_t >= 2^(-2 R_t) (a_t^2 m_{t-1} + q_t) is eta_t >= 0, in units min(1, 2^(2 R_t) - 1); that
    m_t is no more than the prediction error is E u_t^2 >= 0.
    """
    frames = source.frames
    backbone = mmse_recursion(source, rates)
    v, m = backbone.prediction_error, backbone.mmse
    growth = np.expm1(2 * np.log(2) * np.minimum(rates, 500.0))
    unit = np.minimum(growth, 1.0)
    spare, power = np.zeros((frames, frames)), np.zeros((frames, frames))
    for t in range(frames):
        if t and v[t] > 0:
            spare[t] = source.gain[t] ** 2 * m[t - 1] / v[t] * spare[t - 1]
        if growth[t] > 0 and v[t] > 0:
            power[t] = spare[t]
            power[t, t] -= unit[t] / growth[t]
        spare[t, t] += unit[t]
    return Encoder(m, spare, power, 1.0, np.ones(frames))


class _Rows(NamedTuple):
    """Where the multipliers are: of given covariances, of equalities, of couplings and budgets."""

    whitening: Entries
    equal: dict[int, Entries]
    near: dict[int, tuple[Entries, int]]


class Weighted:
    """The program of all frames at once."""

    def __init__(self, problem: Problem) -> None:
        source = problem.source
        self.problem, self.frames = problem, source.frames
        self.weights = problem.frame_weights
        self.levels = problem.thresholds
        self.encoder = self._encoder()
        self.free = self.encoder.spare.shape[1]
        self.source_factor = source.transition() * np.sqrt(source.innovation)
        self._scale()
        self._forms()
        self._choose_couplings()

    def _encoder(self) -> Encoder:
        encoder = free_encoder(self.problem.source, self.problem.rates)
        if self.problem.encoder == "mmse":
            none = np.zeros((self.frames, 0))
            return encoder._replace(spare=none, power=none)
        return encoder

    def _scale(self) -> None:
        """Worth of a scheme that is certainly feasible, and how far it lets Xhat be from Xtil."""
        problem, m = self.problem, self.encoder.mmse
        zero = {
            "MMSE": closed_form.mmse,
            "FMD": closed_form.zero_perception_framewise,
            "JD": closed_form.zero_perception_joint,
            "SA": closed_form.zero_perception_self_adaptive,
        }["JD" if isinstance(problem.perception, JD) else problem.plf](
            problem.source, problem.rates
        )
        sigma = problem.source.sigma
        excess = self.weights @ np.maximum(zero - m, 0.0)
        self.worth = float(excess + self.weights @ m)
        if self.worth == 0.0:
            self.worth = 1e-12 * float(self.weights @ sigma**2)
        # a frame that nothing bounds would drift away; this costs 1e-9 of the objective at most
        self.cost_weights = np.maximum(self.weights, 1e-9 * self.worth / (4 * sigma**2))
        bound = (excess + 1e-6 * self.worth) / self.cost_weights
        self.reach = np.minimum(2 * sigma, np.sqrt(bound))

    def _forms(self) -> None:
        """Xtil and Delta = Xhat - Xtil as forms of (u, xi)."""
        frames, sigma = self.frames, self.problem.source.sigma
        self.estimate = estimate_factor(self.problem.source, self.problem.rates)
        nothing = np.zeros((frames, frames))
        self.known = np.hstack([self.estimate, nothing])
        self.change = np.hstack([nothing, np.diag(self.reach)])
        zero = np.flatnonzero(self.levels == 0)
        self.fixed = int(zero.max(initial=-1)) + 1 if self.problem.plf == "JD" else 0
        # frames of a given joint covariance: Xhat = L e with white e = u + step xi
        fresh, gain = np.diagonal(self.source_factor), self.problem.source.gain
        bound = self.reach + np.abs(fresh - np.diagonal(self.estimate))
        bound[1:] += np.abs(gain[1:]) * self.reach[:-1]
        bound = np.where(self.problem.rates > 0, bound, 2 * sigma)
        most = np.full(frames, 2.0)
        self.step = np.divide(bound, fresh, out=most, where=2 * fresh > bound)
        rows = slice(0, self.fixed)
        given = [self.source_factor - self.estimate, self.source_factor * self.step]
        self.change[rows] = np.hstack(given)[rows]
        self.xhat = self.known + self.change

    def _choose_couplings(self) -> None:
        levels, perception = self.levels, self.problem.perception
        near = np.isfinite(levels) & (levels > 0)
        near[: self.fixed] = False
        nats = isinstance(perception, FMD) and perception.metric == "kl"
        self.logs: list[int] = np.flatnonzero(near & nats).tolist()
        self.coupled: list[int] = np.flatnonzero(near & (not nats)).tolist()
        seen = [t + 1 - self.problem.first_seen(t) for t in self.coupled]
        sizes = [2 * self.frames, *(2 * size for size in seen)]
        self.program = Moments(sizes, self.free + len(self.coupled), len(self.logs))

    def solve(self) -> Scheme:
        """Fill in the rows, solve, and turn multipliers into a certified bound."""
        rows = self._constraints()
        answer = self.program.minimise(self._cost() / self.worth)
        points = [
            (mu.copy(), slope.copy())
            for mu, slope in self._duals(rows, self.worth * answer.multipliers)
        ]
        bound = max(best_bound(self._bound_problem(), mu, slope) for mu, slope in points)
        scheme = self._scheme(answer, bound)
        check_thresholds(self.problem, scheme, self.levels, points[0][0])
        return scheme

    def _cost(self) -> Array:
        cost = self._eta((self.cost_weights * self.encoder.mmse) @ self.encoder.spare)
        for t in range(self.frames):
            cost += self.cost_weights[t] * self.program.moment(0, self.change[t], self.change[t])
        return cost

    def _constraints(self) -> _Rows:
        self._representation_moments()
        whitening = self._whitening()
        equal: dict[int, Entries] = {}
        for t in range(self.fixed, self.frames):
            if self.levels[t] == 0:
                known = {pair for entries in equal.values() for pair in entries}
                equal[t] = self._equal(t, known)
        near = {t: self._couple(part, t) for part, t in enumerate(self.coupled, start=1)}
        for index, t in enumerate(self.logs):
            self._near_in_nats(index, t)
        return _Rows(whitening, equal, near)

    def _duals(self, rows: _Rows, multipliers: Array) -> Iterator[tuple[Array, Array]]:
        """Dual points (mu, slope); several where a covariance is singular."""
        mu, slope = np.zeros(self.frames), np.zeros((self.frames,) * 3)
        for t, entries in rows.equal.items():
            mu[t], slope[t] = np.inf, symmetric(entries, multipliers, self.frames)
        for t, (entries, total) in rows.near.items():
            slope[t] = symmetric(entries, multipliers, self.frames)
            mu[t] = max(multipliers[total], 0.0) / self.levels[t]
        if not self.fixed:
            yield mu, slope
            return
        last, block = self.fixed - 1, slice(0, self.fixed)
        pull = symmetric(rows.whitening, multipliers, self.fixed)
        mu[last] = np.inf
        factor, sigma = self.source_factor[block, block], self.problem.source.sigma[block]
        for null in (1e4, 1e6, 1e8):
            slope[last, block, block] = pulled_back(factor, pull, null * self.worth, sigma)
            yield mu, slope

    def _bound_problem(self) -> Problem:
        """The problem of the bound: weights near 0 are 0, which bounds the same from below."""
        kept = np.where(self.weights > 1e-12 * self.weights.max(), self.weights, 0.0)
        return self.problem.with_(weights=kept)

    def _eta(self, coefficients: Array) -> Array:
        return self.program.number(slice(0, self.free), coefficients)

    def _representation_moments(self) -> None:
        """Covariance of u, and causality: xi_t knows nothing of u_{t+1}, u_{t+2}, ..."""
        frames, unit = self.frames, np.eye(2 * self.frames)
        for i in range(frames):
            for j in range(i, frames):
                row = self.program.moment(0, unit[i], unit[j])
                if i == j:
                    row -= self._eta(self.encoder.power[i])
                else:
                    self.program.require(self.program.moment(0, unit[frames + i], unit[j]), 0.0)
                self.program.require(row, self.encoder.white[i] if i == j else 0.0)

    def _whitening(self) -> Entries:
        """E e e^T = I for the frames whose joint covariance is given, without its constant part."""
        frames, unit, step = self.frames, np.eye(2 * self.frames), self.step
        rows = {}
        for i in range(self.fixed):
            for j in range(i, self.fixed):
                u, v = step[i] * unit[frames + i], step[j] * unit[frames + j]
                row = self.program.moment(0, u, v)
                row += self.program.moment(0, unit[i], v) + self.program.moment(0, u, unit[j])
                if i == j:
                    row += self._eta(self.encoder.power[i])
                value = 1 - self.encoder.white[i] if i == j else 0.0
                rows[i, j] = self.program.require(row, value)
        return rows

    def _mismatch(self, i: int, t: int) -> tuple[Array, float]:
        """Entry (i, t) of Cov Xhat - Cov X, or of what stands for it under SA: row - value."""
        program, change, known = self.program, self.change, self.known
        if self.problem.plf == "SA" and i < t:
            return program.moment(0, self.xhat[i], change[t]), 0.0
        row = program.moment(0, change[i], change[t]) + program.moment(0, change[i], known[t])
        row += program.moment(0, known[i], change[t])
        error = self.problem.source.transition()[t, i] * self.encoder.mmse[i]
        return row - self._eta(error * self.encoder.spare[i]), error * self.encoder.base

    def _equal(self, t: int, known: set[tuple[int, int]]) -> Entries:
        """P_t = 0: entries of the covariance equal their target; those of earlier frames are known.

        Under SA the past is part of the target, and only the row of the new frame is bound.
        """
        first = self.problem.first_seen(t)
        rows = [t] if self.problem.plf == "SA" else range(first, t + 1)
        pairs = [(i, j) for j in rows for i in range(first, j + 1) if (i, j) not in known]
        return {(i, j): self.program.require(*self._mismatch(i, j)) for i, j in pairs}

    def _near_in_nats(self, index: int, t: int) -> None:
        """(u - 1 - ln u) / 2 <= P_t for u the ratio of variances, in units of where u can be."""
        row, value = self._mismatch(t, t)
        variance, bound = self.problem.source.variance[t], 1 + 2 * self.levels[t]
        unit = max(float(np.exp(-bound)), 1 - self.encoder.mmse[t] / variance)
        self.program.require(row - unit * variance * self.program.log(index), value - variance)
        self.program.slopes[index] = unit
        self.program.bounds[index] = bound + np.log(unit)

    def _couple(self, part: int, t: int) -> tuple[Entries, int]:
        """P_t > 0: a coupling (Y, F) with Cov Y = A_t, Cov(Y + F) = B_t, E|F|^2 <= P_t."""
        sigma, plf = self.problem.source.sigma, self.problem.plf
        first = self.problem.first_seen(t)
        size = t + 1 - first
        unit = np.eye(2 * size)
        target = unit[:size] * sigma[first : t + 1, None]
        if isinstance(self.problem.perception, JD):
            target[:, :size] = self.problem.source.part(first, t + 1).factor()
        root = np.sqrt(self.levels[t])
        spread = np.minimum(root, 2 * sigma[first : t + 1])
        moved = unit[size:] * spread[:, None]
        total = self.program.number(self.free + part - 1)
        entries = {}
        for i in range(size):
            total += (spread[i] / root) ** 2 * self.program.moment(
                part, unit[size + i], unit[size + i]
            )
            for j in range(i, size):
                self._target(part, i, j, t, unit)
                own = self.program.moment(part, moved[i], moved[j])
                own += self.program.moment(part, target[i], moved[j])
                own += self.program.moment(part, moved[i], target[j])
                if plf == "SA" and j < size - 1:
                    row, value = self.program.blank(), 0.0
                else:
                    row, value = self._mismatch(first + i, first + j)
                entries[first + i, first + j] = self.program.require(row - own, value)
        return entries, self.program.require(total, 1.0)

    def _target(self, part: int, i: int, j: int, t: int, unit: Array) -> None:
        """Covariance of Y: white; under SA, Y = (Xhat_1 .. Xhat_{t-1}, X_t) over sigma."""
        row, value = self.program.moment(part, unit[i], unit[j]), float(i == j)
        if self.problem.plf == "SA" and i < t:
            scale = self.problem.source.sigma[i] * self.problem.source.sigma[j]
            other = self.xhat[j] if j < t else self.known[t]
            row -= self.program.moment(0, self.xhat[i], other) / scale
            value = 0.0
        self.program.require(row, value)

    def _scheme(self, answer: Answer, bound: float) -> Scheme:
        """Second moments of the scheme."""
        eta = np.maximum(answer.positive[: self.free], 0.0)
        power = self.encoder.white + self.encoder.power @ eta
        joint = self.xhat @ consistent(answer.parts[0], power)
        cov_xhat = joint @ self.xhat.T
        if self.fixed:
            block = slice(0, self.fixed)
            cov_xhat[block, block] = self.problem.source.covariance()[block, block]
        perception = self.problem.perception
        if isinstance(perception, FMD):  # noise for the variance that the solver is short of
            least = closed_form.smallest_sd(
                self.problem.source.sigma, self.levels, perception.metric
            )
            np.fill_diagonal(cov_xhat, np.maximum(np.diag(cov_xhat), least**2))
        return Scheme(
            0.5 * (cov_xhat + cov_xhat.T),
            joint @ self.known.T,
            self.encoder.errors(eta),
            bound,
            f"Clarabel: {answer.status}",
        )


def consistent(part: Array, power: Array) -> Array:
    """Covariance of (u, xi) with exactly the given variances of white u, nearest to `part`."""
    n = len(power)
    knows = np.tril(part[n:, :n]) * (power > 0)
    explained = knows / np.where(power > 0, power, 1.0) @ knows.T
    values, vectors = np.linalg.eigh(part[n:, n:] - explained)
    rest = (vectors * np.maximum(values, 0.0)) @ vectors.T
    return np.block([[np.diag(power), knows.T], [knows, explained + rest]])
