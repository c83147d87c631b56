"""Time of the compiled solver, of cvxpy + Clarabel and of Clarabel alone, for a point of a sweep.

    python -m benchmarks.bench_newton

Joint realism with a threshold on all frames, weights 1, at random rates and thresholds that bind.
cvxpy builds the problem of each point, or gets new parameters of a problem that it compiled once.
Clarabel alone gets the matrices of one prebuilt problem. All are timed in turns, within one run;
the table gives times and their ratios. The compiled solver gets all points at once, as in a sweep,
and uses all cores. The others solve one point after the other on one core.
"Largest difference" is from Clarabel alone, at its own tolerance.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.report import report
from rdp import JD, GaussMarkov, Problem
from rdp.mmse import estimate_factor
from solvers import solve
from solvers.methods.barrier import barrier_batch

RHO = 0.9
MOST_FRAMES = 8  # of the semidefinite program


def points(frames: int, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rates (N, T) and thresholds (N, T) on the last frame, below the loss of the estimate."""
    rng = np.random.default_rng(seed)
    source = GaussMarkov.stationary(rho=RHO, frames=frames)
    rates = rng.uniform(0.1, 2.0, (count, 1)) * np.ones(frames)
    free = barrier_batch(source, rates, np.full(rates.shape, np.inf), "JD", np.ones(frames))[1]
    levels = np.full(rates.shape, np.inf)
    levels[:, -1] = free[:, -1] * rng.uniform(0.05, 0.95, count)
    return rates, levels


class Model:
    """The semidefinite program of one source with rates and threshold as parameters."""

    def __init__(self, frames: int) -> None:
        import cvxpy as cp

        self.source = GaussMarkov.stationary(rho=RHO, frames=frames)
        covariance, phi = self.source.covariance(), self.source.transition()
        self.estimate = cp.Parameter((frames, frames), PSD=True)
        self.level = cp.Parameter(nonneg=True)
        cov_xhat = cp.Variable((frames, frames), symmetric=True)
        cross = cp.Variable((frames, frames))
        couple = cp.Variable((frames, frames))
        future = [
            cross[t, s] == cross[t, t] * phi[s, t]
            for t in range(frames)
            for s in range(t + 1, frames)
        ]
        constraints = [
            cp.bmat([[self.estimate, cross.T], [cross, cov_xhat]]) >> 0,
            cp.bmat([[covariance, couple], [couple.T, cov_xhat]]) >> 0,
            np.trace(covariance) + cp.trace(cov_xhat) - 2 * cp.trace(couple) <= self.level,
            *future,
        ]
        cost = cp.trace(cov_xhat) - 2 * cp.trace(cross) + np.trace(covariance)
        self.problem = cp.Problem(cp.Minimize(cost), constraints)

    def set(self, rates: np.ndarray, level: float) -> None:
        """Set the parameters to those of one point."""
        factor = estimate_factor(self.source, rates)
        self.estimate.value = factor @ factor.T
        self.level.value = level

    def solve(self) -> float:
        """Least sum of distortions at the present parameters."""
        return float(self.problem.solve(solver="CLARABEL"))

    def prebuilt(self) -> Callable[[], float]:
        """Solve the matrices of the present parameters by Clarabel alone."""
        import clarabel
        import scipy.sparse as sp

        data, _, _ = self.problem.get_problem_data("CLARABEL")
        dims = data["dims"]
        cones = [clarabel.ZeroConeT(dims.zero), clarabel.NonnegativeConeT(dims.nonneg)]
        cones += [clarabel.PSDTriangleConeT(size) for size in dims.psd]
        settings = clarabel.DefaultSettings()
        settings.verbose = False
        zero = sp.csc_matrix((data["c"].size, data["c"].size))
        offset = float(np.trace(self.source.covariance()))

        def run() -> float:
            args = (zero, data["c"], data["A"], data["b"], cones, settings)
            return float(clarabel.DefaultSolver(*args).solve().obj_val) + offset

        return run


def built(frames: int, rates: np.ndarray, level: float) -> float:
    """Build the problem of one point in cvxpy and solve it."""
    model = Model(frames)
    model.set(rates, level)
    return model.solve()


def seconds(run: Callable[[], object], repeats: int) -> float:
    """Best of several runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def compare(frames: int, count: int, repeats: int) -> dict[str, object]:
    """Time per point of the three, in turns."""
    model = Model(frames)
    rates, levels = points(frames, count)
    weights = np.ones(frames)
    compiled = barrier_batch(model.source, rates, levels, "JD", weights)
    few = range(min(10, count))
    fresh, outer, inner, ours = [], [], [], []
    error = 0.0
    for turn in range(repeats):
        index = turn % len(few)
        model.set(rates[index], levels[index, -1])
        model.solve()
        fresh.append(seconds(partial(built, frames, rates[index], levels[index, -1]), 1))
        outer.append(seconds(model.solve, 2))
        direct = model.prebuilt()
        inner.append(seconds(direct, 3))
        start = time.perf_counter()
        barrier_batch(model.source, rates, levels, "JD", weights)
        ours.append((time.perf_counter() - start) / count)
        error = max(error, abs(compiled[2][index] / direct() - 1))
    newton = min(ours)
    return {
        "frames": frames,
        "barrier, µs a point": newton * 1e6,
        "cvxpy + Clarabel, ms": min(fresh) * 1e3,
        "with parameters, ms": min(outer) * 1e3,
        "Clarabel alone, ms": min(inner) * 1e3,
        "ratio to cvxpy": min(fresh) / newton,
        "ratio with parameters": min(outer) / newton,
        "ratio to Clarabel": min(inner) / newton,
        "largest difference": error,
        "largest certified gap": float(np.max((compiled[2] - compiled[3]) / compiled[2])),
    }


def growth(frames: int, count: int) -> dict[str, object]:
    """Time per point on one core and certified gap, of the compiled solver and of the program."""
    source = GaussMarkov.stationary(rho=RHO, frames=frames)
    rates, levels = points(frames, count)
    weights = np.ones(frames)
    args = (source, rates, levels, "JD", weights, False)
    found = barrier_batch(*args)
    row = {
        "frames": frames,
        "barrier, ms a point": seconds(lambda: barrier_batch(*args), 3) / count * 1e3,
        "barrier, certified gap": float(np.max((found[2] - found[3]) / found[2])),
        "barrier, solved": float(np.mean(found[4] == 0)),
        "sdp, ms a point": None,
        "sdp, certified gap": None,
        "largest difference": None,
    }
    if frames > MOST_FRAMES:
        return row
    few = range(min(4, count))
    problems = [Problem(source, rates[i], JD(levels[i]), weights) for i in few]
    answers = [solve(problem, "sdp") for problem in problems]
    return row | {
        "sdp, ms a point": min(seconds(partial(solve, p, "sdp"), 2) for p in problems) * 1e3,
        "sdp, certified gap": max(answer.gap / answer.objective for answer in answers),
        "largest difference": max(
            abs(answer.objective / found[2][i] - 1) for i, answer in zip(few, answers, strict=True)
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=10, help="turns; the best one counts")
    repeats = parser.parse_args().repeats
    libraries = ("numba", "cvxpy", "clarabel")
    sizes = ((2, 20_000), (3, 4_000), (8, 100))
    report("newton", [compare(frames, count, repeats) for frames, count in sizes], libraries)
    ladder = ((1, 500), (2, 500), (3, 200), (4, 100), (6, 50), (8, 20), (12, 6), (16, 3), (32, 1))
    report("newton_growth", [growth(*step) for step in ladder], libraries)


if __name__ == "__main__":
    main()
