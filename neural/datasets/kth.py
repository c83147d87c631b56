"""Clips of people from the KTH action recordings, from the folder of AVI files as published.

Files are named ``person01_boxing_d1_uncomp.avi``, in one folder or in folders within it. A file
``00sequences.txt`` beside them, as published, lists the frames that contain the action. Without it
every frame counts. Pictures are reduced to 64 x 64 and kept as one array of bytes on disk, so that
decoding happens once.

The recordings are for non-commercial use and are not part of this package. C. Schuldt, I. Laptev,
B. Caputo, "Recognizing human actions: a local SVM approach", ICPR 2004.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from neural.datasets.clips import SIZE, Clips, ClipSource, draw_below
from rdp._files import read_arrays, replacing
from rdp.clip.read import ClipError, read_luma

Array = np.ndarray
Tensor = torch.Tensor
Ranges = dict[str, list[tuple[int, int]]]

SPLITS = {"train": range(1, 21), "heldout": range(21, 26)}
SEQUENCES = "00sequences.txt"
_NAME = re.compile(r"person(\d\d)_([a-z]+)(_d\d)?(_uncomp)?\.avi")
_LINE = re.compile(r"(person\d\d_[a-z]+_d\d)\s+frames\s+(.*)")
_RANGE = re.compile(r"(\d+)-(\d+)")


def read_ranges(path: Path | str) -> Ranges:
    """Read which frames of each recording contain the action.

    Parameters
    ----------
    path : path
        File with lines such as ``person01_boxing_d1  frames  1-95, 96-185``, counted from 1 and
        including both ends; other lines are text.

    Returns
    -------
    dict
        Recording -> (start, stop) of each range, counted from 0, without the end.

    Raises
    ------
    ValueError
        A malformed range; the message names the file and the line.
    """
    ranges: Ranges = {}
    for number, line in enumerate(Path(path).read_text(encoding="latin-1").splitlines(), 1):
        match = _LINE.match(line.strip())
        if match is None:
            continue
        spans = []
        for text in match[2].split(","):
            ends = _RANGE.fullmatch(text.strip())
            if ends is None or not 1 <= int(ends[1]) <= int(ends[2]):
                raise ValueError(
                    f"{path}, line {number}: expected first-last, got {text.strip()!r}"
                )
            spans.append((int(ends[1]) - 1, int(ends[2])))
        ranges[match[1]] = spans
    return ranges


def recordings(
    folder: Path | str, persons: Iterable[int], actions: Sequence[str] | None = None
) -> list[Path]:
    """Find the recordings of some persons and actions, in order of their names.

    Parameters
    ----------
    folder : path
        Folder to search, with all folders in it.
    persons : iterable of int
        1..25; `SPLITS` has the standard ones.
    actions : sequence of str, or None
        For instance "boxing"; None is all.

    Raises
    ------
    ValueError
        There is no such folder, or no such recording in it.
    """
    folder, chosen = Path(folder), set(persons)
    if not folder.is_dir():
        raise ValueError(f"{folder}: expected the folder of the KTH recordings, found none")
    found = []
    for path in sorted(folder.rglob("*.avi")):
        match = _NAME.fullmatch(path.name)
        if match and int(match[1]) in chosen and (actions is None or match[2] in actions):
            found.append(path)
    if not found:
        which = "any action" if actions is None else ", ".join(actions)
        raise ValueError(f"{folder}: found no recording of persons {sorted(chosen)}, {which}")
    return found


def decode(path: Path, spans: Sequence[tuple[int, int]] | None = None) -> list[Array]:
    """Decode one recording: a (T, 64, 64) uint8 array for each range (start, stop) of frames.

    Without ranges there is one array of all frames.

    Raises
    ------
    ClipError
        The recording cannot be decoded or is shorter than its ranges; the message names the file.
    """
    luma = torch.from_numpy(read_luma(path)).float().unsqueeze(1)
    small = functional.interpolate(luma, (SIZE, SIZE), mode="bilinear", antialias=True).squeeze(1)
    frames = small.round().clamp(0, 255).byte().numpy()
    if spans is None:
        return [frames]
    if max(stop for _, stop in spans) > len(frames):
        raise ClipError(path, f"expected frames up to {max(spans)[1]}, got {len(frames)}")
    return [frames[start:stop] for start, stop in spans]


@dataclass(frozen=True)
class MovingPeople(ClipSource):
    """Distribution of clips of T frames cut from recordings, uniform over all places.

    Parameters
    ----------
    pictures : (F, 64, 64) uint8 tensor
        All frames, one range after the other.
    starts : (P,) int64 tensor
        Places in `pictures` where a clip may begin.
    frames : int
        Frames T of a clip.
    """

    pictures: Tensor
    starts: Tensor
    frames: int

    def draw(self, generator: torch.Generator, n: int) -> Clips:
        """Draw n clips; nothing is known of their content."""
        device = self.pictures.device
        chosen = self.starts[draw_below(len(self.starts), (n,), generator).to(device)]
        places = chosen[:, None] + torch.arange(self.frames, device=device)
        return Clips(self.pictures[places].float() / 255)


def load_people(
    folder: Path | str,
    persons: Iterable[int],
    *,
    actions: Sequence[str] | None = None,
    frames: int = 2,
    stride: int = 1,
    cache: Path | str | None = None,
    device: str = "cpu",
) -> MovingPeople:
    """Return clips of some persons and actions, decoding the recordings at the first call.

    Parameters
    ----------
    folder : path
        Folder of the recordings.
    persons : iterable of int
        For instance ``SPLITS["train"]``.
    actions : sequence of str, or None
        None is all.
    frames : int
        Frames T of a clip.
    stride : int
        Distance of the frames that are kept from a range.
    cache : path or None
        Folder where the decoded frames are kept; None decodes every time.
    device : str
        Where the clips are made.

    Raises
    ------
    ValueError
        There is no such recording, one is broken, or no range has that many frames.
    """
    if frames < 1 or stride < 1:
        raise ValueError(f"frames, stride: expected at least 1, got {frames} and {stride}")
    paths = recordings(folder, persons, actions)
    listed = sorted(Path(folder).rglob(SEQUENCES))
    ranges = read_ranges(listed[0]) if listed else {}
    spans = [ranges.get(path.stem.removesuffix("_uncomp")) for path in paths]
    pictures, lengths = _decoded(paths, spans, None if cache is None else Path(cache))
    kept, starts, offset = [], [], 0
    for part in np.split(pictures, np.cumsum(lengths)[:-1]):
        part = part[::stride]
        kept.append(part)
        starts.append(offset + np.arange(max(len(part) - frames + 1, 0)))
        offset += len(part)
    places = np.concatenate(starts)
    if len(places) == 0:
        raise ValueError(f"frames: expected a range of at least {frames} frames, found none")
    together = torch.from_numpy(np.concatenate(kept)).to(device)
    return MovingPeople(together, torch.from_numpy(places).to(device), frames)


def _decoded(
    paths: Sequence[Path], spans: Sequence[list[tuple[int, int]] | None], cache: Path | None
) -> tuple[Array, Array]:
    """Frames of all ranges, one after the other, and the length of each range."""
    key = json.dumps([[str(p), p.stat().st_size, s] for p, s in zip(paths, spans, strict=True)])
    stored = None
    if cache is not None:
        stored = cache / f"kth-{hashlib.blake2b(key.encode(), digest_size=8).hexdigest()}.npz"
        if stored.exists():
            return _cached(stored)
    parts = [part for path, span in zip(paths, spans, strict=True) for part in decode(path, span)]
    pictures, lengths = np.concatenate(parts), np.array([len(part) for part in parts])
    if stored is not None:
        stored.parent.mkdir(parents=True, exist_ok=True)
        with replacing(stored) as file:
            np.savez(file, pictures=pictures, lengths=lengths)
    return pictures, lengths


def _cached(path: Path) -> tuple[Array, Array]:
    """Read decoded frames; ValueError names a file that is damaged."""
    found = read_arrays(path, "decoded frames")
    if not found.keys() >= {"pictures", "lengths"}:
        raise ValueError(f"{path}: expected decoded frames, got {', '.join(found)}; delete it")
    pictures, lengths = found["pictures"], found["lengths"]
    if pictures.shape != (lengths.sum(), SIZE, SIZE) or pictures.dtype != np.uint8:
        raise ValueError(f"{path}: expected decoded frames, got {pictures.shape}; delete it")
    return pictures, lengths
