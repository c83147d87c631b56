"""Where a step of the compiled solver spends its time, and how far that is from the machine's peak.

    python -m benchmarks.bench_newton_parts

One point, weighted JD, at an iterate half way down the path; every part is repeated by itself. The
operations are counted by formula (Jacobi sweeps as they occur there: four in the scaling, two in
the threshold, whose singular vectors are warm). Peak: independent multiply-adds of numbers, one at
a time, on the same core; arithmetic on vectors is several times that.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from numba import njit

from benchmarks.bench_newton import RHO, points
from benchmarks.report import report
from rdp import GaussMarkov
from solvers._barrier.dual_bound import JD
from solvers._barrier.path import newton_step as _direction
from solvers._barrier.path import path as _barrier
from solvers._barrier.path import weighted as _joint
from solvers._barrier.workspace import DIMS, MMSE, NOISE, RANK, new_work
from solvers.methods.barrier import _kernel_source

Array = np.ndarray
REPEATS = 20_000


def work(frames: int) -> tuple[Array, Array, Array, Array]:
    """Workspace of one point, some steps down the path."""
    source = GaussMarkov.stationary(rho=RHO, frames=frames)
    rates, levels = points(frames, 1)
    weights = np.ones(frames)
    ints, mats, vecs, big = new_work(frames)
    kernel = _kernel_source(source, "JD")
    _joint.set_backbone(kernel, rates[0], mats, vecs)
    left, exact = _joint.reduce(kernel, levels[0], weights, ints, mats, vecs)
    _joint.set_program(JD, left, exact, ints, mats, vecs)
    _joint.set_start(JD, left, exact, _joint.SHRINK, ints, mats, vecs)
    _barrier.start_dual(ints, mats, vecs, _joint.START)
    inside = float(vecs[MMSE, :frames].sum())
    _barrier.minimise(ints, mats, vecs, big, _joint.START, inside, 1e-3, 1e-14, 60)
    _barrier.scaling(mats, vecs, frames)
    _direction.newton_direction(ints, mats, vecs, big, 1e-4)
    return ints, mats, vecs, big


def nanoseconds(part: Callable[..., float], arrays: tuple[Array, ...]) -> float:
    """Time of one call, from a compiled loop."""

    @njit
    def loop(ints, mats, vecs, big):
        total = 0.0
        for _ in range(REPEATS):
            total += part(ints, mats, vecs, big)
        return total

    loop(*arrays)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        loop(*arrays)
        times.append(time.perf_counter() - start)
    return min(times) / REPEATS * 1e9


@njit
def scaling(ints, mats, vecs, big):
    return 1.0 if _barrier.scaling(mats, vecs, ints[DIMS, 0]) else 0.0


@njit
def assemble(ints, mats, vecs, big):
    return 1.0 * _direction.assemble(ints, mats, vecs, big, 1e-4)


@njit
def direction(ints, mats, vecs, big):
    return _direction.newton_direction(ints, mats, vecs, big, 1e-4)


@njit
def lengths(ints, mats, vecs, big):
    return _barrier.primal_length(ints, mats) + _barrier.dual_length(ints, mats, vecs)


@njit
def trial(ints, mats, vecs, big):
    return 1.0 if _barrier.try_step(ints, mats, vecs, 0.0) else 0.0


@njit
def merit(ints, mats, vecs, big):
    return 2.0 * _barrier.log_barrier(ints, mats, vecs, NOISE)


@njit
def chains(count):
    """Eight independent chains of multiply-adds: what one core does with single numbers."""
    a, b, c, d, e, f, g, h = 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7
    for _ in range(count):
        a, b, c, d = a * 0.5 + 1.0, b * 0.5 + 1.1, c * 0.5 + 1.2, d * 0.5 + 1.3
        e, f, g, h = e * 0.5 + 1.4, f * 0.5 + 1.5, g * 0.5 + 1.6, h * 0.5 + 1.7
    return a + b + c + d + e + f + g + h


def peak() -> float:
    """GFLOP/s of one core without vectors."""
    count = 20_000_000
    chains(count)
    start = time.perf_counter()
    chains(count)
    return 16 * count / (time.perf_counter() - start) / 1e9


def operations(frames: int, rank: int) -> dict[str, float]:
    """Floating-point operations of the parts of a step."""
    n, k = frames, frames * (frames + 1) // 2
    pairs = n * (n - 1) / 2
    features = 1 + rank * (rank + 1) / 2
    gains = 3 * k * (k + 1)
    shown = 4 * k * k + 3 * k * (k + 1)
    threshold = features * (4 * k + k * (k + 1))
    products = 4 * n**3 / 3
    return {
        "scaling": 4 * pairs * (18 * n + 12) + 3 * products,
        "assemble": gains + shown + threshold + products,
        "solve and spread": (2 * k) ** 3 / 3 + 2 * (2 * k) ** 2 + 3 * (2 * k) + 6 * products,
        "step lengths": 4 * (products + n**3 / 3),
        "trial point": 2 * pairs * (18 * n + 12) + 5 * products,
        "merit": 2 * n**3 / 3,
    }


def rows(frames: int) -> list[dict[str, object]]:
    """Parts of a step at one number of frames."""
    arrays = work(frames)
    found = {
        "scaling": nanoseconds(scaling, arrays),
        "assemble": nanoseconds(assemble, arrays),
        "solve and spread": nanoseconds(direction, arrays),
        "step lengths": nanoseconds(lengths, arrays),
        "trial point": nanoseconds(trial, arrays),
        "merit": nanoseconds(merit, arrays),
    }
    found["solve and spread"] -= found["assemble"]
    total, best = sum(found.values()), peak()
    counted = operations(frames, int(arrays[0][RANK, 0]))
    return [
        {
            "frames": frames,
            "part": part,
            "ns": spent,
            "share of the step": spent / total,
            "operations": counted[part],
            "GFLOP/s": counted[part] / spent,
            "share of peak": counted[part] / spent / best,
        }
        for part, spent in found.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, nargs="+", default=[3, 8])
    frames = parser.parse_args().frames
    report("newton_parts", [row for t in frames for row in rows(t)], ("numba",))


if __name__ == "__main__":
    main()
