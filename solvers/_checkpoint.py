"""Checkpoint of a sweep: one file that only grows, a record for each finished chunk.

    magic | digest of the sweep | (index, length, crc32, float64 values) ...

A record is flushed to disk before the next one starts. A process killed while writing leaves a
torn last record, which its checksum detects; reading stops there and the next run overwrites it.
"""

from __future__ import annotations

import os
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np

Array = np.ndarray

_MAGIC = b"gauss-markov-rdp sweep 1\n"
_RECORD = struct.Struct("<qqI")


class Checkpoint:
    """Finished chunks of the sweep with a given digest, and a place for more."""

    def __init__(self, path: str | os.PathLike[str], digest: bytes) -> None:
        self.path = Path(path)
        self.header = _MAGIC + digest
        self.done: dict[int, Array] = {}
        if self.path.exists():
            self._read()
        else:
            self._create()

    def _create(self) -> None:
        folder = self.path.parent
        if not folder.is_dir():
            raise ValueError(f"checkpoint: expected an existing folder, got {folder}")
        handle, name = tempfile.mkstemp(dir=folder, prefix=self.path.name)
        with os.fdopen(handle, "wb") as file:
            file.write(self.header)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, self.path)

    def _read(self) -> None:
        content = self.path.read_bytes()
        if not content.startswith(_MAGIC):
            raise ValueError(f"checkpoint: expected a checkpoint of a sweep, got {self.path}")
        if not content.startswith(self.header):
            raise ValueError(
                f"checkpoint: expected one of this problem, rates and levels, got {self.path}, "
                "which belongs to another sweep"
            )
        place = len(self.header)
        while place + _RECORD.size <= len(content):
            index, length, check = _RECORD.unpack_from(content, place)
            start = place + _RECORD.size
            payload = content[start : start + length]
            if length < 0 or len(payload) < length or zlib.crc32(payload) != check:
                break
            self.done[index] = np.frombuffer(payload, dtype="<f8")
            place = start + length
        if place < len(content):
            os.truncate(self.path, place)

    def add(self, index: int, values: Array) -> None:
        """Record a finished chunk; on disk when this returns."""
        payload = np.ascontiguousarray(values, dtype="<f8").tobytes()
        record = _RECORD.pack(index, len(payload), zlib.crc32(payload)) + payload
        with self.path.open("ab") as file:
            file.write(record)
            file.flush()
            os.fsync(file.fileno())
        self.done[index] = values
