"""Long horizons: time, certified gap and growth against the number of frames.

Stationary source, rho = .9, rates uniform in .1 .. 2 bits, weights uniform in .5 .. 1.5, thresholds
JD(.05), JD growing to .05, SA(.01), and JD(.05) with the sequential objective. The barrier method,
which writes its equations down, is timed up to the lengths given by `BARRIER`. The exponent is the
slope of log time against log T over the lengths from `FITTED` frames on. Times are of the
processor, the first call of each method aside; run with one BLAS thread. `python -m
benchmarks.bench_long_horizon 32` stops at 32 frames.
"""

import sys
import time
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.report import report
from rdp import JD, SA, GaussMarkov, Problem
from solvers import SolverError
from solvers.methods.barrier import solve_barrier
from solvers.methods.long_horizon import solve_long_horizon
from solvers.scheme import Scheme
from solvers.solve import finish

Array = np.ndarray

FRAMES = (4, 8, 16, 32, 64, 128)
FITTED = 16
BARRIER = {"JD": 32, "JD growing": 16, "SA": 16, "JD sequential": 64}
LEVELS: dict[str, Callable[[int], object]] = {
    "JD": lambda frames: JD(0.05),
    "JD growing": lambda frames: JD(np.linspace(0.05 / frames, 0.05, frames)),
    "SA": lambda frames: SA(0.01),
    "JD sequential": lambda frames: JD(0.05),
}


def problem_of(name: str, frames: int) -> Problem:
    """One problem of the table."""
    rng = np.random.default_rng(frames)
    source = GaussMarkov.stationary(rho=0.9, frames=frames)
    rates, weights = rng.uniform(0.1, 2.0, frames), rng.uniform(0.5, 1.5, frames)
    perception = LEVELS[name](frames)
    return Problem(source, rates, perception, None if name == "JD sequential" else weights)


def timed(solver: Callable[[Problem], Scheme], problem: Problem) -> tuple[Scheme | None, float]:
    """Return the scheme, or None where the method fails, and the processor time."""
    start = time.process_time()
    try:
        scheme: Scheme | None = solver(problem)
    except SolverError:
        scheme = None
    return scheme, time.process_time() - start


def rows(longest: int) -> Iterator[dict[str, object]]:
    """Time, gap and growth of every family, shortest first."""
    for name in LEVELS:
        for solver in (solve_long_horizon, solve_barrier):  # import and compile
            timed(solver, problem_of(name, 3))
        measured: list[tuple[int, float]] = []
        for frames in FRAMES:
            if frames > longest:
                break
            problem = problem_of(name, frames)
            scheme, seconds = timed(solve_long_horizon, problem)
            gap = None
            if scheme is not None:
                found = finish(problem, scheme, "long-horizon")
                gap = found.gap / found.objective
            measured.append((frames, seconds))
            fitted = [pair for pair in measured if pair[0] >= FITTED]
            other, barrier = None, None
            if frames <= BARRIER[name]:
                other, barrier = timed(solve_barrier, problem)
            yield {
                "problem": name,
                "frames": frames,
                "seconds": seconds,
                "relative gap": gap,
                "exponent": np.polyfit(*np.log(fitted).T, 1)[0] if len(fitted) > 1 else None,
                "barrier seconds": barrier,
                "barrier solved": None if barrier is None else other is not None,
            }


def main() -> None:
    longest = int(sys.argv[1]) if len(sys.argv) > 1 else FRAMES[-1]
    report("long_horizon", list(rows(longest)), ["scipy"])


if __name__ == "__main__":
    main()
