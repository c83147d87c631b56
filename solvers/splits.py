"""Best split of a bit budget over scalar frames: the methods, and which of them answers.

Two arguments are exact and need no program. Where each frame is bound alone, or where all frames
repeat the first, the split is explicit. And every loss asks for as much as PLF-FMD at the same
thresholds: the explicit split of that is a bound, and under many bits its rates reach it, as all
losses agree there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from rdp.perception import FMD
from rdp.problem import Problem
from rdp.solution import Solution
from rdp.source import GaussMarkov
from solvers.acceptance import ROUNDING, SHARP, SPENT, check_block, within_budget
from solvers.errors import SolverError
from solvers.methods.explicit_split import frames_alone, split_alone, with_more_bits
from solvers.methods.precise import covers_rates
from solvers.methods.registry import quick_in_decimals
from solvers.scheme import Scheme
from solvers.solve import finish, solve

Array = np.ndarray

UNSEEN = 1e-10  # of the variance: distortions of which a program has too few digits
_MANY_BITS = 12.0  # per frame, from which the explicit split of PLF-FMD is asked first
_MOST_BITS = 32.0  # per frame of a program; beyond it all frames that receive get as many more


class FreeRates(NamedTuple):
    """A scheme, its rates, and a bound: on the total rate (bits), or on the weighted distortion."""

    scheme: Scheme
    rates: Array
    lower_bound: float


class Split(NamedTuple):
    """The scheme at the rates of a split, and what no split is below."""

    solution: Solution
    lower_bound: float

    @property
    def gap(self) -> float:
        """Weighted distortion that another split could at most save."""
        return self.solution.objective - self.lower_bound

    @property
    def sharp(self) -> bool:
        """Whether no other method need be asked."""
        return 0 <= self.gap <= SHARP * self.solution.objective


def by_program(problem: Problem, targets: Array | None) -> FreeRates:
    """Return what the semidefinite program finds.

    Parameters
    ----------
    problem : Problem
        Its rates are the budget where there are no targets.
    targets : (T,) array or None
        Distortions that are allowed, inf included.
    """
    from solvers._sdp.free_rates import best_split, least_total_rate

    found = best_split(problem) if targets is None else least_total_rate(problem, targets)
    return FreeRates(*found)


def by_decimals(problem: Problem, targets: Array | None) -> FreeRates:
    """Return what the barrier method in decimal arithmetic finds, for few frames."""
    from solvers.methods.precise import solve_rates

    return FreeRates(*solve_rates(problem, targets))


def best_split(problem: Problem, total: float) -> Split:
    """Return the best split of a budget.

    Parameters
    ----------
    problem : Problem
        Scalar frames and their weights; its rates are the budget in equal shares.
    total : float, > 0
        Bits of all frames.

    Raises
    ------
    SolverError
        No method certifies a split.
    """
    alone = frames_alone(problem)
    if alone is not None:
        return _alone(problem, total, alone)
    if (problem.source.innovation[1:] == 0).all():
        return _all_in_the_first(problem, total)
    return _spent(problem, total, _by_cheapest(problem, total))


def _by_cheapest(problem: Problem, total: float) -> Split:
    """The first split that is sharp, or the one of the least gap."""
    best: Split | None = None
    failures: list[SolverError] = []
    quick = quick_in_decimals(problem)
    for method in _methods(problem, total):
        if best is not None and (best.sharp or (method is _by_decimals and not quick)):
            break
        try:
            found = method(problem, total)
        except SolverError as error:
            failures.append(error)
            continue
        if best is None or best.gap < 0 or 0 <= found.gap < best.gap:
            best = found
    if best is None:
        tried = "; ".join(map(str, failures))
        reason = f"allocate: {total:g} bits over {problem.source.frames} frames: {tried}"
        raise SolverError(failures[0].status, reason) from failures[0]
    return best


def _methods(problem: Problem, total: float) -> Iterator[Callable[[Problem, float], Split]]:
    """Methods in the order in which they are asked."""
    mean = total / problem.source.frames
    if mean > _MANY_BITS:
        yield _by_framewise_bound
    if mean > _MOST_BITS:
        yield _with_more_bits
        return
    yield _by_program
    if mean <= _MANY_BITS:
        yield _by_framewise_bound
    if covers_rates(problem):
        yield _by_decimals


def _by_program(problem: Problem, total: float) -> Split:
    return _checked(problem, total, by_program(problem, None))


def _by_decimals(problem: Problem, total: float) -> Split:
    return _checked(problem, total, by_decimals(problem, None))


def _all_in_the_first(problem: Problem, total: float) -> Split:
    """The split of frames that all repeat the first: what a later frame sends can be sent there."""
    rates = np.append(total, np.zeros(problem.source.frames - 1))
    solution = solve(problem.with_(rates=rates))
    return Split(solution, max(solution.lower_bound, 0.0))


def without_ties(source: GaussMarkov, rates: Array) -> Array:
    """Return the same bits, none for a frame that repeats the one before: this is never worse.

    Parameters
    ----------
    source : GaussMarkov
    rates : (T,) array
        Bits of each frame.
    """
    out = rates.copy()
    for t in range(len(out) - 1, 0, -1):
        if source.innovation[t] == 0:
            out[t - 1 : t + 1] = out[t - 1] + out[t], 0.0
    return out


def _spent(problem: Problem, total: float, found: Split) -> Split:
    """The whole budget, and no bit for a frame that repeats another: both are never worse.

    A distortion next to 0 says little about where bits go, so that a method may leave some over.
    """
    before = found.solution.rates
    rates = without_ties(problem.source, before)
    used = float(rates.sum())
    if used >= total * (1 - SPENT) and np.array_equal(rates, before):
        return found
    try:
        whole = within_budget("allocate", rates * (total / used), total)
        solution = solve(problem.with_(rates=whole))
    except SolverError:
        return found  # the answer that was found stays
    if solution.objective > found.solution.objective:
        return found
    return Split(solution, min(max(found.lower_bound, 0.0), solution.objective))


def _alone(problem: Problem, total: float, alone: FMD) -> Split:
    """The split where each frame is bound alone, explicit but for the price of a bit."""
    return _certified(problem, *_framewise(problem, total, alone))


def _framewise(problem: Problem, total: float, alone: FMD) -> tuple[Array, float]:
    """Rates of the best split under PLF-FMD, and the bound, rounded down."""
    found = split_alone(problem.source, total, problem.frame_weights, alone)
    return within_budget("allocate", found.rates, total), found.lower_bound * (1 - ROUNDING)


def _by_framewise_bound(problem: Problem, total: float) -> Split:
    """The scheme at the best rates of PLF-FMD: its bound is one for every loss."""
    rates, bound = _framewise(problem, total, FMD(problem.thresholds))
    return _certified(problem, without_ties(problem.source, rates), bound)


def _with_more_bits(problem: Problem, total: float) -> Split:
    """The split of fewer bits, and as many more for each frame that receives.

    There each bit for all of them divides all distortions by four. Those that are left are below
    what double precision resolves beside the variance, and 0 is the bound.
    """
    frames = problem.source.frames
    fewer = _MOST_BITS * frames
    rates = best_split(problem.with_(rates=_MOST_BITS), fewer).solution.rates
    more = with_more_bits(rates, total)
    return _certified(problem, within_budget("allocate", more, total), 0.0)


def _certified(problem: Problem, rates: Array, bound: float) -> Split:
    """The scheme at some rates; SolverError unless it is near a bound on all splits."""
    solution = solve(problem.with_(rates=rates))
    variance = float(problem.frame_weights @ problem.source.variance)
    return Split(solution, check_block("allocate", {}, solution.objective, bound, variance))


def _checked(problem: Problem, total: float, found: FreeRates) -> Split:
    """The answer of a method, checked."""
    rates = within_budget("allocate", found.rates, total)
    fixed = problem.with_(rates=rates)
    solution = finish(fixed, found.scheme, "sdp")
    unseen = solution.objective < UNSEEN * float(problem.frame_weights @ problem.source.variance)
    by_moments = found.scheme.distortion is None
    if (unseen and by_moments) or (solution.gap < 0 and not quick_in_decimals(problem)):
        # the program keeps thresholds to some digits only
        return _certified(problem, rates, found.lower_bound)
    return Split(solution, max(solution.lower_bound, 0.0))
