"""Checkpoint of a sweep: one file that only grows, a record for each finished chunk.

    magic | digest of the sweep | checksum | record | record | ...
    record: mark, index, length, checksum, float64 values

The checksum of a record covers the digest of the sweep, the index, the length and the values. So a
record is either exactly what this sweep wrote or it is dropped, wherever the damage is. The reader
looks for the mark of the next record after a damaged one: only what was damaged is computed again,
and a warning says how much that is. A record is on disk before the next one starts. A process that
is killed while it writes, and a full disk, leave an incomplete last record, which is dropped alike.
"""

from __future__ import annotations

import hashlib
import os
import struct
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from rdp._files import naming, replacing

Array = np.ndarray

_MAGIC = b"gauss-markov-rdp sweep 2\n"
_MARK = b"\xffrecord\n"
_NUMBERS = struct.Struct("<qq")  # index of the chunk, length of the values in bytes
_CHECK_BYTES = 16
_HEAD = len(_MARK) + _NUMBERS.size + _CHECK_BYTES


class Checkpoint:
    """Finished chunks of the sweep with a given digest, and a place for more."""

    def __init__(self, path: str | os.PathLike[str], digest: bytes) -> None:
        self.path, self.digest = Path(path), digest
        self.header = _MAGIC + digest + _checksum(_MAGIC, digest)
        self.done: dict[int, Array] = {}
        if self.path.exists():
            self._read()
        elif not self.path.parent.is_dir():
            raise ValueError(f"checkpoint: expected an existing folder, got {self.path.parent}")
        else:
            with replacing(self.path) as file:
                file.write(self.header)

    def _read(self) -> None:
        content = self.path.read_bytes()
        found = list(self._records(content))
        if not content.startswith(self.header):
            self._check_owner(content, bool(found))
        for start, stop in found:
            index, _ = _NUMBERS.unpack_from(content, start + len(_MARK))
            self.done[index] = np.frombuffer(content[start + _HEAD : stop], dtype="<f8")
        records = [content[start:stop] for start, stop in found]
        intact = len(self.header) if content.startswith(self.header) else 0
        damaged = len(content) - intact - sum(map(len, records))
        if intact and not damaged:
            return
        with replacing(self.path) as file:
            file.writelines([self.header, *records])
        warnings.warn(
            f"{self.path}: {damaged} bytes are damaged or incomplete and were dropped; kept "
            f"{len(records)} whole records, and what is missing is computed again",
            RuntimeWarning,
            stacklevel=2,
        )

    def _check_owner(self, content: bytes, ours: bool) -> None:
        """Refuse a file whose header is not that of this sweep, unless it holds records of it."""
        if ours:
            return  # only the header is damaged
        digest = content[len(_MAGIC) : len(self.header) - _CHECK_BYTES]
        if content.startswith(_MAGIC + digest + _checksum(_MAGIC, digest)):
            raise ValueError(
                f"checkpoint: expected one of this problem, rates and levels, got {self.path}, "
                "which belongs to another sweep"
            )
        raise ValueError(
            f"checkpoint: expected a checkpoint of a sweep, undamaged and of this version, got "
            f"{self.path}; delete it to begin anew"
        )

    def _records(self, content: bytes) -> Iterator[tuple[int, int]]:
        """Yield start and stop of every whole record of this sweep."""
        start = content.find(_MARK)
        while start >= 0:
            stop = self._end(content, start)
            if stop is not None:
                yield start, stop
            start = content.find(_MARK, stop or start + 1)

    def _end(self, content: bytes, start: int) -> int | None:
        """Return the end of the record that begins there; None if it is damaged or incomplete."""
        values = start + _HEAD
        if values > len(content):
            return None
        numbers = content[start + len(_MARK) : values - _CHECK_BYTES]
        length = _NUMBERS.unpack(numbers)[1]
        if not 0 <= length <= len(content) - values or length % 8:
            return None
        check = _checksum(self.digest, numbers, content[values : values + length])
        return values + length if check == content[values - _CHECK_BYTES : values] else None

    def add(self, index: int, values: Array) -> None:
        """Record a finished chunk; on disk when this returns.

        Raises
        ------
        OSError
            The record cannot be written. The records before it are kept.
        """
        payload = np.ascontiguousarray(values, dtype="<f8").tobytes()
        numbers = _NUMBERS.pack(index, len(payload))
        record = _MARK + numbers + _checksum(self.digest, numbers, payload) + payload
        size = self.path.stat().st_size
        try:
            with self.path.open("ab") as file:
                file.write(record)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            with suppress(OSError):  # an incomplete record does no harm
                os.truncate(self.path, size)
            advice = "; finished points are kept: make room, and start the same sweep again"
            raise naming(error, self.path, advice) from error
        self.done[index] = values


def _checksum(*parts: bytes) -> bytes:
    return hashlib.blake2b(b"".join(parts), digest_size=_CHECK_BYTES).digest()
