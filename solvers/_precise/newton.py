"""Newton's method along the path of a barrier problem, in decimal arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any, NamedTuple, Protocol

import numpy as np

from rdp.solution import Status
from solvers._precise.arithmetic import factored, solve_factored
from solvers.errors import SolverError

Array = np.ndarray

GROWTH = Decimal(100)  # of the weight of the objective, from one centre to the next
CENTRED = Decimal(1)  # squared Newton decrement at which a point is near its centre
SURE = Decimal("0.01")  # squared Newton decrement from which a whole step lowers the function
AT_CENTRE = Decimal("1e-40")  # of the last point: its multipliers are that near to the best
_SLOPE = Decimal("0.1")  # of the decrease that a step must reach
_LOG_DIGITS = 60  # of logarithms of ratios: values are compared to a share of 1e-40
STEPS = 400  # in all
HALVINGS = 60
LONGER = 16  # times a step that was short


class Derivatives(NamedTuple):
    """Gradient (n,) and matrix of second derivatives (n, n), and the gradient of the objective."""

    gradient: Array
    hessian: Array
    objective: Array


class Value(NamedTuple):
    """The function is s times the objective, minus the logarithm of the room."""

    objective: Decimal
    room: Decimal


class Barrier(Protocol):
    """A convex function with a barrier on the boundary of its domain."""

    def state(self, point: Array) -> Any:
        """What is computed at a point; None outside the domain."""

    def value(self, point: Array, state: Any) -> Value:
        """The objective, and the product whose logarithm is the barrier."""

    def derivatives(self, point: Array, state: Any, s: Decimal) -> Derivatives:
        """Derivatives of `value`."""


def follow(
    barrier: Barrier,
    start: Array,
    first: Decimal,
    enough: Callable[[Array, Decimal], bool],
    at_centre: Decimal = AT_CENTRE,
) -> tuple[Array, Decimal]:
    """Return the centre at the first s at which it is enough, and that s.

    It is found to a squared Newton decrement of `at_centre`.

    Raises
    ------
    SolverError
        More than `STEPS` steps, no step that gets nearer to a centre, or a start that is not in the
        interior.
    """
    point, s = start, first
    state = barrier.state(point)
    if state is None:
        raise SolverError(Status.FAILED, "precise: the start is not in the interior")
    last, before = False, Decimal("Infinity")
    for _ in range(STEPS):
        found = barrier.derivatives(point, state, s)
        factor = factored(found.hessian)
        if factor is None:
            raise SolverError(Status.FAILED, "precise: a Newton matrix is not positive definite")
        step = -solve_factored(factor, found.gradient)
        decrement = -(found.gradient @ step)
        if decrement <= (at_centre if last else CENTRED):
            if last:
                return point, s
            before = Decimal("Infinity")
            last = enough(point, s)
            if not last:
                # along the tangent of the path in 1 / s
                ahead = (s - s / GROWTH) * -solve_factored(factor, found.objective)
                other = barrier.state(point + step + ahead)
                if other is not None:
                    point, state = point + step + ahead, other
                s *= GROWTH
            continue
        if decrement >= before:
            raise SolverError(Status.FAILED, "precise: the digits are lost")
        if decrement <= SURE:
            before = decrement
        sure = barrier.state(point + step) if decrement <= SURE else None
        if sure is not None:
            point, state = point + step, sure
        else:
            point, state = _searched(barrier, point, state, step, decrement, s)
    raise SolverError(Status.FAILED, f"precise: not solved in {STEPS} steps")


def _searched(
    barrier: Barrier, point: Array, state: Any, step: Array, decrement: Decimal, s: Decimal
) -> tuple[Array, Any]:
    """A point along the step that lowers the function; a longer step if that lowers it more."""
    here = barrier.value(point, state)
    # a step of one in the metric of the second derivatives is in the domain, and often twice that
    first = share = min(Decimal(1), 2 / (1 + decrement.sqrt()))

    def at(share: Decimal) -> tuple[Decimal, Array, Any]:
        other = point + share * step
        found = barrier.state(other)
        if found is None:
            return Decimal("Infinity"), other, None
        there = barrier.value(other, found)
        rise = s * (there.objective - here.objective) - _log(there.room / here.room)
        return rise, other, found

    for _ in range(HALVINGS):
        best = at(share)
        if best[0] <= -_SLOPE * share * decrement:
            break
        share /= 2
    else:
        raise SolverError(Status.FAILED, "precise: no step lowers the function")
    while share == first:
        first = share = share * (LONGER if share >= 1 else 2)
        other = at(share)
        if other[0] >= best[0]:
            break
        best = other
    return best[1], best[2]


def _log(ratio: Decimal) -> Decimal:
    """Logarithm, to as many digits as a comparison needs."""
    with localcontext() as context:
        context.prec = _LOG_DIGITS
        return ratio.ln()
