"""`read_luma` reads the luma of real video: files, folders of images and arrays, through PyAV.

Luma has the units of 8-bit video, 0 to 255. It is the luma plane as it is coded, 16 to 235 in most
files; 10-bit values are divided by 4. RGB pixels are weighted by (.299, .587, .114), as in ITU-R
BT.601.

Files from elsewhere are safe to read. The size of a picture is checked before memory is taken for
it; the memory in use stays below four times that of the largest clip (2 GiB). No file makes the
reader open another one. A file that ends too early is refused, where its kind says how long it is
(`rdp.clip._complete`).
"""

from __future__ import annotations

import errno
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rdp import _check
from rdp.clip._complete import is_cut, lasts
from rdp.clip._one_file import OneFile, names_other_files
from rdp.clip._png_text import MOST, file_unpacks_too_far, unpacks_too_far

if TYPE_CHECKING:
    import os

Array = np.ndarray

PEAK = 255.0  # largest luma
MAX_PIXELS = 1 << 26  # luma samples of one clip: 0.5 GiB as float64; 2 GiB to read or analyse

IMAGES = {".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
_TEXTS = f"texts and colour profiles of a picture unpack to more than {MOST >> 20} MiB"
_DAMAGED = "not a video, or truncated or damaged"
_RGB = np.array([0.299, 0.587, 0.114])
_ROWS = 256  # of a picture that are converted at a time
# The limit on pixels reaches the decoders twice, as FFmpeg decodes a picture to find its size.
# They compare it with sizes that are rounded up.
_LIMIT = {"max_pixels": str(MAX_PIXELS * 9 // 16)}
_NPY = b"\x93NUMPY"


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
    progress: Callable[[], object] = lambda: None,
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
        Number of frames to read; None reads to the end, and compares it with what the file says of
        its length.
    kind : str or None
        Name of FFmpeg's reader for the file ("mov", "avi", ...). None lets FFmpeg guess.
    progress : callable
        Called after each frame of a video or a folder.

    Raises
    ------
    ClipError
        The path is missing, empty, truncated or damaged, is not a video, lists other files, has
        frames of different sizes, fewer than two frames, or more than `MAX_PIXELS` luma samples in
        total.
    """
    place, last = _place(path, start, frames)
    if place.suffix.lower() == ".npy" and place.is_file():
        return _from_npy(place, start, last)
    return _gather(place, _pictures(place, start, last, kind), progress)


def luma_frames(
    path: str | os.PathLike[str], start: int = 0, frames: int | None = None
) -> Iterator[Array]:
    """Yield the luma of the frames of a clip, (H, W) each, in memory that does not grow with them.

    Parameters
    ----------
    path, start, frames : as for `read_luma`

    Raises
    ------
    ClipError
        As `read_luma`, but for the number of frames and their total size, which have no limit.
    """
    place, last = _place(path, start, frames)
    first: Array | None = None
    for picture in _pictures(place, start, last, None):
        first = picture if first is None else first
        _check_one_size(place, first, picture)
        yield picture


def _place(
    path: str | os.PathLike[str], start: int, frames: int | None
) -> tuple[Path, int | None]:
    """Where a clip is, and the frame to stop at."""
    if isinstance(start, bool) or not isinstance(start, int) or start < 0:
        raise ValueError(f"start: expected an integer >= 0, got {start!r}")
    last = None if frames is None else start + _check.count("frames", frames)
    place = Path(path)
    if not place.exists():
        raise ClipError(place, "no such file or folder")
    if place.is_file() and place.stat().st_size == 0:
        raise ClipError(place, "empty file")
    return place, last


def _pictures(place: Path, start: int, last: int | None, kind: str | None) -> Iterator[Array]:
    """Yield the luma of frames start <= t < last."""
    if place.is_dir():
        yield from _folder(place, start, last)
    elif place.suffix.lower() == ".npy":
        yield from _npy_pictures(place, _npy_stored(place)[start:last])
    else:
        yield from _video(place, start, last, kind)


def frame_rate(path: str | os.PathLike[str]) -> Fraction | None:
    """Return the frames a second of a video file; None where it says none, or is none.

    Parameters
    ----------
    path : path-like
        What `read_luma` reads.

    Raises
    ------
    ClipError
        A file that is missing, empty or no video.
    """
    place, _ = _place(path, 0, None)
    if place.is_dir() or place.suffix.lower() == ".npy":
        return None
    with _reading(place), _opened(place) as container:
        stream = container.streams.video[0]
        rate = stream.average_rate or stream.guessed_rate
        return Fraction(rate) if rate else None


def video_packets(path: str | os.PathLike[str]) -> list[tuple[int | None, int]]:
    """Return the time and the bytes of every packet of the first video stream of a file.

    Parameters
    ----------
    path : path-like
        A video file that FFmpeg reads.

    Returns
    -------
    list of (time or None, bytes)
        In the order of the file. A time is when the frame is seen, in units of the stream.

    Raises
    ------
    ClipError
        The path is missing, empty, is not a video, or lists other files.
    """
    place = Path(path)
    if not place.is_file():
        raise ClipError(place, "no such file")
    if place.stat().st_size == 0:
        raise ClipError(place, "empty file")
    with _reading(place), _opened(place) as container:
        return [
            (packet.pts, packet.size)
            for packet in container.demux(container.streams.video[0])
            if packet.size
        ]


def _gather(path: Path, pictures: Iterable[Array], progress: Callable[[], object]) -> Array:
    """Stack pictures of one size; raise as soon as there are too many."""
    kept: list[Array] = []
    for picture in pictures:
        _check_one_size(path, kept[0] if kept else picture, picture)
        _check_pixels(path, (len(kept) + 1) * picture.size)
        kept.append(picture)
        progress()
    _check_frames(path, len(kept))
    return np.stack(kept, dtype=np.float64)


def _check_one_size(path: Path, first: Array, picture: Array) -> None:
    if picture.shape != first.shape:
        raise ClipError(
            path, f"frames of different sizes, {_size(first)} and later {_size(picture)}"
        )


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
            pictures = _decoded(item)
            first_picture = next(pictures, None)
            if first_picture is None:
                raise ClipError(item, _DAMAGED)
            yield first_picture
            yield from pictures


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
    except (av.error.InvalidDataError, av.error.EOFError, IndexError):
        raise ClipError(path, _DAMAGED) from None  # IndexError: a stream that the header lacks
    except (av.error.FFmpegError, OSError) as error:
        own = error.errno if isinstance(error, av.error.FFmpegError) else 0
        if own in (errno.EINVAL, errno.EBUSY):  # busy: a frame that no packet can hold
            large = f"{_DAMAGED}, or its pictures have more than {MAX_PIXELS // 2:,} pixels"
            raise ClipError(path, large) from None
        if own == errno.EIO:
            raise ClipError(path, _DAMAGED) from None  # FFmpeg says so of data that are missing
        raise ClipError(path, f"cannot be read ({error.strerror or error})") from error


@contextmanager
def _opened(path: Path, kind: str | None = None) -> Iterator[Any]:
    """Open a file that has a video stream."""
    import av

    if names_other_files(path):
        raise ClipError(path, "a list of other files, not a video")
    if file_unpacks_too_far(path):
        raise ClipError(path, _TEXTS)
    # From an open file: the name is no address and no pattern, and no other file can be opened.
    alone = {"protocol_whitelist": "none", "pattern_type": "none"}
    with (
        OneFile(path) as file,
        av.open(
            file,
            "r",
            format=kind,
            options=dict(_LIMIT),
            container_options=alone,
            metadata_errors="replace",
        ) as container,
    ):
        # FFmpeg reads text files as pictures of a terminal
        if not container.streams.video or container.format.name == "tty":
            raise ClipError(path, _DAMAGED)
        yield container


def _decoded(path: Path, kind: str | None = None) -> Iterator[Array]:
    """Decode a whole file and yield its luma, or raise ClipError where data are missing."""
    with _opened(path, kind) as container:
        stream = container.streams.video[0]
        coder = stream.codec_context
        if coder is None:
            raise ClipError(path, "no decoder for this kind of video")
        _check_size(path, coder.width, coder.height)
        coder.options = dict(_LIMIT)
        period = 1 / (stream.average_rate or stream.guessed_rate or 25)
        packets, end, seconds = 0, 0, 0.0
        for packet in container.demux(stream):
            if coder.name in ("png", "apng") and unpacks_too_far(bytes(packet)):
                raise ClipError(path, _TEXTS)
            if packet.size:
                packets, end = packets + 1, (packet.pos or 0) + packet.size
                if packet.pts is not None:
                    last = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                    seconds = max(seconds, last if packet.duration else last + float(period))
            for frame in packet.decode():
                if frame.is_corrupt:
                    raise ClipError(path, _DAMAGED)
                _check_size(path, frame.width, frame.height)
                yield luma_plane(frame)
        if not packets:
            raise ClipError(path, _DAMAGED)
        if packets < stream.frames:
            raise ClipError(path, f"truncated, {packets} of {stream.frames} frames")
        expected = lasts(stream, container)
        if expected is not None and seconds < expected - 0.6 * float(period):
            raise ClipError(
                path, f"truncated, {packets} frames of {seconds:.2f} s, expected {expected:.2f} s"
            )
        short = container.format.name == "yuv4mpegpipe" and end < container.size
        if short or is_cut(path, container.format.name):
            raise ClipError(path, f"truncated after {packets} frames")


def _check_size(path: Path, width: int, height: int) -> None:
    """Refuse pictures of which not even two are allowed."""
    if width * height > MAX_PIXELS // 2:
        raise ClipError(
            path, f"pictures of {width}x{height}, more than {MAX_PIXELS // 2:,} pixels each"
        )


def luma_plane(frame: Any) -> Array:
    """Return the luma plane of a decoded frame, (H, W)."""
    kind = frame.format
    first, *others = kind.components
    own_plane = all(component.plane != first.plane for component in others)
    if kind.is_rgb or kind.has_palette or not own_plane or not 8 <= first.bits <= 16:
        return _weighted(frame.to_ndarray(format="rgb24"))
    plane = frame.planes[first.plane]
    wide = first.bits > 8
    dtype = np.dtype(np.uint8) if not wide else np.dtype(">u2" if kind.is_big_endian else "<u2")
    rows = np.frombuffer(plane, dtype).reshape(plane.height, plane.line_size // dtype.itemsize)
    picture = rows[:, : plane.width]
    return picture / 2.0 ** (first.bits - 8) if wide else picture.copy()


def _from_npy(path: Path, first: int, last: int | None) -> Array:
    """Return the luma of frames in a .npy file."""
    taken = _npy_stored(path)[first:last]
    _check_frames(path, len(taken))
    _check_pixels(path, taken.size // (3 if taken.ndim == 4 else 1))
    out = np.empty(taken.shape[:3])
    for luma, picture in zip(out, _npy_pictures(path, taken), strict=True):
        luma[...] = picture
    return out


def _npy_stored(path: Path) -> Array:
    """Return the frames in a .npy file as they are stored, without reading their values."""
    stored = _mapped(path)
    if stored.ndim != 3 and not (stored.ndim == 4 and stored.shape[-1] == 3):
        raise ClipError(path, f"expected shape (T, H, W) or (T, H, W, 3), got {stored.shape}")
    if stored.dtype.kind not in "uif":
        raise ClipError(path, f"expected numbers, got {stored.dtype}")
    return stored


def _npy_pictures(path: Path, stored: Array) -> Iterator[Array]:
    """Yield the luma of stored frames."""
    floating = stored.dtype.kind == "f"
    top = 1.0 if floating else PEAK
    for picture in stored:
        # nan fails too
        if not (picture.size and picture.min() >= 0 and picture.max() <= top):
            raise ClipError(path, f"expected {stored.dtype} frames in [0, {top:g}]")
        luma = _weighted(picture) if picture.ndim == 3 else np.asarray(picture, dtype=np.float64)
        yield luma * PEAK if floating else luma


def _mapped(path: Path) -> Array:
    """Return the array in a .npy file, without reading its values."""
    with path.open("rb") as file:
        if file.read(len(_NPY)) != _NPY:
            raise ClipError(path, "not a .npy array")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of numpy, about headers that it cannot read
            stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise ClipError(path, f"cannot be read ({error.strerror or error})") from None
    # numpy raises many kinds for headers that describe no array: shapes that are negative or too
    # large, brackets that are not closed or nested too deep
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        if "allow_pickle" in reason or "Python objects" in reason:  # no advice to run its code
            raise ClipError(path, "expected numbers, got Python objects") from None
        raise ClipError(path, f"not a .npy array, or truncated ({reason})") from None
    if not isinstance(stored, np.ndarray):
        raise ClipError(path, "not a .npy array")
    return stored


def _weighted(rgb: Array) -> Array:
    """Return the luma of a picture (H, W, 3), some rows at a time to save memory."""
    luma = np.empty(rgb.shape[:2])
    for row in range(0, len(rgb), _ROWS):
        luma[row : row + _ROWS] = np.asarray(rgb[row : row + _ROWS], dtype=np.float64) @ _RGB
    return luma
