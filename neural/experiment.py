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
from typing import Any

import torch

from neural.blocks import BlockTask
from neural.train import Stage, freeze, save, train
from rdp.operating_point import OperatingPoint, environment

TASKS: dict[str, Callable[..., Any]] = {"blocks": BlockTask}
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
    """

    name: str
    task: Any
    seed: int
    cells: tuple[tuple[float, ...], ...]
    stages: tuple[Stage, ...]

    @classmethod
    def load(cls, path: Path | str) -> Experiment:
        """Read an experiment from a TOML file.

        Parameters
        ----------
        path : path
            File to read.

        Raises
        ------
        ValueError
            Not such a file; the message names the file and the field.
        """
        path = Path(path)
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
            task = content["task"]
            if task not in TASKS:
                raise ValueError(f"task: expected one of {', '.join(TASKS)}, got {task!r}")
            stages = tuple(Stage(**stage) for stage in content["stage"])
            cells = tuple(tuple(map(float, rates)) for rates in content["rates"])
            built = TASKS[task](**content["options"])
            return cls(path.stem, built, int(content["seed"]), cells, stages)
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
        for number, template in enumerate(self.stages):
            seed = self.seed + 1000 * cell + number
            stage = dataclasses.replace(template, rates=self.cells[cell], seed=seed)
            if (folder / stage.name / "model.pt").exists():
                continue
            codec = self._initial(stage, folder)
            train(
                stage, codec, self.task.batch, self.task.make_critic, folder / stage.name, **options
            )
            state = {"decoders": list(codec.decoders), "state": codec.state_dict()}
            save(folder / stage.name / "model.pt", state)

    def _initial(self, stage: Stage, folder: Path) -> Any:
        if stage.start is None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(stage.seed)
                codec = self.task.make_codec()
        else:
            codec = self.model(folder, stage.start)
        for plf in stage.plfs:
            if plf not in codec.decoders:
                codec.add_decoder(plf)
        return codec

    def model(self, folder: Path, stage: str) -> Any:
        """Load the codec that a stage trained.

        Parameters
        ----------
        folder : Path
            Folder of the cell.
        stage : str
            Name of the stage.

        Returns
        -------
        torch.nn.Module
            Frozen.
        """
        path = folder / stage / "model.pt"
        if not path.exists():
            raise ValueError(f"{path}: not trained yet")
        saved = torch.load(path, map_location="cpu", weights_only=True)
        codec: Any = self.task.make_codec()
        for plf in saved["decoders"]:
            if plf not in codec.decoders:
                codec.add_decoder(plf)
        codec.load_state_dict(saved["state"])
        return freeze(codec)

    def evaluate(self, root: Path, cell: int) -> list[OperatingPoint]:
        """Measure every codec that a cell trained, the decoders of one encoder on the same bytes.

        Parameters
        ----------
        root : Path
            Folder of all experiments.
        cell : int
            Which cell.

        Returns
        -------
        list of OperatingPoint
        """
        folder = self.folder(root, cell)
        frozen = {stage.start for stage in self.stages if stage.encoder == "frozen"}
        points = []
        for stage in self.stages:
            if stage.name in frozen:  # its decoder comes again with the others of its encoder
                continue
            codec = self.model(folder, stage.name)
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


def train_cell(config: Path, root: Path, device: str, cell: int) -> None:
    """Train one cell of an experiment, in a process of its own.

    Parameters
    ----------
    config : Path
        TOML file of the experiment.
    root : Path
        Folder of all experiments.
    device : str
        Where to compute.
    cell : int
        Which cell.
    """
    one_thread()
    Experiment.load(config).train(root, cell, device=device, position=cell)


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
