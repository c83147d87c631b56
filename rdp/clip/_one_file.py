"""Files that FFmpeg may read: one each, which leads to no other."""

from __future__ import annotations

import io
from pathlib import Path

_LISTS = (b"ffconcat", b"#extm3u", b"<?xml", b"<mpd", b"[playlist]", b"<smil", b"v=0")
_HEAD = 4096


def names_other_files(path: Path) -> bool:
    """Return whether a file is a playlist, or another list of files."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_LISTS)


class OneFile(io.FileIO):
    """A file that says -1 to places out of range, as FFmpeg asks; PyAV prints exceptions."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a place, and return it; -1 if there is no such place."""
        try:
            return super().seek(offset, whence)
        except (OSError, OverflowError):
            return -1
