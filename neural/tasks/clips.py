"""The task of coding clips."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from neural.codecs.video import VideoCodec, VideoShape
from neural.datasets.clips import ClipSource
from neural.datasets.crops import load_crops
from neural.datasets.kth import SPLITS, load_people
from neural.datasets.moving_digits import MovingDigits, load_digits
from neural.datasets.textures import Textures
from neural.training.critic_networks import PictureCritic, SlopedPictureCritic
from rdp import _check
from rdp.source import GaussMarkov

Tensor = torch.Tensor

KINDS: dict[str, Callable[..., ClipSource]] = {
    "digits": MovingDigits,
    "people": load_people,
    "folder": load_crops,
    "textures": Textures,
}
MOST_FRAMES = 1000
_BUILT = {"digits", "split", "persons", "device"}  # arguments that are not options


class ClipTask:
    """Clips of digits, people, textures or any videos, with networks; see `neural.interfaces.Task`.

    Parameters
    ----------
    data : dict
        "kind" is "digits", "people", "textures" or "folder", which is random crops of all videos
        in a folder. "folder" is the folder of the data and may contain environment variables;
        digits without it are those of the subset that ships with the package. For people, "train"
        and "heldout" list persons. The rest are options of
        `neural.datasets.moving_digits.MovingDigits`, `neural.datasets.kth.load_people`,
        `neural.datasets.crops.load_crops` or `neural.datasets.textures.Textures`, for instance the
        number of frames.
    codec : dict
        width, noise and levels of `neural.codecs.video.VideoShape`.
    critic : dict
        width of `neural.training.critic_networks.PictureCritic`. With explicit_slope = true the
        critics write their slope out: the same critics up to rounding, faster to train.

    Raises
    ------
    ValueError
        Malformed values; the message names them.
    """

    prescribes_rates = False  # they follow from the size of the latents

    def __init__(
        self,
        data: Mapping[str, Any],
        codec: Mapping[str, Any],
        critic: Mapping[str, Any],
    ) -> None:
        self.data, self.codec = dict(data), dict(codec)
        if self.data.get("kind") not in list(KINDS):
            raise ValueError(f"kind: expected {', '.join(KINDS)}, got {self.data.get('kind')!r}")
        reader = inspect.signature(KINDS[self.data["kind"]]).parameters
        persons = SPLITS if self.data["kind"] == "people" else ()
        _check_known("data", self.data, {"kind", "folder", *reader, *persons} - _BUILT)
        _check_known("codec", self.codec, inspect.signature(VideoShape).parameters)
        _check_known("critic", critic, ("width", "explicit_slope"))
        VideoShape((math.inf,), **self.codec)
        self.critic_width = int(critic.get("width", 64))
        self.critic = SlopedPictureCritic if critic.get("explicit_slope") else PictureCritic
        self.device = "cpu"
        self.frames = _check.count("frames", self.data.setdefault("frames", 2))
        if self.frames > MOST_FRAMES:
            raise ValueError(f"frames: expected at most {MOST_FRAMES}, got {self.frames}")
        self._sources: dict[tuple[str, str], ClipSource] = {}

    def to(self, device: str) -> None:
        """Make clips on a device from now on."""
        self.device = device

    def make_codec(self, rates: Sequence[float]) -> VideoCodec:
        """Return an untrained codec of as many frames as there are rates, in bits."""
        if not 1 <= len(rates) <= self.frames:
            raise ValueError(f"rates: expected up to {self.frames} frames, got {len(rates)}")
        return VideoCodec(VideoShape(tuple(rates), **self.codec))

    def make_critic(self, frames: int) -> PictureCritic:
        """Return an untrained critic of so many frames."""
        return self.critic(frames, self.critic_width)

    def batch(self, generator: torch.Generator, n: int) -> Tensor:
        """Draw training clips, (n, T, 64, 64)."""
        return self.source("train").batch(generator, n)

    def source(self, split: str) -> ClipSource:
        """Return the distribution of the clips for "train" or "heldout"."""
        key = split, self.device
        if key not in self._sources:
            self._sources[key] = self._load(split)
        return self._sources[key]

    def _load(self, split: str) -> ClipSource:
        options = {k: v for k, v in self.data.items() if k not in ("kind", "folder")}
        options["device"] = self.device
        kind = self.data["kind"]
        if kind == "textures":
            return Textures(**options)
        folder = _expand(self.data.get("folder"))
        if kind == "digits":
            return MovingDigits(load_digits(split, folder), **options)
        if folder is None:
            raise ValueError("folder: expected the folder of the videos, got none")
        if kind == "folder":
            return load_crops(folder, split, **options)
        persons = {name: options.pop(name, SPLITS[name]) for name in SPLITS}
        return load_people(folder, persons[split], **options)

    @property
    def may_be_published(self) -> bool:
        """Whether pictures of the clips may be passed on: those of recordings may not."""
        return self.data["kind"] in ("digits", "textures")

    def model(self) -> GaussMarkov | None:
        """Return the exact source of the clips, as a vector source, where it is known."""
        source = self.source("heldout")
        return source.model() if isinstance(source, Textures) else None


def _check_known(name: str, given: Mapping[str, Any], known: Collection[str]) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(f"{name}: expected some of {', '.join(sorted(known))}, got {unknown[0]!r}")


def _expand(folder: str | None) -> Path | None:
    """Folder with environment variables filled in."""
    if folder is None:
        return None
    full = os.path.expandvars(folder)
    if "$" in full:
        raise ValueError(f"folder: expected the environment variable of {folder} to be set")
    return Path(full)
