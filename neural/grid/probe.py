"""What jobs of a grid cost, measured on a few steps."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import torch

from neural.codecs.video import CHUNK, COUNTED
from neural.evaluation.options import ClipEvaluation
from neural.evaluation.record import Record
from neural.experiment import EVALUATORS, Experiment
from neural.grid.plan import Cost
from neural.interfaces import Batch, Codec, CountingCodec, DensityCodec
from neural.training.graph import WARM
from neural.training.loop import Run
from neural.training.stage import Stage

FIRST = WARM + 1  # steps until a graph is recorded
STEPS, LONG = 8, 0.5  # steps that are timed, or fewer if they take so many seconds
PART, FEWEST, LARGER = 0.02, 20, 2.5  # of clips and steps of a measurement that are tried first
COUNTS = ("clips", "critic_clips", "critic_steps", "classifier_steps", "reference_clips")


def stage_cost(
    experiment: Experiment, stage: Stage, cell: int, device: str, options: dict[str, Any]
) -> Cost:
    """Return what a stage costs, from a few steps with untrained networks."""
    began = time.monotonic()
    run = _run(experiment, stage, cell, device, options)
    for _ in range(FIRST):
        run.advance(experiment.task.batch)
    _wait(device)
    ready = time.monotonic()
    steps = 0
    while steps < STEPS and time.monotonic() - ready < LONG:
        run.advance(experiment.task.batch)
        _wait(device)
        steps += 1
    step = (time.monotonic() - ready) / steps
    setup = max(ready - began - FIRST * step, 0.0)
    if stage.trains_encoder and isinstance(run.codec, CountingCodec):
        setup += _counting(run, experiment.task.batch, device)
    return Cost(setup, step)


def _counting(run: Run, batch: Batch, device: str) -> float:
    """Seconds that counting tables takes, from a part of the clips."""
    data = torch.Generator().manual_seed(0)
    last = max(run.one.frames) + 1
    began = time.monotonic()
    with torch.no_grad():
        run.codec.represent(batch(data, CHUNK)[:, :last].to(device), lambda k, y: y)
    _wait(device)
    return 2 * COUNTED / CHUNK * (time.monotonic() - began)


def _run(
    experiment: Experiment, stage: Stage, cell: int, device: str, options: dict[str, Any]
) -> Run:
    experiment.task.to(device)
    known = experiment.rates(stage, cell)
    codec = experiment.task.make_codec(known)
    codec.decoders.prepare(stage.plfs, stage.trained_frames)
    rates = known if experiment.task.prescribes_rates else None
    run = Run(
        replace(stage, rates=rates, critic_warmup=0), codec, experiment.task.make_critic,
        torch.device(device), options.get("channels_last", False),
        options.get("captured", True),
    )  # fmt: skip
    if options.get("compiled"):
        run.compile()
    return run


def measurement_cost(experiment: Experiment, cell: int, device: str) -> Cost:
    """Return what measuring a cell costs, from parts of it with an untrained codec.

    Some of the time does not depend on clips and steps, so that two parts are tried. Where a part
    would be too small to tell, the whole is.
    """
    stages = list(experiment.measured(cell))
    experiment.task.to(device)
    codec = experiment.task.make_codec(experiment.cells[cell])
    plfs = tuple(dict.fromkeys(p for stage in stages for p in stage.plfs if p != "MMSE"))
    codec.decoders.prepare(plfs)
    codec.eval().requires_grad_(False).to(device)
    _fix_tables(experiment, codec, device)

    def seconds(part: float) -> float:
        began = time.monotonic()
        EVALUATORS[experiment.kind](
            codec, experiment.task, ("MMSE", *plfs), _part(experiment.evaluation, part),
            Record("shared"), None,
        )  # fmt: skip
        return time.monotonic() - began

    small, large = parts(experiment.evaluation)
    seconds(small)  # the first one loads and compiles
    whole = seconds(small)
    if large > small:
        slope = max(seconds(large) - whole, 0.0) / (large - small)
        whole += (1 - small) * slope
    decoders = sum(len(stage.plfs) + (stage.encoder == "frozen") for stage in stages)
    return Cost(0.0, whole * max(1.0, decoders / (1 + len(plfs))))


def parts(options: Any) -> tuple[float, float]:
    """Return the parts of a measurement to try: a small one, and one that takes longer.

    Both are 1 for one that has no parts, or whose numbers are small.

    Examples
    --------
    >>> parts(ClipEvaluation(clips=2000, classifier_steps=400))
    (0.05, 0.125)
    """
    if not isinstance(options, ClipEvaluation):
        return 1.0, 1.0
    counts = [value for name in COUNTS if (value := getattr(options, name))]
    small = min(1.0, max(PART, FEWEST / min(counts)))
    return small, min(1.0, LARGER * small)


def _part(options: Any, part: float) -> Any:
    """Options of a measurement with a part of the clips and steps."""
    if part == 1.0:
        return options
    return replace(
        options, **{name: math.ceil(part * getattr(options, name)) for name in COUNTS}
    )


def _fix_tables(experiment: Experiment, codec: Codec, device: str) -> None:
    """Give an untrained codec the tables that coding needs."""
    data = torch.Generator().manual_seed(0)
    if isinstance(codec, DensityCodec):
        codec.tabulate()
    if isinstance(codec, CountingCodec):
        codec.count_tables(lambda n: experiment.task.batch(data, n)[:, : codec.frames].to(device))


def _wait(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
