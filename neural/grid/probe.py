"""What jobs of a grid cost, measured on a few steps."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import torch

from neural.evaluation.options import ClipEvaluation
from neural.evaluation.record import Record
from neural.experiment import EVALUATORS, Experiment
from neural.grid.plan import Cost
from neural.interfaces import Codec, CountingCodec, DensityCodec
from neural.training.graph import WARM
from neural.training.loop import Run
from neural.training.stage import Stage

FIRST = WARM + 1  # steps until a graph is recorded
STEPS = 8
PART = 10  # of the clips and steps of a measurement that are tried


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
    for _ in range(STEPS):
        run.advance(experiment.task.batch)
    _wait(device)
    end = time.monotonic()
    run.finish(experiment.task.batch)  # counts tables, as a stage does
    _wait(device)
    step = (end - ready) / STEPS
    setup = max(ready - began - FIRST * step, 0.0) + time.monotonic() - end
    return Cost(setup, step)


def _run(
    experiment: Experiment, stage: Stage, cell: int, device: str, options: dict[str, Any]
) -> Run:
    experiment.task.to(device)
    known = experiment.rates(stage, cell)
    codec = experiment.task.make_codec(known)
    codec.decoders.prepare(stage.plfs, stage.trained_frames)
    rates = known if experiment.task.prescribes_rates else None
    run = Run(
        replace(stage, rates=rates), codec, experiment.task.make_critic, torch.device(device),
        options.get("channels_last", False), options.get("captured", True),
    )  # fmt: skip
    if options.get("compiled"):
        run.compile()
    return run


def measurement_cost(experiment: Experiment, cell: int, device: str) -> Cost:
    """Return what measuring a cell costs, from a part of it with an untrained codec."""
    stages = list(experiment.measured(cell))
    experiment.task.to(device)
    codec = experiment.task.make_codec(experiment.cells[cell])
    plfs = tuple(dict.fromkeys(plf for stage in stages for plf in stage.plfs))
    codec.decoders.prepare(plfs)
    codec.eval().requires_grad_(False).to(device)
    _fix_tables(experiment, codec, device)
    options = experiment.evaluation
    part = 1
    if isinstance(options, ClipEvaluation):
        part = PART
        options = replace(
            options,
            clips=max(options.clips // part, 20),
            critic_clips=max(options.critic_clips // part, 20),
            critic_steps=math.ceil(options.critic_steps / part),
            classifier_steps=math.ceil(options.classifier_steps / part),
            reference_clips=options.reference_clips // part and max(
                options.reference_clips // part, 20
            ),
        )  # fmt: skip
    began = time.monotonic()
    EVALUATORS[experiment.kind](
        codec, experiment.task, ("MMSE", *(p for p in plfs if p != "MMSE")), options,
        Record("shared"), None,
    )  # fmt: skip
    took = (time.monotonic() - began) * part
    decoders = sum(len(s.plfs) + (s.encoder == "frozen") for s in stages)
    return Cost(0.0, took * max(1.0, decoders / (1 + len(plfs))))


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
