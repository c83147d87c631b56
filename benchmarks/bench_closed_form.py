"""Ten million evaluations of each closed form in one call, next to one exp and one sqrt of numpy.

A frame is one evaluation: two frames are evaluated at 5 million pairs of rates. The budget is five
times what numpy takes for `sqrt(exp(x))` on the same array. KL with a level for each evaluation
solves an equation ten million times and is above it, at about ten; `scalar_rate` is at about six.
"""

import time
from collections.abc import Callable

import numpy as np

from benchmarks.report import report
from rdp import GaussMarkov, scalar_distortion, scalar_rate
from rdp.closed_form import (
    framewise,
    joint_tradeoff,
    mmse,
    rate_for_distortion,
    zero_perception_framewise,
    zero_perception_joint,
    zero_perception_self_adaptive,
)

EVALUATIONS = 10_000_000
ROUNDS = 5
FRAMES = (1, 2, 4)


def best_of(*tasks: Callable[[], object]) -> list[float]:
    """Return the least seconds of each task; rounds visit all, so that a busy moment slows all."""
    best = [float("inf")] * len(tasks)
    for _ in range(ROUNDS):
        for i, task in enumerate(tasks):
            start = time.perf_counter()
            task()
            best[i] = min(best[i], time.perf_counter() - start)
    return best


def closed_forms(frames: int) -> dict[str, Callable[[], object]]:
    """Return each closed form on the same number of evaluations, numpy first."""
    rng = np.random.default_rng(0)
    source = GaussMarkov.stationary(rho=0.9, frames=frames)
    rates = rng.uniform(0, 4, (EVALUATIONS // frames, frames))
    shares = rng.uniform(0, 1, rates.shape)  # distortions, levels or shares of the first frame
    tasks: dict[str, Callable[[], object]] = {
        "numpy: sqrt(exp(x))": lambda: np.sqrt(np.exp(rates)),
        "mmse": lambda: mmse(source, rates),
        "rate_for_distortion": lambda: rate_for_distortion(source, shares),
        "zero_perception_framewise": lambda: zero_perception_framewise(source, rates),
        "zero_perception_joint": lambda: zero_perception_joint(source, rates),
        "zero_perception_self_adaptive": lambda: zero_perception_self_adaptive(source, rates),
        "framewise, W2, one level": lambda: framewise(source, rates, 0.1),
        "framewise, KL, one level": lambda: framewise(source, rates, 0.1, "kl"),
        "framewise, W2, a level each": lambda: framewise(source, rates, shares),
        "framewise, KL, a level each": lambda: framewise(source, rates, shares, "kl"),
    }
    if frames == 1:
        return tasks | {
            "scalar_distortion, W2": lambda: scalar_distortion(rates, 0.1),
            "scalar_rate, W2": lambda: scalar_rate(shares, 0.1),
            "scalar_rate, KL": lambda: scalar_rate(shares, 0.1, metric="kl"),
        }
    if frames == 2:
        tasks["joint_tradeoff"] = lambda: joint_tradeoff(source, [0.5, 0.5], shares[:, 0])
    return tasks


def main() -> None:
    rows = []
    for frames in FRAMES:
        tasks = closed_forms(frames)
        seconds = best_of(*tasks.values())
        rows += [
            {
                "closed form": name,
                "frames": frames,
                f"seconds (best of {ROUNDS})": took,
                "ratio to numpy": took / seconds[0],
            }
            for name, took in zip(tasks, seconds, strict=True)
        ]
    report("closed_form", rows)


if __name__ == "__main__":
    main()
