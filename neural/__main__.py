"""``python -m neural {train,status,evaluate,validate,table,learning,export,overlay}``.

Training needs no more than torch, numpy, scipy, tqdm and the entropy coder. Started by
``torchrun``, the processes train together, each on its share of every batch.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from neural.evaluation.record import record_of
from neural.experiment import Experiment, cell_name, one_thread, train_stage, workers
from rdp.operating_point import OperatingPoint, load_points, save_points

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
OVERLAY = HERE / "configs" / "overlay.toml"
OVERLAY_FIGURES = ("codec_overlay", "gap_to_curve")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status.

    Parameters
    ----------
    arguments : sequence of str, or None
        Command line without the program's name; None takes that of the process.
    """
    given = _parser().parse_args(arguments)
    try:
        if given.command == "validate":
            return _validate(given.points, given.csv)
        if given.command == "table":
            return _table(given.points, given.csv)
        experiment = Experiment.load(given.config, given.seed)
        if given.device.startswith("cuda"):
            _require_cuda(given.device)
        if given.fresh:
            shutil.rmtree(given.runs / experiment.name, ignore_errors=True)
        if given.command == "status":
            return _status(experiment, given.runs)
        if given.command == "learning":
            return _learning(experiment, given.runs, given.csv)
        if given.command == "export":
            experiment.export(given.runs, given.cell, given.stage, given.out)
        if given.command in ("train", "overlay"):
            _train(experiment, given)
        if given.command in ("evaluate", "overlay"):
            _evaluate(experiment, given)
        if given.command == "overlay" and given.results is None:
            _redraw(given.figures)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m neural")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("train", "train all stages and cells; goes on where it was interrupted"),
        ("status", "say which stages are done, under way or missing, and how long they took"),
        ("evaluate", "measure what was trained, as operating points"),
        ("learning", "write as a table what training was still gaining when it ended"),
        ("export", "write a trained codec as one file for others, which cannot run code"),
        ("overlay", "train the codecs of the overlay figures afresh, measure them, and redraw"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        if name == "overlay":
            command.set_defaults(config=OVERLAY)
            command.add_argument(
                "--resume", dest="fresh", action="store_false", help="go on with an earlier run"
            )
            command.add_argument(
                "--figures", type=Path, default=Path("rdp-figures"), help="folder of the figures"
            )
        else:
            command.set_defaults(fresh=False)
            command.add_argument("config", type=Path, help="TOML file of the experiment")
        command.add_argument(
            "--runs", type=Path, default=Path("neural-runs"), help="folder of checkpoints and logs"
        )
        command.add_argument(
            "--results", type=Path, default=None, help="JSON file of the operating points"
        )
        command.add_argument(
            "--workers", type=int, default=None, help="cells to train side by side"
        )
        command.add_argument("--device", default="cpu", help="cpu or cuda")
        command.add_argument("--seed", type=int, default=None, help="another seed")
        command.add_argument(
            "--channels-last", action="store_true", help="layout that tensor cores like"
        )
        command.add_argument("--compile", action="store_true", help="compile the codec's networks")
        if name == "learning":
            command.add_argument("--csv", type=Path, required=True, help="file to write")
        elif name == "export":
            command.add_argument("--cell", type=int, default=0, help="number of the cell, from 0")
            command.add_argument("--stage", required=True, help="stage that trained the codec")
            command.add_argument("--out", type=Path, default=Path("codec.pt"), help="file to write")
        else:
            command.add_argument(
                "--cell", dest="cells", type=int, action="append",
                help="number of a cell, from 0; may be repeated; all if not given",
            )  # fmt: skip
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


def _require_cuda(device: str) -> None:
    import torch

    if not torch.cuda.is_available():
        raise ValueError(f"device: expected cpu, got {device!r}, and torch finds no CUDA device")


def _train(experiment: Experiment, given: argparse.Namespace) -> None:
    options = {
        "device": given.device,
        "channels_last": given.channels_last,
        "compiled": given.compile,
    }
    one = partial(train_stage, given.config, given.runs, options, given.seed)
    together = int(os.environ.get("WORLD_SIZE", "1")) > 1
    count = 1 if together else given.workers or workers(len(experiment.cells))
    with ExitStack() as stack:
        if together:
            stack.enter_context(_process_group(given.device))
        run: Callable[..., Iterable[None]] = map
        if count > 1:
            spawned = ProcessPoolExecutor(count, mp_context=get_context("spawn"))
            run = stack.enter_context(spawned).map
        for number in range(len(experiment.stages)):
            for _ in run(partial(one, number), experiment.missing(given.runs, number, given.cells)):
                pass


@contextmanager
def _process_group(device: str) -> Iterator[None]:
    """Join the processes that torchrun started, each on its own device."""
    import torch
    from torch import distributed

    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def _evaluate(experiment: Experiment, given: argparse.Namespace) -> None:
    one_thread()
    target = given.results or RESULTS / f"{experiment.name}.json"
    samples = target.with_name(f"{target.stem}-samples.npz")
    names = [cell_name(rates) for rates in experiment.cells]
    # points of cells that are not measured now, or not yet, stay
    points = [p for p in _stored_points(target) if _cell_of(p) in names]
    pictures = {k: v for k, v in _stored_arrays(samples).items() if k.split("/")[0] in names}
    for cell in experiment.chosen(given.cells):
        found, seen = experiment.evaluate(given.runs, cell, given.device)
        points = [p for p in points if _cell_of(p) != names[cell]] + found
        points.sort(key=lambda point: names.index(_cell_of(point)))
        pictures |= seen
        save_points(target, points)
    print(f"{len(points)} operating points in {target}")
    if pictures:
        import numpy as np

        np.savez_compressed(samples, **pictures)
        print(f"{len(pictures)} sets of clips in {samples}")


def _cell_of(point: OperatingPoint) -> str:
    training = record_of(point).training
    return cell_name(training.rates if training else ())


def _stored_points(path: Path) -> list[OperatingPoint]:
    return load_points(path) if path.exists() else []


def _stored_arrays(path: Path) -> dict[str, Any]:
    import numpy as np

    if not path.exists():
        return {}
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def _status(experiment: Experiment, runs: Path) -> int:
    """Print how far each stage is; the exit status is 1 until all are done."""
    found = experiment.progress(runs)
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
    for path in paths:  # each by itself: the points of another run are no siblings
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
    """Points of a file, but not the curves in it, which no codec reached."""
    return [point for point in load_points(path) if point.kind != "computed"]


def _redraw(folder: Path) -> None:
    """Make the figures that show the points; they need more libraries than training does."""
    command = [sys.executable, "-m", "figures", *OVERLAY_FIGURES, "--out", str(folder)]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    raise SystemExit(main())
