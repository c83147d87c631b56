"""Experiments: a TOML file names the task, the cells and the stages; a folder holds the results.

A cell is one setting of the rates. Each cell runs all stages in order, in its own folder, which
keeps for every stage a checkpoint, a log and the trained model.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from neural.blocks import BlockTask
from neural.clips import ClipTask
from neural.train import Stage, barrier, freeze, is_first_process, save, train
from rdp.operating_point import OperatingPoint, environment

TASKS: dict[str, Callable[..., Any]] = {"blocks": BlockTask, "clips": ClipTask}
LIBRARIES = ("numpy", "torch", "constriction")


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
    """

    name: str
    task: Any
    seed: int
    cells: tuple[tuple[float, ...], ...]
    stages: tuple[Stage, ...]
    kind: str
    options: dict[str, Any]

    @classmethod
    def load(cls, path: Path | str, seed: int | None = None) -> Experiment:
        """Read an experiment from a TOML file.

        Parameters
        ----------
        path : path
            File to read. It may name another file beside it as "base", and holds then what
            differs.
        seed : int or None
            In place of the seed in the file; it becomes part of the name.

        Raises
        ------
        ValueError
            Not such a file; the message names the file and the field.
        """
        path = Path(path)
        try:
            content = _read(path)
            task = content["task"]
            if task not in TASKS:
                raise ValueError(f"task: expected one of {', '.join(TASKS)}, got {task!r}")
            stages = tuple(Stage(**stage) for stage in content["stage"])
            cells = tuple(tuple(map(float, rates)) for rates in content["rates"])
            built = TASKS[task](**content["options"])
            name = path.stem if seed is None else f"{path.stem}-seed{seed}"
            chosen = int(content["seed"]) if seed is None else seed
            return cls(name, built, chosen, cells, stages, task, content["options"])
        except KeyError as error:
            raise ValueError(f"{path}: {error.args[0]}: missing") from None
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from None

    def folder(self, root: Path, cell: int) -> Path:
        """Return the folder of a cell.

        Parameters
        ----------
        root : Path
            Folder of all experiments.
        cell : int
            Which cell.
        """
        return root / self.name / "-".join(f"{rate:g}" for rate in self.cells[cell])

    def train(self, root: Path, cell: int, **options: Any) -> None:
        """Run all stages of a cell; those that are finished are left as they are.

        Parameters
        ----------
        root : Path
            Folder of all experiments.
        cell : int
            Which cell.
        **options : Any
            Of `neural.train.train`.
        """
        folder = self.folder(root, cell)
        self.task.to(options.get("device", "cpu"))
        for number, template in enumerate(self.stages):
            seed = self.seed + 1000 * cell + number
            rates = self.cells[cell] if self.task.prescribes_rates else None
            stage = dataclasses.replace(template, rates=rates, seed=seed)
            if (folder / stage.name / "model.pt").exists():
                continue
            codec = self._initial(stage, folder, cell)
            train(
                stage, codec, self.task.batch, self.task.make_critic, folder / stage.name, **options
            )
            if is_first_process():
                state = {"decoders": list(codec.decoders), "state": codec.state_dict()}
                save(folder / stage.name / "model.pt", state)
            barrier()

    def _initial(self, stage: Stage, folder: Path, cell: int) -> Any:
        if stage.start is None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(stage.seed)
                codec = self.task.make_codec(self.cells[cell])
        else:
            codec = self.model(folder, stage.start, cell)
        codec.prepare(stage.plfs, stage.trained)
        return codec

    def model(self, folder: Path, stage: str, cell: int) -> Any:
        """Load the codec that a stage trained.

        Parameters
        ----------
        folder : Path
            Folder of the cell.
        stage : str
            Name of the stage.
        cell : int
            Which cell.

        Returns
        -------
        torch.nn.Module
            Frozen.
        """
        path = folder / stage / "model.pt"
        if not path.exists():
            raise ValueError(f"{path}: not trained yet")
        saved = torch.load(path, map_location="cpu", weights_only=True)
        return _filled(self.task.make_codec(self.cells[cell]), saved)

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
        if not 0 <= cell < len(self.cells):
            raise ValueError(f"cell: expected 0..{len(self.cells) - 1}, got {cell}")
        codec = self.model(self.folder(root, cell), stage, cell)
        content = {
            "task": self.kind,
            "options": json.dumps(self.options),
            "rates": list(self.cells[cell]),
            "decoders": list(codec.decoders),
            "state": codec.state_dict(),
        }
        save(target, content)

    def evaluate(self, root: Path, cell: int, device: str = "cpu") -> list[OperatingPoint]:
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
        list of OperatingPoint
        """
        folder = self.folder(root, cell)
        self.task.to(device)
        frozen = {stage.start for stage in self.stages if stage.encoder == "frozen"}
        points = []
        for stage in self.stages:
            if stage.name in frozen:  # its decoder comes again with the others of its encoder
                continue
            if stage.frames is not None and max(stage.frames) < len(self.cells[cell]):
                continue  # a codec of the first frames only
            codec = self.model(folder, stage.name, cell).to(device)
            shared = stage.encoder == "frozen"
            log = (folder / stage.name / "log.jsonl").read_text().splitlines()
            about = {
                "encoder": "shared" if shared else "own",
                "experiment": self.name,
                "stage": stage.name,
                "rates": list(self.cells[cell]),
                "training_seed": self.seed,
                "steps": stage.steps,
                "training_seconds": round(json.loads(log[-1])["seconds"], 1),
            }
            points += self.task.measure(
                codec,
                f"neural, {about['encoder']} encoder",
                tuple(codec.decoders) if shared else stage.plfs,
                provenance=about,
                **environment(LIBRARIES),
            )
        return points


def _filled(codec: Any, saved: dict[str, Any]) -> Any:
    """Put trained parameters into a new codec, and freeze it."""
    for plf in saved["decoders"]:
        if plf not in codec.decoders:
            codec.add_decoder(plf)
    codec.load_state_dict(saved["state"])
    return freeze(codec)


def load_codec(path: Path | str) -> Any:
    """Read a codec that `Experiment.export` wrote. Reading a file from elsewhere runs no code.

    Parameters
    ----------
    path : path
        File to read.

    Returns
    -------
    torch.nn.Module
        Codec for `neural.bitstream`, frozen, on the CPU.

    Raises
    ------
    ValueError
        Not such a file; the message names it.
    """
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        task = TASKS[saved["task"]](**json.loads(saved["options"]))
        return _filled(task.make_codec(saved["rates"]), saved)
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


def _read(path: Path) -> dict[str, Any]:
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    if "base" in content:
        content = _read(path.parent / content.pop("base")) | content
    return content


def train_cell(
    config: Path, root: Path, options: dict[str, Any], seed: int | None, cell: int
) -> None:
    """Train one cell of an experiment, in a process of its own.

    Parameters
    ----------
    config : Path
        TOML file of the experiment.
    root : Path
        Folder of all experiments.
    options : dict
        Of `neural.train.train`.
    seed : int or None
        In place of the seed in the file.
    cell : int
        Which cell.
    """
    one_thread()
    Experiment.load(config, seed).train(root, cell, position=cell, **options)


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
