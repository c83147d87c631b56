"""A grid of experiments within a time: measure step times, plan, train, measure codecs, write.

A grid is a TOML file with the names of experiments in its folder, or one experiment. Its jobs are
stages to train and cells to measure. The plan (`neural.grid.plan`) is made anew before each job,
from the time that is left and from what the jobs before it took. So the call ends in time. What it
leaves is written down, and the next call with the same folder of results goes on from there.
"""

from __future__ import annotations

import json
import math
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from neural.experiment import Experiment, name_of
from neural.grid.bundle import (
    CODEC,
    LOGS,
    RECORD,
    RESULTS,
    pack_files,
    pack_models,
    unpack_files,
    unpack_models,
)
from neural.grid.plan import Cost, Job, Plan, plan, plan_call, shortest
from neural.grid.probe import measurement_cost, stage_cost
from neural.layout import cell_name
from neural.progress import MODEL
from neural.training.checkpoint import save
from neural.training.log import read_log
from neural.training.loop import OutOfTime
from neural.training.seal import CHECKPOINT
from neural.training.stage import Stage
from rdp._files import replacing
from rdp.operating_point import load_points, save_points

MARGIN = 0.03  # share of the time that is kept for writing
PROBING = 0.15  # share of the time in which costs are measured
ENOUGH = 0.8  # of the share of steps that other groups get, to begin one more
Say = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """What a grid consists of.

    Parameters
    ----------
    experiments : tuple of Experiment
    calls : int
        Calls that it is planned for.
    least : float
        Smallest share of a stage's steps that is worth training; see `neural.grid.plan.plan`.
    first : tuple of str
        Cells that go first, as "12-16"; the others follow in order.
    export : dict or None
        Codec to export: "experiment", "cell" as "12-16", and "stage".
    """

    experiments: tuple[Experiment, ...]
    calls: int = 1
    least: float = 0.05
    first: tuple[str, ...] = ()
    export: Mapping[str, str] | None = None

    @classmethod
    def load(cls, path: Path, device: str, seed: int | None = None) -> Settings:
        """Read a grid from a TOML file, which may also be an experiment of its own.

        The key "experiments" holds a list of names for each kind of device, "cuda" and "cpu", and
        the key "least" a number, or one for each of them.

        Raises
        ------
        ValueError
            The file is malformed; the message names it.
        """
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        if "experiments" not in content:
            return cls((Experiment.load(path, seed),))
        kind = torch.device(device).type
        try:
            names = content.pop("experiments")[kind]
            loaded = tuple(Experiment.load(path.with_name(f"{n}.toml"), seed) for n in names)
            first = tuple(content.pop("first", ()))
            if isinstance(content.get("least"), dict):
                content["least"] = content["least"][kind]
            return cls(loaded, first=first, **content)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path}: {error}") from None


@dataclass(frozen=True)
class Work:
    """A job, and what it is about: a stage of a cell, or the measurement of a cell."""

    job: Job
    experiment: int
    cell: int
    number: int | None = None  # of the stage; None measures
    after: tuple[str, ...] = ()  # names of jobs


def works(settings: Settings) -> dict[str, Work]:
    """Return all jobs by name, in order of priority, each after those it needs."""
    cells = [(e, c) for e, exp in enumerate(settings.experiments) for c in range(len(exp.cells))]
    names = [cell_name(settings.experiments[e].cells[c]) for e, c in cells]
    if unknown := set(settings.first) - set(names):
        raise ValueError(f"first: expected cells such as {names[0]!r}, got {unknown.pop()!r}")
    rank = {name: number for number, name in enumerate(settings.first)}
    order = sorted(range(len(cells)), key=lambda k: rank.get(names[k], len(rank)))
    found: dict[str, Work] = {}
    for k in order:
        e, cell = cells[k]
        experiment = settings.experiments[e]
        for work in _works_of(experiment, e, cell, f"{experiment.name} {names[k]}"):
            found.setdefault(work.job.name, work)  # cells may share it
    return found


def _works_of(experiment: Experiment, e: int, cell: int, group: str) -> Iterator[Work]:
    def name(stage: Stage) -> str:
        return str(experiment.folder(Path(), stage, cell))

    for number, stage in enumerate(experiment.stages):
        after = () if stage.start is None else (name(experiment.stage(stage.start)),)
        job = Job(name(stage), group, f"{experiment.name}/{stage.name}", stage.steps)
        yield Work(job, e, experiment.first_alike(stage, cell), number, after)
    measured = tuple(name(stage) for stage in experiment.measured(cell))
    if measured:
        job = Job(f"{group} measured", group, f"{experiment.name} measured", fixed=True)
        yield Work(job, e, cell, None, measured)


@dataclass
class Grid:
    """A grid under way.

    Parameters
    ----------
    settings : Settings
    runs : Path
        Folder of models, checkpoints and logs.
    results : Path
        Folder of the files that are carried from call to call.
    device : str
    options : dict
        More options of `neural.training.loop.train`.
    say : callable
        Prints a line.
    """

    settings: Settings
    runs: Path
    results: Path
    device: str
    options: dict[str, Any] = field(default_factory=dict)
    say: Say = print

    def __post_init__(self) -> None:
        """Read what earlier calls left."""
        self.works = works(self.settings)
        self.runs.mkdir(parents=True, exist_ok=True)
        self.results.mkdir(parents=True, exist_ok=True)
        path = self.results / RECORD
        self.record: dict[str, Any] = {"calls": 0, "done": {}, "begun": {}, "costs": {}}
        if path.exists():
            self.record = json.loads(path.read_text())
        unpack_files(self.results / LOGS, self.runs)
        unpack_files(self.results / RESULTS, self.runs)
        for name, state in unpack_models(self.results).items():
            folder = self.runs / name
            if name in self.record["done"] and not (folder / MODEL).exists():
                folder.mkdir(parents=True, exist_ok=True)
                save(folder / MODEL, state)
        self._forget_what_is_missing()
        costs = self.record["costs"].get(name_of(self.device), {})
        self.costs = {kind: Cost(*cost) for kind, cost in costs.items()}
        self.guessed: set[str] = set()  # kinds whose costs were not measured

    def _forget_what_is_missing(self) -> None:
        """Do again what an unfinished job needs and what is not there any more."""
        done = self.record["done"]
        for name, work in reversed(self.works.items()):
            if name not in done:
                for before in work.after:
                    if not (self.runs / before / MODEL).exists():
                        done.pop(before, None)
        for name in list(self.record["begun"]):
            if not (self.runs / name / CHECKPOINT).exists():
                del self.record["begun"][name]

    def run(self, seconds: float) -> None:
        """Work for so many seconds at most, and write the results."""
        began = time.monotonic()
        end = began + seconds * (1 - MARGIN)
        calls = max(1, self.settings.calls - self.record["calls"])
        self._probe(began + PROBING * seconds)
        groups: set[str] = set()
        share: float | None = None  # of the steps asked for, in the groups of this call
        try:
            while (now := time.monotonic()) < end:
                if share is None:
                    here = self._plan_call(end - now, seconds, calls)
                    share = here.share
                    self._announce(here, now - began)
                else:
                    here = self._plan(end - now, groups)
                if not here.steps:  # time for one more group, if it gets as many steps?
                    here = self._plan(end - now, self._next_group())
                    if here.share < ENOUGH * share:
                        break
                groups |= {self.works[name].job.group for name in here.steps}
                name = next(iter(here.steps), next(iter(self.record["begun"]), None))
                if name is None:
                    break
                steps = self.record["begun"].get(name) or here.steps[name]
                self._do(self.works[name], steps, end)
        except OutOfTime as error:
            self.say(f"out of time: {error}")
        except KeyboardInterrupt:
            self.write()
            raise
        self.record["calls"] += 1
        self.write()
        self.say(f"{time.monotonic() - began:.0f} s of {seconds:.0f} s; {self._left()}")

    def _jobs(self) -> list[Job]:
        """What is left to do. A stage that was cut has its other steps to make."""
        jobs = []
        for name, work in self.works.items():
            if name in self.record["done"]:
                continue
            job = work.job
            if begun := self.record["begun"].get(name):
                log = read_log(self.runs / name)
                job = replace(job, steps=begun - (log[-1]["step"] if log else 0), fixed=True)
            jobs.append(job)
        return jobs

    def _plan_call(self, rest: float, seconds: float, calls: int) -> Plan:
        """Plan this call, with some groups left for the later ones."""
        jobs, least = self._jobs(), self.settings.least
        mean = (rest + (calls - 1) * seconds * (1 - MARGIN)) / calls
        first = plan_call(jobs, self.costs, mean, calls, least)
        groups = {self.works[name].job.group for name in first.steps}
        return self._plan(rest, groups)

    def _plan(self, rest: float, groups: set[str]) -> Plan:
        """Plan the jobs of some groups."""
        jobs = [job for job in self._jobs() if job.group in groups]
        return plan(jobs, self.costs, rest, self.settings.least)

    def _next_group(self) -> set[str]:
        """First group that has something left."""
        return set(list(dict.fromkeys(job.group for job in self._jobs()))[:1])

    def _announce(self, plan: Plan, spent: float) -> None:
        """Say what the plan is."""
        done = len(self.record["done"])
        self.say(
            f"step times known after {spent:.1f} s; {done} of {len(self.works)} jobs were done; "
            f"now {len(plan.steps)} jobs in {plan.seconds:.0f} s, {plan.share:.0%} of their steps"
        )
        if (jobs := self._jobs()) and not plan.steps and not self.record["begun"]:
            needed = shortest(jobs, self.costs, self.settings.least)
            self.say(f"too little time for {jobs[0].group}, which takes {needed:.0f} s at least")

    def _do(self, work: Work, steps: int, end: float) -> None:
        """Do one job, and remember what it took."""
        began = time.monotonic()
        name, experiment = work.job.name, self.settings.experiments[work.experiment]
        made = steps
        if work.number is None:
            self._measure(experiment, work.cell)
        else:
            stage = experiment.stages[work.number]
            already = read_log(self.runs / name)
            made = steps - (already[-1]["step"] if already else 0)
            self.record["begun"][name] = steps
            self._remember()
            experiment.with_steps(stage.name, steps).train(
                self.runs, work.number, work.cell, device=self.device, until=end,
                checkpoint_seconds=math.inf, progress=False, **self.options,
            )  # fmt: skip
            del self.record["begun"][name]
            (self.runs / name / CHECKPOINT).unlink(missing_ok=True)
        took = time.monotonic() - began
        kind = work.job.kind
        ratio = took / (self.costs[kind].setup + made * self.costs[kind].step)
        self.costs[kind] = Cost(*(ratio * cost for cost in self.costs[kind]))
        self.guessed.discard(kind)
        self.record["done"][name] = {"steps": steps, "seconds": round(took, 2)}
        self._remember()
        self.say(f"{took:7.1f} s  {name}" + (f", {steps} steps" if work.number is not None else ""))
        export = self.settings.export
        if export and name == "/".join(export[key] for key in ("experiment", "cell", "stage")):
            target = self.results / CODEC
            experiment.export(self.runs, work.cell, export["stage"], target, half=True)

    def _measure(self, experiment: Experiment, cell: int) -> None:
        """Measure the codecs of a cell; points of other cells stay."""
        search = torch.backends.cudnn.benchmark  # no use for shapes that come a few times
        torch.backends.cudnn.benchmark = False
        try:
            points, pictures = experiment.evaluate(self.runs, cell, self.device)
        finally:
            torch.backends.cudnn.benchmark = search
        path = self.runs / f"{experiment.name}.json"
        others = load_points(path) if path.exists() else []
        save_points(path, [*others, *points])
        if pictures:
            samples = self.runs / f"{experiment.name}-samples.npz"
            if samples.exists():
                with np.load(samples, allow_pickle=False) as stored:
                    pictures = {name: stored[name] for name in stored.files} | pictures
            np.savez_compressed(samples, **cast(Any, pictures))

    def _probe(self, end: float) -> None:
        """Measure the costs that are not known for this device; after the end, guess the others.

        A guess is the most that a job of the same sort takes. The first job of the kind corrects
        it.
        """
        alike: dict[Any, Cost] = {}
        for name, work in self.works.items():
            kind = work.job.kind
            if name in self.record["done"] or kind in self.costs:
                continue
            sort = [
                self.costs[other.job.kind] for other in self.works.values()
                if other.job.kind in self.costs and (other.number is None) == (work.number is None)
            ]  # fmt: skip
            if sort and time.monotonic() > end:
                self.costs[kind] = Cost(*map(max, zip(*sort, strict=True)))
                self.guessed.add(kind)
                continue
            self.costs[kind] = cost = self._cost(work, alike)
            if work.number is None:
                self.say(f"  {kind}: {cost.step:.1f} s")
            else:
                self.say(f"  {kind}: {1e3 * cost.step:.2f} ms a step, {cost.setup:.1f} s once")

    def _cost(self, work: Work, alike: dict[Any, Cost]) -> Cost:
        """Measure the cost of a job; stages alike share one."""
        experiment = self.settings.experiments[work.experiment]
        if work.number is None:
            return measurement_cost(experiment, work.cell, self.device)
        stage = experiment.stages[work.number]
        same = (
            str(experiment.options), len(experiment.rates(stage, work.cell)),
            replace(
                stage, name="cost", critic_warmup=0, steps=1, start=None, cell=None, lr=1.0,
                critic_lr=1.0, realism=1.0, realism_end=None,
            ),
        )  # fmt: skip
        if same not in alike:
            alike[same] = stage_cost(experiment, stage, work.cell, self.device, self.options)
        return alike[same]

    def _left(self) -> str:
        """What is left, in words."""
        groups = dict.fromkeys(
            work.job.group for name, work in self.works.items() if name not in self.record["done"]
        )
        return f"left: {', '.join(groups)}" if groups else "nothing is left"

    def _remember(self) -> None:
        """Write what is done and what has begun."""
        with replacing(self.results / RECORD, "w", encoding="utf-8") as file:
            file.write(json.dumps(self.record, indent=1) + "\n")

    def write(self) -> None:
        """Write the files that are carried to the next call."""
        known = {k: list(v) for k, v in self.costs.items() if k not in self.guessed}
        self.record["costs"][name_of(self.device)] = known
        needed = {
            before: self.runs / before / MODEL
            for name, work in self.works.items() if name not in self.record["done"]
            for before in work.after if before in self.record["done"]
        }  # fmt: skip
        kept = pack_models(self.results, needed)
        for name in needed.keys() - set(kept):
            self.say(f"not carried, so trained again elsewhere: {name}")
        files = [p for e in self.settings.experiments for p in self.runs.glob(f"{e.name}.json")]
        files += [
            p for e in self.settings.experiments for p in self.runs.glob(f"{e.name}-samples.npz")
        ]
        pack_files(self.results / RESULTS, files, self.runs)
        logs = [
            path for name in self.works if (path := self.runs / name / "log.jsonl").exists()
        ]  # fmt: skip
        pack_files(self.results / LOGS, logs, self.runs)
        self._remember()
        for path in sorted(self.results.iterdir()):
            self.say(f"{path.stat().st_size / 2**20:8.2f} MiB  {path}")
