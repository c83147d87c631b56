"""Experiments: a TOML file names the task, the cells and the stages; a folder holds the results.

A cell is one setting of the rates. Each cell runs all stages in order. The folder of a stage keeps
a checkpoint, a log and the trained model. A stage that trains the first frames only does not depend
on the rates of the others. Cells whose first rates agree share it: one codec of first frames serves
all rates of the second. Cells that share a stage use the seed of the first of them.
"""

from __future__ import annotations

import dataclasses
import math
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neural.codecs.networks import freeze
from neural.configuration import read_configuration
from neural.evaluation import blocks, clips
from neural.evaluation.options import BlockEvaluation, ClipEvaluation, read_options
from neural.evaluation.record import Record, Training
from neural.interfaces import Codec, Task
from neural.model_files import TASKS, export_codec, load_model, save_model
from neural.progress import MODEL, Progress, found
from neural.training.distributed import barrier, is_first_process
from neural.training.interrupt import asked
from neural.training.log import Line, last_step, read_log, trained_seconds
from neural.training.loop import train
from neural.training.stage import Stage, check_name
from rdp._check import one_line
from rdp.operating_point import OperatingPoint, environment

EVALUATORS: dict[str, Callable[..., Any]] = {"blocks": blocks.evaluate, "clips": clips.evaluate}
EVALUATIONS: dict[str, type] = {"blocks": BlockEvaluation, "clips": ClipEvaluation}
Array = np.ndarray
MOST_BITS = 1 << 20  # of a frame
LIBRARIES = ("numpy", "torch", "constriction")


@dataclass(frozen=True)
class Experiment:
    """A task, the rates of each cell, and the stages that every cell runs.

    Parameters
    ----------
    name : str
        Name of the experiment.
    task : Task
        Built from its options.
    seed : int
        Seed of all stages.
    cells : tuple of tuple of float
        Rates of the frames for each cell, bits.
    stages : tuple of Stage
        In order. Training fills in the rates and the seed of each cell.
    kind : str
        Name of the task in `neural.model_files.TASKS`.
    options : dict
        Options of the task.
    evaluation : BlockEvaluation or ClipEvaluation
        How trained codecs are measured.
    """

    name: str
    task: Task
    seed: int
    cells: tuple[tuple[float, ...], ...]
    stages: tuple[Stage, ...]
    kind: str
    options: dict[str, Any]
    evaluation: BlockEvaluation | ClipEvaluation

    def __post_init__(self) -> None:
        """Refuse stages that cannot follow each other, before any is trained."""
        check_name(self.name)
        names = [stage.name for stage in self.stages]
        for stage in self.stages:
            if names.count(stage.name) > 1:
                raise ValueError(
                    f"name: expected stages of different names, got {stage.name!r} twice"
                )
            if stage.start is not None:
                self._check_start(stage, self.stage(stage.start))
        for rates in self.cells:
            if not all(0 < rate <= MOST_BITS or rate == math.inf for rate in rates):
                raise ValueError(
                    f"rates: expected bits from 0 to {MOST_BITS:,}, or inf, got {list(rates)}"
                )

    def _check_start(self, stage: Stage, before: Stage) -> None:
        cells = range(len(self.cells))
        starts = [self.rates(before, cell) for cell in cells]
        ends = [self.rates(stage, cell) for cell in cells]
        if any(len(start) > len(end) for start, end in zip(starts, ends, strict=True)):
            raise ValueError(
                f"start: expected a stage of no more frames than {stage.name!r} has, "
                f"got {before.name!r}"
            )
        if stage.cell is not None and len(set(starts)) > 1:
            raise ValueError(
                f"start: expected a stage that all cells share for {stage.name!r}, which they "
                f"share, got {before.name!r}"
            )
        if stage.encoder == "frozen" and starts != ends:
            raise ValueError(
                f"encoder: expected 'train' in stage {stage.name!r}, "
                f"whose start {before.name!r} is of other rates"
            )
        if self.stages.index(before) >= self.stages.index(stage):
            raise ValueError(f"start: expected a stage before {stage.name!r}, got {before.name!r}")

    @classmethod
    def load(cls, path: Path | str, seed: int | None = None) -> Experiment:
        """Read an experiment from a TOML file.

        Parameters
        ----------
        path : path
            See `neural.configuration`.
        seed : int or None
            Replaces the seed in the file and becomes part of the name.

        Raises
        ------
        ValueError
            The file is malformed; the message names the file and the field.
        """
        path = Path(path)
        try:
            content = read_configuration(path)
            task = content["task"]
            if task not in TASKS:
                raise ValueError(f"task: expected one of {', '.join(TASKS)}, got {task!r}")
            stages = tuple(Stage(**stage) for stage in content["stage"])
            cells = tuple(tuple(map(float, rates)) for rates in content["rates"])
            options = dict(content["options"])
            evaluation: Any = read_options(EVALUATIONS[task], options.pop("evaluation"))
            built = TASKS[task](**options)
            name = path.stem if seed is None else f"{path.stem}-seed{seed}"
            chosen = content["seed"] if seed is None else seed
            if isinstance(chosen, bool) or not isinstance(chosen, int) or chosen < 0:
                raise ValueError(f"seed: expected an integer >= 0, got {chosen!r}")
            return cls(name, built, chosen, cells, stages, task, options, evaluation)
        except KeyError as error:
            raise ValueError(f"{path}: {error.args[0]}: missing") from None
        except (ArithmeticError, AttributeError, IndexError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: {one_line(error)}") from None

    def rates(self, stage: Stage, cell: int) -> tuple[float, ...]:
        """Return the rates that a stage depends on: of the frames up to the last one it trains."""
        known = self.cells[cell] if stage.cell is None else stage.cell
        return known[: None if stage.frames is None else max(stage.frames)]

    def folder(self, root: Path, stage: Stage, cell: int) -> Path:
        """Return the folder of a stage in the folder of all experiments; cells may share it."""
        return root / self.name / cell_name(self.rates(stage, cell)) / stage.name

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

    def chosen(self, cells: Iterable[int] | None) -> list[int]:
        """Return the cells asked for by number, from 0; None is all."""
        every = range(len(self.cells))
        for cell in cells or ():
            if cell not in every:
                raise ValueError(f"cell: expected 0..{every[-1]}, got {cell}")
        return list(cells or every)

    def first_alike(self, stage: Stage, cell: int) -> int:
        """Return the first of the cells that share a stage."""
        rates = self.rates(stage, cell)
        return next(c for c in range(len(self.cells)) if self.rates(stage, c) == rates)

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

    def stage(self, name: str) -> Stage:
        """Return the stage of a name; raises ValueError if there is none."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        known = ", ".join(stage.name for stage in self.stages)
        raise ValueError(f"stage: expected one of {known}, got {name!r}")

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

    def through(self, name: str) -> Experiment:
        """Return the experiment without the stages after one of them.

        What an earlier stage trains, and its folder, do not depend on those left out.
        """
        number = self.stages.index(self.stage(name))
        return dataclasses.replace(self, stages=self.stages[: number + 1])

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

    def progress(self, root: Path) -> list[Progress]:
        """Return how far each stage is, once for the cells that share it."""
        stages = []
        for folder, (rates, stage) in self._folders(root).items():
            state, step = found(folder, stage)
            log = [line for line in read_log(folder) if line["step"] <= step]
            seconds = trained_seconds(log)
            stages.append(Progress(cell_name(rates), stage.name, state, step, stage.steps, seconds))
        return stages

    def logs(self, root: Path) -> Iterator[tuple[tuple[float, ...], Stage, list[Line]]]:
        """Yield rates, stage and lines of the log for every stage that training has begun."""
        for folder, (rates, stage) in self._folders(root).items():
            if log := read_log(folder):
                yield rates, stage, log

    def _folders(self, root: Path) -> dict[Path, tuple[tuple[float, ...], Stage]]:
        """Rates and stage of each folder, once for the cells that share it."""
        return {
            self.folder(root, stage, cell): (self.rates(stage, cell), stage)
            for stage in self.stages
            for cell in range(len(self.cells))
        }


def cell_name(rates: Sequence[float]) -> str:
    """Return the name of rates in bits, for folders and for clips: "12-8"."""
    return "-".join(f"{rate:g}" for rate in rates)


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
