"""Points of a sweep: each goes to the method that `solve` would take."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rdp.problem import Problem
from rdp.solution import Status
from solvers.acceptance import certified, outward, sharp, sharply_within, status_of
from solvers.errors import SolverError
from solvers.methods.closed_form import closed_form_points
from solvers.methods.registry import methods_at, quick_in_decimals
from solvers.methods.waiting import FEW_POINTS, is_waiting
from solvers.solve import solve_by_cheapest

Array = np.ndarray

# What is no error of a method: these end a sweep.
_PASS = (ImportError, OSError, MemoryError, Warning)


class Chunk(NamedTuple):
    """Values of n points, (n, 2T + 3), and what exceptions ended points, by index.

    The columns are distortion, perception, objective, lower bound, status.
    """

    values: Array
    errors: dict[int, str]


def solve_chunk(problem: Problem, rates: Array, levels: Array, parallel: bool) -> Chunk:
    """Solve n points.

    A point that an exception ends has the status "failed", and the other points are solved. An
    exception in a method that takes many points together leaves them to be solved one by one.

    Parameters
    ----------
    problem : Problem
        The template.
    rates, levels : (n, T) arrays
        The points.
    parallel : bool
        Use all cores.

    Raises
    ------
    ImportError, OSError, MemoryError, Warning
        No method is to blame for these. Warnings are exceptions where the user asks for that.
    """
    problem = problem.simplest()
    out = np.full((len(rates), 2 * rates.shape[1] + 3), np.nan)
    out[:, -1] = Status.UNSUPPORTED.code
    errors: dict[int, str] = {}

    def alone(index: int) -> Array:
        try:
            return _alone(problem, rates[index], levels[index])
        except _PASS:
            raise
        except Exception as error:
            errors[index] = f"{type(error).__name__}: {error}"
            return _failed(out.shape[1], Status.FAILED)

    names = methods_at(problem, rates, levels)
    for name in np.unique(names[names != ""]):
        chosen = np.flatnonzero(names == name)
        at = rates[chosen], levels[chosen]
        try:
            left = chosen
            if name == "closed-form":
                out[chosen], left = _closed_form(problem, *at), chosen[:0]
            elif name == "shared-bits":
                out[chosen], left = _shared_bits(problem, at[0]), chosen[:0]
            elif name == "lookahead":
                out[chosen], left = _lookahead(problem, at[0]), chosen[:0]
            elif name == "barrier":
                out[chosen], failed = _barrier(problem, *at, parallel)
                left = chosen[failed]
        except _PASS:
            raise
        except Exception as error:
            errors[int(chosen[0])] = f"{type(error).__name__}: {error}, in {name} for many points"
        for index in left:
            out[index] = alone(int(index))
    return Chunk(out, errors)


def _closed_form(problem: Problem, rates: Array, levels: Array) -> Array:
    distortion, perception = closed_form_points(problem, rates, levels)
    objective = distortion @ problem.frame_weights
    status = np.full(len(rates), Status.SOLVED.code)
    return np.column_stack([distortion, perception, objective, objective, status])


def _shared_bits(problem: Problem, rates: Array) -> Array:
    from solvers.methods.shared_bits import shared_bits_points

    distortion, bound = shared_bits_points(problem, rates)
    objective = distortion @ problem.frame_weights
    pairs = zip(objective.tolist(), bound.tolist(), strict=True)
    status = [status_of(problem, *pair).code for pair in pairs]
    return np.column_stack([distortion, np.zeros(rates.shape), objective, bound, status])


def _lookahead(problem: Problem, rates: Array) -> Array:
    from solvers.methods.lookahead import lookahead_points

    distortion, bound = lookahead_points(problem, rates)
    objective = distortion @ problem.frame_weights
    bound = outward(objective, bound)
    failed = ~certified(problem, objective, bound)
    status = np.where(failed, Status.INACCURATE.code, Status.SOLVED.code)
    perception = np.zeros(rates.shape)
    out = np.column_stack([distortion, perception, objective, bound, status])
    out[failed, :-1] = np.nan
    return out


def _barrier(problem: Problem, rates: Array, levels: Array, parallel: bool) -> tuple[Array, Array]:
    """Rows, and whether a point is to be solved alone."""
    from solvers.methods.barrier import barrier_batch

    if len(rates) <= FEW_POINTS and is_waiting(_point(problem, rates[-1], levels[-1])):
        return np.full((len(rates), 2 * rates.shape[1] + 3), np.nan), np.full(len(rates), True)
    *values, stopped = barrier_batch(
        problem.source, rates, levels, problem.plf, problem.weights, parallel=parallel
    )
    values[3] = outward(values[2], values[3])
    right = sharp(problem, values[2], values[3], quick_in_decimals(problem))
    right &= sharply_within(problem, values[0], values[1], levels)
    status = np.full(len(rates), Status.SOLVED.code)
    return np.column_stack([*values, status]), (stopped != 0) | ~right


def _point(problem: Problem, rates: Array, levels: Array) -> Problem:
    """The problem at one point of a sweep."""
    loss = None if problem.perception is None else problem.perception.at(levels)
    return problem.with_(rates=rates, perception=loss)


def _alone(problem: Problem, rates: Array, levels: Array) -> Array:
    """One point, where the method takes them one by one."""
    try:
        found = solve_by_cheapest(_point(problem, rates, levels))
    except SolverError as error:
        return _failed(2 * len(rates) + 3, error.status)
    numbers = [found.objective, found.lower_bound, found.status.code]
    return np.concatenate([found.distortion, found.perception, numbers])


def _failed(columns: int, status: Status) -> Array:
    """The row of a point without values."""
    return np.append(np.full(columns - 1, np.nan), status.code)
