"""Finds what FFmpeg does not report: files that end too early.

A container says in its own way where it ends. Each kind has its check:

| kind | is whole if |
|---|---|
| Matroska, WebM | the segment fits in the file, and frames last as long as the header says |
| FLV | frames last as long as the header says |
| AVI, WebP | the RIFF chunk fits in the file |
| MP4, MOV | the boxes fit in the file |
| ASF, SWF | the file is as long as its header says |
| MXF | the footer is there |
| GIF | the blocks end with a trailer |
| PNG, APNG | the last chunk is IEND |
| JPEG | an end marker follows the last scan |
| MPEG-TS | the file is a whole number of packets |

Streams that say nothing about their end can be cut unnoticed between two packets: raw H.264, HEVC,
MPEG-2 and AV1, MPEG-PS, MPEG-TS, and NUT. Counts of frames (AVI, MP4) are compared in
`rdp.clip.read`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

_HEAD = 4096
_TAIL = 1 << 16
_TS_PACKETS = ((188, 0), (192, 4), (204, 0))  # bytes of a packet, and before its mark
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_MXF_PARTITION = bytes.fromhex("060e2b34020501010d0102010102")
_MOST = 64 << 20  # bytes of a GIF or JPEG file to search


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
    if kind in _STATED:
        return _STATED[kind](head, path) > size
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


def _last_box_end(head: bytes, path: Path) -> int:
    """Place where the last of the outermost boxes of an MP4 file ends."""
    at, size = 0, path.stat().st_size
    with path.open("rb") as file:
        while at + 8 <= size:
            file.seek(at)
            box = file.read(16)
            length = int.from_bytes(box[:4], "big")
            if length == 1:
                length = int.from_bytes(box[8:], "big")
            if length < 8:
                return size  # 0: the box lasts to the end
            at += length
    return at


def _asf_end(head: bytes, path: Path) -> int:
    """Length of an ASF file by its header; 0 where it was not known when the header was written."""
    at = head.find(_ASF_PROPERTIES)
    flags = int.from_bytes(head[at + 88 : at + 92], "little")
    return 0 if at < 0 or flags & 1 else int.from_bytes(head[at + 40 : at + 48], "little")


def _flash_end(head: bytes, path: Path) -> int:
    """Length of an SWF file by its header. FFmpeg does not read packed ones from a file."""
    return int.from_bytes(head[4:8], "little")


def _mxf_footer(head: bytes, path: Path) -> int:
    """Place after the key of the footer of an MXF file; 0 if the header does not name a place."""
    at = head.find(_MXF_PARTITION)
    length = head[at + 16]
    values = at + 17 + (length & 127 if length & 128 else 0)
    place = int.from_bytes(head[values + 24 : values + 32], "big")
    return 0 if at < 0 or place == 0 else place + 16


_STATED: dict[str, Callable[[bytes, Path], int]] = {
    "mov,mp4,m4a,3gp,3g2,mj2": _last_box_end,
    "asf": _asf_end,
    "swf": _flash_end,
    "mxf": _mxf_footer,
}


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
