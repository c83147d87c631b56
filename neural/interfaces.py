"""What training, bitstreams, evaluation and experiments may ask of a codec and of a task.

Frames are tensors (n, T, ...): samples, frames, and whatever one frame is. Frames and latent
vectors are counted from 0. A codec sends one latent vector or more for each frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, Self, runtime_checkable

import torch
from torch import nn

from rdp.codec.bitstream import Coder
from rdp.codec.interfaces import StreamCodec

Tensor = torch.Tensor

# What a codec sends, in a form of its own: only that codec looks inside.
Representation = Any
# (number of the latent vector, limited latents) -> received latents. It adds noise in training. In
# an encoder it quantises and writes. In a decoder the latents are None, and it reads.
Channel = Callable[[int, Any], Tensor]
# Number of samples -> source frames.
Draw = Callable[[int], Tensor]
# (generator, number of samples) -> source frames; all randomness comes from the generator.
Batch = Callable[[torch.Generator, int], Tensor]
# Frames (n, t, ...) -> a score for each sample, (n,).
Critic = Callable[[Tensor], Tensor]
# Number of frames -> an untrained critic of so many frames.
MakeCritic = Callable[[int], nn.Module]


class LatentQuantiser(Protocol):
    """Turns the latents of one vector into integers and back."""

    def limit(self, y: Tensor) -> Tensor:
        """Return latents inside the range that can be sent."""

    def noisy(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return what training uses in place of the received latents."""

    def index(self, y: Tensor, dither: Tensor) -> Tensor:
        """Return the integers to send for limited latents."""

    def value(self, index: Tensor, dither: Tensor) -> Tensor:
        """Return the latents that the integers stand for."""


class LatentTable(Protocol):
    """The probabilities under which the integers of one latent vector are written and read."""

    @property
    def channels(self) -> int:
        """Size of the latent vector."""

    def clip(self, index: Tensor) -> Tensor:
        """Return the integers brought into the range of the table."""

    def code(self, coder: Coder, dither: Tensor, index: Tensor | None = None) -> Tensor:
        """Write the integers, or read them if index is None."""

    def signature(self) -> bytes:
        """Return all numbers that decide the bytes."""


class Decoders(Protocol):
    """The decoders of a codec, by the loss that each is for."""

    def __iter__(self) -> Iterator[str]:
        """Yield the losses that have a decoder."""

    def __contains__(self, plf: str, /) -> bool:
        """Return whether a loss has a decoder."""

    def of(self, plf: str) -> list[nn.Module]:
        """Return the networks for one loss, one a frame."""

    def add(self, plf: str) -> None:
        """Add a decoder for a perception loss."""

    def prepare(self, plfs: Iterable[str], frames: Iterable[int] | None = None) -> None:
        """Make decoders ready for the training of some frames; None is all."""


class Codec(StreamCodec[Tensor], Protocol):
    """A network that codes frames. All its decoders read the same representation."""

    @property
    def frames(self) -> int:
        """Number of frames T."""

    @property
    def most_samples(self) -> int:
        """Number of samples that a stream may have, unless its reader allows more."""

    @property
    def decoders(self) -> Decoders:
        """Networks of the decoders, for each loss."""

    @property
    def quantisers(self) -> Sequence[LatentQuantiser]:
        """Quantiser of each latent vector."""

    @property
    def tables(self) -> Sequence[LatentTable | None]:
        """Table of each latent vector; None before training."""

    @property
    def frame_of(self) -> Sequence[int]:
        """Frame that each latent vector belongs to."""

    @property
    def log_price(self) -> Tensor | None:
        """Log of the price of a bit in each frame, (T,); None where sizes fix the rates."""

    def represent(self, x: Tensor | None, channel: Channel) -> Representation:
        """Return the representation of source frames; of what the channel reads if x is None."""

    def bits(self, representation: Representation) -> Tensor:
        """Return the rate of each frame, (n, T) bits; training differentiates it."""

    def reconstruct(self, plf: str, representation: Representation, noise: Tensor) -> Tensor:
        """Return the frames that the decoder for one loss makes, (n, T, ...)."""

    def noise_shape(self, n: int) -> tuple[int, ...]:
        """Return the shape of the decoders' noise for n samples, (n, T, ...)."""

    def encoder_modules(self, frames: Iterable[int] | None = None) -> Sequence[nn.Module]:
        """Return the networks that a trained encoder of some frames consists of; None is all."""

    def stream_modules(self) -> Sequence[nn.Module]:
        """Return the networks that decide the bytes."""

    def networks(self) -> Sequence[nn.Module]:
        """Return the networks that can be compiled, each called as one function."""

    # From here on: what every torch.nn.Module has.
    def parameters(self) -> Iterator[nn.Parameter]:
        """Yield the parameters."""

    def state_dict(self) -> dict[str, Any]:
        """Return parameters, buffers and tables by name."""

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any:
        """Take parameters, buffers and tables by name."""

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move parameters and buffers to a device or a layout."""

    def eval(self) -> Self:
        """Switch to use."""

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Let gradients reach the parameters, or not."""


@runtime_checkable
class DensityCodec(Protocol):
    """A codec whose tables follow from densities that were trained."""

    def tabulate(self) -> None:
        """Fix the tables from the densities as they are now."""


@runtime_checkable
class CountingCodec(Protocol):
    """A codec whose tables are counted on training samples."""

    def count_tables(self, draw: Draw, frames: Iterable[int] | None = None) -> None:
        """Fix the tables of the frames whose encoders were trained; None is all."""


@runtime_checkable
class SlopedCritic(Protocol):
    """A critic whose gradient in the frames is written out, so that it needs no second derivatives.

    Every torch.nn.Module has `compile`.
    """

    slope: Callable[[Tensor], Tensor]  # frames (n, t, ...) -> gradient of each score in them

    def __call__(self, frames: Tensor) -> Tensor:
        """Return a score for each sample, (n,)."""

    def compile(self, *, dynamic: bool | None = None) -> None:
        """Compile the scores."""


class Task(Protocol):
    """A kind of source, with the networks and the settings for it."""

    def __hash__(self) -> int:
        """Each task is another one, so that what was computed for it can be kept."""

    @property
    def prescribes_rates(self) -> bool:
        """Whether training brings the rates about; else the sizes of the codec fix them."""

    @property
    def may_be_published(self) -> bool:
        """Whether samples of the source may be passed on."""

    @property
    def device(self) -> str:
        """Where samples are made."""

    def to(self, device: str) -> None:
        """Make samples on a device from now on."""

    def make_codec(self, rates: Sequence[float]) -> Codec:
        """Return an untrained codec of as many frames as there are rates, in bits."""

    def make_critic(self, frames: int) -> nn.Module:
        """Return an untrained critic of so many frames."""

    def batch(self, generator: torch.Generator, n: int) -> Tensor:
        """Draw training samples, (n, T, ...)."""
