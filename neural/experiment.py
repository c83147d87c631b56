"""Experiments: a TOML file names the task, the cells and the stages; a folder holds the results.

A cell is one setting of the rates. Each cell runs all stages in order; the folder of a stage keeps
a checkpoint, a log and the trained model. A stage that trains the first frames only does not know
the rates of the others, so that cells which begin alike share it: one codec of first frames serves
all rates of the second.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import numpy as np
import torch

from neural.configuration import read_configuration
from neural.evaluation import blocks, clips
from neural.evaluation.options import BlockEvaluation, ClipEvaluation, read_options
from neural.evaluation.record import Record, Training
from neural.tasks.blocks import BlockTask
from neural.tasks.clips import ClipTask
from neural.training.loop import Stage, barrier, freeze, is_first_process, save, train
from rdp.operating_point import OperatingPoint, environment

TASKS: dict[str, Callable[..., Any]] = {"blocks": BlockTask, "clips": ClipTask}
EVALUATORS: dict[str, Callable[..., Any]] = {"blocks": blocks.evaluate, "clips": clips.evaluate}
EVALUATIONS: dict[str, type] = {"blocks": BlockEvaluation, "clips": ClipEvaluation}
Array = np.ndarray
LIBRARIES = ("numpy", "torch", "constriction")
MODEL = "model.pt"  # of a finished stage


@dataclass(frozen=True)
class Experiment:
    """A task, the rates of each cell, and the stages that every cell runs.

    Parameters
    ----------
    name : str
        Name of the experiment.
    task : object
        One of `TASKS`, built from its options.
    seed : int
        Seed of all stages.
    cells : tuple of tuple of float
        Rates of the frames for each cell, bits.
    stages : tuple of Stage
        Stages in order; the rates and the seed of each cell are put in.
    kind : str
        Name of the task.
    options : dict
        Options of the task.
    evaluation : BlockEvaluation or ClipEvaluation
        How trained codecs are measured.
    """

    name: str
    task: Any
    seed: int
    cells: tuple[tuple[float, ...], ...]
    stages: tuple[Stage, ...]
    kind: str
    options: dict[str, Any]
    evaluation: BlockEvaluation | ClipEvaluation

    def __post_init__(self) -> None:
        """Refuse stages that cannot follow each other, before any is trained."""
        names = [stage.name for stage in self.stages]
        for stage in self.stages:
            if names.count(stage.name) > 1:
                raise ValueError(
                    f"name: expected stages of different names, got {stage.name!r} twice"
                )
            if stage.start is not None:
                self._check_start(stage, self.stage(stage.start))

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

    @classmethod
    def load(cls, path: Path | str, seed: int | None = None) -> Experiment:
        """Read an experiment from a TOML file.

        Parameters
        ----------
        path : path
            File to read, as `neural.configuration` explains.
        seed : int or None
            In place of the seed in the file; it becomes part of the name.

        Raises
        ------
        ValueError
            Not such a file; the message names the file and the field.
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
            chosen = int(content["seed"]) if seed is None else seed
            return cls(name, built, chosen, cells, stages, task, options, evaluation)
        except KeyError as error:
            raise ValueError(f"{path}: {error.args[0]}: missing") from None
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from None

    def rates(self, stage: Stage, cell: int) -> tuple[float, ...]:
        """Return the rates of the frames that a stage knows: those up to the last one it trains.

        Parameters
        ----------
        stage : Stage
            One of the stages.
        cell : int
            Which cell.
        """
        known = self.cells[cell] if stage.cell is None else stage.cell
        return known[: None if stage.frames is None else max(stage.frames)]

    def folder(self, root: Path, stage: Stage, cell: int) -> Path:
        """Return the folder of a stage; cells whose rates agree so far have the same.

        Parameters
        ----------
        root : Path
            Folder of all experiments.
        stage : Stage
            One of the stages.
        cell : int
            Which cell.
        """
        return root / self.name / cell_name(self.rates(stage, cell)) / stage.name

    def missing(self, root: Path, number: int, cells: Iterable[int] | None = None) -> list[int]:
        """Return the cells for which a stage is still to be trained, one for each of its folders.

        Parameters
        ----------
        root : Path
            Folder of all experiments.
        number : int
            Which stage, from 0.
        cells : iterable of int, or None
            Cells to look at; None is all.

        Raises
        ------
        ValueError
            A finished stage took another number of steps than the file says now.
        """
        stage = self.stages[number]
        chosen = self.chosen(cells)
        first = dict.fromkeys(self._first_alike(stage, cell) for cell in chosen)
        return [cell for cell in first if not self._finished(root, stage, cell)]

    def _finished(self, root: Path, stage: Stage, cell: int) -> bool:
        folder = self.folder(root, stage, cell)
        if not (folder / MODEL).exists():
            return False
        step = _read_log(folder)[-1]["step"]
        if step != stage.steps:
            raise ValueError(f"{folder}: steps: expected {stage.steps}, got a model after {step}")
        return True

    def chosen(self, cells: Iterable[int] | None) -> list[int]:
        """Return the cells asked for.

        Parameters
        ----------
        cells : iterable of int, or None
            Numbers from 0; None is all.

        Raises
        ------
        ValueError
            There is no such cell.
        """
        every = range(len(self.cells))
        for cell in cells or ():
            if cell not in every:
                raise ValueError(f"cell: expected 0..{every[-1]}, got {cell}")
        return list(cells or every)

    def _first_alike(self, stage: Stage, cell: int) -> int:
        """First of the cells that share a stage; the seed is its, whichever cells are trained."""
        rates = self.rates(stage, cell)
        return next(c for c in range(len(self.cells)) if self.rates(stage, c) == rates)

    def train(self, root: Path, number: int, cell: int, **options: Any) -> None:
        """Run a stage of a cell; the stage that it starts from is finished.

        Parameters
        ----------
        root : Path
            Folder of all experiments.
        number : int
            Which stage, from 0.
        cell : int
            Which cell.
        **options : Any
            Of `neural.training.loop.train`.
        """
        template = self.stages[number]
        known = self.rates(template, cell)
        rates = known if self.task.prescribes_rates else None
        stage = dataclasses.replace(template, rates=rates, seed=self.seed + 1000 * cell + number)
        folder = self.folder(root, template, cell)
        self.task.to(options.get("device", "cpu"))
        codec = self._initial(root, stage, known, cell)
        train(stage, codec, self.task.batch, self.task.make_critic, folder, **options)
        if is_first_process():
            save(folder / MODEL, {"decoders": list(codec.decoders), "state": codec.state_dict()})
        barrier()

    def _initial(self, root: Path, stage: Stage, rates: tuple[float, ...], cell: int) -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stage.seed)
            codec = self.task.make_codec(rates)
        if stage.start is not None:
            before = self.stage(stage.start)
            other = rates != self.rates(before, cell)
            _fill(codec, _load(self.folder(root, before, cell) / MODEL), other)
        codec.prepare(stage.plfs, stage.trained)
        return codec

    def stage(self, name: str) -> Stage:
        """Return the stage of a name.

        Parameters
        ----------
        name : str
            Its name.

        Raises
        ------
        ValueError
            There is none.
        """
        for stage in self.stages:
            if stage.name == name:
                return stage
        known = ", ".join(stage.name for stage in self.stages)
        raise ValueError(f"stage: expected one of {known}, got {name!r}")

    def model(self, root: Path, stage: Stage, cell: int) -> Any:
        """Load the codec that a stage trained.

        Parameters
        ----------
        root : Path
            Folder of all experiments.
        stage : Stage
            One of the stages.
        cell : int
            Which cell.

        Returns
        -------
        torch.nn.Module
            Frozen.
        """
        codec = self.task.make_codec(self.rates(stage, cell))
        return freeze(_fill(codec, _load(self.folder(root, stage, cell) / MODEL)))

    def export(self, root: Path, cell: int, stage: str, target: Path) -> None:
        """Write a trained codec as one file that `load_codec` reads.

        Parameters
        ----------
        root : Path
            Folder of all experiments.
        cell : int
            Which cell.
        stage : str
            Stage that trained the codec.
        target : Path
            File to write.
        """
        self.chosen([cell])
        trained = self.stage(stage)
        codec = self.model(root, trained, cell)
        content = {
            "task": self.kind,
            "options": json.dumps(self.options),
            "rates": list(self.rates(trained, cell)),
            "decoders": list(codec.decoders),
            "state": codec.state_dict(),
        }
        save(target, content)

    def evaluate(
        self, root: Path, cell: int, device: str = "cpu"
    ) -> tuple[list[OperatingPoint], dict[str, Array]]:
        """Measure every codec that a cell trained, the decoders of one encoder on the same bytes.

        Parameters
        ----------
        root : Path
            Folder of all experiments.
        cell : int
            Which cell.
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
        for stage in self._measured(cell):
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

    def _measured(self, cell: int) -> Iterator[Stage]:
        """Stages whose codecs are measured: of all frames, at the rates of the cell.

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
            _read_log(folder)[-1]["step"],
            round(trained_seconds(folder), 1),
            _name_of(device),
        )

    def progress(self, root: Path) -> list[Progress]:
        """Return how far each stage is, once for the cells that share it.

        Parameters
        ----------
        root : Path
            Folder of all experiments.
        """
        found = []
        for folder, (rates, stage) in self._folders(root).items():
            log = _read_log(folder)
            step = log[-1]["step"] if log else 0
            state = "under way" if (folder / "log.jsonl").exists() else "missing"
            if (folder / MODEL).exists():
                state = "done"
            found.append(
                Progress(
                    cell_name(rates), stage.name, state, step, stage.steps, trained_seconds(folder)
                )
            )
        return found

    def logs(self, root: Path) -> Iterator[tuple[tuple[float, ...], Stage, list[dict[str, Any]]]]:
        """Yield rates, stage and lines of the log of what is being trained or was.

        Parameters
        ----------
        root : Path
            Folder of all experiments.
        """
        for folder, (rates, stage) in self._folders(root).items():
            if log := _read_log(folder):
                yield rates, stage, log

    def _folders(self, root: Path) -> dict[Path, tuple[tuple[float, ...], Stage]]:
        """Rates and stage of each folder, once for the cells that share it."""
        return {
            self.folder(root, stage, cell): (self.rates(stage, cell), stage)
            for stage in self.stages
            for cell in range(len(self.cells))
        }


class Progress(NamedTuple):
    """How far a stage is.

    Parameters
    ----------
    rates : str
        Rates of the frames that it knows.
    stage : str
        Its name.
    state : {"done", "under way", "missing"}
        Under way is what has begun, whether or not it is running.
    step, steps : int
        Steps made by the last checkpoint, and in all.
    seconds : float
        Time they took.
    """

    rates: str
    stage: str
    state: str
    step: int
    steps: int
    seconds: float


def trained_seconds(folder: Path) -> float:
    """Return how long a stage was trained, by its log; interruptions do not count.

    Parameters
    ----------
    folder : Path
        Folder of the stage.
    """
    clock = [0.0, *(line["seconds"] for line in _read_log(folder))]
    # the clock starts again where training was interrupted
    return sum(now - before if now >= before else now for before, now in pairwise(clock))


def _read_log(folder: Path) -> list[dict[str, Any]]:
    path = folder / "log.jsonl"
    text = path.read_text() if path.exists() else ""
    whole = text[: text.rfind("\n") + 1]  # a line may be on its way
    return [json.loads(line) for line in whole.splitlines()]


def cell_name(rates: Sequence[float]) -> str:
    """Return the name of a cell, or of what begins like it: in folders, and of its clips.

    Parameters
    ----------
    rates : sequence of float
        Bits of each frame.
    """
    return "-".join(f"{rate:g}" for rate in rates)


def _name_of(device: str) -> str:
    """What a device is, as far as its speed depends on it."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU {platform.machine()}, {torch.get_num_threads()} of {os.cpu_count()} cores"


def _load(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise ValueError(f"{path}: not trained yet")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (EOFError, OSError, RuntimeError, UnpicklingError) as error:
        raise ValueError(f"{path}: expected a trained model, got {error}") from None


def _fill(codec: Any, saved: dict[str, Any], other: bool = False) -> Any:
    """Put trained parameters into a new codec; into one of other rates, those that fit."""
    for plf in saved["decoders"]:
        if plf not in codec.decoders:
            codec.add_decoder(plf)
    state = saved["state"]
    if other:
        own = codec.state_dict()
        fits = {key: value for key, value in state.items() if _size(value) == _size(own[key])}
        state = own | fits
    codec.load_state_dict(state)
    return codec


def _size(value: Any) -> tuple[int, ...] | None:
    """Shape of a parameter; None of what is not a tensor."""
    return tuple(value.shape) if isinstance(value, torch.Tensor) else None


def load_codec(path: Path | str) -> Any:
    """Read a codec that `Experiment.export` wrote. Reading a file from elsewhere runs no code.

    Parameters
    ----------
    path : path
        File to read.

    Returns
    -------
    torch.nn.Module
        Codec for `neural.codecs.bitstream`, frozen, on the CPU.

    Raises
    ------
    ValueError
        Not such a file; the message names it.
    """
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        options = json.loads(saved["options"])
        options.pop("evaluation", None)  # in files of version 0.1
        task = TASKS[saved["task"]](**options)
        return freeze(_fill(task.make_codec(saved["rates"]), saved))
    except FileNotFoundError:
        raise
    except (
        AttributeError,
        EOFError,
        KeyError,
        OSError,
        RuntimeError,
        TypeError,
        UnpicklingError,
        ValueError,
    ) as error:
        raise ValueError(f"{path}: expected an exported codec, got {error}") from None


def train_stage(
    config: Path, root: Path, options: dict[str, Any], seed: int | None, number: int, cell: int
) -> None:
    """Train one stage of one cell, in a process of its own.

    Parameters
    ----------
    config : Path
        TOML file of the experiment.
    root : Path
        Folder of all experiments.
    options : dict
        Of `neural.training.loop.train`.
    seed : int or None
        In place of the seed in the file.
    number : int
        Which stage, from 0.
    cell : int
        Which cell.
    """
    one_thread()
    Experiment.load(config, seed).train(root, number, cell, position=cell, **options)


def one_thread() -> None:
    """Compute on one thread, so that results do not depend on the number of cores."""
    torch.set_num_threads(1)


def workers(cells: int) -> int:
    """Return how many cells to run side by side.

    Parameters
    ----------
    cells : int
        How many there are.
    """
    return max(1, min(cells, os.cpu_count() or 1))
