r"""Sequential objective by semidefinite programming: one frame, given the scheme of the past.

The past scheme is kept as forms of white variables z: Xtil_s and Xhat_s for s < t. Its distribution
is at distance d; the new frame has P_t - d left, and its coupling extends one of the past. Both are
written around the optimal coupling of the past: with white x' for the target and zeta' for the
past reconstruction, rotated to its singular values S, the coupling of the frame is the distribution
of (x', psi, phi), zeta'_i = x'_i + kappa_i psi_i, new error f phi, and it costs
d + sum_i S_i kappa_i^2 E psi_i^2 + f^2 E phi^2. With kappa and f in units of sqrt(P_t - d) nothing
depends on how little is left, and a singular past is no exception.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from rdp.gaussian import bures_of_factors
from rdp.mmse import mmse_recursion
from rdp.perception import JD
from rdp.problem import Problem
from solvers._sdp.dual_bounds import best_bounds, best_frame_bound, check_thresholds
from solvers._sdp.moments import Answer, Moments
from solvers.acceptance import FACTORED
from solvers.certificate import Given, slope_of
from solvers.scheme import Scheme

Array = np.ndarray

_ROUNDING = 1e-14  # what double precision leaves of a squared distance, relative to the variance
_LEAST = 1e-16  # squared distance left to a frame that counts as none, relative to the same
_ROOM = 1e-20  # what a frame is left instead: it may change a distortion by the root of it
_LIFTS = (1e-14, 1e-11, 1e-8)  # what a singular covariance is lifted by to have a transport map
_EXACT = 1e-9  # violation of constraints that counts as none, in their own units
_SAME = 1e-4  # relative distance of two rows that stand for the same optimum
_SHARP = 1e-7  # gap of a frame, relative to D_t, at which no other multiplier is tried
_RANK = 1e-9  # singular values below it, relative to the first, belong to no direction


def solve_sequential(problem: Problem) -> Scheme:
    """Minimise D_1, then D_2 given that, and so on, under PLF-JD or PLF-SA."""
    return Sequential(problem).solve()


class Sequential:
    """The scheme so far, as forms of z: u_1, u_2, .. and then the noises of the decoder.

    A subclass for other sources says what a frame adds to the representation (`receive`), what the
    factor of some frames is (`factor`), what a bound takes as given (`given`), and what the bounds
    are (`frame_bounds`).

    Parameters
    ----------
    problem : Problem
        PLF-JD or PLF-SA.
    """

    def __init__(self, problem: Problem) -> None:
        frames = problem.source.frames
        self.problem, self.frames = problem, frames
        self.levels = problem.thresholds
        self.joint = isinstance(problem.perception, JD)
        if problem.plf == "JD":
            self.levels = np.minimum.accumulate(self.levels[::-1])[::-1]
        self.asked = self.levels.copy()
        self.mmse = np.zeros(frames)
        self.known = np.zeros((frames, 2 * frames))
        self.xhat = np.zeros((frames, 2 * frames))
        self.mu, self.slope = np.zeros(frames), np.zeros((frames,) * 3)
        self.targets: dict[int, Array] = {}  # under PLF-JD, where they do not change

    def solve(self) -> Scheme:
        states = set()
        for t in range(self.frames):
            self.receive(t)
            self.xhat[t] = self.known[t]
            if self.loss(t, self.known[t]) > self.levels[t]:
                states.add(_Frame(self, t).solve())
        cov_xhat, cross = self.xhat @ self.xhat.T, self.xhat @ self.known.T
        bounds = self.frame_bounds(cov_xhat, cross)
        message = f"Clarabel: {', '.join(sorted(states))}" if states else "no threshold binds"
        scheme = Scheme(
            cov_xhat,
            cross,
            self.mmse,
            float(bounds.sum()),
            message,
            frame_bounds=bounds,
            perception=np.array([self.loss(t, self.xhat[t]) for t in range(self.frames)]),
            rounding=FACTORED,
        )
        check_thresholds(self.problem, scheme, self.asked, self.mu)
        return scheme

    def receive(self, t: int) -> None:
        """Fill in what the MMSE encoder adds to the representation at frame t."""
        source, rate = self.problem.source, self.problem.rates[t]
        before = self.mmse[t - 1] if t else 0.0
        v = source.gain[t] ** 2 * before + source.innovation[t]
        self.mmse[t] = np.exp2(-2 * rate) * v
        self.known[t] = source.gain[t] * self.known[t - 1] if t else 0.0
        self.known[t, t] = np.sqrt(-np.expm1(-2 * np.log(2) * rate) * v)

    def seen(self, t: int) -> slice:
        """Frames before frame t that its constraint compares."""
        return slice(self.problem.first_seen(t), t)

    def target(self, t: int) -> Array:
        """Factor of the covariance that frame t is compared with, in white variables."""
        if self.joint:
            if t not in self.targets:
                self.targets[t] = self.factor(self.problem.first_seen(t), t + 1)
            return self.targets[t]
        past, white = self.past(t)
        rank = len(white)
        out = np.zeros((t + 1, rank + 1))
        out[:t, :rank] = past
        out[t, :rank] = white @ self.known[t]
        outside = self.known[t] - out[t, :rank] @ white
        out[t, rank] = np.sqrt(outside @ outside + self.mmse[t])
        return out

    def factor(self, first: int, end: int) -> Array:
        """Causal factor of the covariance of the frames from `first` to before `end`."""
        return self.problem.source.part(first, end).factor()

    def past(self, t: int) -> tuple[Array, Array]:
        """Xhat of the past that is compared = factor @ zeta, and the white zeta as forms of z."""
        seen = self.seen(t)
        sigma = self.problem.source.sigma[seen, None]
        sigma = np.where(sigma > 0, sigma, 1.0)  # a first frame that is known has no scale
        left, values, white = np.linalg.svd(self.xhat[seen] / sigma, full_matrices=False)
        rank = int((values > _RANK * max(values.max(initial=0.0), 1e-9)).sum())
        return sigma * (left * values)[:, :rank], white[:rank]

    def loss(self, t: int, row: Array) -> float:
        """Perception loss of frame t if its reconstruction is `row`."""
        target, xhat = self.target(t), np.vstack([self.xhat[self.seen(t)], row])
        return bures_of_factors(target, xhat)

    def given(self, t: int) -> Given:
        """The scheme before frame t; the MMSE estimate is that of the best encoder."""
        past, variance = self.xhat[self.seen(t)], float(self.problem.source.variance[t])
        known = float(mmse_recursion(self.problem.source, self.problem.rates).variance[t])
        return Given(past @ past.T, past @ self.known[t], known, variance)

    def frame_bounds(self, cov_xhat: Array, cross: Array) -> Array:
        """Certified bounds on the distortions, each frame given the ones before, (T,) array."""
        return best_bounds(self._bound_problem(), self.mu, self.slope, cov_xhat, cross)

    def _bound_problem(self) -> Problem:
        assert self.problem.perception is not None
        return self.problem.with_(perception=self.problem.perception.at(self.levels))

    def allow_rounding(self, t: int) -> None:
        """Bounds hold for the loss reached: under PLF-JD a later frame may have no less of it."""
        if self.levels[t] > 0:
            reached = self.loss(t, self.xhat[t])
            last = max(s for s in range(t, self.frames) if self.problem.first_seen(s) <= t)
            later = slice(t, last + 1 if self.joint else t + 1)
            self.levels[later] = np.maximum(self.levels[later], reached)


class _Frame:
    """The program of frame t."""

    def __init__(self, frames: Sequential, t: int) -> None:
        self.frames, self.t = frames, t
        self.level = frames.levels[t]
        target = frames.target(t)
        past, white = frames.past(t)
        left, self.values, right = np.linalg.svd(target[:-1].T @ past)
        self.rank, self.size = len(white), target.shape[1]
        self.zeta = right @ white
        self.factor = past @ right.T
        self.back = np.linalg.pinv(self.factor, rcond=_RANK)
        self.new = left.T @ target[-1]  # X_t as a form of x'
        scale = float((target**2).sum())
        self.matched = self.values > _RANK**2 * scale
        spent = bures_of_factors(target[:-1], past) if t else 0.0
        self.left = 0.0
        if self.level > 0:
            left = self.level - spent
            self.left = left if left > _LEAST * scale else _ROOM * scale
        self._units()
        self._forms()

    def _units(self) -> None:
        unit = np.where(self.matched, self.values, 1.0)
        self.kappa = np.where(self.matched, np.minimum(np.sqrt(self.left / unit), 1.0), 1.0)
        self.spread = min(np.sqrt(self.left), 2 * float(np.linalg.norm(self.new)))
        share = 1 / self.left if self.left > 0 else 0.0
        # at P_t = 0 the units vanish, and (psi, phi) only has to stay bounded
        exact = self.left == 0
        self.costs = np.where(
            self.matched, 1.0 if exact else self.values * self.kappa**2 * share, 0.0
        )
        self.cost_new = 1.0 if exact else self.spread**2 * share

    def _forms(self) -> None:
        """Xhat_t = offset + reach xi; offset is as good as P_t = 0 allows, or nearly."""
        frames, t = self.frames, self.t
        known = frames.known[t]
        kept = np.where(self.matched, self.new[: self.rank], 0.0)
        fresh = np.linalg.norm(np.where(self._kept_mask(), 0.0, self.new))
        self.received = known[t] > 0
        self.offset = kept @ self.zeta
        self.missing = float(fresh**2)
        if self.received:
            self.offset[t] += fresh
            self.missing = 0.0
        excess = float(((self.offset - known) ** 2).sum()) + self.missing
        variance = frames.problem.source.variance[t]
        self.worth = max(frames.mmse[t] + excess, _ROUNDING * variance)
        self.reach = np.sqrt(excess + 1e-6 * self.worth)
        self.kept = kept
        used = (frames.xhat[:t] != 0).any(axis=0)
        used |= (frames.known[: t + 1] != 0).any(axis=0)
        self.used = np.flatnonzero(used)

    def _kept_mask(self) -> Array:
        mask = np.zeros(self.size, dtype=bool)
        mask[: self.rank] = self.matched
        return mask

    def solve(self) -> str:
        """Solve the frame; add its row, its error and its multipliers to the scheme."""
        growth = np.expm1(2 * np.log(2) * min(self.frames.problem.rates[self.t], 500.0))
        self.free = int(self.frames.problem.encoder == "optimal" and self.received)
        self.unit = min(growth, 1.0)
        self.taken = self.unit / growth if growth > 0 else 0.0
        n = len(self.used)
        self.program = Moments([n + 1, self.size + self.rank + 1], self.free + 1)
        self._representation_moments()
        self._coupling_moments()
        match = self._match()
        total = self._budget()
        change = np.append((self.offset - self.frames.known[self.t])[self.used], self.reach)
        cost = self.program.moment(0, change, change) + self._eta(
            self.unit * self.frames.mmse[self.t]
        )
        answer = self.program.minimise(cost / self.worth)
        multipliers = self.worth * answer.multipliers
        slope = np.append(0.5 * self.back.T @ multipliers[match[:-1]], multipliers[match[-1]])
        self._extend(answer, slope)
        self.frames.allow_rounding(self.t)
        self._certify(slope, multipliers[total])
        return answer.status

    def _eta(self, coefficient: float) -> Array:
        return self.program.number(slice(0, self.free), coefficient)

    def _representation_moments(self) -> None:
        """The variables z are white but for u_t, which the encoder may leave weaker."""
        unit = np.eye(len(self.used) + 1)
        for i, place in enumerate(self.used):
            for j in range(i, len(self.used)):
                row = self.program.moment(0, unit[i], unit[j])
                if i == j and place == self.t:
                    row += self._eta(self.taken)
                self.program.require(row, float(i == j))

    def _coupling_moments(self) -> None:
        """White x' and white zeta' = x' + kappa psi."""
        unit = np.eye(self.size + self.rank + 1)
        program, psi = self.program, unit[self.size :]
        for i in range(self.size):
            for j in range(i, self.size):
                program.require(program.moment(1, unit[i], unit[j]), float(i == j))
        for i in range(self.rank):
            for j in range(i, self.rank):
                scale = max(self.kappa[i], self.kappa[j])
                a, b = (self.kappa[i] / scale, self.kappa[j] / scale) if scale > 0 else (1.0, 1.0)
                row = b * program.moment(1, unit[i], psi[j])
                row += a * program.moment(1, psi[i], unit[j])
                row += a * self.kappa[j] * program.moment(1, psi[i], psi[j])
                program.require(row, 0.0)

    def _match(self) -> list[int]:
        """Xhat_t of the representation is X_t + f phi of the coupling, against zeta' and itself."""
        program, used, size = self.program, self.used, self.size
        unit, xi = np.eye(size + self.rank + 1), np.eye(len(used) + 1)[-1]
        new = np.append(self.new, np.zeros(self.rank + 1))
        phi = self.spread * unit[-1]
        rows = []
        for i in range(self.rank):
            psi = self.kappa[i] * unit[size + i]
            row = program.moment(0, np.append(self.zeta[i, used], 0.0), self.reach * xi)
            row -= program.moment(1, psi, new + phi) + program.moment(1, unit[i], phi)
            rows.append(program.require(row, self.new[i] - self.kept[i]))
        shift = np.append(self.offset[used], 0.5 * self.reach)
        row = program.moment(0, 2 * shift, self.reach * xi)
        row -= program.moment(1, 2 * new + phi, phi)
        if self.received:
            row -= self._eta(self.taken * self.offset[self.t] ** 2)
        rows.append(program.require(row, self.missing))
        return rows

    def _budget(self) -> int:
        unit = np.eye(self.size + self.rank + 1)
        total = self.program.number(self.free)
        for i in range(self.rank):
            psi = unit[self.size + i]
            total += self.costs[i] * self.program.moment(1, psi, psi)
        total += self.cost_new * self.program.moment(1, unit[-1], unit[-1])
        return self.program.require(total, 1.0)

    def _certify(self, row: Array, multiplier: float) -> None:
        """Multiplier and slope of the frame, in the coordinates (Xhat_1 .. Xhat_t).

        The solver gives `row`, the slope against the new frame; its best completion on the past is
        explicit. Where nothing is left of the threshold mu grows without bound, and the best of
        a few is taken.
        """
        t, frames = self.t, self.frames
        points = (
            self._equalities(row) if self.left == 0 else self._near(row, multiplier / self.left)
        )
        given, target = frames.given(t), frames.target(t)
        level, block = float(frames.levels[t]), slice(frames.problem.first_seen(t), t + 1)
        distortion = frames.mmse[t] + float(((frames.xhat[t] - frames.known[t]) ** 2).sum())
        best = -np.inf
        for mu, slope in points:
            bound = best_frame_bound(given, target @ target.T, mu, slope, level)
            if bound > best:
                best, frames.mu[t], frames.slope[t, block, block] = bound, mu, slope
            if best >= (1 - _SHARP) * distortion:
                break

    def _equalities(self, row: Array) -> Iterator[tuple[float, Array]]:
        """P_t = 0. Where the past determines the frame, any curvature across it is allowed."""
        across = np.append(-self.back.T @ self.new[: self.rank], 1.0)
        unit = self.worth / self.frames.problem.source.variance[self.t]
        for curvature in (0.0, 1e4, 1e6, 1e8):
            slope = np.zeros((len(row), len(row)))
            slope[-1] = slope[:, -1] = row + curvature * unit * across
            yield np.inf, slope

    def _near(self, row: Array, mu: float) -> Iterator[tuple[float, Array]]:
        """P_t > 0: multipliers around the one found, the nearest first."""
        around = max(mu, (1 + 1e-9) * row[-1], 1e-300) * 10.0 ** np.array([0, -1, 1, -2, 2])
        for value, xhat, target in product(around, _LIFTS, _LIFTS):
            if value > row[-1]:
                yield value, self._completed(value, row, xhat, target)

    def _completed(self, mu: float, row: Array, lift_xhat: float, lift_target: float) -> Array:
        """N with the given last row; on the past, I - N/mu carries Cov Xhat to its target.

        For Psi = I - N/mu the bound is const - mu tr A Psi^-1 - mu tr H Psi, A the target's
        covariance; in the Schur complement S of Psi this is tr S^-1 Cov(X - b X_t) + tr S H, with
        b = Psi_pt / Psi_tt, least where S is the transport map.
        """
        target, seen = self.frames.target(self.t), self.frames.seen(self.t)
        corner = 1 - row[-1] / mu
        bend = -row[:-1] / mu / corner
        moved = target[:-1] - np.outer(bend, target[-1])
        xhat = self.frames.xhat[seen]
        variance = np.diag(self.frames.problem.source.variance[seen])
        slope = np.empty((len(row), len(row)))
        slope[-1] = slope[:, -1] = row
        if len(row) > 1:
            slope[:-1, :-1] = slope_of(
                moved @ moved.T + lift_target * variance,
                xhat @ xhat.T + lift_xhat * variance,
                mu,
            )
            slope[:-1, :-1] -= mu * corner * np.outer(bend, bend)
        return slope

    def _extend(self, answer: Answer, slope: Array) -> None:
        """Row of the scheme: what it takes from z, and new noise for the rest."""
        t, frames = self.t, self.frames
        eta = max(float(answer.positive[0]), 0.0) if self.free else 0.0
        power = np.ones(len(self.used))
        power[self.used == t] -= self.taken * eta
        part, n = answer.parts[0], len(self.used)
        knows = part[n, :n] / power
        row = self.offset.copy()
        row[self.used] += self.reach * knows
        row[self.used] *= np.sqrt(power)
        rest = part[n, n] - knows**2 @ power
        row[frames.frames + t] = self.reach * np.sqrt(max(rest, 0.0))
        frames.mmse[t] *= 1 + self.unit * eta
        frames.known[t, t] *= np.sqrt(power[self.used == t].sum()) if self.received else 1.0
        row = self._stationary(row, slope)
        if self.level > 0:
            row = self._at_threshold(row)
        frames.xhat[t] = row

    def _stationary(self, row: Array, slope: Array) -> Array:
        """The row that satisfies the conditions of an optimum, if it is the one that was found.

        Rows of nearly the same distortion differ by the root of the solver's accuracy, and what a
        frame leaves out moves the later ones to first order.
        """
        found = self._along_estimate() if self.left == 0 else self._of_multipliers(slope)
        if found is None or np.linalg.norm(found - row) > _SAME * np.linalg.norm(row):
            return row
        return found if self._violation(found) <= max(_EXACT, self._violation(row)) else row

    def _along_estimate(self) -> Array:
        """P_t = 0: what is free of the row points along what the past leaves open."""
        t, frames = self.t, self.frames
        free = frames.known[t] - (self.zeta @ frames.known[t]) @ self.zeta
        size, sigma = float(np.linalg.norm(free)), frames.problem.source.sigma[t]
        if size <= _SAME * sigma:
            free, size = np.eye(2 * frames.frames)[frames.frames + t], 1.0
        missing = np.linalg.norm(self.new[~self._kept_mask()])
        return self.kept @ self.zeta + missing / size * free

    def _of_multipliers(self, slope: Array) -> Array | None:
        """P_t > 0: the row at which the Lagrangian is least."""
        t, frames = self.t, self.frames
        kappa = 1 + slope[-1]
        if kappa < 1e-3:
            return None
        return (frames.known[t] - slope[:-1] @ frames.xhat[frames.seen(t)]) / kappa

    def _violation(self, row: Array) -> float:
        """How far a row is from its constraints: in covariances where P_t = 0, else in loss."""
        sigma = self.frames.problem.source.sigma[self.t]
        if self.left > 0:
            return max(self.frames.loss(self.t, row) - self.level, 0.0) / self.left
        matched = (self.zeta @ row - self.new[: self.rank])[self.matched] / sigma
        return float(np.abs(np.append(matched, row @ row / sigma**2 - 1)).max())

    def _at_threshold(self, row: Array) -> Array:
        """The row moved towards the MMSE estimate until the threshold is met with equality."""
        from scipy.optimize import brentq

        known = self.frames.known[self.t]

        def beyond(share: float) -> float:
            return self.frames.loss(self.t, row + share * (known - row)) - self.level

        if beyond(0.0) >= 0:
            return row
        share = brentq(beyond, 0.0, 1.0, xtol=1e-16)
        return row + share * (known - row)
