"""The cells and the stages of an experiment, and the folders of their results; without torch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from neural.configuration import read_configuration
from neural.progress import Progress, found
from neural.training.log import Line, read_log, trained_seconds
from neural.training.stage import Stage, check_name
from rdp._check import one_line

MOST_BITS = 1 << 20  # of a frame


@dataclass(frozen=True)
class Layout:
    """The rates of each cell, and the stages that every cell runs.

    Parameters
    ----------
    name : str
        Name of the experiment.
    seed : int
        Seed of all stages.
    cells : tuple of tuple of float
        Rates of the frames for each cell, bits.
    stages : tuple of Stage
        In order. Training fills in the rates and the seed of each cell.
    """

    name: str
    seed: int
    cells: tuple[tuple[float, ...], ...]
    stages: tuple[Stage, ...]

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
    def load(cls, path: Path | str, seed: int | None = None) -> Self:
        """Read a TOML file.

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
            return cls._read(path, read_configuration(path), seed)
        except KeyError as error:
            raise ValueError(f"{path}: {error.args[0]}: missing") from None
        except (ArithmeticError, AttributeError, IndexError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: {one_line(error)}") from None

    @classmethod
    def _read(cls, path: Path, content: dict[str, Any], seed: int | None, **more: Any) -> Self:
        """Make sense of the content of a file; `more` are the fields of a class below this one."""
        stages = tuple(Stage(**stage) for stage in content["stage"])
        cells = tuple(tuple(map(float, rates)) for rates in content["rates"])
        name = path.stem if seed is None else f"{path.stem}-seed{seed}"
        chosen = content["seed"] if seed is None else seed
        if isinstance(chosen, bool) or not isinstance(chosen, int) or chosen < 0:
            raise ValueError(f"seed: expected an integer >= 0, got {chosen!r}")
        return cls(name, chosen, cells, stages, **more)

    def rates(self, stage: Stage, cell: int) -> tuple[float, ...]:
        """Return the rates that a stage depends on: of the frames up to the last one it trains."""
        known = self.cells[cell] if stage.cell is None else stage.cell
        return known[: None if stage.frames is None else max(stage.frames)]

    def folder(self, root: Path, stage: Stage, cell: int) -> Path:
        """Return the folder of a stage in the folder of all experiments; cells may share it."""
        return root / self.name / cell_name(self.rates(stage, cell)) / stage.name

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

    def stage(self, name: str) -> Stage:
        """Return the stage of a name; raises ValueError if there is none."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        known = ", ".join(stage.name for stage in self.stages)
        raise ValueError(f"stage: expected one of {known}, got {name!r}")

    def through(self, name: str) -> Self:
        """Return the experiment without the stages after one of them.

        What an earlier stage trains, and its folder, do not depend on those left out.
        """
        number = self.stages.index(self.stage(name))
        return dataclasses.replace(self, stages=self.stages[: number + 1])

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
