"""Experiments: a TOML file names the task, the cells and the stages; a folder holds the results.

A cell is one setting of the rates. Each cell runs all stages in order. The folder of a stage keeps
a checkpoint, a log and the trained model. A stage that trains the first frames only does not depend
on the rates of the others. Cells whose first rates agree share it: one codec of first frames serves
all rates of the second. Cells that share a stage use the seed of the first of them.
"""

from __future__ import annotations

import dataclasses
import os
import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from neural.codecs.networks import freeze
from neural.evaluation import blocks, clips
from neural.evaluation.options import BlockEvaluation, ClipEvaluation, read_options
from neural.evaluation.record import Record, Training
from neural.interfaces import Codec, Task
from neural.layout import Layout, cell_name
from neural.model_files import TASKS, export_codec, load_model, save_model
from neural.progress import MODEL
from neural.training.distributed import barrier, is_first_process
from neural.training.interrupt import asked
from neural.training.log import last_step, read_log, trained_seconds
from neural.training.loop import train
from neural.training.stage import Stage
from rdp.operating_point import OperatingPoint, environment

EVALUATORS: dict[str, Callable[..., Any]] = {"blocks": blocks.evaluate, "clips": clips.evaluate}
EVALUATIONS: dict[str, type] = {"blocks": BlockEvaluation, "clips": ClipEvaluation}
Array = np.ndarray
MOST_BITS = 1 << 20  # of a frame
LIBRARIES = ("numpy", "torch", "constriction")


@dataclass(frozen=True)
class Experiment(Layout):
    """Cells and stages with the task that they train for.

    Parameters
    ----------
    name, seed, cells, stages
        As for `neural.layout.Layout`.
    task : Task
        Built from its options.
    kind : str
        Name of the task in `neural.model_files.TASKS`.
    options : dict
        Options of the task.
    evaluation : BlockEvaluation or ClipEvaluation
        How trained codecs are measured.
    """

    task: Task
    kind: str
    options: dict[str, Any]
    evaluation: BlockEvaluation | ClipEvaluation

    @classmethod
    def _read(cls, path: Path, content: dict[str, Any], seed: int | None, **more: Any) -> Self:
        """Make sense of the content of a file, the task and its evaluation included."""
        kind = content["task"]
        if kind not in TASKS:
            raise ValueError(f"task: expected one of {', '.join(TASKS)}, got {kind!r}")
        options = dict(content["options"])
        evaluation: Any = read_options(EVALUATIONS[kind], options.pop("evaluation"))
        task = TASKS[kind](**options)
        more |= {"task": task, "kind": kind, "options": options, "evaluation": evaluation}
        return super()._read(path, content, seed, **more)

    def missing(self, root: Path, number: int, cells: Iterable[int] | None = None) -> list[int]:
        """Return the cells for which a stage is still to be trained, one for each of its folders.

        Parameters
        ----------
        root : Path
            Folder of all experiments.
        number : int
            Number of the stage, from 0.
        cells : iterable of int, or None
            Cells to consider; None is all.

        Raises
        ------
        ValueError
            A finished stage has another number of steps than the file asks for now.
        """
        stage = self.stages[number]
        chosen = self.chosen(cells)
        first = dict.fromkeys(self.first_alike(stage, cell) for cell in chosen)
        return [cell for cell in first if not self._finished(root, stage, cell)]

    def _finished(self, root: Path, stage: Stage, cell: int) -> bool:
        folder = self.folder(root, stage, cell)
        if not (folder / MODEL).exists():
            return False
        step = last_step(folder)
        if step != stage.steps:
            raise ValueError(f"{folder}: steps: expected {stage.steps}, got a model after {step}")
        return True

    def train(self, root: Path, number: int, cell: int, **options: Any) -> None:
        """Run a stage of a cell. The stage that it starts from must be finished.

        Parameters
        ----------
        root : Path
            Folder of all experiments.
        number, cell : int
            Number of the stage and of the cell, from 0.
        **options : Any
            Options of `neural.training.loop.train`.
        """
        template = self.stages[number]
        known = self.rates(template, cell)
        rates = known if self.task.prescribes_rates else None
        stage = dataclasses.replace(template, rates=rates, seed=self.seed + 1000 * cell + number)
        folder = self.folder(root, template, cell)
        self.task.to(options.get("device", "cpu"))
        codec = self._initial(root, stage, known, cell)
        self.task.batch(torch.Generator().manual_seed(0), 1)  # read the data before the bar begins
        title = f"{cell_name(known)} {stage.name} ({number + 1} of {len(self.stages)})"
        train(stage, codec, self.task.batch, self.task.make_critic, folder, title=title, **options)
        if is_first_process():
            save_model(folder / MODEL, codec)
        barrier()

    def _initial(self, root: Path, stage: Stage, rates: tuple[float, ...], cell: int) -> Codec:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stage.seed)
            codec = self.task.make_codec(rates)
        if stage.start is not None:
            before = self.stage(stage.start)
            other = rates != self.rates(before, cell)
            load_model(self.folder(root, before, cell) / MODEL, codec, other)
        codec.decoders.prepare(stage.plfs, stage.trained_frames)
        return codec

    def model(self, root: Path, stage: Stage, cell: int) -> Codec:
        """Load the codec that a stage trained, frozen."""
        codec = self.task.make_codec(self.rates(stage, cell))
        return freeze(load_model(self.folder(root, stage, cell) / MODEL, codec))

    def export(self, root: Path, cell: int, stage: str, target: Path, half: bool = False) -> None:
        """Write the codec that a stage of a cell trained as one file that `load_codec` reads."""
        self.chosen([cell])
        trained = self.stage(stage)
        codec = self.model(root, trained, cell)
        export_codec(target, codec, self.kind, self.options, self.rates(trained, cell), half)

    def with_steps(self, name: str, steps: int) -> Experiment:
        """Return the experiment with another number of steps for one stage.

        The steps in which only its critics move keep their share.
        """
        old = self.stage(name)
        warmup = min(round(old.critic_warmup * steps / old.steps), steps - 1)
        new = dataclasses.replace(old, steps=steps, critic_warmup=warmup)
        return dataclasses.replace(
            self, stages=tuple(new if stage is old else stage for stage in self.stages)
        )

    def evaluate(
        self, root: Path, cell: int, device: str = "cpu"
    ) -> tuple[list[OperatingPoint], dict[str, Array]]:
        """Measure every codec that a cell trained, the decoders of one encoder on the same bytes.

        Parameters
        ----------
        root : Path
            Folder of all experiments.
        cell : int
            Number of the cell, from 0.
        device : str
            Where to compute.

        Returns
        -------
        points : list of OperatingPoint
        pictures : dict of (n, T, 64, 64) uint8 arrays
            The first clips, the same in all cells: "12-8/source", "12-8/JD" by a shared encoder,
            "12-8/own-JD" by one for this loss alone. Empty if the data may not be passed on.
        """
        self.task.to(device)
        measure = EVALUATORS[self.kind]
        points: list[OperatingPoint] = []
        pictures: dict[str, Array] = {}
        shared = None  # reconstructions of the last codec with a shared encoder
        for stage in self.measured(cell):
            codec = self.model(root, stage, cell).to(device)
            encoder = "shared" if stage.encoder == "frozen" else "own"
            found, made = measure(
                codec,
                self.task,
                tuple(codec.decoders) if encoder == "shared" else stage.plfs,
                self.evaluation,
                Record(encoder, self._training(root, stage, cell, device)),
                shared,
                **environment(LIBRARIES),
            )
            points += found
            shared = made if encoder == "shared" else shared
            if made is not None and self.task.may_be_published:
                for name, shots in made.pictures().items():
                    own = encoder == "own" and name != "source"
                    pictures[f"{cell_name(self.cells[cell])}/{'own-' if own else ''}{name}"] = shots
        return points, pictures

    def measured(self, cell: int) -> Iterator[Stage]:
        """Yield the stages whose codecs are measured: of all frames, at the rates of the cell.

        A stage whose encoder is frozen later is left out: its decoder comes again with the others.
        """
        frozen = {stage.start for stage in self.stages if stage.encoder == "frozen"}
        for stage in self.stages:
            of_cell = stage.cell is None and self.rates(stage, cell) == self.cells[cell]
            if of_cell and stage.name not in frozen:
                yield stage

    def _training(self, root: Path, stage: Stage, cell: int, device: str) -> Training:
        """How a stage was trained, for the record of its points."""
        folder = self.folder(root, stage, cell)
        return Training(
            self.name,
            stage.name,
            self.cells[cell],
            self.seed,
            tuple(stage.frames or range(1, len(self.cells[cell]) + 1)),
            last_step(folder),
            round(trained_seconds(read_log(folder)), 1),
            name_of(device),
        )


def name_of(device: str) -> str:
    """Return the name of a device, with what its speed depends on."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU {platform.machine()}, {torch.get_num_threads()} of {os.cpu_count()} cores"


def train_stage(
    config: Path,
    root: Path,
    options: dict[str, Any],
    seed: int | None,
    number: int,
    cell: int,
    ahead: int = 0,
) -> None:
    """Train one stage of one cell, in a process of its own.

    Parameters
    ----------
    config : Path
        TOML file of the experiment.
    root : Path
        Folder of all experiments.
    options : dict
        Options of `neural.training.loop.train`.
    seed : int or None
        Replaces the seed in the file.
    number, cell : int
        Number of the stage and of the cell, from 0.
    ahead : int
        Steps that are made after it, for the total time left.
    """
    if asked():
        raise KeyboardInterrupt
    one_thread()
    experiment = Experiment.load(config, seed)
    experiment.train(root, number, cell, position=cell, ahead=ahead, **options)


def one_thread() -> None:
    """Compute on one thread, so that results do not depend on the number of cores."""
    torch.set_num_threads(1)


def workers(cells: int) -> int:
    """Return how many of so many cells to train side by side."""
    return max(1, min(cells, os.cpu_count() or 1))
