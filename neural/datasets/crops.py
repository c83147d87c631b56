"""Clips of natural video: random crops of all videos in a folder.

Every video file that PyAV reads will do. A file is for training or held out as a whole, so that
held-out clips show other scenes. Frames are not resized: a clip is a window of 64 x 64 pixels that
stays at its place for T frames. Values are luma in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from neural.datasets.clips import SIZE, Clips, ClipSource, draw_below
from rdp import _check
from rdp.clip.read import PEAK, ClipError, read_luma

Tensor = torch.Tensor

SUFFIXES = {
    ".264", ".265", ".avi", ".flv", ".h264", ".hevc", ".ivf", ".m4v", ".mkv", ".mov", ".mp4",
    ".mpeg", ".mpg", ".ogv", ".ts", ".webm", ".wmv", ".y4m",
}  # fmt: skip


def split_videos(
    folder: Path | str, split: str, heldout: float = 0.2, seed: int = 0
) -> list[Path]:
    """Return the video files of one split, in order of their names.

    The files are shuffled with the seed. The first ones are held out.

    Parameters
    ----------
    folder : path
        Folder to search, with all folders in it.
    split : {"train", "heldout"}
    heldout : float
        Share of the files that is held out, 0..1; at least one file, and not all.
    seed : int
        Seed of the shuffle.

    Raises
    ------
    ValueError
        There is no such folder, or it has fewer than two videos; or a malformed option.
    """
    folder = Path(folder)
    if split not in ("train", "heldout"):
        raise ValueError(f"split: expected train or heldout, got {split!r}")
    if not 0 < heldout < 1:
        raise ValueError(f"heldout: expected a share between 0 and 1, got {heldout!r}")
    if not folder.is_dir():
        raise ValueError(f"{folder}: expected a folder of videos, found none")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if len(found) < 2:
        raise ValueError(
            f"{folder}: expected at least 2 videos, one of them to hold out, found {len(found)}"
        )
    count = min(max(round(heldout * len(found)), 1), len(found) - 1)
    order = np.random.default_rng(seed).permutation(len(found))
    chosen = order[:count] if split == "heldout" else order[count:]
    return [found[number] for number in sorted(chosen)]


@dataclass(frozen=True)
class Crops(ClipSource):
    """Distribution of windows of 64 x 64 pixels and T frames, uniform over all their places.

    Parameters
    ----------
    pixels : (P,) uint8 tensor
        All pixels of all videos, each (F, H, W) in order, one video after the other.
    sizes : (V, 3) int64 tensor
        F, H and W of each video.
    frames : int
        Frames T of a clip.
    """

    pixels: Tensor
    sizes: Tensor
    frames: int

    def places(self) -> Tensor:
        """Number of places of a clip along each axis of each video, (V, 3)."""
        window = torch.tensor([self.frames, SIZE, SIZE], device=self.sizes.device)
        return self.sizes - window + 1

    def draw(self, generator: torch.Generator, n: int) -> Clips:
        """Draw n clips; nothing is known of their content."""
        device = self.pixels.device
        places = self.places()
        ends = places.prod(1).cumsum(0)
        chosen = draw_below(int(ends[-1]), (n,), generator).to(device)
        video = torch.searchsorted(ends, chosen, right=True)
        chosen = chosen - (ends - places.prod(1))[video]  # number of the place in its video
        _, rows, columns = places[video].unbind(1)
        _, height, width = self.sizes[video].unbind(1)
        start, row, column = chosen // (rows * columns), chosen // columns % rows, chosen % columns
        begins = self.sizes.prod(1).cumsum(0) - self.sizes.prod(1)
        corner = begins[video] + (start * height + row) * width + column

        def steps(count: int, stride: Tensor) -> Tensor:
            return torch.arange(count, device=device) * stride[:, None]

        picture = steps(self.frames, height * width)[:, :, None, None]
        line = steps(SIZE, width)[:, None, :, None]
        at = corner[:, None, None, None] + picture + line + torch.arange(SIZE, device=device)
        return Clips(self.pixels[at].float() / PEAK)


def load_crops(
    folder: Path | str,
    split: str,
    *,
    frames: int = 2,
    most_frames: int | None = None,
    heldout: float = 0.2,
    seed: int = 0,
    device: str = "cpu",
) -> Crops:
    """Return random crops of the videos of one split.

    Parameters
    ----------
    folder : path
        Folder of the videos, and of folders with more.
    split : {"train", "heldout"}
    frames : int
        Frames T of a clip.
    most_frames : int or None
        Frames that are read from the beginning of each video; None reads all. They are kept in
        memory, a byte a pixel.
    heldout : float
        Share of the videos that is held out; see `split_videos`.
    seed : int
        Seed of the split.
    device : str
        Where the clips are made.

    On a terminal a bar says how many of the videos have been read.

    Raises
    ------
    ValueError
        The folder has fewer than two videos, or one of them cannot be read, has fewer frames than
        a clip, or smaller ones; the message names the file.
    """
    _check.count("frames", frames)
    pixels, sizes = [], []
    paths = split_videos(folder, split, heldout, seed)
    for path in tqdm(paths, desc="reading the videos", unit="video", disable=None, leave=False):
        luma = read_luma(path, frames=most_frames)
        if luma.shape[0] < frames:
            raise ClipError(path, f"expected at least {frames} frames, got {luma.shape[0]}")
        if min(luma.shape[1:]) < SIZE:
            raise ClipError(
                path, f"expected frames of at least {SIZE}x{SIZE}, got "
                f"{luma.shape[2]}x{luma.shape[1]}",
            )  # fmt: skip
        pixels.append(torch.from_numpy(luma.round().clip(0, PEAK).astype(np.uint8)).flatten())
        sizes.append(luma.shape)
    return Crops(torch.cat(pixels).to(device), torch.tensor(sizes).to(device), frames)
