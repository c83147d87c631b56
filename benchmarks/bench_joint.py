"""Recipes for training a JD decoder, compared on one frozen codec of moving digits.

A JD decoder that begins as a shift of its own frame before is joint without training. Training
blends new content into it, and can keep it joint or not. Each recipe trains the JD decoder of frame
2 from the same codec. On the way it is measured on held-out digits, decoded from real bytes:

- distortion of frame 2, and the bound of joint support;
- shift defect;
- W1 of the critic of the training.

At the end there are also W1 of a fresh critic and the share of wrong digits that stay wrong. The
table goes to neural/results/joint-recipes.csv, or with ``--csv`` elsewhere.

    MNIST_FOLDER=... python -m benchmarks.bench_joint --model MODEL_FILE

Columns that begin with ``training`` are of training digits, on clips that no step has seen. They
are there to choose a recipe without looking at held-out digits.
"""

import argparse
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast

import torch

from benchmarks.report import provenance
from neural.codecs.video import VideoCodec
from neural.evaluation.classifier import permanence, train_classifier
from neural.evaluation.fresh_critics import fresh_w1
from neural.evaluation.intervals import half_width
from neural.evaluation.reconstructions import (
    Reconstructions,
    decode_heldout,
    reconstruct_training,
)
from neural.evaluation.shift_defect import known_shift, mean_distance_to_shifts, shift_defect
from neural.evaluation.tables import write_csv
from neural.model_files import load_model
from neural.tasks.clips import ClipTask
from neural.training.critics import compared
from neural.training.loop import Run
from neural.training.stage import Stage

RATES = (12, 16)
OLD = {"lr": 1e-3, "critic_lr": 1e-3, "critic_steps": 2, "realism": 0.01}
STRONG = {"lr": 2e-4, "critic_lr": 1e-3, "critic_steps": 4, "critic_betas": (0.0, 0.9),
          "critic_warmup": 40, "realism": 0.05}  # fmt: skip
FALLING: dict[str, Any] = STRONG | {"realism_end": 0.01}
MISMATCHED = FALLING | {"mismatched": 1.0}
NO_TRAINING = "shift start, no training"
# name: how the decoder begins, and the options of the stage
RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    NO_TRAINING: ("shift", OLD),
    "MMSE start, old critic": ("mmse", OLD),
    "MMSE start, strong critic, mismatched pairs, falling weight": ("mmse", MISMATCHED),
    "shift start, old critic": ("shift", OLD),
    "shift start, strong critic, low weight": ("shift", STRONG | {"realism": 0.01}),
    "shift start, strong critic, falling weight": ("shift", FALLING),
    "shift start, strong critic, mismatched pairs, falling weight": ("shift", MISMATCHED),
    "shift start, strong critic, weight falling to 0.02": ("shift", STRONG | {"realism_end": 0.02}),
}
SLOW = STRONG | {"lr": 1e-4, "realism": 0.1}  # as in the configurations
SLOWER = STRONG | {"lr": 5e-5, "realism": 0.04}
# for the curves against the number of steps; not in the table of recipes
EFFORT: dict[str, tuple[str, dict[str, Any]]] = {
    "shift start, strong critic, slow decoder": ("shift", SLOW),
    "shift start, strong critic, slower decoder, lower weight": ("shift", SLOWER),
}
CRITIC_CLIPS, CRITIC_STEPS, CLASSIFIER_STEPS = 1000, 400, 400


@cache
def task_of(joint: str) -> ClipTask:
    """Return the task of the reduced experiments, with one start of the JD decoder."""
    return ClipTask(
        data={"kind": "digits", "folder": "$MNIST_FOLDER", "frames": 2},
        codec={"width": 16, "noise": 8, "joint": joint},
        critic={"width": 16, "explicit_slope": True},
    )


def stage_of(name: str, seed: int, steps: int) -> tuple[str, Stage]:
    """Return how the decoder of a recipe begins, and its stage of training."""
    joint, options = (RECIPES | EFFORT)[name]
    return joint, Stage(
        "universal-JD", plfs=("JD",), encoder="frozen", frames=(2,), steps=steps, batch=32,
        seed=seed, precision="bfloat16", **options,
    )  # fmt: skip


def rows_of(
    name: str, model: Path, seed: int, steps: int, every: int, clips: int
) -> Iterator[dict[str, Any]]:
    """Train by one recipe, and yield a row for each measurement."""
    joint, stage = stage_of(name, seed, steps)
    task = task_of(joint)
    codec = cast(VideoCodec, load_model(model, task.make_codec(RATES)))
    codec.decoders.prepare(["JD"], [1])
    run = Run(stage, codec, task.make_critic, torch.device("cpu"))
    while True:
        with Averaged(run):
            heldout = decode_heldout(codec, task, ["MMSE", "JD"], clips, seed=1)
            training = reconstruct_training(codec, task, ["MMSE", "JD"], clips, seed=2)
            row = measured(run, heldout)
            row |= {f"training_{key}": value for key, value in measured(run, training).items()}
            last = run.step == steps or name == NO_TRAINING
            if last:
                row |= at_the_end(task, codec, heldout, training)
        yield {
            "recipe": name, "start": joint, "seed": seed, "step": run.step, "steps": steps,
            "weight": stage.realism_at(run.step), **row,
        }  # fmt: skip
        if last:
            return
        for _ in range(every):
            run.advance(task.batch)


class Averaged:
    """Context in which a codec in training has its averaged parameters, and is frozen."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def __enter__(self) -> None:
        """Keep the parameters of the training aside."""
        self.kept = [parameter.detach().clone() for parameter in self.run.one.parameters]
        self._put(self.run.one.average)

    def __exit__(self, *error: object) -> None:
        """Put them back."""
        self._put(self.kept)

    @torch.no_grad()
    def _put(self, values: list[torch.Tensor]) -> None:
        for parameter, value in zip(self.run.one.parameters, values, strict=True):
            parameter.copy_(value)


def measured(run: Run, clips: Reconstructions) -> dict[str, float]:
    """Measure a decoder on held-out clips."""
    error, mmse = clips.error("JD")[:, 1], clips.error("MMSE")[:, 1]
    made = clips.decoded["JD"]
    defect, support = shift_defect(made), mean_distance_to_shifts(clips.source, made)
    known = known_shift(clips.source, made, clips.decoded["MMSE"])
    critic = run.one.critics["JD"][0]
    with torch.no_grad():
        scores = [
            torch.cat([critic(part) for part in frames.split(100)]).double().numpy()
            for frames in compared("JD", 1, clips.source, made)
        ]
    w1 = scores[0] - scores[1]
    return {
        "distortion": error.mean(), "distortion_half": half_width(error),
        "joint_support": support.value[1], "joint_support_half": support.half[1],
        "known_shift": known.distortion.value[1],
        "known_shift_half": known.distortion.half[1], "nearest_known": known.share[1],
        "shift_defect": defect.value[1], "shift_defect_half": defect.half[1],
        "critic_w1": w1.mean(), "critic_w1_half": half_width(w1), "mmse": mmse.mean(),
    }  # fmt: skip


def at_the_end(
    task: ClipTask, codec: VideoCodec, heldout: Reconstructions, unseen: Reconstructions
) -> dict[str, float | None]:
    """Measure a decoder by fresh critics and by a classifier."""
    training = reconstruct_training(codec, task, ["JD"], CRITIC_CLIPS, seed=1)
    critic, other = (
        fresh_w1(task, training, clips, "JD", "JD", CRITIC_STEPS, 1, 32)
        for clips in (heldout, unseen)
    )
    classifier = train_classifier(task.source("train"), CLASSIFIER_STEPS, 1)
    digits = permanence(classifier, heldout, "JD")
    low, high = digits.stay_wrong_ends(len(heldout.source))
    return {
        "fresh_w1": critic.value, "fresh_w1_half": critic.half,
        "training_fresh_w1": other.value, "training_fresh_w1_half": other.half,
        "classifier": digits.accuracy, "wrong_before": digits.wrong_before,
        "stay_wrong": digits.stay_wrong, "stay_wrong_low": low, "stay_wrong_high": high,
    }  # fmt: skip


def main() -> None:
    """Run the recipes, and write the table after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="model.pt of a stage `mmse`")
    parser.add_argument("--csv", type=Path, default=Path("neural/results/joint-recipes.csv"))
    parser.add_argument(
        "--recipe", action="append", choices=[*RECIPES, *EFFORT], help="all of the table by default"
    )
    parser.add_argument("--seed", type=int, action="append", help="1 by default")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--every", type=int, default=100, help="steps between measurements")
    parser.add_argument("--clips", type=int, default=1000)
    given = parser.parse_args()
    about = provenance(("torch",))
    origin = {"commit": about["commit"], "torch": torch.__version__, "date": about["date"]}
    rows: list[dict[str, Any]] = []
    for seed in given.seed or [1]:
        for name in given.recipe or RECIPES:
            for row in rows_of(name, given.model, seed, given.steps, given.every, given.clips):
                rows.append(row | origin)
                print({key: value for key, value in row.items() if "half" not in key}, flush=True)
            names = list(dict.fromkeys(key for row in rows for key in row))
            write_csv(given.csv, [{key: row.get(key) for key in names} for row in rows])


if __name__ == "__main__":
    main()
