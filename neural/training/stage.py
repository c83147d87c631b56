"""The description of a stage of training."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass
from typing import Any

from rdp import _check
from rdp.perception import LOSSES

MOST_SAMPLES = 1 << 20
_NAME = re.compile(r"\w(?:[\w .+-]{0,98}[\w+-])?")


def check_name(name: object) -> None:
    """Raise ValueError unless a name can be that of a folder, inside the folder of all runs."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"name: expected letters, digits, spaces and _ . + -, as the name of a folder, got "
            f"{name!r}"
        )


@dataclass(frozen=True)
class Stage:
    """What one run of the training loop trains, and how.

    Parameters
    ----------
    name : str
        Folders, logs and other stages use it: letters, digits, spaces and ``_ . + -``, beginning
        with a letter, a digit or _.
    plfs : tuple of {"MMSE", "FMD", "JD", "SA"}
        Decoders to train, side by side on the same representation.
    encoder : {"train", "frozen"}
        Whether the encoder and its entropy model are trained.
    steps, batch : int
        Steps, and samples in each.
    rates : tuple of float, or None
        Rate of each frame to reach, bits. None leaves the rate as it is, as does a codec whose
        sizes fix it.
    frames : tuple of int, or None
        Frames to train, from 1; None is all. Frames after the last of them are left out.
    lr, critic_lr : float
        Learning rates at the start. They fall along a half cosine.
    critic_steps : int
        Steps of the critics for each step of the codec.
    critic_betas : tuple of two floats
        Memory of the averages in the critics' Adam: of the slope and of its square.
    critic_warmup : int
        Steps at the start in which only the critics move.
    mismatched : float
        Weight of mismatched pairs in the loss of the JD critics of later frames; see
        `neural.training.critics.mismatched`.
    window : int or None
        Number of consecutive frames that the JD critics see: the decoder is trained for PLF-JD(w).
        None is all frames so far. The decoder is still called JD, and is evaluated as such.
    realism : float
        Weight of W1.
    realism_end : float or None
        Weight that W1 reaches halfway, at a constant ratio from step to step, and keeps. None keeps
        ``realism``.
    average : float, in [0, 1)
        Memory of the exponential average of the parameters, which is the result.
    price_lr : float
        Speed of the price of a bit.
    precision : {"float32", "bfloat16"}
        Arithmetic of the networks.
    seed : int
        Seed of all randomness.
    start : str or None
        Stage whose result this one starts from.
    cell : tuple of float, or None
        Rates of the frames, bits, of a stage that all cells share. None trains one codec for the
        rates of each cell. A stage of other rates that starts from it takes over the parameters
        whose shape does not depend on the rates.

    Raises
    ------
    ValueError
        A malformed field; the message names it.
    """

    name: str
    plfs: tuple[str, ...] = ("MMSE",)
    encoder: str = "train"
    steps: int = 1000
    batch: int = 512
    rates: tuple[float, ...] | None = None
    lr: float = 3e-3
    critic_lr: float = 3e-3
    critic_steps: int = 2
    critic_betas: tuple[float, float] = (0.5, 0.99)
    critic_warmup: int = 0
    mismatched: float = 0.0
    window: int | None = None
    realism: float = 2.0
    realism_end: float | None = None
    average: float = 0.99
    price_lr: float = 0.02
    precision: str = "float32"
    frames: tuple[int, ...] | None = None
    seed: int = 0
    start: str | None = None
    cell: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        """Validate every field."""
        check_name(self.name)
        object.__setattr__(self, "plfs", tuple(self.plfs))
        if not self.plfs or not set(self.plfs) <= set(LOSSES):
            raise ValueError(f"plfs: expected some of {', '.join(LOSSES)}, got {self.plfs}")
        if self.encoder not in ("train", "frozen"):
            raise ValueError(f"encoder: expected 'train' or 'frozen', got {self.encoder!r}")
        if self.precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision: expected float32 or bfloat16, got {self.precision!r}")
        for name in ("steps", "batch", "critic_steps"):
            _check.count(name, getattr(self, name))
        if self.batch > MOST_SAMPLES:
            raise ValueError(f"batch: expected at most {MOST_SAMPLES:,} samples, got {self.batch}")
        for name in ("lr", "critic_lr", "realism", "price_lr"):
            _check.finite(name, _check.nonnegative(name, getattr(self, name), ndim=0))
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise ValueError(f"seed: expected an integer >= 0, got {self.seed!r}")
        object.__setattr__(self, "critic_betas", tuple(self.critic_betas))
        if len(self.critic_betas) != 2 or not all(0 <= beta < 1 for beta in self.critic_betas):
            raise ValueError(f"critic_betas: expected two in [0, 1), got {self.critic_betas}")
        if not 0 <= self.critic_warmup < self.steps:
            raise ValueError(
                f"critic_warmup: expected 0..{self.steps - 1}, got {self.critic_warmup}"
            )
        if self.window is not None:
            _check.count("window", self.window)
            if "JD" not in self.plfs:
                raise ValueError("window: expected JD among plfs, the only loss with a window")
        if self.mismatched < 0:
            raise ValueError(f"mismatched: expected a weight >= 0, got {self.mismatched}")
        if self.realism_end is not None and min(self.realism, self.realism_end) <= 0:
            raise ValueError(
                f"realism_end: expected weights > 0, got {self.realism} and {self.realism_end}"
            )
        if not 0 <= self.average < 1:
            raise ValueError(f"average: expected a value in [0, 1), got {self.average}")
        if self.frames is not None:
            object.__setattr__(self, "frames", tuple(self.frames))
            if not self.frames or not all(type(t) is int and t >= 1 for t in self.frames):
                raise ValueError(f"frames: expected numbers from 1, got {self.frames}")
        if self.cell is not None:
            object.__setattr__(self, "cell", tuple(float(rate) for rate in self.cell))
        if self.rates is not None:
            object.__setattr__(self, "rates", tuple(float(rate) for rate in self.rates))
            if not all(math.isfinite(rate) and rate > 0 for rate in self.rates):
                raise ValueError(f"rates: expected finite values > 0, got {self.rates}")
            if self.window is not None and self.window > len(self.rates):
                raise ValueError(
                    f"window: expected at most {len(self.rates)}, the number of frames, "
                    f"got {self.window}"
                )

    @property
    def trains_encoder(self) -> bool:
        """Whether the encoder is trained."""
        return self.encoder == "train"

    @property
    def trained_frames(self) -> tuple[int, ...] | None:
        """Frames to train, from 0; None is all."""
        return None if self.frames is None else tuple(t - 1 for t in self.frames)

    def realism_at(self, step: int) -> float:
        """Return the weight of W1 in the step of this number, from 0."""
        if self.realism_end is None:
            return self.realism
        return self.realism * (self.realism_end / self.realism) ** min(1.0, 2 * step / self.steps)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON would give them back, for checkpoints."""
        return json.loads(json.dumps(asdict(self)))
