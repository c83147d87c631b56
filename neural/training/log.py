"""The log of a stage: a file with a line of JSON for every so many steps.

The log is a report; training goes on from the checkpoint. A line that is torn or damaged is left
out, with a warning.
"""

from __future__ import annotations

import json
import math
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

from rdp._files import naming, replacing

LOG = "log.jsonl"
Line = dict[str, Any]


class Log:
    """The log in a folder, opened for appending, without the lines after a step."""

    def __init__(self, folder: Path, step: int) -> None:
        self.path = folder / LOG
        kept = [line for line in read_log(folder, whole=True) if line["step"] <= step]
        with replacing(self.path, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in kept)

    def write(self, line: Line) -> None:
        """Append a line.

        Raises
        ------
        OSError
            The line cannot be written; the message says that training can go on.
        """
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise naming(error, self.path, ADVICE) from error


ADVICE = "; make room, and give the same command again: it goes on from the last checkpoint"


def read_log(folder: Path, whole: bool = False) -> list[Line]:
    """Return the lines of the log in a folder; none if there is no log.

    Training may be writing the last line, so a last line without an end is left out silently,
    unless the log is whole, as nobody writes it.
    """
    path = folder / LOG
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    end = len(text) if whole else text.rfind("\n") + 1
    lines = [_parsed(line) for line in text[:end].splitlines()]
    kept = [line for line in lines if line is not None]
    if len(kept) < len(lines):
        warnings.warn(
            f"{path}: left out {len(lines) - len(kept)} damaged of {len(lines)} lines",
            RuntimeWarning,
            stacklevel=2,
        )
    return kept


def last_step(folder: Path) -> int:
    """Return the last step in the log of a finished stage.

    Raises
    ------
    ValueError
        The log is missing or has no lines; the message names it.
    """
    lines = read_log(folder)
    if not lines:
        raise ValueError(
            f"{folder / LOG}: expected the log of a finished stage, got none; delete the folder to "
            "train the stage again"
        )
    return lines[-1]["step"]


def trained_seconds(log: list[Line]) -> float:
    """Return how long a stage was trained, by the lines of its log; interruptions do not count."""
    clock = [0.0, *(line["seconds"] for line in log if "seconds" in line)]
    # the clock starts again where training was interrupted
    return sum(now - before if now >= before else now for before, now in pairwise(clock))


def _parsed(text: str) -> Line | None:
    """Return a line of the log; None if it is none."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict) or type(line.get("step")) is not int:
        return None
    seconds = line.get("seconds", 0.0)
    return line if isinstance(seconds, (int, float)) and math.isfinite(seconds) else None
