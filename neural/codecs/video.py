r"""Codec of clips: a first frame by itself, every later one from those before.

At frame t > 1, with :math:`\tilde x` the MMSE reconstruction of the frame before,

1. motion latents :math:`y_m = f(x_t, \tilde x)`, decoded to a flow that moves :math:`\tilde x`;
2. residual latents :math:`y_r = g(x_t, \text{moved } \tilde x)`;
3. each decoder (MMSE, FMD, JD, SA) makes its frame from both, from :math:`\tilde x`, and from the
   frame that it showed before, both of them also moved.

The bytes depend on MMSE reconstructions alone, so that all decoders can read the same. A latent
vector of m numbers with L levels each costs :math:`m \log_2 L` bits, twice that for a later frame.

Protocol of Salehkalaibar et al., arXiv:2305.19301; scale-space flow of Agustsson et al., CVPR 2020.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import nn

from neural.codecs.entropy import Table, count_table
from neural.codecs.flow import scale_space, warp
from neural.codecs.networks import Analysis, FirstDecoder, NextDecoder, Synthesis
from neural.codecs.quantiser import Quantiser, shared_dither
from rdp.codec.bitstream import Coder

Tensor = torch.Tensor
Channel = Callable[[int, Any], Tensor]

PIXELS = 64
FLOW_STEP = 4.0  # pixels for one unit of the network's output
COUNTED, CHUNK = 2048, 256  # clips that tables are counted on, and how many at a time


@dataclass(frozen=True)
class VideoShape:
    """Sizes of a codec of clips.

    Parameters
    ----------
    rates : tuple of float
        Bits of each frame. The first may be inf: the frame is sent as it is. Those of later
        frames are shared evenly by motion and residual.
    first_levels, levels : int
        Levels L of the latents of the first frame and of later ones.
    width : int
        Channels of the first layer of each network.
    noise : int
        Random numbers that a decoder is given for each frame.

    Raises
    ------
    ValueError
        Rates that no whole number of latents has.

    Examples
    --------
    >>> VideoShape(rates=(12, 8)).latents
    (12, 4)
    """

    rates: tuple[float, ...]
    first_levels: int = 2
    levels: int = 2
    width: int = 64
    noise: int = 8

    def __post_init__(self) -> None:
        """Validate the fields."""
        object.__setattr__(self, "rates", tuple(float(rate) for rate in self.rates))
        if not self.rates:
            raise ValueError("rates: expected at least one frame, got none")
        for name, least in (("first_levels", 2), ("levels", 2), ("width", 1), ("noise", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: expected at least {least}, got {getattr(self, name)}")
        for t, (rate, cost) in enumerate(zip(self.rates, self._costs(), strict=True)):
            whole = round(rate / cost) if math.isfinite(rate) else 0
            if not (rate == math.inf and t == 0) and (whole < 1 or whole * cost != rate):
                raise ValueError(
                    f"rates: expected a multiple of {cost:g} bits for frame {t + 1}, got {rate:g}"
                )

    def _costs(self) -> list[float]:
        later = [2 * math.log2(self.levels)] * (len(self.rates) - 1)
        return [math.log2(self.first_levels), *later]

    @property
    def frames(self) -> int:
        """Number of frames T."""
        return len(self.rates)

    @property
    def exact(self) -> bool:
        """Whether the first frame is sent as it is."""
        return self.rates[0] == math.inf

    @property
    def latents(self) -> tuple[int, ...]:
        """Size of a latent vector of each frame; 0 for a frame sent as it is."""
        pairs = zip(self.rates, self._costs(), strict=True)
        return tuple(0 if rate == math.inf else round(rate / cost) for rate, cost in pairs)


class Sent(NamedTuple):
    """What was sent for a clip, and the predictions that follow from it.

    Parameters
    ----------
    latents : list of T tensors (n, C)
        All that was received for each frame; the frame itself if it was sent as it is.
    references : list of T-1 tensors (n, 1, 64, 64)
        MMSE reconstructions of the frames before 2..T.
    flows : list of T-1 tensors (n, 3, 64, 64)
        Their motion; see `neural.codecs.flow.warp`.
    moved : list of T-1 tensors (n, 1, 64, 64)
        The moved references.
    """

    latents: list[Tensor]
    references: list[Tensor]
    flows: list[Tensor]
    moved: list[Tensor]


class Motion(nn.Module):
    """Encoder of a later frame, and the flow that both sides make of its motion latents.

    Parameters
    ----------
    latents : int
        Size of each of the two latent vectors.
    width : int
        Width of the networks.
    """

    def __init__(self, latents: int, width: int) -> None:
        super().__init__()
        self.motion = Analysis(2, latents, width)
        self.flow = Synthesis(latents, 3, width, doublings=2)
        self.residual = Analysis(2, latents, width)

    def moves(self, latents: Tensor) -> Tensor:
        """Return the flow, (n, 3, 64, 64).

        Parameters
        ----------
        latents : (n, latents) tensor
            Received motion latents.
        """
        coarse = self.flow(latents).float()
        fine = nn.functional.interpolate(coarse, (PIXELS, PIXELS), mode="bilinear")
        return torch.cat([FLOW_STEP * fine[:, :2], nn.functional.softplus(fine[:, 2:])], 1)


class VideoCodec(nn.Module):
    """Sequential codec of clips; every decoder reads the same representation.

    Parameters
    ----------
    shape : VideoShape
        Sizes.

    Examples
    --------
    >>> codec = VideoCodec(VideoShape(rates=(12, 8), width=8))
    >>> x, noise = torch.rand(3, 2, 64, 64), torch.randn(3, 2, 8)
    >>> sent = codec.represent(x, lambda k, y: codec.quantisers[k].noisy(y))
    >>> codec.show("MMSE", sent, noise).shape, codec.bits(sent)[0]
    (torch.Size([3, 2, 64, 64]), tensor([12., 8.]))
    """

    def __init__(self, shape: VideoShape) -> None:
        super().__init__()
        self.shape = shape
        first, *later = shape.latents
        self.first = nn.Identity() if shape.exact else Analysis(1, first, shape.width)
        self.later = nn.ModuleList(Motion(latents, shape.width) for latents in later)
        head: nn.Module = Exact() if shape.exact else FirstDecoder(first, shape.noise, shape.width)
        tail = [NextDecoder(2 * latents, shape.noise, shape.width) for latents in later]
        self.decoders = nn.ModuleDict({"MMSE": nn.ModuleList([head, *tail])})
        self.taught: dict[str, list[int]] = {}  # frames that perceptual decoders were trained for
        one = Quantiser(shape.first_levels)
        self.quantisers: list[Any] = [Lossless() if shape.exact else one]
        self.quantisers += [Quantiser(shape.levels)] * (2 * len(later))
        self.tables: list[Any] = [
            LosslessTable() if shape.exact else None,
            *[None] * 2 * len(later),
        ]

    def prepare(self, plfs: Iterable[str], frames: Iterable[int] | None = None) -> None:
        """Make decoders ready for training: those that never were begin as the MMSE decoder.

        Parameters
        ----------
        plfs : iterable of {"MMSE", "FMD", "JD", "SA"}
            Losses that will be trained. For a first frame alone the perception losses are one and
            the same, and so are their decoders.
        frames : iterable of int, or None
            Frames that will be trained, from 0; None is all.
        """
        chosen = list(range(self.shape.frames) if frames is None else frames)
        for plf in plfs:
            if plf == "MMSE":
                continue
            if plf not in self.decoders:
                self.add_decoder(plf)
            for t in chosen:
                if t not in self.taught[plf]:
                    begin = self._decoders("MMSE")[t].state_dict()
                    self._decoders(plf)[t].load_state_dict(begin)
                    self.taught[plf].append(t)
                    for other in self.taught if t == 0 else ():
                        self.taught[other] = sorted({0, *self.taught[other]})

    def add_decoder(self, name: str) -> None:
        """Add a decoder.

        Parameters
        ----------
        name : {"FMD", "JD", "SA"}
            Perception loss it is for.
        """
        others = [plf for plf in self.decoders if plf != "MMSE"]
        fresh = copy.deepcopy(cast(nn.ModuleList, self.decoders["MMSE"]))
        if others:
            fresh[0] = self._decoders(others[0])[0]
        self.decoders[name] = fresh
        self.taught[name] = [0] if others and 0 in self.taught[others[0]] else []

    @property
    def frame_of(self) -> tuple[int, ...]:
        """Frame, from 0, that each latent vector belongs to."""
        return (0, *(t for t in range(1, self.shape.frames) for _ in range(2)))

    def encoding_modules(self, frames: Iterable[int] | None = None) -> list[nn.Module]:
        """Return the encoders, and with them the decoders of motion.

        Parameters
        ----------
        frames : iterable of int, or None
            Frames they are for, from 0; None is all.
        """
        chosen = range(self.shape.frames) if frames is None else frames
        return [self.later[t - 1] if t else self.first for t in chosen]

    def networks(self) -> list[nn.Module]:
        """Return the networks, each called as one function."""
        coders = [m for coder in self.later for m in coder.children()]
        decoders = [m for plf in self.decoders for m in self._decoders(plf)]
        return [self.first, *coders, *decoders]

    def deciding_modules(self) -> list[nn.Module]:
        """Return all that decides the bytes: the encoders and what makes their references."""
        return [*self.encoding_modules(), *self._decoders("MMSE")[:-1]]

    def noise_shape(self, n: int) -> tuple[int, ...]:
        """Return the shape of the decoders' noise for n clips.

        Parameters
        ----------
        n : int
            Clips.
        """
        return n, self.shape.frames, self.shape.noise

    def represent(self, x: Tensor | None, channel: Channel) -> Sent:
        """Return what is sent for clips.

        The same code serves the encoder and the decoder, so that they cannot get out of step.

        Parameters
        ----------
        x : (n, t, 64, 64) tensor, t <= T, or None
            Source frames; None in a decoder.
        channel : callable, (number of the latent vector, limited latents) -> received latents
            Noise in training; quantisation, and writing, in an encoder. That of a decoder is
            given None and reads.
        """
        frames = self.shape.frames if x is None else x.shape[1]
        y = None if x is None else self.quantisers[0].limit(self.first(x[:, :1]).float())
        sent = Sent([channel(0, y)], [], [], [])
        for t in range(1, frames):
            estimate = self._estimate(sent, t - 1)
            reference = estimate.detach()  # the frame before is given (sequential objective)
            now = None if x is None else x[:, t : t + 1]
            coder = cast(Motion, self.later[t - 1])
            motion = channel(2 * t - 1, self._limited(coder.motion, 2 * t - 1, reference, now))
            flow = coder.moves(motion)
            moved = warp(scale_space(reference), flow)
            residual = channel(2 * t, self._limited(coder.residual, 2 * t, moved, now))
            sent.latents.append(torch.cat([motion, residual], 1))
            sent.references.append(estimate)
            sent.flows.append(flow)
            sent.moved.append(moved)
        return sent

    def _limited(
        self, network: nn.Module, k: int, known: Tensor, x: Tensor | None
    ) -> Tensor | None:
        """Limited latents of what is new in x."""
        if x is None:
            return None
        return self.quantisers[k].limit(network(torch.cat([x - known, known], 1)).float())

    def _estimate(self, sent: Sent, t: int) -> Tensor:
        """MMSE reconstruction of frame t, (n, 1, 64, 64)."""
        decoder = self._decoders("MMSE")[t]
        noise = sent.latents[t].new_zeros(len(sent.latents[t]), self.shape.noise)
        if t == 0:
            return decoder(sent.latents[0], noise)
        return decoder(sent.latents[t], noise, self._past(sent, t, sent.references[t - 1]))

    def _past(self, sent: Sent, t: int, shown: Tensor) -> Tensor:
        """Pictures of the past that a decoder of frame t > 0 sees, (n, 4, 64, 64)."""
        reference, moved = sent.references[t - 1], sent.moved[t - 1]
        again = (
            moved if shown is reference else warp(scale_space(shown.detach()), sent.flows[t - 1])
        )
        return torch.cat([moved, reference.detach(), shown.detach(), again], 1)

    def _decoders(self, plf: str) -> list[nn.Module]:
        return list(cast(nn.ModuleList, self.decoders[plf]))

    def bits(self, sent: Sent) -> Tensor:
        """Return the rate of each frame in bits for one clip, (n, t): a constant.

        Parameters
        ----------
        sent : Sent
            What was sent.
        """
        latents = sent.latents
        return latents[0].new_tensor(self.shape.rates[: len(latents)]).expand(len(latents[0]), -1)

    def show(self, plf: str, sent: Sent, noise: Tensor) -> Tensor:
        """Reconstruct clips for one perception loss.

        Parameters
        ----------
        plf : {"MMSE", "FMD", "JD", "SA"}
            Which decoder.
        sent : Sent
            What was sent.
        noise : (n, t, k) tensor
            Randomness of the decoder; that for MMSE has none.

        Returns
        -------
        (n, t, 64, 64) tensor. Each decoder answers for its own frame: what was shown before is
        given, and no gradient goes back through it.
        """
        if plf == "MMSE":
            frames = [*sent.references, self._estimate(sent, len(sent.latents) - 1)]
            return torch.cat(frames, 1).float()
        shown: list[Tensor] = []
        for t, latents in enumerate(sent.latents):
            decoder = self._decoders(plf)[t]
            if t == 0:
                shown.append(decoder(latents, noise[:, 0]))
            else:
                past = self._past(sent, t, shown[-1])
                shown.append(decoder(latents, noise[:, t], past))
        return torch.cat(shown, 1).float()

    @torch.no_grad()
    def tabulate(
        self, draw: Callable[[int], Tensor], frames: Iterable[int] | None = None, seed: int = 0
    ) -> None:
        """Fix what coding uses, on training clips: scales of latents, and tables by counting.

        Parameters
        ----------
        draw : callable
            Draws training clips.
        frames : iterable of int, or None
            Frames whose encoders were trained, from 0; None is all.
        seed : int
            Common randomness.
        """
        analyses = [m for part in self.encoding_modules(frames) for m in part.modules()]
        scales = [m.scale for m in analyses if isinstance(m, Analysis)]
        for scale in scales:  # what they know is of the parameters on the way, before averaging
            scale.reset_running_stats()
            scale.momentum = None  # a plain mean over all clips that follow
            scale.train()
        for _ in range(COUNTED // CHUNK):
            self.represent(draw(CHUNK), lambda k, y: y)
        for scale in scales:
            scale.momentum = 0.1
            scale.eval()
        seen: list[list[tuple[Tensor, Tensor]]] = [[] for _ in self.quantisers]
        for part in range(COUNTED // CHUNK):

            def channel(k: int, y: Tensor, part: int = part) -> Tensor:
                dither = shared_dither(seed + part, k, y.shape).to(y.device)
                index = self.quantisers[k].index(y, dither)
                seen[k].append((dither.cpu(), index.cpu()))
                return self.quantisers[k].value(index, dither)

            self.represent(draw(CHUNK), channel)
        for k, quantiser in enumerate(self.quantisers):
            # frames beyond those of a stage are not sent yet, and a frame sent as it is has a table
            if seen[k] and isinstance(quantiser, Quantiser):
                dither, index = (torch.cat(parts) for parts in zip(*seen[k], strict=True))
                self.tables[k] = count_table(dither, index, quantiser.levels)

    def get_extra_state(self) -> dict[str, Any]:
        """Return tables and what was trained for the model's file; torch calls this."""
        known = {str(k): t for k, t in enumerate(self.tables) if isinstance(t, Table)}
        tables = {k: {"low": t.low, "pmf": torch.from_numpy(t.pmf)} for k, t in known.items()}
        taught = {plf: list(frames) for plf, frames in self.taught.items()}
        return {"tables": tables, "taught": taught}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take tables and what was trained from a model's file; torch calls this.

        Parameters
        ----------
        state : dict
            What `get_extra_state` returned.
        """
        for k, table in state["tables"].items():
            self.tables[int(k)] = Table(int(table["low"]), table["pmf"].cpu().numpy())
        self.taught = {plf: list(frames) for plf, frames in state["taught"].items()}


class Exact(nn.Module):
    """Decoder of a frame that was sent as it is."""

    def forward(self, latents: Tensor, noise: Tensor) -> Tensor:
        """Return the frame, (n, 1, 64, 64)."""
        return latents.reshape(-1, 1, PIXELS, PIXELS)


class Lossless:
    """Stands in for a quantiser where a frame is sent as it is: its float32 numbers as bytes."""

    levels = 256

    def limit(self, y: Tensor) -> Tensor:
        """Return the frame as a vector."""
        return y.flatten(1).float()

    def noisy(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the frame."""
        return y

    def index(self, y: Tensor, dither: Tensor) -> Tensor:
        """Return the bytes of the frame, (n, 4 h w)."""
        return y.cpu().contiguous().view(torch.uint8).long().to(y.device)

    def value(self, index: Tensor, dither: Tensor) -> Tensor:
        """Return the frame that has these bytes."""
        return index.cpu().byte().contiguous().view(torch.float32).to(index.device)


class LosslessTable:
    """Stands in for a table of probabilities: bytes are coded under their own counts."""

    channels = PIXELS**2
    low, pmf = 0, torch.empty(0).numpy()

    def clip(self, index: Tensor) -> Tensor:
        """Return the bytes."""
        return index

    def code(self, coder: Coder, dither: Tensor, index: Tensor | None = None) -> Tensor:
        """Encode or decode the bytes of a frame."""
        shape = (len(dither), 4 * self.channels)
        given = None if index is None else index.reshape(-1).cpu().numpy()
        found = coder.adaptive(shape[0] * shape[1], given)
        return torch.from_numpy(found).reshape(shape)
