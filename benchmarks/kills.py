"""Kill long work at random moments, and take the room for its files away: nothing finished is lost.

Each task runs in a process that is killed, and started again with the same command, until it was
killed as often as asked; then it runs to its end. Its answer must be that of a run without kills,
byte for byte. What stands on disk must never become less. Then the same with a limit on the size of
files in place of kills: every run must end with one line that names a file, and go on afterwards.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from benchmarks.fuzz_texts import Configurations, toml
from benchmarks.report import report

SWEEP = """
import sys
import numpy as np
from rdp import JD, GaussMarkov, Problem
from solvers import sweep
source = GaussMarkov.stationary(rho=0.9, frames=3)
rates = np.random.default_rng(0).uniform(0, 3, (1500, 3))
levels = np.random.default_rng(1).uniform(0.01, 0.5, (1500, 3))
problem = Problem(source, 0.0, JD(0.0), [1.0, 1.0, 1.0])
try:
    found = sweep(problem, rates, levels, checkpoint="checkpoint", chunk=50)
    found.to_dataframe().to_csv("answer.csv")
except OSError as error:
    sys.exit(f"{error}")
"""

ENCODE = """
import sys
from pathlib import Path
from solvers.cli import app

def run(*words):
    try:
        app(words, prog_name="rdp")
    except SystemExit as ended:
        if ended.code:
            raise

for part in range(3):
    stream, frames = Path(f"{part}.rdp"), Path(f"{part}.npy")
    start = str(16 * part)
    if not stream.exists():
        run("encode", "--sample", "--start", start, "--frames", "16", "-o", str(stream))
    if not frames.exists():
        run("decode", str(stream), "--plf", "JD", "-o", str(frames))
"""


class Task(NamedTuple):
    """Long work in a folder, and what it keeps there."""

    name: str
    command: list[str]
    prepare: Callable[[Path], None]
    progress: Callable[[Path], int]  # what is finished: it never falls
    finished: Callable[[Path], dict[str, object]]  # parts by name; one that is made again differs
    answer: Callable[[Path], str]


def experiment(folder: Path, steps: int, cells: int) -> None:
    """Write the configuration of a small experiment."""
    content = dict(Configurations.BASE)
    content["rates"] = [[0.7, 0.9 + 0.1 * k] for k in range(cells)]
    content["stage"] = [stage | {"steps": steps} for stage in content["stage"]]
    content["options"] = content["options"] | {"evaluation": {"n": 200, "repeats": 2, "seed": 5}}
    text = toml(content)
    tomllib.loads(text)
    (folder / "e.toml").write_text(text)


def digest(paths: list[Path]) -> str:
    """Return a digest of the content of files."""
    total = hashlib.sha256()
    for path in sorted(paths):
        total.update(path.read_bytes())
    return total.hexdigest()


def records(folder: Path) -> int:
    """Return how many chunks of a sweep are on disk, each of them once."""
    path = folder / "checkpoint"
    return path.read_bytes().count(b"\xffrecord\n") if path.exists() else 0


def chunks(folder: Path) -> dict[str, object]:
    """Return how often each chunk of a sweep is on disk."""
    path = folder / "checkpoint"
    content = path.read_bytes() if path.exists() else b""
    parts = content.split(b"\xffrecord\n")[1:-1]  # the last one may be under way
    return dict(Counter(hashlib.sha256(part).hexdigest() for part in parts))


def whole_files(folder: Path) -> int:
    """Return how many streams and arrays are there; one that is torn is an error."""
    from rdp.clip_codec import about

    for path in folder.glob("*.rdp"):
        about(path.read_bytes())
    for path in folder.glob("*.npy"):
        np.load(path)
    return len(written(folder, "*.rdp", "*.npy"))


def written(folder: Path, *patterns: str) -> dict[str, object]:
    """Return when files were written."""
    paths = [path for pattern in patterns for path in folder.glob(pattern)]
    return {str(path): path.stat().st_mtime_ns for path in paths}


def models(folder: Path) -> dict[str, object]:
    """Return when the models of finished stages were written."""
    return written(folder, "runs/*/*/*/model.pt")


def steps(folder: Path) -> int:
    """Return the steps of a training that are on disk: of models, and of the last checkpoints."""
    from neural.training.checkpoint import load

    total = 0
    for stage in folder.glob("runs/*/*/*"):
        if (stage / "model.pt").exists():
            total += json.loads((stage / "log.jsonl").read_text().splitlines()[-1])["step"]
        elif (stage / "checkpoint.pt").exists():
            total += load(stage / "checkpoint.pt")["step"]
    return total


def parameters(folder: Path) -> str:
    """Return a digest of the parameters of all trained models."""
    from neural.training.checkpoint import load, tensors

    total = hashlib.sha256()
    for path in sorted(folder.glob("runs/*/*/*/model.pt")):
        for name, tensor in tensors(load(path)):
            total.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return total.hexdigest()


TASKS = (
    Task("sweep", [sys.executable, "-c", SWEEP], lambda folder: None, records, chunks,
         lambda folder: digest([folder / "answer.csv"])),
    Task("training",
         [sys.executable, "-m", "neural", "train", "e.toml", "--runs", "runs", "--workers", "1"],
         lambda folder: experiment(folder, 100, 2), steps, models, parameters),
    Task("grid",
         [sys.executable, "-m", "neural", "grid", "e.toml", "--runs", "runs", "--results", "grid",
          "--budget", "5m"],
         lambda folder: experiment(folder, 40, 2), steps, models, parameters),
    Task("encode", [sys.executable, "-c", ENCODE], lambda folder: None, whole_files,
         lambda folder: written(folder, "*.rdp", "*.npy"),
         lambda folder: digest([*folder.glob("*.rdp"), *folder.glob("*.npy")])),
)  # fmt: skip


class Attempt(NamedTuple):
    """How one run ended."""

    status: int
    error: str
    seconds: float


def attempt(
    task: Task, folder: Path, kill_after: float | None = None, room: int | None = None
) -> Attempt:
    """Run a task, until it ends or is killed; files may have `room` bytes."""

    def limited() -> None:
        if room is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    began = time.monotonic()
    process = subprocess.Popen(
        task.command,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limited,
        env=environment(),
    )
    try:
        _, error = process.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        process.kill()
        _, error = process.communicate()
    return Attempt(process.returncode, error, time.monotonic() - began)


def environment() -> dict[str, str]:
    """Return the variables of a run: it finds this package in another working folder."""
    root = str(Path(__file__).resolve().parents[1])
    return os.environ | {"PYTHONPATH": root, "PYTHONSAFEPATH": "1"}


def made_again(task: Task, folder: Path, parts: dict[str, object]) -> int:
    """Return how many of the parts that were finished are gone or were made again."""
    kept = task.finished(folder)
    return sum(kept.get(name) != made for name, made in parts.items())


def killed(task: Task, folder: Path, seconds: float, kills: int, rng: Random) -> dict[str, Any]:
    """Kill a task so many times; return what was lost."""
    task.prepare(folder)
    first, done, lost, hits, again = folder, 0, 0, 0, 0
    parts: dict[str, object] = {}
    while hits < kills:
        ended = attempt(task, folder, kill_after=rng.uniform(0.3, 1.0) * seconds)
        if ended.status == 0:  # it ended before the kill: begin again, elsewhere
            seconds = min(seconds, ended.seconds)
            again += made_again(task, folder, parts)
            folder = folder.with_name(f"{first.name}-{hits}-{ended.seconds:.6f}")
            folder.mkdir()
            task.prepare(folder)
            done, parts = 0, {}
            continue
        if ended.status != -9:
            raise RuntimeError(f"{task.name}: status {ended.status}: {ended.error[-500:]}")
        hits += 1
        now = task.progress(folder)
        lost += max(done - now, 0)
        again += made_again(task, folder, parts)
        done, parts = now, task.finished(folder)
    last = attempt(task, folder)
    if last.status != 0:
        raise RuntimeError(f"{task.name}: status {last.status}: {last.error[-500:]}")
    again += made_again(task, folder, parts)
    return {
        "kills": hits, "lost": lost, "made again": again, "same answer": task.answer(folder),
    }  # fmt: skip


def crowded(task: Task, folder: Path, largest: int, count: int) -> dict[str, Any]:
    """Give the files of a task too little room, more each time; return what was lost."""
    task.prepare(folder)
    done, lost, refused, long = 0, 0, 0, 0
    for number in range(count):
        room = int(largest * number / count) + 1
        ended = attempt(task, folder, room=room)
        if ended.status == 0:
            break
        refused += 1
        last_line = ended.error.rstrip("\n").rpartition("\n")[2]
        long += "Traceback" in ended.error or "File too large" not in last_line
        now = task.progress(folder)
        lost += max(done - now, 0)
        done = now
    last = attempt(task, folder)
    if last.status != 0:
        raise RuntimeError(f"{task.name}: status {last.status}: {last.error[-500:]}")
    return {
        "refused": refused, "other messages": long, "lost then": lost,
        "same answer then": task.answer(folder),
    }  # fmt: skip


def tried(task: Task, kills: int, disks: int, seed: int) -> dict[str, Any]:
    """Return the row of a task."""
    with TemporaryDirectory() as place:
        folders = [Path(place) / name for name in ("warm", "whole", "killed", "crowded")]
        for folder in folders:
            folder.mkdir()
        for folder in folders[:2]:  # the first compiles
            task.prepare(folder)
            whole = attempt(task, folder)
            if whole.status != 0:
                raise RuntimeError(f"{task.name}: {whole.error[-500:]}")
        answer = task.answer(folders[1])
        largest = max(path.stat().st_size for path in folders[1].rglob("*") if path.is_file())
        row = {"task": task.name, "seconds": whole.seconds}
        row |= killed(task, folders[2], whole.seconds, kills, Random(seed))
        row |= crowded(task, folders[3], largest, disks)
    for name in ("same answer", "same answer then"):
        row[name] = row[name] == answer
    return row


def main(arguments: list[str] | None = None) -> int:
    """Run all tasks; 0 if nothing was lost and every answer is the same."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--disks", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="tasks side by side")
    parser.add_argument("--task", choices=[task.name for task in TASKS], action="append")
    given = parser.parse_args(arguments)
    chosen = [task for task in TASKS if not given.task or task.name in given.task]
    with ThreadPoolExecutor(given.workers) as pool:
        one = partial(tried, kills=given.kills, disks=given.disks, seed=given.seed)
        rows = list(pool.map(one, chosen))
    report("kills", rows, write=given.task is None)
    good = all(
        row["same answer"] and row["same answer then"]
        and not (row["lost"] or row["made again"] or row["lost then"] or row["other messages"])
        for row in rows
    )  # fmt: skip
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
