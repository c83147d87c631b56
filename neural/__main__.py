"""``python -m neural {train,grid,status,evaluate,validate,table,learning,export,overlay}``.

Training needs only torch, numpy, scipy, tqdm and the entropy coder. Processes that ``torchrun``
started train together, each on its share of every batch.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from functools import partial
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neural import NEEDS_TORCH
from neural.configuration import variables
from rdp._busy import never_silent
from rdp._check import one_line, warnings_of_one_line
from rdp._files import locked, read_arrays, replacing
from rdp.operating_point import OperatingPoint, load_points, save_points

if TYPE_CHECKING:
    from neural.experiment import Experiment

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
OVERLAY = HERE / "configs" / "overlay.toml"
INTERRUPTED = 130  # exit status after Ctrl-C
OVERLAY_FIGURES = ("codec_overlay", "gap_to_curve")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, that of the process if None; returns the exit status."""
    given = _parser().parse_args(arguments)
    try:
        notice = never_silent(f"python -m neural {given.command}", before=time.process_time())
        with notice, warnings_of_one_line():
            return _run(given)
    except KeyboardInterrupt:
        again = list(sys.argv[1:] if arguments is None else arguments)
        if given.command == "overlay" and given.fresh:
            again.append("--resume")
        command = f"{_settings(given)}python -m neural {shlex.join(again)}"
        print(f"\nstopped; go on with: {command}", file=sys.stderr)
        return INTERRUPTED
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        print(NEEDS_TORCH, file=sys.stderr)
    except (ValueError, OSError, BrokenProcessPool) as error:
        print(one_line(error), file=sys.stderr)
    except (MemoryError, RuntimeError) as error:
        if not _is_lack_of_memory(error):
            raise
        print("not enough memory: take a smaller width, batch or number of clips", file=sys.stderr)
        return 1
    return 2


def _settings(given: argparse.Namespace) -> str:
    """Environment variables of a configuration, as a shell takes them before a command."""
    path = getattr(given, "config", None)
    if path is None or not path.is_file():
        return ""
    known = [name for name in variables(path) if name in os.environ]
    return "".join(f"{name}={shlex.quote(os.environ[name])} " for name in known)


def _is_lack_of_memory(error: Exception) -> bool:
    """Whether an error says that memory is missing, as torch says it for each device."""
    names = [kind.__name__ for kind in type(error).__mro__]
    return "MemoryError" in names or "OutOfMemoryError" in names or "allocate memory" in str(error)


def _run(given: argparse.Namespace) -> int:
    """Run a command; libraries that it needs are imported only here."""
    if given.command == "validate":
        return _validate(given.points, given.csv)
    if given.command == "table":
        return _table(given.points, given.csv)
    if given.device.startswith("cuda"):
        _require_cuda(given.device)
    if given.command == "grid":
        return _grid(given)
    if given.command == "status":
        return _status(given)
    from neural.experiment import Experiment

    experiment = Experiment.load(given.config, given.seed)
    if getattr(given, "last", None) is not None:
        experiment = experiment.through(given.last)
    if given.fresh:
        _discard(given.runs / experiment.name)
    if given.command == "learning":
        return _learning(experiment, given.runs, given.csv)
    if given.command == "export":
        experiment.export(given.runs, given.cell, given.stage, given.out, given.half)
    if given.command in ("train", "overlay"):
        _train(experiment, given)
    if given.command in ("evaluate", "overlay"):
        _evaluate(experiment, given)
    if given.command == "overlay" and given.results is None:
        _redraw(given.figures)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m neural")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("train", "train all stages and cells; Ctrl-C keeps what was trained, and the same command "
         "goes on from there"),
        ("status", "list which stages are done, under way or missing, and how long they took; the "
         "exit status is 1 until all are done"),
        ("evaluate", "measure the trained codecs and write operating points"),
        ("learning", "write a table of the progress that training still made when it ended"),
        ("export", "write a trained codec as one file; reading that file runs no code"),
        ("overlay", "train the codecs of the overlay figures anew, measure them, and redraw"),
        ("grid", "train and measure all cells of several experiments within a time; a second call "
         "with the same folder of results goes on where the first one stopped"),
    ):  # fmt: skip
        command = commands.add_parser(name, help=text, description=text)
        add = command.add_argument
        if name == "overlay":
            command.set_defaults(config=OVERLAY)
            add("--resume", dest="fresh", action="store_false", help="continue an earlier run")
            add("--figures", type=Path, default=Path("rdp-figures"), help="folder for the figures")
        else:
            command.set_defaults(fresh=False)
            add("config", type=Path, help="TOML file of the experiment")
        runs = Path("neural-runs")
        add("--runs", type=Path, default=runs, help="folder for checkpoints and logs")
        if name == "grid":
            add("--results", type=Path, default=Path("grid"), help="folder for the results")
            add("--budget", type=_seconds, required=True, help="time, as 90s, 9m or 1.5h")
        else:
            add("--results", type=Path, default=None, help="JSON file for the operating points")
            add("--workers", type=int, default=None, help="number of cells to train side by side")
        add("--device", default="cpu", help="cpu or cuda")
        add("--seed", type=int, default=None, help="replaces the seed in the file")
        add("--channels-last", action="store_true", help="layout that tensor cores prefer")
        add("--compile", action="store_true", help="compile the networks")
        text = "on CUDA, make steps one by one instead of replaying a graph"
        add("--no-graph", dest="captured", action="store_false", help=text)
        if name == "grid":
            continue
        if name == "learning":
            add("--csv", type=Path, required=True, help="file to write")
        elif name == "export":
            add("--cell", type=int, default=0, help="number of the cell, from 0")
            add("--stage", required=True, help="stage that trained the codec")
            add("--out", type=Path, default=Path("codec.pt"), help="file to write")
            add("--half", action="store_true", help="half precision: half the size")
        else:
            text = "number of a cell, from 0; repeat it for several cells; default: all"
            add("--cell", dest="cells", type=int, action="append", help=text)
            text = "last stage to train or to measure; default: the last one of the file"
            add("--last", metavar="STAGE", default=None, help=text)
    validate = commands.add_parser(
        "validate", help="compare measured points with all bounds", description=(
            "Compare the operating points of JSON files with all bounds; the exit status is 1 "
            "if a check fails."
        ),
    )  # fmt: skip
    table = commands.add_parser(
        "table", help="write operating points as one table", description=(
            "Write the operating points of JSON files as one CSV file, a row for each frame."
        ),
    )  # fmt: skip
    for command in (validate, table):
        command.add_argument("points", type=Path, nargs="+", help="JSON files of operating points")
    validate.add_argument("--csv", type=Path, default=None, help="write the checks to this file")
    table.add_argument("--csv", type=Path, required=True, help="file to write")
    return parser


def _discard(folder: Path) -> None:
    """Delete the folder of earlier runs; ValueError where another process trains in it."""
    from neural.training.loop import LOCK

    with ExitStack() as stack:
        for lock in sorted(folder.rglob(LOCK)):
            stack.enter_context(locked(lock))
        shutil.rmtree(folder, ignore_errors=True)


def _require_cuda(device: str) -> None:
    import torch

    if not torch.cuda.is_available():
        raise ValueError(f"device: expected cpu, got {device!r}, and torch finds no CUDA device")


def _seconds(text: str) -> float:
    """Seconds of a text such as "90s", "9m" or "1.5h"."""
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    if not text or text[-1] not in units:
        raise argparse.ArgumentTypeError(f"expected a time such as 90s, 9m or 1.5h, got {text!r}")
    return float(text[:-1]) * units[text[-1]]


def _grid(given: argparse.Namespace) -> int:
    """Work on a grid; the exit status is 0 even if something is left: the output says what."""
    import torch

    from neural.grid.run import Grid, Settings

    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    options = _step_options(given)
    settings = Settings.load(given.config, given.device, given.seed)
    say = partial(print, flush=True)
    Grid(settings, given.runs, given.results, given.device, options, say).run(given.budget)
    return 0


def _step_options(given: argparse.Namespace) -> dict[str, Any]:
    """Options of `neural.training.loop.train` that say how steps are made."""
    return {
        "channels_last": given.channels_last,
        "compiled": given.compile,
        "captured": given.captured,
    }


def _train(experiment: Experiment, given: argparse.Namespace) -> None:
    from neural.experiment import train_stage, workers
    from neural.training.distributed import process_group
    from neural.training.interrupt import held_back, prepare_worker

    options = {"device": given.device, **_step_options(given)}
    one = partial(train_stage, given.config, given.runs, options, given.seed)
    together = int(os.environ.get("WORLD_SIZE", "1")) > 1
    count = 1 if together else given.workers or workers(len(experiment.cells))
    with ExitStack() as stack:
        if together:
            stack.enter_context(process_group(given.device))
        run: Callable[..., Iterable[None]] = map
        if count > 1:
            context = get_context("spawn")
            spawned = ProcessPoolExecutor(count, context, initializer=prepare_worker)
            run = stack.enter_context(spawned).map
        for number, stage in enumerate(experiment.stages):
            cells = experiment.missing(given.runs, number, given.cells)
            later = sum(
                other.steps * -(-len(cells) // count) for other in experiment.stages[number + 1 :]
            )
            ahead = [later + stage.steps * (-(-(len(cells) - i) // count) - 1)
                     for i in range(len(cells))]  # fmt: skip
            try:
                with held_back():
                    running = run(partial(one, number), cells, ahead)
                for _ in running:
                    pass
            except KeyboardInterrupt:
                for worker in active_children():  # they write their checkpoints
                    os.kill(worker.pid or 0, signal.SIGINT)
                raise


def _evaluate(experiment: Experiment, given: argparse.Namespace) -> None:
    from neural.experiment import one_thread
    from neural.layout import cell_name

    one_thread()
    target = given.results or RESULTS / f"{experiment.name}.json"
    samples = target.with_name(f"{target.stem}-samples.npz")
    names = [cell_name(rates) for rates in experiment.cells]
    # keep the points of cells that are not measured now
    points = [p for p in _stored_points(target) if _cell_of(p) in names]
    stored = read_arrays(samples, "clips") if samples.exists() else {}
    pictures: dict[str, Any] = {
        name: clips for name, clips in stored.items() if name.split("/")[0] in names
    }
    for cell in experiment.chosen(given.cells):
        found, seen = experiment.evaluate(given.runs, cell, given.device)
        points = [p for p in points if _cell_of(p) != names[cell]] + found
        points.sort(key=lambda point: names.index(_cell_of(point)))
        pictures |= seen
        save_points(target, points)
    print(f"{len(points)} operating points in {target}")
    if pictures:
        import numpy as np

        with replacing(samples) as file:
            np.savez_compressed(file, **pictures)
        print(f"{len(pictures)} sets of clips in {samples}")


def _cell_of(point: OperatingPoint) -> str:
    from neural.evaluation.record import record_of
    from neural.layout import cell_name

    training = record_of(point).training
    return cell_name(training.rates if training else ())


def _stored_points(path: Path) -> list[OperatingPoint]:
    return load_points(path) if path.exists() else []


def _status(given: argparse.Namespace) -> int:
    """Print the progress of each stage, without torch; the exit status is 1 until all are done."""
    from neural.layout import Layout

    layout = Layout.load(given.config, given.seed)
    if getattr(given, "last", None) is not None:
        layout = layout.through(given.last)
    found = layout.progress(given.runs)
    for one in found:
        print(
            f"{one.rates:12} {one.stage:16} {one.state:9} {one.step:6} of {one.steps:6} steps, "
            f"{one.seconds / 60:7.1f} min"
        )
    minutes = sum(one.seconds for one in found) / 60
    done = sum(one.state == "done" for one in found)
    print(f"{done} of {len(found)} stages done, {minutes:.1f} min")
    return 0 if done == len(found) else 1


def _validate(paths: Sequence[Path], table: Path | None) -> int:
    from neural.evaluation.tables import check_rows, write_csv
    from neural.evaluation.validation import validate_codecs

    rows: list[dict[str, Any]] = []
    ok = True
    for path in paths:  # one at a time: checks compare points of the same run
        points = _of_codecs(path)
        checks = validate_codecs(points)
        ok &= checks.ok
        rows += check_rows(points, checks)
    for row in rows:
        print(
            f"{row['verdict']:12} {row['experiment']} {row['rates']} {row['label']} {row['plf']} "
            f"{row['frame'] or 'sum'}: {row['bound']}: "
            f"{row['measured']:.5g} {row['relation']} {row['limit']:.5g}"
        )
    verdicts = Counter(row["verdict"] for row in rows)
    print(", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items())))
    if table is not None:
        write_csv(table, rows)
    return 0 if ok else 1


def _table(paths: Sequence[Path], table: Path) -> int:
    from neural.evaluation.tables import point_rows

    return _write(table, [row for path in paths for row in point_rows(_of_codecs(path))])


def _learning(experiment: Experiment, runs: Path, table: Path) -> int:
    from neural.evaluation.learning import learning_rows

    rows = learning_rows(experiment.name, experiment.seed, experiment.logs(runs))
    return _write(table, list(rows))


def _write(table: Path, rows: Sequence[dict[str, Any]]) -> int:
    from neural.evaluation.tables import write_csv

    write_csv(table, rows)
    print(f"{len(rows)} rows in {table}")
    return 0


def _of_codecs(path: Path) -> list[OperatingPoint]:
    """Points of a file that a codec reached: without computed curves."""
    return [point for point in load_points(path) if point.kind != "computed"]


def _redraw(folder: Path) -> None:
    """Draw the figures of the points; this needs more libraries than training."""
    command = [sys.executable, "-m", "figures", *OVERLAY_FIGURES, "--out", str(folder)]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    raise SystemExit(main())
