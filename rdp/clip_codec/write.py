"""Frames to a video file, a .npy array or a folder of pictures."""

from __future__ import annotations

import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from rdp._files import replacing

Array = np.ndarray

VIDEO = {".mp4": "mp4", ".mkv": "matroska", ".mov": "mov"}
_NEARLY_LOSSLESS = {"crf": "6", "preset": "fast"}  # errors of about a grey level


def write_frames(
    path: str | os.PathLike[str], frames: Iterable[Array], rate: Fraction | int = 25
) -> int:
    """Write luma frames, (H, W) from 0 to 255, rounded to whole levels; return their number.

    Parameters
    ----------
    path : path-like
        A video file (.mp4, .mkv, .mov: H.264, nearly lossless; with chroma of full size where a
        side is odd, which few browsers play), a .npy file of (T, H, W) bytes, or,
        with another or no suffix, a folder of PNG files, which must not exist or be empty.
    frames : iterable of (H, W) arrays
        Written one after the other, so that memory does not grow with them.
    rate : Fraction or int
        Frames a second of a video file.

    Raises
    ------
    ValueError
        A suffix of no known kind, or a folder that holds files.
    """
    place = Path(path)
    suffix = place.suffix.lower()
    pictures = (_whole(frame) for frame in frames)
    if suffix in VIDEO:
        return _video(place, VIDEO[suffix], pictures, Fraction(rate))
    if suffix == ".npy":
        return _array(place, pictures)
    if suffix:
        known = ", ".join([*VIDEO, ".npy"])
        raise ValueError(f"out: expected {known} or a folder, got {place.name!r}")
    return _folder(place, pictures)


def _whole(frame: Array) -> Array:
    return np.clip(np.rint(frame), 0, 255).astype(np.uint8)


def _video(place: Path, container: str, pictures: Iterable[Array], rate: Fraction) -> int:
    import av

    count = 0
    with replacing(place, "wb") as file, av.open(file, "w", format=container) as output:
        stream: Any = None
        for picture in pictures:
            if stream is None:
                stream = output.add_stream("libx264", rate=rate, options=dict(_NEARLY_LOSSLESS))
                stream.height, stream.width = picture.shape
                stream.pix_fmt = _kind(picture)
            output.mux(stream.encode(_coloured(picture)))
            count += 1
        if stream is not None:
            output.mux(stream.encode(None))
    return count


def _kind(picture: Array) -> str:
    """Kind of the pixels; chroma of half the size needs even sides."""
    return "yuv444p" if any(side % 2 for side in picture.shape) else "yuv420p"


def _coloured(picture: Array) -> Any:
    """Frame of a player: luma as it was read, neither stretched nor limited, and no colour."""
    import av

    kind = _kind(picture)
    height = picture.shape[0]
    planes = np.full((height * 3 if kind == "yuv444p" else height * 3 // 2, picture.shape[1]), 128,
                     np.uint8)  # fmt: skip
    planes[:height] = picture
    if kind == "yuv444p":
        planes = planes.reshape(3, *picture.shape)
    return av.VideoFrame.from_ndarray(planes, format=kind)


def _array(place: Path, pictures: Iterable[Array]) -> int:
    """Write a .npy file whose length is known at the end only."""
    count, shape = 0, (0, 0)
    with replacing(place, "w+b") as file:
        for picture in pictures:
            if not count:
                shape = picture.shape
                _header(file, (0, *shape))
            file.write(picture.tobytes())
            count += 1
        file.seek(0)
        _header(file, (count, *shape))
    return count


def _header(file: Any, shape: tuple[int, ...]) -> None:
    """Header of fixed length, as numpy leaves room for a longer first side."""
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )


def _folder(place: Path, pictures: Iterable[Array]) -> int:
    import av

    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise ValueError(f"out: expected a new or empty folder, got {place}")
    place.mkdir(parents=True, exist_ok=True)
    count = 0
    for count, picture in enumerate(pictures, start=1):
        coder: Any = av.CodecContext.create("png", "w")
        coder.height, coder.width = picture.shape
        coder.pix_fmt, coder.time_base = "gray", Fraction(1, 25)
        packets = coder.encode(av.VideoFrame.from_ndarray(picture, format="gray"))
        with replacing(place / f"{count:05d}.png", "wb") as file:
            file.writelines(bytes(packet) for packet in [*packets, *coder.encode(None)])
    return count
