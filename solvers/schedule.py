r"""Quality schedules: the best rates of a period, and what a pattern costs under each loss.

In steady state the rates of a period and the MMSE distortions are equivalent,
:math:`R_t = \tfrac12 \log_2 (\rho^2 m_{t-1} + q) - \tfrac12 \log_2 m_t`, and round a period

.. math::
    \sum_t R_t = \sum_t f(m_t), \qquad f(m) = \tfrac12 \log_2 (\rho^2 + q/m),

which is convex. So is the distortion of every loss at perfect realism, as a function of m:

.. math::
    \text{FMD: } 2\sigma^2 - 2\sigma\sqrt{\sigma^2 - m_t}, \qquad
    \text{SA: } 2 v_t - 2\sqrt{v_t (v_t - m_t)}, \qquad
    \text{JD: } D_t = \rho^2 D_{t-1} + 2 q - 2 \sqrt{q (v_t - m_t)},

:math:`v_t = \rho^2 m_{t-1} + q`. (JD: the sequential decoder.)

**Constant rate is the best schedule** of equally important frames, under every loss. Rate and mean
distortion are convex and unchanged when the period is shifted; averaging over all shifts makes m
constant and raises neither. PLF-JD(w) lies above PLF-FMD and meets it at constant rate. For
frames of different importance the schedule is a convex program. Derived in this project.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rdp import CP, FMD, JD, SA, GaussMarkov, Perception, _check
from rdp import perception as as_perception
from rdp.solution import Status
from rdp.steady_state import parameters
from solvers.errors import SolverError
from solvers.steady_answer import SteadyState, period_levels
from solvers.steady_state import steady_state

Array = np.ndarray

_GAP = 1e-5  # of the objective, relative to it
_SILENT = (1e-9, 1e-6, 1e-3)  # share of its variance below which a frame's news counts as no bits


@dataclass(frozen=True, eq=False)
class Schedule:
    """The best rates of a period, with a lower bound.

    Parameters
    ----------
    rates : (N,) array, bits per frame
        The rates; their mean is what was asked for.
    steady : SteadyState
        Distortion in the long run at these rates.
    objective : float
        Weighted mean of the distortions, sum w_t D_t / sum w_t.
    lower_bound : float
        No rates of this mean have a smaller objective (under PLF-JD: with the sequential decoder).
    gap : float
        objective - lower_bound.
    """

    rates: Array
    steady: SteadyState
    objective: float
    lower_bound: float
    gap: float


class PatternCost(NamedTuple):
    """What a pattern of rates costs under one loss, mean distortion over the period.

    Parameters
    ----------
    distortion : float
        At the rates of the pattern.
    constant : float
        At the constant rate of the same mean, which is the best schedule.
    percent : float
        How much the pattern costs more than the constant rate.
    """

    distortion: float
    constant: float
    percent: float


def pattern_cost(
    source: GaussMarkov, rates: object, windows: tuple[int, ...] = ()
) -> dict[str, PatternCost]:
    """Mean distortion of a pattern of rates under each loss at perfect realism, and without one.

    Parameters
    ----------
    source : GaussMarkov
        A stationary scalar source.
    rates : (N,) array, >= 0, bits per frame
        Finite rates of one period.
    windows : tuple of int
        Windows of PLF-JD(w) to add.

    Returns
    -------
    dict of PatternCost
        Keys "MMSE", "FMD", "JD(w)" for each window, "JD", "SA".

    Raises
    ------
    ValueError
        The source is not stationary, bad or infinite rates, a window below 1.

    Examples
    --------
    The hierarchical quality pattern of neural video codecs, half a bit on average. JD is that of
    the sequential decoder; the best decoder with lookahead reaches 0.07451, +32 %
    (``solvers.linear.steady_decoder.steady_distortion``):

    >>> source = GaussMarkov.stationary(rho=0.97, frames=2)
    >>> offset = np.array([0, 8, 0, 4, 0, 4, 0, 4])
    >>> rates = 0.5 + 0.8 * (offset - offset.mean()) / 8
    >>> for loss, cost in pattern_cost(source, rates, windows=(2,)).items():
    ...     print(f"{loss:6}{cost.distortion:.5f} {cost.percent:+.0f} %")
    MMSE  0.05917 +6 %
    FMD   0.06013 +6 %
    JD(2) 0.06329 +12 %
    JD    0.11900 +110 %
    SA    0.07267 +11 %
    """
    bits = np.atleast_1d(_check.finite("rates", _check.nonnegative("rates", rates, ndim=(0, 1))))
    losses: dict[str, tuple[Perception | None, int | None]] = {"MMSE": (None, None)}
    losses["FMD"] = FMD(0.0), None
    losses.update({f"JD({window})": (JD(0.0), window) for window in windows})
    losses["JD"], losses["SA"] = (JD(0.0), None), (SA(0.0), None)
    out = {}
    for name, (perception, window) in losses.items():
        found = steady_state(source, bits, perception, window).mean
        constant = steady_state(source, bits.mean(), perception, window).mean
        percent = 100 * (found / constant - 1) if constant > 0 else 0.0
        out[name] = PatternCost(found, constant, percent)
    return out


def schedule(
    source: GaussMarkov,
    mean_rate: float,
    period: int,
    perception: Perception | str | None = None,
    window: int | None = None,
    weights: object = None,
) -> Schedule:
    r"""Best rates of a period for a mean rate, in the long run.

    Minimise :math:`\sum_t w_t D_t / \sum_t w_t` over rates :math:`R_1, .., R_N \ge 0` of the given
    mean, D_t being the distortion of the sequential objective in steady state.

    Parameters
    ----------
    source : GaussMarkov
        A stationary scalar source.
    mean_rate : float, > 0, bits per frame
        Mean of the rates, finite.
    period : int
        N, number of frames of the period.
    perception : FMD, JD, SA, str or None
        The loss; a name is the loss at threshold 0. JD and SA at P = 0, or JD at one P > 0
        without weights.
    window : int or None
        Number of frames that PLF-JD sees, without weights; None is all.
    weights : (N,) array, >= 0, or None
        Importance of each frame of the period; None is equal importance, for which the answer is
        the constant rate.

    Returns
    -------
    Schedule

    Raises
    ------
    ValueError
        Bad source, rate, period or weights.
    SolverError
        A loss that is not covered, or a certified gap above 1e-5.

    Notes
    -----
    Derived in this project, see the module docstring. With weights the program is solved by
    sequential quadratic programming in ln m. It is convex in m, so a stationary point is the
    optimum, and its multiplier of the rate gives the lower bound: the Lagrangian is above its
    tangent.

    Examples
    --------
    >>> source = GaussMarkov.stationary(rho=0.97, frames=2)
    >>> schedule(source, 0.5, 4, JD(0.0)).rates
    array([0.5, 0.5, 0.5, 0.5])
    >>> first_counts = schedule(source, 0.5, 4, FMD(0.0), weights=[1, 0.1, 0.1, 0.1])
    >>> first_counts.rates.round(2)
    array([1.45, 0.  , 0.23, 0.32])
    """
    rho, sigma = parameters(source)
    perception = as_perception(perception, window=window)
    window = perception.window if isinstance(perception, JD) else None
    mean = float(_check.positive("mean_rate", mean_rate, ndim=0))
    frames = _check.count("period", period)
    importance = _weights(weights, frames)
    levels = np.zeros(frames) if perception is None else period_levels(perception, frames)
    same = np.ptp(importance) == 0 and np.ptp(levels) == 0
    if same and not (isinstance(perception, SA) and 0 < levels[0] < np.inf):
        bits = np.full(frames, mean)
        steady = steady_state(source, bits, perception, window)
        return Schedule(steady.rates, steady, steady.mean, steady.mean, 0.0)
    if abs(rho) == 1:
        raise SolverError(Status.UNSUPPORTED, "schedule: expected |rho| < 1 with weights")
    covered = isinstance(perception, FMD | None) or not (
        levels.any() or isinstance(perception, CP)
    )
    if window is not None or not covered:
        raise SolverError(
            Status.UNSUPPORTED,
            "schedule: with weights, FMD at any P, or JD and SA at P = 0, no window",
        )
    if isinstance(perception, FMD) and perception.metric == "kl":
        raise SolverError(Status.UNSUPPORTED, "schedule: with weights, FMD with metric='w2' only")
    share = importance / importance.sum()
    program = _Program(rho, perception, levels / sigma**2, share)
    bits, bound = program.solve(mean)
    steady = steady_state(source, bits, perception)
    objective = float(share @ steady.distortion)
    bound *= sigma**2
    gap = objective - bound
    if not 0 <= gap <= _GAP * objective:
        raise SolverError(Status.INACCURATE, f"schedule: certified gap is {gap:.1e}")
    return Schedule(steady.rates, steady, objective, bound, gap)


def _weights(weights: object, frames: int) -> Array:
    if weights is None:
        return np.ones(frames)
    given = _check.finite("weights", _check.nonnegative("weights", weights, ndim=1))
    if given.shape != (frames,) or not given.any():
        raise ValueError(
            f"weights: expected shape ({frames},) with a positive one, got {weights!r}"
        )
    return given


class _Program:
    """The convex program in m at unit variance."""

    def __init__(
        self, rho: float, perception: Perception | None, levels: Array, share: Array
    ) -> None:
        self.rho, self.q = rho, (1 - rho) * (1 + rho)
        self.perception, self.levels, self.share = perception, levels, share

    def joint_share(self) -> Array:
        """Weight of what frame j adds to the distortion of PLF-JD: all later frames have it."""
        n, decay = len(self.share), self.rho**2
        later = [sum(self.share[(j + i) % n] * decay**i for i in range(n)) for j in range(n)]
        return np.array(later) / (1 - decay**n)

    def solve(self, mean: float) -> tuple[Array, float]:
        """Rates of the given mean, and a lower bound on the objective."""
        from scipy.optimize import minimize

        n, square = len(self.share), self.rho**2
        budget = 2 * np.log(2) * n * mean
        ratio = np.exp2(-2 * mean)
        constant = ratio * self.q / (1 - square * ratio)
        scale = self._cost(np.full(n, constant))[1]

        def cost(x: Array) -> tuple[float, Array]:
            m = np.exp(x)
            slope, value = self._cost(m)
            return value / scale, slope * m / scale

        def rate(x: Array) -> float:
            return float(budget - np.log(square + self.q * np.exp(-x)).sum()) / n

        def rate_slope(x: Array) -> Array:
            inverse = self.q * np.exp(-x)
            return inverse / (square + inverse) / n

        def received(x: Array) -> Array:
            """Twice the rate of each frame, in nats."""
            return np.log(square * np.roll(np.exp(x), 1) + self.q) - x

        def received_slope(x: Array) -> Array:
            m = np.exp(x)
            before = np.roll(m, 1)
            share = square * before / (square * before + self.q)
            return np.roll(np.diag(np.roll(share, -1)), 1, axis=0) - np.eye(n)

        found = minimize(
            cost,
            np.full(n, np.log(constant)),
            jac=True,
            method="SLSQP",
            bounds=[(np.log(constant) - 60, 0.0)] * n,
            constraints=[
                {"type": "ineq", "fun": rate, "jac": rate_slope},
                {"type": "ineq", "fun": received, "jac": received_slope},
            ],
            options={"ftol": 1e-15, "maxiter": 1000},
        )
        bits = np.maximum(received(found.x) / (2 * np.log(2)), 0.0)
        bits[bits < 1e-9 * mean] = 0.0
        return bits * (mean / bits.mean()), self._bound(np.exp(found.x), budget)

    def _bound(self, m: Array, budget: float) -> float:
        """Best of the bounds for a few guesses of the frames without bits, rounded down."""
        square = self.rho**2
        before = square * np.roll(m, 1)
        m = np.minimum(m, (before + self.q) * (1 - 1e-13))
        known = self.q - (m - square * np.roll(m, 1))
        slope, value = self._cost(m)
        fall = self.q / (m * (square * m + self.q))
        over = float(np.log(square + self.q / m).sum() - budget)
        best = -np.inf
        for near in _SILENT:
            silent = known <= near * (before + self.q)
            price, limit, rest = self._multipliers(slope, fall, silent)
            terms = np.concatenate([[value, price * over], -rest * m, -limit * known])
            rounding = 4 * (len(m) + 2) * np.finfo(np.float64).eps * np.abs(terms).sum()
            best = max(best, float(terms.sum() - rounding))
        return best

    def _multipliers(self, slope: Array, fall: Array, silent: Array) -> tuple[float, Array, Array]:
        """Largest price of the rate that leaves no frame a gain, multipliers of v - m >= 0, gains.

        The bound needs gains >= 0 of all frames, as then m = 0 is the least of the tangent.
        """
        n, square, more = len(slope), self.rho**2, 1 + 1e-12

        def priced(price: float) -> tuple[Array, Array]:
            limit = np.zeros(n)
            if not silent.all():
                first = int(np.flatnonzero(~silent)[0])
                for j in (first - np.arange(1, n)) % n:
                    if silent[j]:
                        cost = price * fall[j] - slope[j] + square * limit[(j + 1) % n]
                        limit[j] = max(cost, 0.0) * more
            return limit, slope - price * fall + limit - square * np.roll(limit, -1)

        low, high = 0.0, float((slope / fall).max())
        for _ in range(80):
            price = (low + high) / 2
            low, high = (price, high) if (priced(price)[1] >= 0).all() else (low, price)
        return low, *priced(low)

    def _cost(self, m: Array) -> tuple[Array, float]:
        """Gradient and value of the objective."""
        square, q = self.rho**2, self.q
        if self.perception is None:
            return self.share.copy(), float(self.share @ m)
        before = square * np.roll(m, 1)
        v = before + q
        m = np.minimum(m, v * (1 - 1e-13))  # steps of the search may leave the frames' rates >= 0
        # differences of nearly equal numbers are written out: m may be tiny
        known = q - (m - before)
        if isinstance(self.perception, FMD):
            root = np.sqrt(1 - m)
            short = np.maximum(m / (1 + root) - np.minimum(np.sqrt(self.levels), 1), 0.0)
            return self.share * (1 + short / root), float(self.share @ (m + short**2))
        if isinstance(self.perception, JD):
            lost, root = m - before, np.sqrt(known)
            own = lost / (root * (root + np.sqrt(q)))  # sqrt(q / known) - 1
            later = square * np.roll(self.joint_share(), -1)
            cost = 2 * self.joint_share() @ (q * lost / (q + np.sqrt(q * known)))
            return self.share * (1 + own) + later * (own - np.roll(own, -1)), float(cost)
        root = np.sqrt(v * known)
        by_v = -self.share * v * m**2 / ((v + root) ** 2 * root)
        cost = 2 * self.share @ (v * m / (v + root))
        return self.share * v / root + square * np.roll(by_v, -1), float(cost)
