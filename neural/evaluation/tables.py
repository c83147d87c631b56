"""CSV tables of measured points and of their checks, for spreadsheets and other programs."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from neural.evaluation.record import FreshCritic, Record, UniversalGap, own_loss, record_of
from rdp._files import replacing
from rdp.operating_point import OperatingPoint
from solvers.validation import Check

Row = dict[str, Any]


def point_rows(points: Iterable[OperatingPoint]) -> Iterator[Row]:
    """Yield a row for each frame of each point.

    What was not measured is None. What is about the last frame alone is in the row of that frame.
    """
    for point in points:
        record = record_of(point)
        training = record.training
        seconds = training.seconds if training else None
        for t in range(point.frames):
            last = t == point.frames - 1
            critic = fresh_w1(point, record) if last else None
            digits = record.digits if last else None
            low, high = digits.stay_wrong_ends(point.samples) if digits else (None, None)
            defect = record.shift_defect
            yield {
                **_origin(point, record),
                "plf": point.plf,
                "encoder": record.encoder,
                "kind": point.kind,
                "frame": t + 1,
                "rate_bits": point.rate[t],
                "coded_bits": _at(record.coded_bits, t),
                **_measured(point, "distortion", t),
                **_measured(point, "perception", t),
                "metric": point.metric,
                "loss": own_loss(point),
                "fresh_w1": critic and critic.value,
                "fresh_w1_half": critic and critic.half,
                "diversity": _at(record.diversity, t),
                "wrong_before": digits and digits.wrong_before,
                "stay_wrong": digits and digits.stay_wrong,
                "stay_wrong_low": low,
                "stay_wrong_high": high,
                "shift_defect": _at(defect and defect.value, t),
                "shift_defect_half": _at(defect and defect.half, t),
                **_gap(record.universal_gap, t + 1),
                "clips": point.samples,
                "units": point.units,
                "commit": point.commit,
                "torch": point.versions.get("torch"),
                "device": training and training.device,
                "minutes": None if seconds is None else seconds / 60,
            }


def fresh_w1(point: OperatingPoint, record: Record) -> FreshCritic | None:
    """W1 of the fresh critic under the loss of the decoder (FMD for MMSE), if one was trained."""
    return (record.fresh_w1 or {}).get(own_loss(point))


def check_rows(points: Sequence[OperatingPoint], checks: Iterable[Check]) -> Iterator[Row]:
    """Yield a row for each check, with the origin of the point it is about."""
    for check in checks:
        point = points[check.point]
        yield _origin(point, record_of(point)) | asdict(check)


def write_csv(path: Path | str, rows: Iterable[Row]) -> None:
    """Write rows with the same columns, replacing the file as a whole; ValueError without rows."""
    kept = list(rows)
    if not kept:
        raise ValueError(f"{path}: expected at least one row, got none")
    with replacing(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(kept[0]))
        writer.writeheader()
        writer.writerows(kept)


def _origin(point: OperatingPoint, record: Record) -> Row:
    """Experiment, rates, stage and seed of a point."""
    training = record.training
    rates = training.rates if training else point.rate
    return {
        "experiment": training and training.experiment,
        "rates": "-".join(f"{float(rate):g}" for rate in rates),
        "stage": training and training.stage,
        "seed": training.seed if training else point.seed,
    }


def _measured(point: OperatingPoint, name: str, t: int) -> Row:
    values, ends = getattr(point, name), point.intervals.get(name)
    return {
        name: _at(values, t),
        f"{name}_low": None if ends is None else ends[t, 0],
        f"{name}_high": None if ends is None else ends[t, 1],
    }


def _gap(found: UniversalGap | None, frame: int) -> Row:
    if found is None or frame not in found.frames:
        values: list[Any] = [None] * 5
    else:
        k = found.frames.index(frame)
        values = [found.gap[k], found.half[k], found.unmixed[k], found.unmixed_half[k]]
        values.append(found.outside)
    names = ("", "_half", "_unmixed", "_unmixed_half", "_outside")
    return {f"universal_gap{name}": value for name, value in zip(names, values, strict=True)}


def _at(values: Any, t: int) -> float | None:
    return None if values is None else values[t]
