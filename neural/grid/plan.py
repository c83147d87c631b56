r"""How many steps each stage gets, so that a whole grid ends within a time.

Every stage asks for a number of steps. If the time is short, all stages get the same share of what
they ask for. If that share would be below ``least``, the groups that come last are left out until
it is not. A group is what belongs to one cell; it is planned, and left out, as a whole.

Nothing here measures or trains: a plan is a function of numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Cost(NamedTuple):
    """Seconds that a kind of job takes: once, and for each step."""

    setup: float
    step: float


@dataclass(frozen=True)
class Job:
    """A stage to train, or a cell to measure.

    Parameters
    ----------
    name : str
        Unique.
    group : str
        What it belongs to. The jobs of a group are planned together.
    kind : str
        Jobs of one kind cost the same.
    steps : int
        Steps that it asks for; 1 for a measurement.
    fixed : bool
        Whether it must get them all.
    """

    name: str
    group: str
    kind: str
    steps: int = 1
    fixed: bool = False

    def seconds(self, costs: Mapping[str, Cost], steps: float) -> float:
        """Return the time of so many steps."""
        setup, step = costs[self.kind]
        return setup + steps * step


class Plan(NamedTuple):
    """What will be done, and what will not.

    Parameters
    ----------
    steps : dict of int
        Steps of each job that will be done, by name, in order.
    left : tuple of str
        Groups that are left out.
    seconds : float
        Time that the plan takes.
    share : float
        Share of the steps asked for, 0..1.
    """

    steps: dict[str, int]
    left: tuple[str, ...]
    seconds: float
    share: float


def plan(
    jobs: Sequence[Job], costs: Mapping[str, Cost], seconds: float, least: float = 0.05
) -> Plan:
    """Return the steps of each job, so that all of them end within a time.

    Parameters
    ----------
    jobs : sequence of Job
        In order of priority. A job comes after those that it needs.
    costs : dict of Cost
        By kind.
    seconds : float
        Time at hand.
    least : float
        Smallest share of the steps asked for that is worth training.

    Examples
    --------
    >>> jobs = [Job("a", "1", "train", 100), Job("b", "2", "train", 300)]
    >>> plan(jobs, {"train": Cost(0.0, 1.0)}, 100).steps
    {'a': 25, 'b': 75}
    >>> plan(jobs, {"train": Cost(0.0, 1.0)}, 100, least=0.5)
    Plan(steps={'a': 100}, left=('2',), seconds=100.0, share=1.0)
    """
    groups = list(dict.fromkeys(job.group for job in jobs))
    for count in range(len(groups), 0, -1):
        kept = [job for job in jobs if job.group in groups[:count]]
        share = _share(kept, costs, seconds)
        if share >= least or (share > 0 and all(job.fixed for job in kept)):
            steps = {job.name: _steps(job, share) for job in kept}
            time = sum(job.seconds(costs, steps[job.name]) for job in kept)
            return Plan(steps, tuple(groups[count:]), time, share)
    return Plan({}, tuple(groups), 0.0, 0.0)


def plan_call(
    jobs: Sequence[Job],
    costs: Mapping[str, Cost],
    seconds: float,
    calls: int = 1,
    least: float = 0.05,
) -> Plan:
    """Return the plan of the first of several calls of the same length.

    It holds whole groups: the first ones, as many as bring it nearest to its part of all the work.
    Their steps fill the call. The groups of later calls are among those left.

    Examples
    --------
    >>> jobs = [Job(str(k), str(k), "train", 100) for k in range(4)]
    >>> plan_call(jobs, {"train": Cost(0.0, 1.0)}, 100, calls=2)
    Plan(steps={'0': 50, '1': 50}, left=('2', '3'), seconds=100.0, share=0.5)
    """
    whole = plan(jobs, costs, seconds * calls, least)
    if calls == 1 or not whole.steps:
        return whole
    groups = list(dict.fromkeys(job.group for job in jobs if job.name in whole.steps))
    ends, end = [], 0.0
    for group in groups:
        for job in jobs:
            if job.group == group:
                end += job.seconds(costs, whole.steps[job.name])
        ends.append(end)
    part = ends[-1] / calls
    count = 1 + min(range(len(groups)), key=lambda k: abs(ends[k] - part))
    first = plan([job for job in jobs if job.group in groups[:count]], costs, seconds, least)
    return first._replace(left=(*first.left, *groups[count:], *whole.left))


def shortest(jobs: Sequence[Job], costs: Mapping[str, Cost], least: float = 0.05) -> float:
    """Return the seconds that the first group takes with the smallest share of its steps.

    Examples
    --------
    >>> jobs = [Job("a", "1", "train", 100), Job("b", "2", "train", 300)]
    >>> shortest(jobs, {"train": Cost(3.0, 1.0)}, least=0.5)
    53.0
    """
    shares = {False: least, True: 1.0}
    return sum(
        job.seconds(costs, job.steps * shares[job.fixed])
        for job in jobs if job.group == jobs[0].group
    )  # fmt: skip


def _share(jobs: Sequence[Job], costs: Mapping[str, Cost], seconds: float) -> float:
    """Share of the steps asked for that fits; negative if not even what is fixed does."""
    rest = seconds - sum(job.seconds(costs, job.steps if job.fixed else 0) for job in jobs)
    asked = sum(job.steps * costs[job.kind].step for job in jobs if not job.fixed)
    if rest < 0:
        return -1.0
    return min(1.0, rest / asked) if asked > 0 else 1.0


def _steps(job: Job, share: float) -> int:
    return job.steps if job.fixed else max(1, int(job.steps * share))
