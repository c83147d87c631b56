r"""Rates as unknowns: least total rate for given distortions, best split of a total rate.

Second moments of all schemes whose errors m_t are free form a convex set, and so do the rates:

    2 ln2 sum_t R_t = ln v_1 + sum_{t<T} ln (a_{t+1}^2 + q_{t+1} / m_t) - ln m_T,

convex in m term by term. With n = m / m* for reference errors m*, and eps = a^2 m* / v*, a term is
-ln u up to a constant, where u <= n / (eps n + 1 - eps) is a linear matrix inequality of size 2.
Two solves, the second with the first's answer as reference, settle the scaling.

Certificate: for multipliers w_t of the distortions and (mu, N) of the thresholds the Lagrangian's
minimum over schemes of errors m is const - sum_s d_s f_s, linear in d_s = a_s^2 m_{s-1} + q_s - m_s
(:mod:`solvers.certificate`), so that the minimum over m separates and each term is explicit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from rdp.closed_form import rate_for_distortion, smallest_sd
from rdp.mmse import mmse_recursion
from rdp.perception import FMD
from rdp.problem import Problem
from rdp.solution import Status
from rdp.source import GaussMarkov
from solvers._sdp.dual_bounds import LIFTS
from solvers._sdp.exact_bound import DualPoint, exact_bound
from solvers._sdp.moments import Moments
from solvers._sdp.weighted import Encoder, Weighted
from solvers.errors import SolverError
from solvers.scheme import Scheme

Array = np.ndarray

_REFERENCE = 0.05  # least rate of a reference, bits: what it scales by must not vanish
_IDLE = 1e-4  # share of the prediction error below which a frame counts as having no rate
_NO_RATE = 1e-3  # bits; below it a frame may be one that gets none
_SHRINK = (0.0, 1e-12, 1e-10, 1e-8, 1e-6, 1e-4)
_RAISED = (0.0, 1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2)
_ROUNDING = 1e-13  # an eigenvalue below this share of the largest may be 0
_FINE = {"xatol": 1e-11}  # of the logarithm of a price
_IDLE_PRICE = 1e-6  # multipliers below this share of the largest may belong to idle thresholds


class FreeScheme(NamedTuple):
    """A scheme, its rates, and a bound: on the total rate (bits), or on the weighted distortion."""

    scheme: Scheme
    rates: Array
    lower_bound: float


def least_total_rate(problem: Problem, targets: Array) -> FreeScheme:
    """Least total rate with D_t <= targets_t; the rates of the problem play no role."""
    if problem.plf == "SA":  # a frame that nothing bounds can be scaled to its variance
        free = np.isinf(targets) & np.isinf(problem.thresholds)
        targets = np.where(free, 4 * problem.source.variance, targets)
    rates = rate_for_distortion(problem.source, np.minimum(targets, problem.source.variance))
    return _in_two_passes(problem, rates, targets)


def best_split(problem: Problem) -> FreeScheme:
    """Least weighted distortion over the splits of the total rate of a problem."""
    return _in_two_passes(problem, problem.rates, None)


def _in_two_passes(problem: Problem, rates: Array, targets: Array | None) -> FreeScheme:
    problem = _in_squared_distance(problem)
    budget = float(problem.rates.sum())
    bound = 0.0  # neither bits nor distortions are negative
    for _ in range(2):
        reference = problem.with_(rates=np.maximum(rates, _REFERENCE))
        found = _FreeRates(reference, targets, budget).answer()
        rates, bound = found.rates, max(bound, found.lower_bound)
        if not np.isfinite(rates).all():
            raise SolverError(Status.FAILED, "sdp: a frame has an infinite rate")
    return found._replace(lower_bound=bound, scheme=found.scheme._replace(lower_bound=bound))


def _in_squared_distance(problem: Problem) -> Problem:
    """Thresholds in nats as thresholds on squared W2: both bound the variance from below."""
    loss = problem.perception
    if not isinstance(loss, FMD) or loss.metric == "w2":
        return problem
    sigma = problem.source.sigma
    drop = sigma - smallest_sd(sigma, problem.thresholds, "kl")
    return problem.with_(perception=FMD(np.where(problem.thresholds < np.inf, drop**2, np.inf)))


class _Bound(NamedTuple):
    """A dual value, constant - sum_s d_s gain_s without its price, and mu and slopes behind it."""

    value: float
    constant: float
    gain: Array
    mu: Array
    slope: Array


def _value(bound: _Bound) -> float:
    return bound.value


class _FreeRates(Weighted):
    """The program of all frames with m_t = n_t m*_t, n > 0; targets, or a budget in bits."""

    def __init__(self, problem: Problem, targets: Array | None, budget: float) -> None:
        self.targets, self.budget = targets, budget
        source = problem.source
        backbone = mmse_recursion(source, problem.rates)
        self.reference, self.v = backbone.mmse, backbone.prediction_error
        share = source.gain[1:] ** 2 * self.reference[:-1] / self.v[1:]
        self.share = np.append(np.where(source.innovation[1:] > 0, share, 1.0), 0.0)
        super().__init__(problem)

    def _encoder(self) -> Encoder:
        source, m, frames = self.problem.source, self.reference, self.frames
        received = self.v - m
        power = -np.diag(m)
        power[np.arange(1, frames), np.arange(frames - 1)] = source.gain[1:] ** 2 * m[:-1]
        return Encoder(
            m, np.eye(frames), power / received[:, None], 0.0, source.innovation / received
        )

    def _scale(self) -> None:
        if self.targets is None:
            super()._scale()
            return
        sigma = self.problem.source.sigma
        bound = np.isfinite(self.targets)
        self.worth, self.weights = 1.0, np.zeros(self.frames)
        self.reach = np.minimum(2 * sigma, np.sqrt(self.targets))
        self.cost_weights = np.where(bound, 0.0, 1e-9 / (4 * sigma**2))

    def _choose_couplings(self) -> None:
        super()._choose_couplings()
        self.bent: list[int] = np.flatnonzero((self.share > 0) & (self.share < 1)).tolist()
        straight: list[int] = np.flatnonzero(self.share == 0).tolist()
        self.bounded = np.zeros(0, dtype=int)
        if self.targets is not None:
            self.bounded = np.flatnonzero(np.isfinite(self.targets))
        self.program = Moments(
            [*self.program.sizes, *[2] * len(self.bent)],
            self.program.positive + len(self.bounded),
            len(self.bent) + len(straight),
            "budget" if self.targets is None else "reward",
        )
        for index, t in enumerate(self.bent):
            self._bent_term(index, t)
        for index, t in enumerate(straight, start=len(self.bent)):
            self.program.require(self.program.log(index) - self.program.number(t), 0.0)
        spare = self.budget - float(self.problem.rates.sum())
        self.program.bounds[:1] = 2 * np.log(2) * spare

    def _bent_term(self, index: int, t: int) -> None:
        """Ask for u <= n / (eps n + 1 - eps), in the form that keeps its digits for this eps."""
        program, eps = self.program, self.share[t]
        part, unit = len(program.sizes) - len(self.bent) + index, np.eye(2)
        n, u = program.number(t), program.log(index)
        program.require(program.moment(part, unit[1], unit[1]) - eps * n, 1 - eps)
        corner, mixed = (program.moment(part, unit[0], unit[i]) for i in (0, 1))
        if eps < 0.5:
            program.require(mixed - n, 0.0)
            program.require((1 - eps) * u - n + eps * corner, 0.0)
        else:
            program.require(mixed, 1.0)
            program.require(eps * u + (1 - eps) * corner, 1.0)

    def answer(self) -> FreeScheme:
        """Scheme, rates and certified bound."""
        rows = self._constraints()
        first = self.program.positive - len(self.bounded)
        caps = [
            self.program.require(self._distortion(t) + self.program.number(first + i), 1.0)
            for i, t in enumerate(self.bounded)
        ]
        answer = self.program.minimise(self._cost() / self.worth)
        price, weights, multipliers = 1.0, self.weights, answer.multipliers
        if self.targets is None:
            price, multipliers = self.worth * answer.price, self.worth * multipliers
        else:
            weights = np.zeros(self.frames)
            weights[self.bounded] = np.maximum(multipliers[caps], 0.0) / self.targets[self.bounded]
        self.errors = self.encoder.errors(np.maximum(answer.positive[: self.frames], 0.0))
        scheme = self._scheme(answer, -np.inf)
        unfelt = self._value_of_errors(price, scheme.mmse)
        rates = spent(self.problem.source, scheme.mmse)
        best = self._no_bound()
        for mu, slope in self._duals(rows, multipliers):
            for point in _without_idle_thresholds(mu, slope):
                best = max(best, self._bound(weights, price, *point, unfelt), key=_value)
        bound = self._at_best_price(weights, price, best)
        return FreeScheme(scheme._replace(lower_bound=bound), rates, bound)

    def _value_of_errors(self, price: float, mmse: Array) -> Array:
        """What d_t is worth to the total rate at the errors found, price * the slope of its terms.

        A frame that gets no rate has d_t = 0, and the multiplier of d_t >= 0 makes up what the
        distortions do not feel.
        """
        source = self.problem.source
        a2, q = np.append(source.gain[1:] ** 2, 0.0), np.append(source.innovation[1:], 1.0)
        felt = (q > 0) & (mmse > 0)
        value = np.divide(price * q, mmse * (a2 * mmse + q), out=np.zeros_like(q), where=felt)
        for t in range(self.frames - 2, -1, -1):
            value[t] += a2[t] * value[t + 1]
        return np.where(spent(source, mmse) < _NO_RATE, value, 0.0)

    def _distortion(self, t: int) -> Array:
        """D_t over its target."""
        assert self.targets is not None
        own = self._eta(self.encoder.mmse[t] * self.encoder.spare[t])
        return (own + self.program.moment(0, self.change[t], self.change[t])) / self.targets[t]

    def _at_best_price(self, weights: Array, price: float, found: _Bound) -> float:
        """Best bound over the price of a bit, which the solver knows to a few digits only."""
        from scipy.optimize import minimize_scalar

        if not np.isfinite(found.value):
            return found.value

        def loss(log: float) -> float:
            return -self._least(weights, price * np.exp(log), found.constant, found.gain)

        best = minimize_scalar(loss, bounds=(-0.01, 0.01), method="bounded", options=_FINE)
        exact = -np.inf
        for at in (price * np.exp(best.x), price):
            gain = self._with_idle_frames(found.gain, at)
            point = DualPoint(weights, found.mu, found.slope, gain, float(at))
            budget = self.budget if self.targets is None else 0.0
            value = exact_bound(self.problem, self.levels, point, self.targets, budget)
            exact = max(exact, value)
        return exact

    def _no_bound(self) -> _Bound:
        nothing = np.zeros(self.frames)
        return _Bound(-np.inf, -np.inf, nothing, nothing, np.zeros((self.frames,) * 3))

    def _bound(
        self, weights: Array, price: float, mu: Array, slope: Array, unfelt: Array
    ) -> _Bound:
        """Dual value: bits of least total rate, or least weighted distortion."""
        best, size = self._no_bound(), float(np.abs(slope).max())
        asked = (np.isfinite(self.levels) | (mu > 0))[:, None, None]
        curvature = size * asked * np.tril(np.ones_like(slope[0]))[:, :, None] * np.eye(self.frames)
        # frames of no weight may leave Q singular; the multipliers of thresholds can be raised
        for raised in _RAISED:
            moved = slope + raised * curvature
            top = np.linalg.eigvalsh(moved)[:, -1]
            before = best.value
            for shrink in _SHRINK:
                for lift in LIFTS:
                    lifted = (1 - shrink) * np.maximum(mu, (1 + lift) * top)
                    constant, gain = self._linear(weights, lifted, (1 - shrink) * moved)
                    for priced in (gain, np.maximum(gain, unfelt)):
                        value = self._least(weights, price, constant, priced)
                        point = lifted, (1 - shrink) * moved
                        best = max(best, _Bound(value, constant, priced, *point), key=_value)
            if np.isfinite(before) and best.value == before:
                break
        return best

    def _linear(self, weights: Array, mu: Array, slope: Array) -> tuple[float, Array]:
        """Constant and f of the minimum const - sum_s d_s f_s over schemes of errors m."""
        source, frames = self.problem.source, self.frames
        q, omega, phi = np.diag(weights), weights.copy(), source.transition()
        constant = float(weights @ source.variance)
        for t in np.flatnonzero(mu > 0).tolist():
            block = slice(self.problem.first_seen(t), t + 1)
            own = slope[t, block, block]
            other = _conjugate(own, mu[t])
            if other is None:
                return -np.inf, omega
            q[block, block] += own
            if mu[t] < np.inf:
                constant -= mu[t] * self.levels[t]
            if self.problem.plf == "SA":
                q[:t, :t] += other[:t, :t]
                omega[:t] -= phi[t, :t] * other[t, :t]
                constant += source.variance[t] * other[t, t]
            else:
                constant += float((source.covariance()[block, block] * other).sum())
        used = np.flatnonzero((omega != 0) | (q != 0).any(axis=1))
        if not _is_positive(q[np.ix_(used, used)]):
            return -np.inf, omega
        gain = np.zeros(frames)
        for s in range(frames):
            later = used[used >= s]
            column = omega[later] * phi[later, s]
            gain[s] = column @ np.linalg.solve(q[np.ix_(later, later)], column)
        return constant, gain

    def _least(self, weights: Array, price: float, constant: float, gain: Array) -> float:
        """Minimum over m of price * (2 ln2 * total rate) + constant - sum_s d_s gain_s."""
        if not np.isfinite(constant) or not price > 0:
            return -np.inf
        source = self.problem.source
        a2, q = self._next
        gain = self._with_idle_frames(gain, price)
        slope = (gain - a2 * np.append(gain[1:], 0.0)) / price
        # term t: ln(a2 + q / m) + slope m, least at slope m (a2 m + q) = q, or at an end
        up = np.maximum(slope, 0.0)
        root = up * q + np.sqrt((up * q) ** 2 + 4 * up * a2 * q)
        m = np.divide(2 * q, root, out=np.full_like(q, np.inf), where=root > 0)
        m = np.where((q == 0) & (slope > 0), 0.0, np.minimum(m, source.variance))
        ratio = np.divide(q, m, out=np.zeros_like(q), where=q > 0)
        rate = float(np.log(source.variance[0]) + (np.log(a2 + ratio) + slope * m).sum())
        fixed = constant - float(gain @ source.innovation)  # a larger gain only prices d_s >= 0
        if self.targets is None:
            return price * (rate - 2 * np.log(2) * self.budget) + fixed
        capped = float(weights[self.bounded] @ self.targets[self.bounded])
        return (price * rate + fixed - capped) / (2 * np.log(2) * price)

    @property
    def _next(self) -> tuple[Array, Array]:
        """a^2 and q of the next frame; (0, 1) after the last, whose term is -ln m."""
        source = self.problem.source
        return np.append(source.gain[1:] ** 2, 0.0), np.append(source.innovation[1:], 1.0)

    def _with_idle_frames(self, gain: Array, price: float) -> Array:
        """Add multipliers of d_s >= 0 for frames without rate, stationary at the errors found."""
        a2, q = self._next
        m, out = self.errors, gain.copy()
        before = np.append(0.0, m[:-1])
        v = self.problem.source.gain**2 * before + self.problem.source.innovation
        for t in reversed(range(self.frames)):
            if v[t] - m[t] <= _IDLE * v[t]:
                later = a2[t] * out[t + 1] if t + 1 < self.frames else 0.0
                out[t] = max(gain[t], later + price * q[t] / (m[t] * (a2[t] * m[t] + q[t])))
            elif q[t] == 0:  # the next frame is tied to this one: no term keeps m_t from growing
                out[t] = max(gain[t], a2[t] * out[t + 1])
        return out


def _without_idle_thresholds(mu: Array, slope: Array) -> Iterator[tuple[Array, Array]]:
    """The dual point, and those without its smallest multipliers, which are valid as well.

    The multiplier of a threshold that binds nothing is noise of the solver. The matrix of the dual
    problem may be singular with it.
    """
    size = np.abs(slope).max(axis=(1, 2))
    yield mu, slope
    felt = size > _IDLE_PRICE * size.max()
    if not felt.all():
        yield np.where(felt, mu, 0.0), np.where(felt[:, None, None], slope, 0.0)
    if felt.any():
        yield np.zeros_like(mu), np.zeros_like(slope)


def _is_positive(matrix: Array) -> bool:
    """Whether a symmetric matrix is positive definite by more than rounding, in its own scale."""
    own = np.diagonal(matrix)
    if not (own > 0).all():
        return False
    root = np.sqrt(own)
    scaled = matrix / root[:, None] / root
    return bool(np.linalg.eigvalsh(scaled).min(initial=1.0) > _ROUNDING)


def _conjugate(slope: Array, mu: float) -> Array | None:
    """L = -N (I - N/mu)^-1, the slope in the target; None unless I - N/mu > 0, by its digits."""
    room = np.eye(len(slope)) - slope / mu
    values = np.linalg.eigvalsh(room)
    if values[0] <= _ROUNDING * values[-1]:
        return None
    other = -np.linalg.solve(room, slope)
    return 0.5 * (other + other.T)


def spent(source: GaussMarkov, mmse: Array) -> Array:
    """Bits per frame of a representation with errors m_t."""
    before = np.append(0.0, mmse[:-1])
    v = source.gain**2 * before + source.innovation
    with np.errstate(divide="ignore"):  # no error is left at an infinite rate
        ratio = np.divide(v, mmse, out=np.ones_like(v), where=v > mmse)
    return np.asarray(0.5 * np.log2(ratio))
