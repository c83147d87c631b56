"""Tables of what was measured, for spreadsheets and other programs: points, and checks of them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rdp.operating_point import OperatingPoint
from solvers.validation import Check

if TYPE_CHECKING:
    from neural.experiment import Experiment

Row = dict[str, Any]
FEWEST = 4  # lines of a log that make an average


def point_rows(points: Iterable[OperatingPoint]) -> Iterator[Row]:
    """Yield a row for each frame of each point.

    Parameters
    ----------
    points : iterable of OperatingPoint
        What `python -m neural evaluate` wrote.

    Yields
    ------
    dict
        What was not measured is None; what is about the last frame alone stands in its row.
    """
    for point in points:
        about = point.provenance
        seconds = about.get("training_seconds")
        for t in range(point.frames):
            last = t == point.frames - 1
            critic = fresh_w1(point) if last else None
            digits = about.get("digits") if last else None
            yield {
                **_origin(point),
                "plf": point.plf,
                "encoder": about.get("encoder"),
                "kind": point.kind,
                "frame": t + 1,
                "rate_bits": point.rate[t],
                "coded_bits": _at(about.get("coded_bits"), t),
                **_measured(point, "distortion", t),
                **_measured(point, "perception", t),
                "metric": point.metric,
                "loss": _own_loss(point),
                "fresh_w1": critic and critic[0],
                "fresh_w1_half": critic and critic[1],
                "diversity": _at(about.get("diversity"), t),
                "wrong_before": digits and digits["wrong_before"],
                "stay_wrong": digits and digits["stay_wrong"],
                "stay_wrong_half": digits and digits["stay_wrong_half"],
                **_gap(about.get("universal_gap"), t + 1),
                "clips": point.samples,
                "units": point.units,
                "commit": point.commit,
                "torch": point.versions.get("torch"),
                "device": about.get("device"),
                "minutes": None if seconds is None else seconds / 60,
            }


def fresh_w1(point: OperatingPoint) -> tuple[float, float] | None:
    """Return W1 at the last frame by a critic trained afresh, and half of its interval.

    Parameters
    ----------
    point : OperatingPoint
        What `python -m neural evaluate` wrote.

    Returns
    -------
    (float, float) or None
        Under the loss that the decoder is for, for MMSE that of single frames; None if no critic
        was trained.
    """
    found = (point.provenance.get("fresh_w1") or {}).get(_own_loss(point))
    return None if found is None else (found["value"][0], found["interval"][0])


def check_rows(points: Sequence[OperatingPoint], checks: Iterable[Check]) -> Iterator[Row]:
    """Yield a row for each check, which says what point it is about.

    Parameters
    ----------
    points : sequence of OperatingPoint
        What was held against the bounds.
    checks : iterable of Check
        What `neural.evaluation.validation.hold` found.
    """
    for check in checks:
        yield _origin(points[check.point]) | asdict(check)


def learning_rows(experiment: Experiment, root: Path) -> Iterator[Row]:
    """Yield what codecs still learnt: distortion of training clips over time, by octaves of steps.

    The clips are those of the steps themselves, new ones each time, under the noise that training
    puts in place of quantisation.

    Parameters
    ----------
    experiment : Experiment
        What was trained; stages without a log are left out.
    root : Path
        Folder of all experiments.

    Yields
    ------
    dict
        For every trained frame and decoder the mean over the second half of the steps so far, over
        the second quarter, and so on, as far as they are in the log; the earliest has `FEWEST` of
        its lines or more. W1 is what the critic of the training saw. The clips are those of the
        stage, without what it started from.
    """
    from neural.evaluation.fresh_critics import half_width  # needs torch, as training does

    for rates, stage, log in experiment.logs(root):
        steps = np.array([line["step"] for line in log])
        last = int(steps[-1])
        while (inside := (steps > last // 2) & (steps <= last)).sum() >= FEWEST:
            for plf in stage.plfs:
                seen = np.array([line["distortion"][plf] for line in log])[inside]
                for frame in stage.frames or range(1, len(rates) + 1):
                    yield {
                        "experiment": experiment.name,
                        "rates": "-".join(f"{rate:g}" for rate in rates),
                        "stage": stage.name,
                        "seed": experiment.seed,
                        "plf": plf,
                        "frame": frame,
                        "after_steps": last // 2,
                        "to_steps": last,
                        "clips": last * stage.batch,
                        "distortion": seen[:, frame - 1].mean(),
                        "distortion_half": float(half_width(seen[:, frame - 1])),
                        "w1": _mean_w1(log, inside, plf, frame),
                    }
            last //= 2


def _mean_w1(log: Sequence[Row], inside: Any, plf: str, frame: int) -> float | None:
    lines = (line for line, kept in zip(log, inside, strict=True) if kept)
    seen = [line["w1"][f"{plf} {frame}"] for line in lines if f"{plf} {frame}" in line["w1"]]
    return float(np.mean(seen)) if seen else None


def write_csv(path: Path | str, rows: Iterable[Row]) -> None:
    """Write rows with the same columns.

    Parameters
    ----------
    path : path
        File to write.
    rows : iterable of dict
        At least one.

    Raises
    ------
    ValueError
        No row.
    """
    kept = list(rows)
    if not kept:
        raise ValueError(f"{path}: expected at least one row, got none")
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(kept[0]))
        writer.writeheader()
        writer.writerows(kept)


def _origin(point: OperatingPoint) -> Row:
    """Where a point comes from."""
    about = point.provenance
    rates = about.get("rates", point.rate.tolist())
    return {
        "experiment": about.get("experiment"),
        "rates": "-".join(f"{float(rate):g}" for rate in rates),
        "stage": about.get("stage"),
        "seed": about.get("training_seed", point.seed),
    }


def _own_loss(point: OperatingPoint) -> str:
    """Loss that perception is measured under: without one, that of single frames."""
    return "FMD" if point.plf == "MMSE" else point.plf


def _measured(point: OperatingPoint, name: str, t: int) -> Row:
    values, ends = getattr(point, name), point.intervals.get(name)
    return {
        name: _at(values, t),
        f"{name}_low": None if ends is None else ends[t, 0],
        f"{name}_high": None if ends is None else ends[t, 1],
    }


def _gap(found: Mapping[str, Any] | None, frame: int) -> Row:
    names = {"": "gap", "_half": "half", "_unmixed": "unmixed", "_unmixed_half": "unmixed_half"}
    if found is None or frame not in found["frames"]:
        values: list[Any] = [None] * (len(names) + 1)
    else:
        place = found["frames"].index(frame)
        values = [*(found[name][place] for name in names.values()), found["outside"]]
    return {f"universal_gap{end}": v for end, v in zip([*names, "_outside"], values, strict=True)}


def _at(values: Any, t: int) -> float | None:
    return None if values is None else values[t]
