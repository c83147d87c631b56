"""``python -m neural {train,evaluate,overlay}``; needs no more than training itself does."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from neural.experiment import Experiment, one_thread, train_cell, workers
from rdp.operating_point import save_points

HERE = Path(__file__).resolve().parent
OVERLAY = HERE / "configs" / "overlay.toml"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status.

    Parameters
    ----------
    arguments : sequence of str, or None
        Command line without the program's name; None takes that of the process.
    """
    given = _parser().parse_args(arguments)
    try:
        experiment = Experiment.load(given.config)
        if given.fresh:
            shutil.rmtree(given.runs / experiment.name, ignore_errors=True)
        if given.command != "evaluate":
            _train(experiment, given.config, given.runs, given.workers, given.device)
        if given.command != "train":
            _evaluate(experiment, given.runs, given.results)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m neural")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("train", "train all stages and cells; goes on where it was interrupted"),
        ("evaluate", "measure what was trained, as operating points"),
        ("overlay", "train the codecs of the overlay figure afresh, and measure them"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        if name == "overlay":
            command.set_defaults(config=OVERLAY)
            command.add_argument(
                "--resume", dest="fresh", action="store_false", help="go on with an earlier run"
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
    return parser


def _train(
    experiment: Experiment, config: Path, runs: Path, count: int | None, device: str
) -> None:
    cells = range(len(experiment.cells))
    count = count or workers(len(cells))
    if count == 1:
        for cell in cells:
            train_cell(config, runs, device, cell)
        return
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        for _ in pool.map(partial(train_cell, config, runs, device), cells):
            pass


def _evaluate(experiment: Experiment, runs: Path, results: Path | None) -> None:
    one_thread()
    target = results or HERE / "results" / f"{experiment.name}.json"
    points = []
    for cell in range(len(experiment.cells)):
        points += experiment.evaluate(runs, cell)
    target.parent.mkdir(parents=True, exist_ok=True)
    save_points(target, points)
    print(f"{len(points)} operating points in {target}")


if __name__ == "__main__":
    raise SystemExit(main())
