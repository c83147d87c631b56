"""Time of each part of a step of the compiled solver, and its share of the machine's peak.

    python -m benchmarks.bench_newton_parts

One point, weighted JD, at an iterate half way down the path. Every part is repeated by itself. The
operations are counted by formula: four Jacobi sweeps in the scaling, two in the threshold, which
starts from the singular vectors of the last evaluation. The peak is that of independent
multiply-adds of single numbers on the same core; vector arithmetic is several times faster.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from numba import njit

from benchmarks.bench_newton import RHO, points
from benchmarks.report import report
from rdp import GaussMarkov
from solvers._barrier import central_path, line_search, newton_matrix, newton_step, weighted
from solvers._barrier.constants import JD, SHRINK, START
from solvers._barrier.reduction import reduce_frames
from solvers._barrier.source import set_backbone
from solvers._barrier.workspace import Dim, Index, Matrix, Vector, new_work
from solvers.methods.barrier import _kernel_source

Array = np.ndarray
REPEATS = 20_000


def work(frames: int) -> tuple[Array, Array, Array, Array]:
    """Workspace of one point, after some steps down the path."""
    source = GaussMarkov.stationary(rho=RHO, frames=frames)
    rates, levels = points(frames, 1)
    weights = np.ones(frames)
    ints, mats, vecs, big = new_work(frames)
    kernel = _kernel_source(source, "JD")
    set_backbone(kernel, rates[0], mats, vecs)
    left, exact = reduce_frames(kernel, levels[0], weights, ints, mats, vecs)
    weighted.set_program(JD, left, exact, ints, mats, vecs)
    weighted.set_start(JD, left, exact, SHRINK, ints, mats, vecs)
    central_path.start_dual(ints, mats, vecs, START)
    inside = float(vecs[Vector.MMSE, :frames].sum())
    central_path.minimise(ints, mats, vecs, big, START, inside, 1e-3, 1e-14, 60)
    central_path.nesterov_todd(mats, vecs, frames)
    newton_step.newton_direction(ints, mats, vecs, big, 1e-4)
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
    return 1.0 if central_path.nesterov_todd(mats, vecs, ints[Index.DIMS, Dim.ROWS]) else 0.0


@njit
def assemble(ints, mats, vecs, big):
    return 1.0 * newton_matrix.assemble(ints, mats, vecs, big, 1e-4)


@njit
def direction(ints, mats, vecs, big):
    return newton_step.newton_direction(ints, mats, vecs, big, 1e-4)


@njit
def lengths(ints, mats, vecs, big):
    return line_search.primal_length(ints, mats) + line_search.dual_length(ints, mats, vecs)


@njit
def trial(ints, mats, vecs, big):
    return 1.0 if line_search.try_step(ints, mats, vecs, 0.0) else 0.0


@njit
def merit(ints, mats, vecs, big):
    return 2.0 * line_search.log_barrier(ints, mats, vecs, Matrix.NOISE)


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
    reconstruction = 4 * k * k + 3 * k * (k + 1)
    threshold = features * (4 * k + k * (k + 1))
    products = 4 * n**3 / 3
    return {
        "scaling": 4 * pairs * (18 * n + 12) + 3 * products,
        "assemble": gains + reconstruction + threshold + products,
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
    counted = operations(frames, int(arrays[0][Index.RANK, 0]))
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
