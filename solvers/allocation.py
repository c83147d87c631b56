"""Least rates for given distortions, best split of a bit budget.

For scalar frames the least total rate and the best split of a budget are convex programs in the
errors of the representation, under every loss function: both come with a certified bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from rdp import _check
from rdp.closed_form import rate_for_distortion
from rdp.linear_source import need_first_order
from rdp.perception import FMD, Perception, loss_name
from rdp.perception import perception as as_perception
from rdp.problem import Problem
from rdp.scalar import scalar_rate
from rdp.solution import Solution, Status
from rdp.source import GaussMarkov
from solvers.acceptance import (
    ROUNDING,
    check_bits,
    check_reached,
    check_scheme,
    precise_distortion,
    precise_perception,
)
from solvers.errors import SolverError
from solvers.methods.explicit_split import frames_alone
from solvers.methods.precise import covers_rates
from solvers.rate_search import allowed_distortions, first_frames, least_rate
from solvers.solve import measured, solve
from solvers.splits import UNSEEN, FreeRates, best_split, by_decimals, by_program, without_ties

Array = np.ndarray

_SMALL = 2.0**-24  # of the variance: below such distortions most losses cost about the same
_CORRECTIONS = 3  # of the distortions that are asked of PLF-FMD for those of another loss


@dataclass(frozen=True, eq=False)
class MinimumRate:
    """Least rates for given distortions and perception thresholds.

    Parameters
    ----------
    rates : (T,) array
        Bits per frame.
    total : float
        Sum of the rates.
    lower_bound : float
        No scheme needs fewer bits in total; for the sequential objective equal to the total.
    distortion : (T,) array
        D_t of the scheme, at most what was asked for.
    perception : (T,) array
        Perception loss of the scheme; nan without a loss function.
    source : GaussMarkov
        The source that was asked about.
    allowed : (T,) array
        The distortions that were asked for.
    loss : FMD, JD, SA or None
        The perception loss that was asked for, with its thresholds.
    """

    rates: Array
    total: float
    lower_bound: float
    distortion: Array
    perception: Array
    source: GaussMarkov
    allowed: Array
    loss: Perception | None

    @property
    def gap(self) -> float:
        """Bits in total that a scheme could at most save: total - lower_bound."""
        return self.total - self.lower_bound


@dataclass(frozen=True, eq=False)
class RateAllocation:
    """Best split of a total rate over frames.

    Parameters
    ----------
    rates : (T,) array
        Bits per frame.
    objective : float
        Weighted distortion reached.
    lower_bound : float
        No split of the total rate reaches less.
    solution : Solution
        The scheme at these rates, with the problem that it solves.
    """

    rates: Array
    objective: float
    lower_bound: float
    solution: Solution

    @property
    def gap(self) -> float:
        """Weighted distortion that another split could at most save: objective - lower_bound."""
        return self.objective - self.lower_bound


def minimum_rate(
    source: GaussMarkov,
    distortion: object,
    perception: Perception | str | None = None,
    objective: str = "total",
    method: str = "auto",
) -> MinimumRate:
    r"""Least rates at which given distortions and perception thresholds can be met.

    Minimise :math:`\sum_t R_t`, or :math:`R_1`, then :math:`R_2` given that, and so on, subject to
    distortions at most :math:`D_t` and the perception loss at most :math:`P_t`.

    Parameters
    ----------
    source : GaussMarkov
        T scalar frames.
    distortion : float or (T,) array, > 0
        Distortion allowed at each frame, squared units of the source; inf is no constraint.
    perception : FMD, JD, SA, str or None
        Perception loss with its thresholds; a name such as "JD" is the loss at threshold 0.
    objective : {"total", "sequential"}
        Total rate, or frame by frame with the sequential decoder of least distortion.
    method : str
        Solver of the sequential objective, see :func:`solvers.solve`.

    Returns
    -------
    MinimumRate

    Raises
    ------
    ValueError
        Bad distortions or objective.
    SolverError
        Vector frames, or a distortion that no rate reaches because of the frames before (sequential
        objective under PLF-JD).

    Notes
    -----
    The total rate is convex in the errors :math:`m_t` of the representation,
    :math:`\sum_t R_t = \tfrac12 \log v_1 + \sum_{t<T} \tfrac12 \log (a_{t+1}^2 + q_{t+1}/m_t)
    - \tfrac12 \log m_T`, and so are the constraints. Derived in this project. Without perception
    loss this is the sequential rate-distortion function of Tanaka et al., arXiv:1411.7632.

    Examples
    --------
    Perfect realism costs bits, and under PLF-JD the first frame is worth more of them:

    >>> from rdp import JD
    >>> source = GaussMarkov.stationary(rho=0.9, frames=3)
    >>> minimum_rate(source, [0.5, 0.3, 0.2]).rates.round(3)
    array([0.5  , 0.494, 0.557])
    >>> minimum_rate(source, [0.5, 0.3, 0.2], JD(0.0)).rates.round(3)
    array([0.782, 0.386, 0.615])
    """
    need_first_order("minimum_rate", source)
    _check.instance("source", source, GaussMarkov)
    targets = allowed_distortions(source, distortion)
    loss = as_perception(perception)
    if objective not in ("total", "sequential"):
        raise ValueError(f"objective: expected 'total' or 'sequential', got {objective!r}")
    if source.modes is not None:
        raise SolverError(Status.UNSUPPORTED, "minimum_rate: vector frames")
    if loss is not None and loss.name == "CP" and objective == "total":
        raise SolverError(Status.UNSUPPORTED, "minimum_rate: the least total rate under CP")
    if objective == "sequential":
        return _frame_by_frame(source, targets, loss, method)
    problem = Problem(source, 0.0, loss, weights=1.0)
    alone = frames_alone(problem)
    if alone is not None:
        return _least_alone(source, targets, loss, alone)
    failures: list[SolverError] = []
    for answer in _ways(problem, targets):
        try:
            return answer()
        except SolverError as error:
            failures.append(error)
    raise SolverError(failures[0].status, "; ".join(map(str, failures))) from failures[0]


def _ways(problem: Problem, targets: Array) -> Iterator[Callable[[], MinimumRate]]:
    """Ways to the least total rate, in the order in which they are asked."""
    share = float((targets / problem.source.variance).min())
    if share < _SMALL:
        yield lambda: _least_as_framewise(problem, targets)
    if share >= UNSEEN:
        yield lambda: _least_total(problem, targets, by_program(problem, targets))
    if covers_rates(problem):
        yield lambda: _least_total(problem, targets, by_decimals(problem, targets))
    if share >= _SMALL:
        yield lambda: _least_as_framewise(problem, targets)


def _least_total(problem: Problem, targets: Array, found: FreeRates) -> MinimumRate:
    """The answer of a method, checked."""
    scheme, fixed = found.scheme, problem.with_(rates=found.rates)
    moments, losses = measured(fixed, scheme, "minimum_rate")
    reached = precise_distortion(fixed, scheme.distortion, moments)
    kept = precise_perception(fixed, scheme.perception, losses)
    check_reached("minimum_rate", reached, targets)
    check_scheme("minimum_rate", fixed, scheme, reached, kept)
    total = float(found.rates.sum())
    check_bits("minimum_rate", total, found.lower_bound)
    return MinimumRate(
        rates=found.rates,
        total=total,
        # a scheme that misses a distortion by rounding needs as many bits fewer
        lower_bound=min(total, max(float(found.lower_bound), 0.0)),
        distortion=reached,
        perception=kept,
        source=problem.source,
        allowed=targets,
        loss=problem.perception,
    )


def _least_alone(
    source: GaussMarkov, targets: Array, loss: Perception | None, alone: FMD
) -> MinimumRate:
    """Least rates where each frame is bound alone, in closed form.

    D_t increases with m_t, and each term of the total rate falls with it. So every m_t is as large
    as D_t and the prediction error allow.
    """
    rates = _rates_alone(source, targets, alone)
    return _at_rates(Problem(source, rates, loss), targets, _rounded_down(float(rates.sum())))


def _rates_alone(source: GaussMarkov, targets: Array, alone: FMD) -> Array:
    """Least rates where each frame is bound alone."""
    levels = alone.thresholds(source.frames)
    bits = scalar_rate(targets, levels, source.sigma, alone.metric)
    return rate_for_distortion(source, source.variance * np.exp2(-2 * bits))


def _rounded_down(bits: float) -> float:
    """A sum of rates as a bound."""
    return max(bits - ROUNDING * (1 + bits), 0.0)


def _least_as_framewise(problem: Problem, targets: Array) -> MinimumRate:
    """Least rates under PLF-FMD, which asks for less, and a little more for the loss itself.

    Where distortions are next to nothing all losses agree, so that the two are near.
    """
    source, asked = problem.source, targets
    free = FMD(problem.thresholds)
    bound = _rounded_down(float(_rates_alone(source, targets, free).sum()))
    for _ in range(_CORRECTIONS):
        rates = without_ties(source, _rates_alone(source, asked, free))
        found = _at_rates(Problem(source, rates, problem.perception), targets, bound, checked=False)
        missed = found.distortion / targets
        if (missed <= 1).all():
            break
        asked = asked / np.maximum(missed, 1.0)
    check_reached("minimum_rate", found.distortion, targets)
    check_bits("minimum_rate", found.total, bound)
    return found


def _at_rates(
    problem: Problem, targets: Array, bound: float, method: str = "auto", checked: bool = True
) -> MinimumRate:
    """The answer of known rates."""
    solution = solve(problem, method)
    if checked:
        check_reached("minimum_rate", solution.distortion, targets)
    return MinimumRate(
        rates=problem.rates,
        total=float(problem.rates.sum()),
        lower_bound=bound,
        distortion=solution.distortion,
        perception=solution.perception,
        source=problem.source,
        allowed=targets,
        loss=problem.perception,
    )


def _frame_by_frame(
    source: GaussMarkov, targets: Array, loss: Perception | None, method: str
) -> MinimumRate:
    """Least R_t given the frames before, by a root search on the sequential distortion."""
    rates = np.zeros(source.frames)
    for t in range(source.frames):
        first = slice(0, t + 1)
        short = Problem(
            GaussMarkov(source.sigma[first], source.rho[:t]),
            rates[first],
            first_frames(loss, source.frames, t + 1),
        )
        least = least_rate(_Excess(short, targets[t], method))
        if least is None:
            raise SolverError(
                Status.INFEASIBLE,
                f"minimum_rate: no rate of frame {t + 1} reaches its distortion after the frames "
                "before",
            )
        rates[t] = least
    return _at_rates(Problem(source, rates, loss), targets, float(rates.sum()), method)


@dataclass(frozen=True)
class _Excess:
    """Distortion of the last frame beyond its target, as a function of its rate."""

    problem: Problem
    target: float
    method: str

    def __call__(self, rate: float) -> float:
        rates = np.append(self.problem.rates[:-1], rate)
        solution = solve(self.problem.with_(rates=rates), self.method)
        return float(solution.distortion[-1]) - self.target


def allocate(
    source: GaussMarkov,
    total_rate: float,
    perception: Perception | str | None = None,
    weights: object = None,
) -> RateAllocation:
    r"""Best split of a bit budget over frames.

    Minimise :math:`\sum_t w_t D_t` over the rates with :math:`\sum_t R_t \le R`, and over all
    schemes of these rates whose perception loss is at most :math:`P_t`.

    Parameters
    ----------
    source : GaussMarkov
        T scalar frames.
    total_rate : float, > 0
        Bits for all frames together.
    perception : FMD, JD, SA, str or None
        Perception loss with its thresholds; a name such as "JD" is the loss at threshold 0.
    weights : (T,) array, >= 0, optional
        Weights of the distortions; equal if not given.

    Returns
    -------
    RateAllocation

    Raises
    ------
    ValueError
        Bad total rate or weights.
    SolverError
        Vector frames, or not solved to tolerance.

    Notes
    -----
    In the errors :math:`m_t` of the representation both the least weighted distortion and the
    total rate are convex, whatever the loss function, so that the split is a global optimum and
    its bound certified. It need not be convex in the rates themselves. The decoder looks ahead:
    it serves all weights at once. Derived in this project.

    Examples
    --------
    Without perception loss the first frame, which all others build on, gets most of the bits; with
    perfect joint realism its errors are permanent, yet the later frames get more:

    >>> from rdp import JD
    >>> source = GaussMarkov.stationary(rho=0.9, frames=3)
    >>> allocate(source, 2.1).rates.round(3)
    array([1.381, 0.535, 0.183])
    >>> allocate(source, 2.1, JD(0.0)).rates.round(3)
    array([1.329, 0.466, 0.305])
    """
    need_first_order("allocate", source)
    _check.instance("source", source, GaussMarkov)
    if source.modes is not None:
        raise SolverError(Status.UNSUPPORTED, "allocate: vector frames")
    if loss_name(perception, "perception", windows=True, conditional=True) == "CP":
        raise SolverError(Status.UNSUPPORTED, "allocate: CP")
    total = float(_check.positive("total_rate", total_rate, ndim=0))
    shares = 1.0 if weights is None else _check.array("weights", weights)
    problem = Problem(source, total / source.frames, perception, shares)
    found = best_split(problem, total)
    solution = found.solution
    return RateAllocation(solution.rates, solution.objective, found.lower_bound, solution)
