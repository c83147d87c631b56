"""Newton's method along the path of a barrier problem, in decimal arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

import numpy as np

from rdp.solution import Status
from solvers._precise.arithmetic import solve_positive
from solvers.errors import SolverError

Array = np.ndarray

GROWTH = Decimal(100)  # of the weight of the objective, from one centre to the next
CENTRED = Decimal("0.1")  # squared Newton decrement at which a point is near its centre
AT_CENTRE = Decimal("1e-40")  # of the last point: its multipliers are that near to the best
_SLOPE = Decimal("0.1")  # of the decrease that a step must reach
STEPS = 400  # in all
HALVINGS = 60


class Derivatives(NamedTuple):
    """Gradient (n,) and matrix of second derivatives (n, n)."""

    gradient: Array
    hessian: Array


class Barrier(Protocol):
    """A convex function with a barrier on the boundary of its domain."""

    def state(self, point: Array) -> Any:
        """What is computed at a point; None outside the domain."""

    def value(self, point: Array, state: Any, s: Decimal) -> Decimal:
        """S times the objective, plus the barrier."""

    def derivatives(self, point: Array, state: Any, s: Decimal) -> Derivatives:
        """Derivatives of `value`."""


def follow(
    barrier: Barrier, start: Array, first: Decimal, enough: Callable[[Array, Decimal], bool]
) -> tuple[Array, Decimal]:
    """Return the centre at the first s at which it is enough, and that s.

    Raises
    ------
    SolverError
        More than `STEPS` steps, or the start is not in the interior.
    """
    point, s = start, first
    state = barrier.state(point)
    if state is None:
        raise SolverError(Status.FAILED, "precise: the start is not in the interior")
    last = False
    for _ in range(STEPS):
        found = barrier.derivatives(point, state, s)
        step = solve_positive(found.hessian, -found.gradient)
        if step is None:
            raise SolverError(Status.FAILED, "precise: a Newton matrix is not positive definite")
        decrement = -(found.gradient @ step)
        if decrement <= (AT_CENTRE if last else CENTRED):
            if last:
                return point, s
            last = enough(point, s)
            if not last:
                s *= GROWTH
            continue
        point, state = _searched(barrier, point, state, step, decrement, s)
    raise SolverError(Status.FAILED, f"precise: not solved in {STEPS} steps")


def _searched(
    barrier: Barrier, point: Array, state: Any, step: Array, decrement: Decimal, s: Decimal
) -> tuple[Array, Any]:
    """A point along the step that lowers the function."""
    here, share = barrier.value(point, state, s), Decimal(1)
    for _ in range(HALVINGS):
        other = point + share * step
        found = barrier.state(other)
        if found is not None:
            if barrier.value(other, found, s) <= here - _SLOPE * share * decrement:
                return other, found
        share /= 2
    raise SolverError(Status.FAILED, "precise: no step lowers the function")
