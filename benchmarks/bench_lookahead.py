"""Lookahead at zero perception loss: time and certified gap against the number of frames.

The reference is the problem without its structure: maximise <K, M> over lower-triangular
contractions K by ADMM, two projections per step, until its feasible point is within 1e-6 of the
distortion that the O(T) method certifies. Rates fluctuate, rho = 0.9; "saved" is the share of the
weighted distortion that lookahead saves over the sequential decoder. Times are of the processor,
which other work disturbs less; run with one BLAS thread.
"""

import time
from collections.abc import Callable

import numpy as np

from benchmarks.report import report
from rdp import GaussMarkov
from rdp.mmse import estimate_factor
from solvers.methods.lookahead import lookahead

Array = np.ndarray
ACCURACY = 1e-6
FRAMES = (8, 32, 128, 512, 2048)
ADMM_FRAMES = (8, 32, 128)


def profile(frames: int) -> tuple[GaussMarkov, Array, Array]:
    """A stationary source with fluctuating rates and weights."""
    rng = np.random.default_rng(frames)
    source = GaussMarkov.stationary(rho=0.9, frames=frames)
    return source, rng.exponential(1.0, frames), rng.uniform(0.5, 1.5, frames)


def best_of(function: Callable[[], object], repeats: int) -> float:
    """Return the least processor time of several calls."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def admm(
    source: GaussMarkov, rates: Array, weights: Array, target: float
) -> tuple[float | None, int]:
    """Return the time and the steps that ADMM takes to come within the accuracy of `target`."""
    start = time.process_time()
    factor = source.transition() * np.sqrt(source.innovation)
    gains = np.tril(factor.T @ (weights[:, None] * estimate_factor(source, rates)))
    most = 2 * float(weights @ source.variance)
    step = 2.0 / np.linalg.norm(gains, 2)
    lower, dual = np.eye(len(gains)), np.zeros_like(gains)
    for steps in range(1, 5000):
        left, values, right = np.linalg.svd(lower - dual)
        ball = (left * np.minimum(values, 1.0)) @ right
        lower = np.tril(ball + dual + step * gains)
        dual += ball - lower
        if steps % 10 == 0:
            feasible = lower / max(1.0, np.linalg.norm(lower, 2))
            if most - 2 * float((feasible * gains).sum()) <= target * (1 + ACCURACY):
                return time.process_time() - start, steps
    return None, steps


def row(frames: int, plf: str) -> dict[str, object]:
    """Time, certificate and benefit at one length."""
    case = profile(frames)
    found = lookahead(*case, plf=plf)
    value = float(case[2] @ found.distortion)
    sequential = float(case[2] @ lookahead(*case[:2], plf=plf).distortion)
    ms = 1e3 * best_of(lambda: lookahead(*case, plf=plf), 5)
    compared = plf == "JD" and frames in ADMM_FRAMES
    seconds, steps = admm(*case, found.lower_bound) if compared else (None, None)
    return {
        "frames": frames,
        "loss": plf,
        "ms": ms,
        "us per frame": 1e3 * ms / frames,
        "relative gap": (value - found.lower_bound) / value,
        "saved": 1 - value / sequential,
        "ADMM ms": seconds and 1e3 * seconds,
        "ADMM steps": steps,
        "ADMM / ours": seconds and 1e3 * seconds / ms,
    }


def main() -> None:
    report("lookahead", [row(frames, plf) for plf in ("JD", "SA") for frames in FRAMES])


if __name__ == "__main__":
    main()
