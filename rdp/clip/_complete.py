"""Finds what FFmpeg does not report: files that end too early, and files that list other files.

A container says in its own way where it ends. Each kind has its check:

| kind | is whole if |
|---|---|
| Matroska, WebM | the segment fits in the file, and frames last as long as the header says |
| FLV | frames last as long as the header says |
| AVI, WebP | the RIFF chunk fits in the file |
| GIF | the blocks end with a trailer |
| PNG, APNG | the last chunk is IEND |
| JPEG | an end marker follows the last scan |
| MPEG-TS | the file is a whole number of packets |

Streams that say nothing about their end can be cut unnoticed: raw H.264, MPEG-PS, and MPEG-TS
between two packets. Counts of frames (AVI, MP4) are compared in `rdp.clip.read`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

_LISTS = (b"ffconcat", b"#extm3u", b"<?xml", b"<mpd", b"[playlist]", b"<smil", b"v=0")
_HEAD = 4096
_TAIL = 1 << 16
_TS_PACKETS = ((188, 0), (192, 4), (204, 0))  # bytes of a packet, and before its mark
_MOST = 64 << 20  # bytes of a GIF or JPEG file to search


def names_other_files(path: Path) -> bool:
    """Return whether a file is a playlist, or another list of files."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_LISTS)


def is_cut(path: Path, kind: str) -> bool:
    """Return whether a file ends before its container, which FFmpeg calls `kind`, does."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEAD)
        file.seek(max(size - _TAIL, 0))
        tail = file.read(_TAIL)
    if head.startswith(b"RIFF"):
        stated = int.from_bytes(head[4:8], "little")
        return 0 < stated < 0xFFFFFFFF and 8 + stated > size
    if kind.startswith("matroska"):
        return _segment_end(head) > size
    if kind == "mpegts":
        return any(
            size % packet != 0 and head[before::packet].strip(b"G") == b""
            for packet, before in _TS_PACKETS
        )
    if kind == "gif" and size <= _MOST:
        return not _has_trailer(path.read_bytes())
    if head.startswith(b"\x89PNG"):
        return b"IEND" not in tail
    if head.startswith(b"\xff\xd8\xff") and size <= _MOST:
        content = path.read_bytes()
        return content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda")
    return False


def lasts(stream: Any, container: Any) -> float | None:
    """Return how many seconds the frames of a stream last by the header; None if it does not say.

    Only headers that FFmpeg takes from the file count. For other kinds it estimates the duration
    from the frames that are there.
    """
    if container.format.name not in ("matroska,webm", "flv"):
        return None
    parts = stream.metadata.get("DURATION", "").split(":")
    if len(parts) == 3:
        try:
            return 3600 * float(parts[0]) + 60 * float(parts[1]) + float(parts[2])
        except ValueError:
            return None
    if len(container.streams) > 1 or container.duration is None:
        return None  # sound may last longer
    return container.duration / 1e6


def _segment_end(head: bytes) -> int:
    """Place where the segment of a Matroska file ends; 0 if its size is not stated."""
    at = head.find(b"\x18\x53\x80\x67") + 4
    if at < 4 or at >= len(head) or head[at] == 0:
        return 0
    width = 9 - head[at].bit_length()
    stated = int.from_bytes(head[at : at + width], "big") & ((1 << 7 * width) - 1)
    unknown = (1 << 7 * width) - 1
    return 0 if stated == unknown else at + width + stated


def _has_trailer(gif: bytes) -> bool:
    """Return whether the blocks of a GIF file end with its trailer."""

    def colours(flags: int) -> int:
        return 3 << (flags & 7) + 1 if flags & 128 else 0

    try:
        at = 13 + colours(gif[10])
        while gif[at] != 0x3B:
            at += 2 if gif[at] == 0x21 else 11 + colours(gif[at + 9])  # extension or picture
            while gif[at]:
                at += 1 + gif[at]
            at += 1
    except IndexError:
        return False
    return True
