"""Moving digits: clips of handwritten digits that jump about, made in batches on any device.

A digit (28 x 28 pixels, enlarged to 32 x 32) moves over a black field of 64 x 64. Each step from
one frame to the next is drawn anew. It is uniform over the steps of at most 4 pixels in x and in y
that keep the digit inside. Values are in [0, 1]. All randomness comes from a `torch.Generator`. A
generator on the CPU gives the same clips on every device; one on the device draws there.

Digits come from the four standard IDX files, or from the subset that ships with the package.
Held-out digits are other images, of other writers, than those for training.

Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits" (CC BY-SA 3.0);
protocol of Salehkalaibar et al., arXiv:2305.19301.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from torch.nn import functional

from neural.datasets.clips import Clips, ClipSource, draw_below
from rdp._files import replacing

Array = np.ndarray
Tensor = torch.Tensor

SUBSET = Path(__file__).resolve().parents[1] / "data" / "digits.npz"
FIELD = 64
DIGIT = 32
MOTIONS = ("jumps", "constant")
_FILES = {"train": "train", "heldout": "t10k"}
MOST_BYTES = 1 << 28  # of an IDX file, decompressed; the largest standard file has 47 million
_PART = 1 << 20
_HEAD = struct.Struct(">HBB")  # zero, type of the numbers (8: unsigned byte), number of axes


class Digits(NamedTuple):
    """Images of digits, and which digits they are.

    Parameters
    ----------
    images : (N, 28, 28) uint8 array
        Pictures, white on black.
    labels : (N,) uint8 array
        The digits 0..9.
    """

    images: Array
    labels: Array


def read_idx(path: Path | str) -> Array:
    """Read an IDX file of unsigned bytes, raw or compressed with gzip.

    Parameters
    ----------
    path : path
        A file whose name ends in .gz is decompressed, up to what its header declares.

    Returns
    -------
    uint8 array of the shape that the file declares

    Raises
    ------
    ValueError
        The file is of another kind, its size is not what it declares, or it declares more than
        `MOST_BYTES`; the message names it.
    FileNotFoundError
        There is no such file.
    """
    path = Path(path)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return _read_idx(path, file)
    except FileNotFoundError:
        raise
    except (OSError, EOFError, zlib.error) as error:
        if path.suffix != ".gz":
            raise
        raise ValueError(f"{path}: expected a whole gzip file, got {error}") from None


def _read_idx(path: Path, file: BinaryIO | gzip.GzipFile) -> Array:
    """Read the header, and then no more than the numbers that it declares."""
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        raise ValueError(f"{path}: expected an IDX file, got {len(head)} bytes")
    zero, kind, axes = _HEAD.unpack(head)
    sizes = file.read(4 * axes) if zero == 0 and kind == 8 and 1 <= axes <= 4 else b""
    if not sizes or len(sizes) < 4 * axes:
        raise ValueError(f"{path}: expected an IDX file of bytes, got {head.hex()}...")
    shape = struct.unpack(f">{axes}I", sizes)
    count = math.prod(shape)
    if count > MOST_BYTES:
        raise ValueError(f"{path}: expected at most {MOST_BYTES:,} bytes, got {shape}")
    content = bytearray()
    while len(content) <= count and (part := file.read(min(count + 1 - len(content), _PART))):
        content += part
    if len(content) != count:
        found = f"{len(content)}" if len(content) < count else "more"
        raise ValueError(f"{path}: expected {count} bytes for {shape}, got {found}")
    return np.frombuffer(content, np.uint8).reshape(shape)


def load_digits(split: str, folder: Path | str | None = None) -> Digits:
    """Return the digits of one split.

    Parameters
    ----------
    split : {"train", "heldout"}
        60,000 and 10,000 digits from the IDX files, 2,000 and 500 from the subset.
    folder : path or None
        Where the four standard files are (``train-images-idx3-ubyte`` and so on, with or without
        .gz); None takes the subset that ships with the package.

    Returns
    -------
    Digits

    Raises
    ------
    ValueError
        Unknown split, or files that are broken or do not belong together.
    FileNotFoundError
        A file is missing; the message says which.

    Examples
    --------
    >>> load_digits("heldout").images.shape
    (500, 28, 28)
    """
    if split not in _FILES:
        raise ValueError(f"split: expected one of {', '.join(_FILES)}, got {split!r}")
    if folder is None:
        with np.load(SUBSET, allow_pickle=False) as stored:
            return Digits(stored[f"{split}_images"], stored[f"{split}_labels"])
    images, labels = (
        read_idx(_find(Path(folder), f"{_FILES[split]}-{name}-ubyte"))
        for name in ("images-idx3", "labels-idx1")
    )
    if images.shape[1:] != (28, 28) or labels.shape != images.shape[:1]:
        raise ValueError(
            f"{folder}: expected images (N, 28, 28) and labels (N,), "
            f"got {images.shape} and {labels.shape}"
        )
    return Digits(images, labels)


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.exists():
            return path
    raise FileNotFoundError(f"{folder}: expected {name} or {name}.gz, found neither")


class MovingDigits(ClipSource):
    """Distribution of clips of moving digits.

    Parameters
    ----------
    digits : Digits
        Images to draw from.
    frames : int
        Frames T of a clip.
    reach : int
        Largest step in x and in y, pixels.
    motion : {"jumps", "constant"}
        Steps drawn anew for each frame, or one velocity that is reflected at the border.
    count : {1, 2}
        Digits in a clip; where two overlap, the brighter one is seen.
    device : str
        Where the clips are made.

    Raises
    ------
    ValueError
        A malformed field; the message names it.

    Examples
    --------
    >>> source = MovingDigits(load_digits("heldout"), frames=3)
    >>> source.batch(torch.Generator().manual_seed(0), 5).shape
    torch.Size([5, 3, 64, 64])
    """

    def __init__(
        self,
        digits: Digits,
        frames: int = 2,
        reach: int = 4,
        motion: str = "jumps",
        count: int = 1,
        device: str = "cpu",
    ) -> None:
        if frames < 1:
            raise ValueError(f"frames: expected at least 1, got {frames}")
        if not 0 <= reach <= FIELD - DIGIT:
            raise ValueError(f"reach: expected 0..{FIELD - DIGIT}, got {reach}")
        if motion not in MOTIONS:
            raise ValueError(f"motion: expected one of {', '.join(MOTIONS)}, got {motion!r}")
        if count not in (1, 2):
            raise ValueError(f"count: expected 1 or 2 digits, got {count}")
        images, labels = digits
        if images.ndim != 3 or images.dtype != np.uint8 or len(images) == 0:
            raise ValueError(f"digits: expected uint8 images (N, h, w), got {images.shape}")
        if labels.shape != images.shape[:1]:
            raise ValueError(f"digits: expected {len(images)} labels, got {labels.shape}")
        self.frames, self.reach, self.motion, self.count = frames, reach, motion, count
        self.device = torch.device(device)
        small = torch.from_numpy(images).float().div(255).unsqueeze(1)
        # enlarged on the CPU, so that all devices see the same pixels
        large = functional.interpolate(small, (DIGIT, DIGIT), mode="bilinear").squeeze(1)
        self.images = large.to(self.device)
        self.labels = torch.from_numpy(labels.astype(np.int64))
        self.device_labels = self.labels.to(self.device)

    def draw(self, generator: torch.Generator, n: int) -> Clips:
        """Draw n clips, with labels and corners."""
        clips = [self._one(generator, n) for _ in range(self.count)]
        frames = torch.stack([clip.frames for clip in clips]).amax(0)
        return clips[0]._replace(frames=frames)

    def _one(self, generator: torch.Generator, n: int) -> Clips:
        which = draw_below(len(self.images), (n,), generator)
        corners = self._walk(generator, n).transpose(0, 1)
        digits = self.images[which.to(self.device)]
        labels = self._labels_on(which.device)[which]
        return Clips(place(digits, corners.to(self.device)), labels, corners)

    def _labels_on(self, device: torch.device) -> Tensor:
        """Labels where the digits are drawn: on the CPU or with the images."""
        return self.labels if device.type == "cpu" else self.device_labels

    def _walk(self, generator: torch.Generator, n: int) -> Tensor:
        """Corners (T, n, 2)."""
        room, shape = FIELD - DIGIT, (n, 2)
        corner = draw_below(room + 1, shape, generator)
        if self.motion == "constant":
            step = draw_below(2 * self.reach + 1, shape, generator) - self.reach
            turn = torch.stack([corner + t * step for t in range(self.frames)])
            turn = turn.remainder(2 * room)
            return torch.minimum(turn, 2 * room - turn)
        way = [corner]
        for _ in range(1, self.frames):
            low = (way[-1] - self.reach).clamp(min=0)
            high = (way[-1] + self.reach).clamp(max=room)
            way.append(low + draw_below(high - low + 1, shape, generator))
        return torch.stack(way)


def place(digits: Tensor, corners: Tensor) -> Tensor:
    """Put digits on a black field.

    Parameters
    ----------
    digits : (n, 32, 32) tensor
    corners : (n, T, 2) int64 tensor
        Row and column of the upper left corner in each frame; what is outside is cut off.

    Returns
    -------
    (n, T, 64, 64) tensor
    """
    along = torch.arange(FIELD, device=digits.device) - corners.unsqueeze(-1)  # (n, T, 2, 64)
    inside = (along >= 0) & (along < DIGIT)
    along = along.clamp(0, DIGIT - 1)
    rows, columns = along[:, :, 0, :, None], along[:, :, 1, None, :]
    which = torch.arange(len(digits), device=digits.device)[:, None, None, None]
    seen = inside[:, :, 0, :, None] & inside[:, :, 1, None, :]
    return digits[which, rows, columns] * seen


def make_subset(folder: Path | str, target: Path | str = SUBSET) -> None:
    """Write the subset that ships with the package, from the four standard files in a folder."""
    train, heldout = (
        _first_of_each(load_digits(split, folder), count)
        for split, count in (("train", 200), ("heldout", 50))
    )
    with replacing(target) as file:
        np.savez_compressed(
            file,
            train_images=train.images,
            train_labels=train.labels,
            heldout_images=heldout.images,
            heldout_labels=heldout.labels,
        )


def _first_of_each(digits: Digits, count: int) -> Digits:
    first = [np.flatnonzero(digits.labels == k)[:count] for k in range(10)]
    chosen = np.sort(np.concatenate(first))
    return Digits(digits.images[chosen], digits.labels[chosen])
