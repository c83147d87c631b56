"""What answers while the compiled method is not ready, and compilation ahead.

Compiling the barrier method takes half a minute; one answer takes milliseconds by another route.
So "auto" asks the long-horizon method and then the semidefinite program until the compiled code is
in numba's cache. Their answers carry the same certificate. The two have `PATIENCE` seconds in each
process: whoever asks for more waits less with the compiled method.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

import numpy as np

from rdp.problem import Problem
from rdp.source import GaussMarkov
from solvers.methods.registry import METHODS, Array, Method, Refusals, covering
from solvers.scheme import Scheme

PATIENCE = 20.0  # seconds of a process that go to other methods before it compiles
FEW_POINTS = 256  # of a sweep: more are worth the compilation
FEW_FRAMES = 8  # up to here the semidefinite program takes at most a second

_spent = [0.0]


def methods_in_order(problem: Problem) -> Iterator[Method]:
    """Yield the methods that "auto" asks for a problem, one after the other.

    The cheapest first; before it, where it is not compiled yet, those that stand in for it.

    Parameters
    ----------
    problem : Problem
        What is to be solved.
    """
    ready: set[str] = set()
    for place, method in enumerate(covering(problem)):
        if place == 0 and method.name == "barrier" and is_waiting(problem):
            for other in STAND_INS:
                if other.covers(problem):
                    ready.add(other.name)
                    yield other
        if method.name not in ready:
            yield method


def is_waiting(problem: Problem) -> bool:
    """Whether the compiled method is not compiled yet for a problem of which it is the cheapest.

    Parameters
    ----------
    problem : Problem
        What is to be solved.

    Returns
    -------
    bool
        False too where the process has no patience left.
    """
    if _spent[0] >= PATIENCE:
        return False
    from solvers.methods.barrier import is_compiled

    return not is_compiled(problem.simplest())


def warm_up() -> Iterator[tuple[str, float]]:
    """Compile all kernels, or load them; yields what each solves and the seconds it took.

    Examples
    --------
    >>> {name: seconds for name, seconds in warm_up()}  # doctest: +SKIP
    {'the sequential objective': 12.1, 'the weighted objective': 6.0, ...}
    """
    from solvers.methods.barrier import KERNELS, barrier_batch
    from solvers.methods.waterfilling import waterfill

    sources = [GaussMarkov.stationary(rho=0.5, frames=frames) for frames in (2, 3)]
    modes = GaussMarkov([[2.0, 1.0]])
    one = np.ones((1, 3))

    def vector_frames() -> None:
        for loss, level in (("MMSE", None), ("FMD", 0.0), ("FMD", 0.01), ("JD", None)):
            waterfill(modes, 1.0, loss, level)

    tasks: list[tuple[str, Callable[[], object]]] = [
        (
            KERNELS["sequential_points"],
            lambda: barrier_batch(sources[1], one, 0.01 * one, "JD"),
        ),
        (
            KERNELS["weighted_points"],
            lambda: barrier_batch(sources[1], one, 0.01 * one, "JD", one[0]),
        ),
        (
            KERNELS["two_frame_points"],
            lambda: barrier_batch(sources[0], one[:, 1:], 0.01 * one[:, 1:], "JD", one[0, 1:]),
        ),
        ("vector frames", vector_frames),
    ]
    for name, run in tasks:
        start = perf_counter()
        run()
        yield name, perf_counter() - start


@contextmanager
def compiling_beside() -> Iterator[None]:
    """Compile in another process if something is not compiled; meanwhile this one never does.

    For programs that answer a user: others stand in until the compiled code is there.
    """
    global PATIENCE
    from solvers._barrier import batch
    from solvers._compiled import is_ready
    from solvers.methods.barrier import KERNELS

    if all(is_ready(getattr(batch, name)) for name in KERNELS):
        yield
        return
    patience, PATIENCE = PATIENCE, np.inf
    code = "from solvers.methods.waiting import warm_up; list(warm_up())"
    beside = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        PATIENCE = patience
        beside.terminate()
        beside.wait()


def long_horizon(problem: Problem) -> Scheme:
    """Solve by the long-horizon method, in place of the compiled one."""
    from solvers.methods.long_horizon import solve_long_horizon

    return _meanwhile(solve_long_horizon, problem)


def semidefinite(problem: Problem) -> Scheme:
    """Solve by the semidefinite program, in place of the compiled method."""
    from solvers.methods.sdp import solve_sdp

    return _meanwhile(solve_sdp, problem)


def _meanwhile(solve: Callable[[Problem], Scheme], problem: Problem) -> Scheme:
    start = perf_counter()
    try:
        found = solve(problem)
    finally:
        _spent[0] += perf_counter() - start
    return found._replace(message=f"{found.message}; the compiled method is not ready yet")


def _needs_few_frames(problem: Problem, rates: Array, levels: Array) -> Refusals:
    return {
        "many frames": problem.source.frames > FEW_FRAMES,
        **METHODS["sdp"].refusals(problem, rates, levels),
    }


def _stand_in(name: str, function: str, refusals: Callable[..., Refusals]) -> Method:
    method = METHODS[name]
    return Method(name, method.purpose, method.cost, __name__, function, refusals)


STAND_INS = (
    _stand_in("long-horizon", "long_horizon", METHODS["long-horizon"].refusals),
    _stand_in("sdp", "semidefinite", _needs_few_frames),
)
