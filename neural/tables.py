"""Tables of what was measured, for spreadsheets and other programs: points, and checks of them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rdp.operating_point import OperatingPoint
from solvers.validation import Check

Row = dict[str, Any]


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
            critic = (about.get("fresh_w1") or {}).get(_own_loss(point)) if last else None
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
                "fresh_w1": critic and critic["value"][0],
                "fresh_w1_half": critic and critic["interval"][0],
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


def check_rows(points: Sequence[OperatingPoint], checks: Iterable[Check]) -> Iterator[Row]:
    """Yield a row for each check, which says what point it is about.

    Parameters
    ----------
    points : sequence of OperatingPoint
        What was held against the bounds.
    checks : iterable of Check
        What `neural.bounds.hold` found.
    """
    for check in checks:
        yield _origin(points[check.point]) | asdict(check)


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
