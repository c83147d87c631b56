"""PLF-JD(w) above threshold 0, by programs, and PLF-JD by the compiled kernel.

Both are solved in the same run, source rho = 0.9; times are of the processor, the least of some
calls. `--long` adds 60 frames, which take minutes and more than 3 GB.
"""

import argparse
import resource
from dataclasses import replace

import numpy as np

from benchmarks.bench_lookahead import best_of
from benchmarks.report import report
from rdp import JD, GaussMarkov, Problem
from solvers import solve

LEVEL = 0.01


def problem(frames: int, weighted: bool) -> Problem:
    """Rates that change, so that no closed form holds, and one threshold."""
    source = GaussMarkov.stationary(rho=0.9, frames=frames)
    rates = np.random.default_rng(frames).uniform(0.1, 2.0, frames)
    return Problem(source, rates, JD(LEVEL), np.ones(frames) if weighted else None)


def row(frames: int, window: int, weighted: bool, repeats: int) -> dict[str, object]:
    """Time with and without the window."""
    joint = problem(frames, weighted)
    windowed = replace(joint, perception=JD(LEVEL, window=window))
    solve(joint, method="barrier")  # compiles
    found = solve(windowed, method="sdp")
    ms = 1e3 * best_of(lambda: solve(windowed, method="sdp"), repeats)
    kernel = 1e3 * best_of(lambda: solve(joint, method="barrier"), repeats)
    return {
        "frames": frames,
        "window": window,
        "objective": "weighted" if weighted else "sequential",
        "ms": ms,
        "relative gap": found.gap / found.objective,
        "JD, barrier, ms": kernel,
        "ratio": ms / kernel,
        "peak memory MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true", help="60 frames too")
    cases = [(3, 2, True, 20), (3, 2, False, 10), (12, 3, True, 3), (30, 3, True, 1)]
    if parser.parse_args().long:
        cases.append((60, 3, True, 1))
    report("window", [row(*case) for case in cases], ("scipy", "cvxpy", "clarabel", "numba"))


if __name__ == "__main__":
    main()
