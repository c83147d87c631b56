"""The log of a stage: a file with a line of JSON for every so many steps."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any, TextIO

LOG = "log.jsonl"
Line = dict[str, Any]


def open_log(folder: Path, step: int) -> TextIO:
    """Open the log in a folder for appending, without the lines after a step."""
    path = folder / LOG
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    path.write_text("".join(line for line in lines if json.loads(line)["step"] <= step))
    return path.open("a")


def read_log(folder: Path) -> list[Line]:
    """Return the lines of the log in a folder; none if there is no log."""
    path = folder / LOG
    text = path.read_text() if path.exists() else ""
    whole = text[: text.rfind("\n") + 1]  # training may be writing the last line
    return [json.loads(line) for line in whole.splitlines()]


def trained_seconds(log: list[Line]) -> float:
    """Return how long a stage was trained, by the lines of its log; interruptions do not count."""
    clock = [0.0, *(line["seconds"] for line in log)]
    # the clock starts again where training was interrupted
    return sum(now - before if now >= before else now for before, now in pairwise(clock))
