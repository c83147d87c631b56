"""Attack everything that reads: `make fuzz`.

Each family of hostile inputs runs in a process of its own for its share of the time. Every input
follows from the seed and its number, so that one can be given again:

    python -m benchmarks.fuzz_inputs --seconds 600
    python -m benchmarks.fuzz_inputs --family clips --first 1234 --count 1 --traceback

A family lists its inputs, how many were refused (the others were accepted), and what must not
happen: tracebacks (any error of another kind than a refusal, and crashes), wrong results, inputs
that took more memory than the family may, and inputs that took more than 20 s of processor time.
The exit status is 1 if any did. An input is ended after a minute of processor time, or a minute in
which it only sleeps; time in which it waits for a busy processor does not count.

The seconds are those of the clock, and cover all but the compilation of the kernels, which comes
first and is done once: what a family needs to start is taken from its share.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
import traceback
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import fuzz_families, fuzz_texts
from benchmarks.fuzz_families import Family, Wrong, compile_solvers
from benchmarks.report import report

FAMILIES: dict[str, type[Family]] = {
    "clips": fuzz_families.Clips,
    "idx": fuzz_families.Idx,
    "streams": fuzz_families.Streams,
    "neural streams": fuzz_families.NeuralStreams,
    "sweep checkpoints": fuzz_families.SweepCheckpoints,
    "training checkpoints": fuzz_families.TrainingCheckpoints,
    "codecs": fuzz_families.Codecs,
    "json": fuzz_texts.Documents,
    "toml": fuzz_texts.Configurations,
    "server": fuzz_texts.Requests,
    "commands": fuzz_texts.Commands,
}
SLOW = 20.0  # seconds of processor time for one input
HUNG = 60.0  # seconds of processor time, or of sleep, after which an input is ended
LEAST = 0.3  # seconds that a family has at least, however long it takes to start
LOOK = 1.0  # seconds between two looks at a process
SHOWN = 20  # failures that are printed


@dataclass
class Tally:
    """What came of the inputs of a family."""

    inputs: int = 0
    refused: int = 0
    accepted: int = 0
    traceback: int = 0
    wrong: int = 0
    memory: int = 0
    slow: int = 0
    most_mib: float = 0.0
    slowest_s: float = 0.0
    failures: list[str] = field(default_factory=list)

    def add(self, number: int, outcome: str, text: str, seconds: float, mib: float) -> None:
        """Count one input."""
        self.inputs += 1
        setattr(self, outcome, getattr(self, outcome) + 1)
        if text:
            self.failures.append(f"input {number}: {outcome}: {text}")
        self.most_mib, self.slowest_s = max(self.most_mib, mib), max(self.slowest_s, seconds)
        if seconds > SLOW:
            self.slow += 1
            self.failures.append(f"input {number}: {seconds:.1f} s")

    def over(self, number: int, mib: float) -> None:
        """Count an input that took too much memory."""
        self.memory += 1
        self.failures.append(f"input {number}: {mib:.0f} MiB")

    def row(self) -> dict[str, float]:
        """Return the counts for a table."""
        return {
            "inputs": self.inputs,
            "refused": self.refused,
            "tracebacks": self.traceback,
            "wrong": self.wrong,
            "beyond memory": self.memory,
            "over 20 s": self.slow,
            "most s": round(self.slowest_s, 2),
            "most MiB": round(self.most_mib),
        }

    @property
    def ok(self) -> bool:
        """Whether nothing happened that must not."""
        return not (self.traceback or self.wrong or self.memory or self.slow)


def outcome_of(family: Family, given: Any, details: bool = False) -> tuple[str, str]:
    """Return what comes of an input: refused, accepted, wrong or traceback; and what was said."""
    try:
        return ("accepted" if family.accepts(given) else "refused"), ""
    except Wrong as error:
        return "wrong", str(error)
    except Exception as error:
        if details:
            return "traceback", traceback.format_exc()
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        return "traceback", f"{type(error).__name__}: {str(error)[:200]!r} at {where}"


def attack(
    name: str, seed: int, first: int, count: int, folder: Path, details: bool = False
) -> Tally:
    """Give a family some inputs, in this process; memory is not measured."""
    family, tally = FAMILIES[name](folder), Tally()
    check_originals(family)
    for number in range(first, first + count):
        given = family.changed(Random(f"{name} {seed} {number}"))
        began = time.process_time()
        outcome, text = outcome_of(family, given, details)
        tally.add(number, outcome, text, time.process_time() - began, 0.0)
    return tally


def check_originals(family: Family) -> None:
    """Read the good inputs of a family; raise the error of one that is refused."""
    for given in family.originals():
        family.read(given)


def _worker(name: str, seed: int, first: int, end: float, out: Connection) -> None:
    """Attack a family until `end` of the clock; say when each input begins and what came of it."""
    sys.stdout = sys.stderr = open(os.devnull, "w")
    with TemporaryDirectory() as folder:
        family = FAMILIES[name](Path(folder))
        family.prepare()
        check_originals(family)
        _limit_memory(family.limit)
        out.send(("ready", 0))
        until, number = max(end, time.time() + LEAST), first
        while time.time() < until:
            given = family.changed(Random(f"{name} {seed} {number}"))
            out.send(("begins", number))
            before, began = _reset_peak(), time.process_time()
            outcome, text = outcome_of(family, given)
            taken = time.process_time() - began
            out.send(("ended", (number, outcome, text, taken, _peak() - before)))
            number += 1
    out.send(("done", 0))


def _reset_peak() -> float:
    """Begin to measure the peak of the memory of this process; return what it holds, in MiB."""
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> float:
    """Most memory since `_reset_peak`, in MiB; 0 where the system does not say."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024


def _limit_memory(mib: int) -> None:
    """Make allocations fail far beyond what a family may take, to protect the machine."""
    status = Path("/proc/self/status")
    if status.exists():
        import resource

        now = int(status.read_text().split("VmSize:")[1].split()[0]) / 1024
        most = int(now + 2 * mib + 2048) << 20
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


class Clock:
    """Time that a process has taken since this was made, on its processor and asleep."""

    def __init__(self, process: int) -> None:
        self.process = process
        self.began, self.ready = time.monotonic(), self._busy()

    def _busy(self) -> tuple[float, float]:
        """Return seconds on a processor and seconds in the queue for one; 0 where not known."""
        try:
            words = Path(f"/proc/{self.process}/stat").read_text().rpartition(") ")[2].split()
            queued = Path(f"/proc/{self.process}/schedstat").read_text().split()[1]
        except (OSError, IndexError):  # another system, or the process has ended
            return 0.0, 0.0
        ticks = int(words[11]) + int(words[12])  # of user and system
        return ticks / os.sysconf("SC_CLK_TCK"), int(queued) / 1e9

    def hung(self) -> bool:
        """Whether the process has computed, or slept, for too long."""
        now = self._busy()
        computed, queued = now[0] - self.ready[0], now[1] - self.ready[1]
        slept = time.monotonic() - self.began - computed - queued
        return max(computed, slept) > HUNG


def supervise(name: str, seed: int, first: int, seconds: float) -> Tally:
    """Attack a family in processes of its own; one that crashes or hangs is replaced."""
    tally, end, limit = Tally(), time.time() + seconds, FAMILIES[name].limit
    context = multiprocessing.get_context("spawn")
    while not tally.inputs or time.time() < end:
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_worker, args=(name, seed, first, end, sender))
        process.start()
        sender.close()
        at, clock = None, Clock(process.pid or 0)
        try:
            while True:
                if not receiver.poll(LOOK):
                    if at is None or not clock.hung():
                        continue
                    process.kill()
                    tally.add(at, "traceback", "hung, ended", HUNG, 0.0)
                    break
                kind, what = receiver.recv()
                if kind == "done":
                    return tally
                if kind == "begins":
                    at, clock = what, Clock(process.pid or 0)
                elif kind == "ended":
                    tally.add(*what)
                    if what[4] > limit:
                        tally.over(what[0], what[4])
        except EOFError:
            process.join()
            if at is None:
                raise RuntimeError(f"{name}: the process ended before its first input") from None
            tally.add(at, "traceback", f"crash, exit status {process.exitcode}", 0.0, 0.0)
        finally:
            process.join()
            receiver.close()
        first = (at or 0) + 1
    return tally


def main(arguments: list[str] | None = None) -> int:
    """Run the attack of the command line; 0 if nothing happened that must not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--seconds", type=float, default=300, help="for all families, once kernels are compiled"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--family", choices=FAMILIES, action="append")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--count", type=int, help="that many inputs, in this process")
    parser.add_argument("--traceback", action="store_true", help="with --count: print them")
    chosen = parser.parse_args(arguments)
    names, rows, ok = chosen.family or list(FAMILIES), [], True
    if any(FAMILIES[name].solves for name in names):
        compile_solvers()
    end = time.time() + chosen.seconds
    for place, name in enumerate(names):
        if chosen.count is not None:
            with TemporaryDirectory() as folder:
                span = chosen.first, chosen.count
                tally = attack(name, chosen.seed, *span, Path(folder), chosen.traceback)
        else:
            share = max(end - time.time(), 0.0) / (len(names) - place)
            tally = supervise(name, chosen.seed, chosen.first, share)
        ok &= tally.ok
        for line in tally.failures[:SHOWN]:
            print(f"{name}: {line}", file=sys.stderr)
        rows.append({"family": name, **tally.row(), "limit MiB": FAMILIES[name].limit})
    report("fuzz_inputs", rows, write=chosen.count is None and chosen.family is None)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
