"""`read_luma` reads the luma of real video: files, folders of images and arrays, through PyAV.

Luma has the units of 8-bit video, 0 to 255. It is the luma plane as it is coded, 16 to 235 in most
files; 10-bit values are divided by 4. RGB pixels are weighted by (.299, .587, .114), as in ITU-R
BT.601.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rdp import _check

if TYPE_CHECKING:
    import os

Array = np.ndarray

PEAK = 255.0  # largest luma
MAX_PIXELS = 1 << 26  # luma samples of one clip: 0.5 GiB as float64; 2 GiB to analyse

IMAGES = {".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
_DAMAGED = "not a video, or truncated or damaged"
_RGB = np.array([0.299, 0.587, 0.114])


class ClipError(ValueError):
    """A clip cannot be read or analysed.

    Parameters
    ----------
    path : path-like or str
        The file or folder with the error; the message starts with it.
    reason : str
        The rest of the message.
    """

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason

    def __reduce__(self) -> tuple[type, tuple[object, str]]:
        """Pickle both arguments, so that worker processes can raise it."""
        return type(self), (self.path, self.reason)


def read_luma(
    path: str | os.PathLike[str],
    start: int = 0,
    frames: int | None = None,
    kind: str | None = None,
) -> Array:
    """Return the luma of a clip, (T, H, W), 0 to 255.

    Parameters
    ----------
    path : path-like
        A video file that FFmpeg reads (mp4, avi, y4m, ...); or a folder of images of one size,
        ordered by the numbers in their names; or a .npy file of (T, H, W) luma or (T, H, W, 3) RGB
        frames: integers 0 to 255, or floating point 0 to 1.
    start : int
        Number of frames to skip at the beginning.
    frames : int or None
        Number of frames to read; None reads to the end.
    kind : str or None
        Name of FFmpeg's reader for the file ("mov", "avi", ...). None lets FFmpeg guess; it may
        then choose a kind that opens other files, such as a playlist.

    Raises
    ------
    ClipError
        The path is missing, empty, truncated or damaged, is not a video, has frames of different
        sizes, fewer than two frames, or more than `MAX_PIXELS` luma samples in total.
    """
    if isinstance(start, bool) or not isinstance(start, int) or start < 0:
        raise ValueError(f"start: expected an integer >= 0, got {start!r}")
    last = None if frames is None else start + _check.count("frames", frames)
    place = Path(path)
    if not place.exists():
        raise ClipError(place, "no such file or folder")
    if place.is_dir():
        return _gather(place, _folder(place, start, last))
    if place.stat().st_size == 0:
        raise ClipError(place, "empty file")
    if place.suffix.lower() == ".npy":
        return _from_npy(place, start, last)
    return _gather(place, _video(place, start, last, kind))


def _gather(path: Path, pictures: Iterable[Array]) -> Array:
    """Stack pictures of one size; raise as soon as there are too many."""
    kept: list[Array] = []
    for picture in pictures:
        if kept and picture.shape != kept[0].shape:
            raise ClipError(
                path, f"frames of different sizes, {_size(kept[0])} and later {_size(picture)}"
            )
        _check_pixels(path, (len(kept) + 1) * picture.size)
        kept.append(picture)
    _check_frames(path, len(kept))
    return np.stack(kept, dtype=np.float64)


def _size(picture: Array) -> str:
    return f"{picture.shape[1]}x{picture.shape[0]}"


def _check_frames(path: Path, count: int) -> None:
    if count < 2:
        raise ClipError(path, f"expected at least 2 frames, got {count}")


def _check_pixels(path: Path, count: int) -> None:
    if count > MAX_PIXELS:
        raise ClipError(path, f"more than {MAX_PIXELS:,} luma samples; read fewer frames")


def _folder(path: Path, first: int, last: int | None) -> Iterator[Array]:
    """Yield the luma of the images in a folder; file10 comes after file9."""
    names = [item for item in path.iterdir() if item.suffix.lower() in IMAGES]
    if not names:
        raise ClipError(path, f"no images in this folder ({', '.join(sorted(IMAGES))})")

    def order(item: Path) -> list[tuple[int, str]]:
        return [
            (int(part), "") if part.isdigit() else (-1, part)
            for part in re.split(r"(\d+)", item.name)
        ]

    for item in sorted(names, key=order)[first:last]:
        if item.stat().st_size == 0:
            raise ClipError(item, "empty file")
        with _reading(item):
            yield from _decoded(item)


def _video(path: Path, first: int, last: int | None, kind: str | None) -> Iterator[Array]:
    """Yield the luma of frames first <= t < last of a video file."""
    with _reading(path):
        for t, picture in enumerate(_decoded(path, kind)):
            if t >= first:
                yield picture
            if last is not None and t + 1 == last:
                return


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn the errors of FFmpeg about a file into ClipError."""
    import av

    try:
        yield
    except (av.error.InvalidDataError, av.error.ArgumentError, av.error.EOFError):
        raise ClipError(path, _DAMAGED) from None
    except (av.error.FFmpegError, OSError) as error:
        raise ClipError(path, f"cannot be read ({error.strerror or error})") from error


def _decoded(path: Path, kind: str | None = None) -> Iterator[Array]:
    """Decode a whole file and yield its luma, or raise ClipError where data are missing."""
    import av

    with av.open(str(path), format=kind) as container:
        # FFmpeg reads text files as pictures of a terminal
        if not container.streams.video or container.format.name == "tty":
            raise ClipError(path, _DAMAGED)
        stream = container.streams.video[0]
        packets, end = 0, 0
        for packet in container.demux(stream):
            if packet.size:
                packets, end = packets + 1, (packet.pos or 0) + packet.size
            for frame in packet.decode():
                if frame.is_corrupt:
                    raise ClipError(path, _DAMAGED)
                yield _luma(frame)
        if packets < stream.frames:
            raise ClipError(path, f"truncated, {packets} of {stream.frames} frames")
        if container.format.name == "yuv4mpegpipe" and end < container.size:
            raise ClipError(path, f"truncated after {packets} frames")


def _luma(frame: Any) -> Array:
    """Return the luma plane of a decoded frame, (H, W)."""
    kind = frame.format
    first, *others = kind.components
    own_plane = all(component.plane != first.plane for component in others)
    if kind.is_rgb or kind.has_palette or not own_plane or not 8 <= first.bits <= 16:
        return frame.to_ndarray(format="rgb24") @ _RGB
    plane = frame.planes[first.plane]
    wide = first.bits > 8
    dtype = np.dtype(np.uint8) if not wide else np.dtype(">u2" if kind.is_big_endian else "<u2")
    rows = np.frombuffer(plane, dtype).reshape(plane.height, plane.line_size // dtype.itemsize)
    picture = rows[:, : plane.width]
    return picture / 2.0 ** (first.bits - 8) if wide else picture.copy()


def _from_npy(path: Path, first: int, last: int | None) -> Array:
    """Return the luma of frames in a .npy file."""
    try:
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ClipError(path, f"not a .npy array, or truncated ({error})") from None
    rgb = stored.ndim == 4 and stored.shape[-1] == 3
    if not rgb and stored.ndim != 3:
        raise ClipError(path, f"expected shape (T, H, W) or (T, H, W, 3), got {stored.shape}")
    if stored.dtype.kind not in "uif":
        raise ClipError(path, f"expected numbers, got {stored.dtype}")
    taken = stored[first:last]
    _check_frames(path, len(taken))
    _check_pixels(path, taken.size // (3 if rgb else 1))
    floating = stored.dtype.kind == "f"
    values = np.asarray(taken, dtype=np.float64)
    top = 1.0 if floating else PEAK
    if not (values.size and values.min() >= 0 and values.max() <= top):  # nan fails too
        raise ClipError(path, f"expected {stored.dtype} frames in [0, {top:g}]")
    luma = values @ _RGB if rgb else values
    return luma * PEAK if floating else luma
