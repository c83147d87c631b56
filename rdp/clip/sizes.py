"""`frame_bits` reads how many bits each frame of a coded clip takes."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rdp.clip.read import ClipError, video_packets

if TYPE_CHECKING:
    import os

Array = np.ndarray

UNITS = {"bits": 1.0, "bytes": 8.0}


def frame_bits(path: str | os.PathLike[str]) -> Array:
    """Return the bits of each frame, in the order in which frames are seen.

    Parameters
    ----------
    path : path-like
        A CSV file with one row for each frame and a column "bits" or "bytes". Or a coded video,
        whose packets are counted: what is in the container besides packets, such as the parameter
        sets of H.264, is not.

    Raises
    ------
    ClipError
        The file is missing or is neither; a number is missing or negative.

    Examples
    --------
    >>> from rdp.clip import sample_clip
    >>> bits = frame_bits(sample_clip())
    >>> len(bits), float(bits[0] / bits.mean()) > 1
    (132, True)
    """
    place = Path(path)
    if place.suffix.lower() == ".csv":
        return _from_csv(place)
    packets = video_packets(place)
    if any(time is None for time, _ in packets):
        return np.array([8.0 * size for _, size in packets])  # a bare stream keeps no times
    return np.array([8.0 * size for _, size in sorted(packets, key=lambda packet: packet[0] or 0)])


def _from_csv(path: Path) -> Array:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise ClipError(path, f"cannot be read ({error.strerror or error})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ClipError(path, f"not a CSV file ({error})") from None
    columns = [name for name in UNITS if rows and name in rows[0]]
    if not columns:
        raise ClipError(path, "expected a row for each frame and a column bits or bytes")
    name = columns[0]
    found = []
    for number, row in enumerate(rows, start=1):
        try:
            value = float(row[name] or "")
        except ValueError:
            raise ClipError(path, f"row {number}: {name}: not a number") from None
        if not (np.isfinite(value) and value >= 0):
            raise ClipError(path, f"row {number}: {name}: expected at least 0, got {value:g}")
        found.append(value * UNITS[name])
    return np.array(found)
