"""Finds PNG pictures whose texts are far larger unpacked than packed.

FFmpeg unpacks compressed texts and colour profiles of a PNG picture to their whole size, whatever
the limit on pixels: a text of 1 GiB takes 1 MB in the file. The check comes before FFmpeg.
"""

from __future__ import annotations

import mmap
import re
import zlib
from pathlib import Path

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST = 16 << 20  # bytes of all texts and profiles of a picture, unpacked
_PACKED = re.compile(b"zTXt|iCCP")
_SEARCHED = 1 << 20  # bytes of other data before a picture


def file_unpacks_too_far(path: Path) -> bool:
    """Return whether a file is a PNG picture, or an animation, with too much packed text."""
    with path.open("rb") as file:
        if SIGNATURE not in file.read(_SEARCHED):
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return unpacks_too_far(content)


def unpacks_too_far(content: bytes | mmap.mmap) -> bool:
    """Return whether texts in a coded PNG picture unpack to more than `MOST` bytes.

    Chunks in a picture do not overlap. Bytes that only look like several of them, one inside the
    other, count as too much.
    """
    packed, unpacked = len(content), MOST
    for found in _PACKED.finditer(content):
        start = found.end()
        length = int.from_bytes(content[start - 8 : start - 4], "big")
        if start + length > len(content):
            continue  # no chunk: the decoder stops there
        packed -= length
        if packed >= 0:
            unpacked -= _unpacked(content[start : start + length], unpacked)
        if packed < 0 or unpacked < 0:
            return True
    return False


def _unpacked(text: bytes, most: int) -> int:
    """Return how many bytes a text unpacks to; more than `most` if it is above.

    The packed bytes follow a keyword, a zero and the number of the method.
    """
    try:
        return len(zlib.decompressobj().decompress(text[text.find(b"\0") + 2 :], most + 1))
    except zlib.error:
        return 0  # damaged: the decoder keeps nothing of it
