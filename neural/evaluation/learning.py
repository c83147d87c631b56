"""Table of what training still gained when it ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from neural.evaluation.intervals import half_width
from neural.training.stage import Stage

Row = dict[str, Any]
Log = Sequence[Row]  # lines of a log, one for some of the steps
FEWEST = 4  # lines of a log that make an average


def learning_rows(
    experiment: str, seed: int, logs: Iterable[tuple[Sequence[float], Stage, Log]]
) -> Iterator[Row]:
    """Yield the distortion of training clips over time, by octaves of steps.

    For every trained frame and decoder there is the mean over the second half of the steps so far,
    over the second quarter, and so on. The earliest mean has `FEWEST` lines of the log or more. The
    clips are those of the steps themselves, new ones in each step, with the noise that replaces
    quantisation in training. W1 comes from the critic of the training. Clips are counted within
    the stage.

    Parameters
    ----------
    experiment : str
        Name of the experiment.
    seed : int
        Seed of the experiment.
    logs : iterable of (rates, stage, lines)
        What `Experiment.logs` yields.
    """
    for rates, stage, log in logs:
        steps = np.array([line["step"] for line in log])
        last = int(steps[-1])
        while (inside := (steps > last // 2) & (steps <= last)).sum() >= FEWEST:
            for plf in stage.plfs:
                seen = _distortions(log, plf, stage.name)[inside]
                for frame in stage.frames or range(1, len(rates) + 1):
                    yield {
                        "experiment": experiment,
                        "rates": "-".join(f"{rate:g}" for rate in rates),
                        "stage": stage.name,
                        "seed": seed,
                        "plf": plf,
                        "frame": frame,
                        "after_steps": last // 2,
                        "to_steps": last,
                        "clips": last * stage.batch,
                        "distortion": seen[:, frame - 1].mean(),
                        "distortion_half": float(half_width(seen[:, frame - 1])),
                        "w1": _mean_w1(log, inside, plf, frame),
                    }
            last //= 2


def _distortions(log: Log, plf: str, stage: str) -> np.ndarray:
    """Distortion of each line and frame; ValueError names the stage whose log is damaged."""
    try:
        return np.array([line["distortion"][plf] for line in log], dtype=np.float64)
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"{stage}: expected a log with the distortion under {plf} in every line, got damaged "
            "lines"
        ) from None


def _mean_w1(log: Log, inside: Any, plf: str, frame: int) -> float | None:
    lines = (line for line, kept in zip(log, inside, strict=True) if kept)
    seen = [line["w1"][f"{plf} {frame}"] for line in lines if f"{plf} {frame}" in line["w1"]]
    return float(np.mean(seen)) if seen else None
