"""Random problems, ordinary and extreme, and what an answer must satisfy whatever the problem is.

    python -m benchmarks.fuzz --seconds 600 --seed 1

Each problem is one of `FAMILIES`. An answer is wrong if it beats the MMSE, exceeds a threshold, has
its bound above itself, is worse than the answer of a problem that asks for more, or, for a sample,
is below the bound of decimal arithmetic or has its own bound above the answer of decimal
arithmetic. Frame by frame, each frame is compared. An exception other than ValueError and
SolverError is an error of the package. The table counts both, the problems that no method
certifies, and answers whose certified gap is above 1e-6 of the objective and 1e-20 of the variance.
`solve` accepts 1e-5 of the objective and 1e-13 of the variance where no method has a better bound.
The largest relative gap means little where an objective is next to 0. ``--examples`` prints some.

The family "compiled" asks the compiled method alone, for grids of extreme problems. Points that it
does not certify are counted as handed over, and one in `HANDED` of them is solved as usual. Along
the chains of a grid rates grow, so that no bound may exceed the answers before it. The family
"long" has extreme problems of more frames, most of which decimal arithmetic answers, in seconds,
"rates" asks `allocate` and `minimum_rate` (:mod:`benchmarks.fuzz_free_rates`).

    python -m benchmarks.fuzz --seconds 3600 --parts build/fuzz.jsonl

works in parts of `PART` problems, each with a seed of its own, and adds what each part found to the
file. A run that was stopped goes on with the next part; the table sums all parts of the file.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.fuzz_free_rates import check_free_rates
from benchmarks.fuzz_problems import FAMILIES
from benchmarks.report import report
from rdp import FMD, Problem
from rdp.mmse import mmse_recursion
from rdp.solution import Solution
from solvers import SolverError, minimum_rate, solve, sweep
from solvers.acceptance import sharp, sharply_within, within_thresholds
from solvers.methods.barrier import barrier_batch
from solvers.methods.registry import METHODS, quick_in_decimals

Array = np.ndarray
INF = np.inf

ROUNDING = 1e-9  # of a distortion
ORDER = 1e-6  # of an objective, next to the gaps: what two answers may be out of order
ALLOWED = 1e-5  # of a frame, frame by frame: the gap that a frame may have
FLOOR = 1e-12  # of the variance: what double precision leaves where distortions vanish
LEAST = 1e-20  # of the variance: an objective of 0, whose gap is not counted
DECIMALS = 16  # one in so many problems is solved in decimal arithmetic too
KEPT = 5  # problems that are kept of each kind of failure
GRID = 64  # points of a sweep
LONG_GRID = 8  # the same of the family "long"
# problems, one of which gives a sweep
SWEEP_EACH = {"usual": 2, "extreme": 8, "sequential": 0, "long": 8}
CHAINS = 16  # of GRID points each, in a grid for the compiled method
HANDED = 1024  # one in so many points that the compiled method leaves is solved as usual
# problems of a part
PART = {"usual": 32, "extreme": 16, "sequential": 8, "compiled": 8, "long": 8, "rates": 8}


@dataclass
class Tally:
    """What happened to the problems of one family."""

    solves: int = 0
    points: int = 0
    handed: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    compared: int = 0
    worst_gap: float = 0.0
    slowest: float = 0.0
    kept: dict[str, list[str]] = field(default_factory=dict)

    def note(self, what: str, problem: object) -> None:
        """Count one failure, and keep its problem."""
        self.counts[what] += 1
        examples = self.kept.setdefault(what, [])
        if len(examples) < KEPT:
            examples.append(repr(problem))

    def add(self, part: Tally) -> None:
        """Add what happened in another part of the family."""
        self.solves += part.solves
        self.points += part.points
        self.handed += part.handed
        self.compared += part.compared
        self.counts.update(part.counts)
        self.worst_gap = max(self.worst_gap, part.worst_gap)
        self.slowest = max(self.slowest, part.slowest)
        for what, examples in part.kept.items():
            kept = self.kept.setdefault(what, [])
            kept.extend(examples[: KEPT - len(kept)])

    def row(self, family: str) -> dict[str, Any]:
        """Return the line of a family in the table."""
        counts = Counter(self.counts)
        unsolved, wide = counts.pop("unsolved", 0), counts.pop("bound far below", 0)
        refused = sum(n for what, n in counts.items() if what.startswith("refused"))
        errors = sum(n for what, n in counts.items() if what.startswith("error"))
        return {
            "family": family,
            "solves": self.solves,
            "sweep points": self.points,
            "handed over": self.handed,
            "in decimals too": self.compared,
            "unsolved": unsolved,
            "gap above 1e-6": wide,
            "refused": refused,
            "wrong": sum(counts.values()) - refused - errors,
            "errors": errors,
            "largest relative gap": self.worst_gap,
            "slowest (s)": self.slowest,
        }


# -- what an answer must satisfy -----------------------------------------------------------------


def faults(problem: Problem, distortion: Array, perception: Array, bound: float) -> Iterator[str]:
    """Name what is wrong with an answer."""
    source = problem.source
    least = mmse_recursion(source, problem.rates).mmse
    weights = problem.frame_weights
    objective = float(weights @ distortion)
    if not np.isfinite(distortion).all():
        yield "distortion not finite"
        return
    if (distortion < least * (1 - ROUNDING) - 1e-15 * source.variance).any():
        yield "better than the MMSE"
    if not within_thresholds(problem, distortion, perception, problem.thresholds, 0.0):
        yield "beyond a threshold"
    if bound > objective * (1 + ORDER) + FLOOR * float(weights @ source.variance):
        yield "bound above the answer"
    if bound < objective * (1 - ORDER) - LEAST * float(weights @ source.variance):
        yield "bound far below"


def easier(problem: Problem, rng: np.random.Generator) -> Problem:
    """A problem whose optimum is no larger: more bits, looser thresholds, or the weaker loss."""
    kind = rng.integers(3)
    if kind == 0:
        return problem.with_(rates=problem.rates + rng.uniform(0, 1, problem.source.frames))
    if kind == 1 or problem.plf == "FMD":
        return problem.with_(perception=problem.perception.at(problem.thresholds * 1.5))
    return problem.with_(perception=FMD(problem.thresholds))


def check(problem: Problem, rng: np.random.Generator, tally: Tally) -> None:
    """Solve one problem and one that is easier, and count what is wrong."""
    start = time.perf_counter()
    try:
        found = solve(problem)
        tally.slowest = max(tally.slowest, time.perf_counter() - start)
        for fault in faults(problem, found.distortion, found.perception, found.lower_bound):
            tally.note(fault, problem)
        tally.worst_gap = max(tally.worst_gap, abs(found.gap) / max(found.objective, 1e-300))
        if problem.weights is not None:
            other = solve(easier(problem, rng))
            slack = FLOOR * float(problem.weights @ problem.source.variance)
            slack += ORDER * found.objective
            if other.lower_bound > found.objective + slack:
                tally.note("worse than what asks for more", problem)
        if rng.random() < 1 / DECIMALS:
            check_decimals(problem, found, tally)
    except SolverError:
        tally.note("unsolved", problem)
    except ValueError as error:
        tally.note(f"refused: {error}"[:60], problem)
    except Exception as error:  # what the run looks for
        tally.note(f"error: {type(error).__name__}", problem)


def check_decimals(problem: Problem, found: Solution, tally: Tally) -> None:
    """Compare an answer with that of decimal arithmetic."""
    if not METHODS["precise"].covers(problem):
        return
    exact = METHODS["precise"].solve(problem)
    assert exact.distortion is not None
    tally.compared += 1
    if problem.weights is None:
        apart = np.abs(found.distortion - exact.distortion)
        if (apart > ALLOWED * exact.distortion + FLOOR * problem.source.variance).any():
            tally.note("apart from decimal arithmetic", problem)
        return
    objective = float(problem.frame_weights @ exact.distortion)
    slack = ORDER * found.objective + FLOOR * float(problem.frame_weights @ problem.source.variance)
    if found.objective < exact.lower_bound - slack or found.lower_bound > objective + slack:
        tally.note("apart from decimal arithmetic", problem)


def check_sweep(
    problem: Problem, rng: np.random.Generator, tally: Tally, points: int = GRID
) -> None:
    """Solve a grid of one problem, and count what is wrong at its points."""
    frames = problem.source.frames
    share = rng.uniform(0, 2, (points, frames))
    rates = np.where(np.isinf(problem.rates), INF, problem.rates * share)
    levels = problem.thresholds * rng.choice([0.0, 0.5, 1.0, 2.0], (points, frames))
    levels = np.where(np.isnan(levels), INF, levels)
    try:
        found = sweep(problem, rates, levels)
    except Exception as error:
        tally.note(f"error in a sweep: {type(error).__name__}", problem)
        return
    for i in range(points):
        point = problem.with_(rates=rates[i], perception=problem.perception.at(levels[i]))
        if found.status[i]:
            tally.note("unsolved", point)
            continue
        answer = found.distortion[i], found.perception[i], float(found.lower_bound[i])
        for fault in faults(point, *answer):
            tally.note(fault, point)


def check_grid(problem: Problem, rng: np.random.Generator, tally: Tally) -> None:
    """Solve a grid by the compiled method, and count what is wrong where it certifies its answer.

    Parameters
    ----------
    problem : Problem
        Rates and thresholds that those of the grid are multiples of.
    rng : numpy.random.Generator
        Where the grid comes from, and the sample that is solved as usual.
    tally : Tally
        What was counted so far.
    """
    source, frames = problem.source, problem.source.frames
    share = np.sort(rng.uniform(0, 2, (CHAINS, GRID)), axis=1).reshape(-1, 1)
    share = share * np.repeat(rng.uniform(0.5, 1.0, (CHAINS, frames)), GRID, axis=0)
    rates = np.where(np.isinf(problem.rates), INF, problem.rates * share)
    factor = np.repeat(rng.choice([0.5, 1.0, 2.0], (CHAINS, frames)), GRID, axis=0)
    levels = problem.thresholds * factor
    tally.points += len(rates)
    try:
        *values, stopped = barrier_batch(source, rates, levels, problem.plf, problem.weights)
        free = sweep(problem.with_(perception=FMD(problem.thresholds)), rates, levels)
    except Exception as error:
        tally.note(f"error in a grid: {type(error).__name__}", problem)
        return
    distortion, perception, objective, bound = values
    right = (stopped == 0) & sharp(problem, objective, bound, quick_in_decimals(problem))
    right &= sharply_within(problem, distortion, perception, levels)
    tally.handed += int((~right).sum())
    least = mmse_recursion(source, rates).mmse
    floor = FLOOR * float(problem.frame_weights @ source.variance)
    slack = ORDER * objective + floor
    wrong = {
        "distortion not finite": ~np.isfinite(distortion).all(axis=1),
        "better than the MMSE": (
            distortion < least * (1 - ROUNDING) - 1e-15 * source.variance
        ).any(axis=1),
        "bound above the answer": bound > objective + slack,
    }
    if problem.weights is not None:
        wrong["better than under PLF-FMD"] = objective < free.objective - slack
        chained = np.where(right, objective + slack, INF).reshape(CHAINS, GRID)
        before = np.minimum.accumulate(chained, axis=1).ravel()
        wrong["worse than what asks for more"] = bound > before
    for what, found in wrong.items():
        for i in np.flatnonzero(right & found):
            loss = problem.perception.at(levels[i]) if problem.perception else None
            tally.note(what, problem.with_(rates=rates[i], perception=loss))
    for i in np.flatnonzero(~right & (rng.random(len(rates)) < 1 / HANDED)):
        loss = problem.perception.at(levels[i]) if problem.perception else None
        check(problem.with_(rates=rates[i], perception=loss), rng, tally)
        tally.solves += 1


def check_least_rate(problem: Problem, tally: Tally) -> None:
    """Ask for the least total rate of the distortions that a problem reaches."""
    source = problem.source
    asked = np.clip(mmse_recursion(source, problem.rates).mmse * 1.5, 1e-6 * source.variance, INF)
    try:
        found = minimum_rate(source, asked, problem.perception)
    except SolverError:
        tally.note("unsolved", (source, asked, problem.perception))
        return
    except Exception as error:
        tally.note(f"error: {type(error).__name__}", (source, asked, problem.perception))
        return
    if not 0 <= found.gap <= 1e-5 * (1 + found.total):
        tally.note("bound far below", (source, asked, problem.perception))


# -- the run -------------------------------------------------------------------------------------


def fuzz(family: str, count: int | None, seconds: float, seed: int, part: int = 0) -> Tally:
    """Check problems of one family until the count of problems or the time is reached."""
    tally, rng = Tally(), np.random.default_rng([seed, list(FAMILIES).index(family), part])
    stop = time.perf_counter() + seconds
    while time.perf_counter() < stop and (count is None or tally.solves < count):
        problem = FAMILIES[family](rng)
        with np.errstate(all="ignore"):
            if family == "compiled":
                check_grid(problem, rng, tally)
                if time.perf_counter() >= stop or tally.points >= (count or np.inf) * CHAINS * GRID:
                    break
                continue
            if family == "rates":
                for what, asked in check_free_rates(problem, rng, faults):
                    tally.note(what, asked)
                tally.solves += 1
                continue
            check(problem, rng, tally)
            tally.solves += 1
            each = SWEEP_EACH[family]
            if each and tally.solves % each == 0:
                points = LONG_GRID if family == "long" else GRID
                check_sweep(problem, rng, tally, points)
                tally.points += points
            if tally.solves % 16 == 1 and family == "usual":
                check_least_rate(problem, tally)
    return tally


def read_parts(path: Path) -> tuple[dict[str, Tally], Counter[str]]:
    """Sum the parts of a file; return the sums and the number of parts of each family."""
    sums: dict[str, Tally] = {}
    parts: Counter[str] = Counter()
    for line in path.read_text().splitlines() if path.exists() else []:
        stored = json.loads(line)
        family = stored.pop("family")
        stored["counts"] = Counter(stored["counts"])
        sums.setdefault(family, Tally()).add(Tally(**stored))
        parts[family] += 1
    return sums, parts


def fuzz_in_parts(path: Path, families: list[str], seconds: float, seed: int) -> dict[str, Tally]:
    """Check part after part until the time is over, and return the sums of the whole file."""
    _, parts = read_parts(path)
    stop = time.perf_counter() + seconds
    path.parent.mkdir(parents=True, exist_ok=True)
    for family in cycle(families):
        if time.perf_counter() >= stop:
            break
        found = fuzz(family, PART[family], np.inf, seed, parts[family])
        parts[family] += 1
        with path.open("a") as file:
            file.write(json.dumps({"family": family, **vars(found)}) + "\n")
    return read_parts(path)[0]


def main(
    seconds: Annotated[float, typer.Option(help="Time for all families.")] = 300.0,
    count: Annotated[int | None, typer.Option(help="Problems of each family at most.")] = None,
    name: Annotated[str, typer.Option(help="Name of the table.")] = "fuzz",
    seed: Annotated[int, typer.Option(help="Seed of the problems.")] = 0,
    families: Annotated[str, typer.Option(help="Which, with commas.")] = ",".join(FAMILIES),
    parts: Annotated[Path | None, typer.Option(help="File that keeps what was done.")] = None,
    examples: Annotated[bool, typer.Option(help="Print problems that failed.")] = False,
) -> None:
    """Check random problems and write the table of what was found."""
    chosen = families.split(",")
    if parts is None:
        share = seconds / len(chosen)
        tallies = {family: fuzz(family, count, share, seed) for family in chosen}
    else:
        tallies = fuzz_in_parts(parts, chosen, seconds, seed)
    if examples:
        for family, tally in tallies.items():
            for what, kept in tally.kept.items():
                typer.echo(f"{family}: {what}")
                typer.echo("\n".join(f"  {text}" for text in kept))
    report(name, [tally.row(family) for family, tally in tallies.items()], ("scipy", "numba"))


if __name__ == "__main__":
    typer.run(main)
