r"""Codec of clips: a first frame by itself, every later one from those before.

At frame t > 1, with :math:`\tilde x` the MMSE reconstruction of the frame before,

1. motion latents :math:`y_m = f(x_t, \tilde x)` are decoded to a flow that moves
   :math:`\tilde x`;
2. residual latents :math:`y_r = g(x_t, \text{moved } \tilde x)` describe the rest;
3. each decoder (MMSE, FMD, JD, SA) makes its frame from both latents, from :math:`\tilde x`, and
   from its own reconstruction of the frame before. It sees the two pictures as they are and moved.

The frame is a blend of new content with the moved reconstruction before it. The JD decoder must not
change what it reconstructed before, so that it can move it by other means than the shared flow and
begin without new content; see `JOINT`.

The bytes depend on MMSE reconstructions only, so that all decoders read the same bytes. A latent
vector of m numbers with L levels each costs :math:`m \log_2 L` bits. A later frame has two.

Protocol of Salehkalaibar et al., arXiv:2305.19301; scale-space flow of Agustsson et al., CVPR 2020.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import nn

from neural.codecs.bitstream import Streams
from neural.codecs.decoders import Decoders
from neural.codecs.entropy_model import Table, count_table
from neural.codecs.flow import scale_space, warp
from neural.codecs.lossless_frame import LosslessDecoder, LosslessQuantiser, LosslessTable
from neural.codecs.networks import Analysis, FirstDecoder, NextDecoder, Synthesis
from neural.codecs.quantiser import Quantiser, shared_dither
from neural.codecs.shifts import nearest_shift
from neural.interfaces import Channel, Draw, LatentQuantiser, LatentTable

Tensor = torch.Tensor

PIXELS = 64
FLOW_STEP = 4.0  # pixels for one unit of the network's output
JOINT = ("mmse", "flow", "shift")  # how the JD decoder of a later frame begins; see VideoShape
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
        Random numbers that a decoder gets for each frame.
    joint : {"mmse", "flow", "shift"}
        How the JD decoder of a later frame moves its frame before, and begins. "mmse": by the flow,
        which blurs; it begins as the MMSE decoder. "flow": by the flow without its blur. "shift":
        by the shift that is nearest to the MMSE reconstruction, for sources whose next frame is a
        shift of the frame before. With "flow" and "shift" it begins as its moved frame before,
        with hardly any new content.

    Raises
    ------
    ValueError
        A rate that no whole number of latents has, or an unknown name.

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
    joint: str = "mmse"

    def __post_init__(self) -> None:
        """Validate the fields."""
        object.__setattr__(self, "rates", tuple(float(rate) for rate in self.rates))
        if not self.rates:
            raise ValueError("rates: expected at least one frame, got none")
        for name, least in (("first_levels", 2), ("levels", 2), ("width", 1), ("noise", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: expected at least {least}, got {getattr(self, name)}")
        if self.joint not in JOINT:
            raise ValueError(f"joint: expected one of {', '.join(JOINT)}, got {self.joint!r}")
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


class ClipRepresentation(NamedTuple):
    """What was sent for clips, and what every decoder makes of it.

    Parameters
    ----------
    latents : list of T tensors
        Latents of each frame; the frame itself if it was sent as it is.
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

    Each of the two latent vectors has so many latents.
    """

    def __init__(self, latents: int, width: int) -> None:
        super().__init__()
        self.motion = Analysis(2, latents, width)
        self.flow = Synthesis(latents, 3, width, doublings=2)
        self.residual = Analysis(2, latents, width)

    def moves(self, latents: Tensor) -> Tensor:
        """Return the flow, (n, 3, 64, 64), for received motion latents."""
        coarse = self.flow(latents).float()
        fine = nn.functional.interpolate(coarse, (PIXELS, PIXELS), mode="bilinear")
        return torch.cat([FLOW_STEP * fine[:, :2], nn.functional.softplus(fine[:, 2:])], 1)


class VideoCodec(Streams, nn.Module):
    """Sequential codec of clips; every decoder reads the same representation.

    It begins with an MMSE decoder; `decoders` takes more.

    Examples
    --------
    >>> codec = VideoCodec(VideoShape(rates=(12, 8), width=8))
    >>> x, noise = torch.rand(3, 2, 64, 64), torch.randn(3, 2, 8)
    >>> sent = codec.represent(x, lambda k, y: codec.quantisers[k].noisy(y))
    >>> codec.reconstruct("MMSE", sent, noise).shape, codec.bits(sent)[0]
    (torch.Size([3, 2, 64, 64]), tensor([12., 8.]))
    """

    log_price = None  # the sizes fix the rates
    most_samples = 1 << 11  # a clip takes about 1 MiB while it is decoded
    rates: Tensor  # bits of each frame

    def __init__(self, shape: VideoShape) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("rates", torch.tensor(shape.rates), persistent=False)
        first, *later = shape.latents
        self.first = nn.Identity() if shape.exact else Analysis(1, first, shape.width)
        self.later = nn.ModuleList(Motion(latents, shape.width) for latents in later)
        self.tables: list[LatentTable | None] = [None] * (1 + 2 * len(later))
        head: nn.Module
        quantiser: LatentQuantiser
        if shape.exact:
            head, quantiser = LosslessDecoder(PIXELS), LosslessQuantiser()
            self.tables[0] = LosslessTable(PIXELS**2)
        else:
            head = FirstDecoder(first, shape.noise, shape.width)
            quantiser = Quantiser(shape.first_levels)
        self.quantisers = [quantiser, *[Quantiser(shape.levels)] * (2 * len(later))]
        tail = [NextDecoder(2 * latents, shape.noise, shape.width) for latents in later]
        moves_own = shape.joint != "mmse"
        self.decoders = Decoders([head, *tail], shares_first=True, joint_moves_own=moves_own)

    @property
    def frames(self) -> int:
        """Number of frames T."""
        return self.shape.frames

    @property
    def frame_of(self) -> tuple[int, ...]:
        """Frame, from 0, that each latent vector belongs to."""
        return (0, *(t for t in range(1, self.shape.frames) for _ in range(2)))

    def encoder_modules(self, frames: Iterable[int] | None = None) -> list[nn.Module]:
        """Return encoders and decoders of motion of some frames, from 0; None is all."""
        chosen = range(self.shape.frames) if frames is None else frames
        return [self.later[t - 1] if t else self.first for t in chosen]

    def networks(self) -> list[nn.Module]:
        """Return the networks that can be compiled, each called as one function."""
        coders = [m for coder in self.later for m in coder.children()]
        decoders = [m for plf in self.decoders for m in self.decoders.of(plf)]
        return [self.first, *coders, *decoders]

    def stream_modules(self) -> list[nn.Module]:
        """Return all that decides the bytes: the encoders and what makes their references."""
        return [*self.encoder_modules(), *self.decoders.of("MMSE")[:-1]]

    def noise_shape(self, n: int) -> tuple[int, ...]:
        """Return the shape of the decoders' noise for n clips."""
        return n, self.shape.frames, self.shape.noise

    def represent(self, x: Tensor | None, channel: Channel) -> ClipRepresentation:
        """Return the representation of clips.

        Encoder and decoder run the same code, so that they cannot get out of step.

        Parameters
        ----------
        x : (n, t, 64, 64) tensor, t <= T, or None
            Source frames, values in [0, 1]; None in a decoder.
        channel : callable
            See `neural.interfaces.Channel`.

        Raises
        ------
        ValueError
            Clips of another size, or of more frames.
        """
        if x is not None and (x.shape[2:] != (PIXELS, PIXELS) or x.shape[1] > self.shape.frames):
            raise ValueError(
                f"x: expected clips (n, {self.shape.frames}, {PIXELS}, {PIXELS}), "
                f"got shape {tuple(x.shape)}"
            )
        frames = self.shape.frames if x is None else x.shape[1]
        y = None if x is None else self.quantisers[0].limit(self.first(x[:, :1]).float())
        sent = ClipRepresentation([channel(0, y)], [], [], [])
        for t in range(1, frames):
            estimate = self.estimate(sent, t - 1)
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
        """Limited latents of the difference between x and a known picture."""
        if x is None:
            return None
        return self.quantisers[k].limit(network(torch.cat([x - known, known], 1)).float())

    def estimate(self, sent: ClipRepresentation, t: int) -> Tensor:
        """MMSE reconstruction of frame t, (n, 1, 64, 64)."""
        decoder = self.decoders.of("MMSE")[t]
        noise = sent.latents[t].new_zeros(len(sent.latents[t]), self.shape.noise)
        if t == 0:
            return decoder(sent.latents[0], noise)
        return decoder(sent.latents[t], noise, self._past(sent, t))

    def _past(
        self, sent: ClipRepresentation, t: int, plf: str = "MMSE", before: Tensor | None = None
    ) -> Tensor:
        """Pictures that a decoder of frame t > 0 sees, (n, 4, 64, 64), with its frame before.

        The frame before of the MMSE decoder is the reference; None stands for it.
        """
        reference, moved = sent.references[t - 1].detach(), sent.moved[t - 1]
        if before is None:
            return torch.cat([moved, reference, reference, moved], 1)
        own = before.detach()
        return torch.cat([moved, reference, own, self._own_moved(sent, t, plf, own)], 1)

    def _own_moved(self, sent: ClipRepresentation, t: int, plf: str, own: Tensor) -> Tensor:
        """Frame before frame t of a decoder, moved."""
        flow, joint = sent.flows[t - 1], self.shape.joint if plf == "JD" else "mmse"
        if joint == "shift":
            known = t < len(sent.references)
            return nearest_shift(own, sent.references[t] if known else self.estimate(sent, t))
        if joint == "flow":  # level 0 of the scale space is the picture itself
            flow = torch.cat([flow[:, :2], torch.zeros_like(flow[:, 2:])], 1)
        return warp(scale_space(own), flow)

    def bits(self, sent: ClipRepresentation) -> Tensor:
        """Return the rate of each frame in bits for one clip, (n, t): a constant."""
        latents = sent.latents
        return self.rates[: len(latents)].expand(len(latents[0]), -1)

    def reconstruct(self, plf: str, sent: ClipRepresentation, noise: Tensor) -> Tensor:
        """Return the clips that the decoder for one loss makes, (n, t, 64, 64).

        Each decoder minimises the loss of its own frame: no gradient goes back through frames that
        were reconstructed before. The noise is (n, t, k); the MMSE decoder does not use it.
        """
        if plf == "MMSE":
            estimates = [*sent.references, self.estimate(sent, len(sent.latents) - 1)]
            return torch.cat(estimates, 1).float()
        frames: list[Tensor] = []
        pairs = zip(self.decoders.of(plf), sent.latents, strict=False)  # of the first frames
        for t, (decoder, latents) in enumerate(pairs):
            past = (self._past(sent, t, plf, frames[-1]),) if t else ()
            frames.append(decoder(latents, noise[:, t], *past))
        return torch.cat(frames, 1).float()

    @torch.no_grad()
    def count_tables(self, draw: Draw, frames: Iterable[int] | None = None) -> None:
        """Fix what coding uses, on training clips: scales of latents, and tables by counting.

        Parameters
        ----------
        draw : callable
            Draws training clips.
        frames : iterable of int, or None
            Frames whose encoders were trained, from 0; None is all.
        """
        analyses = [m for part in self.encoder_modules(frames) for m in part.modules()]
        scales = [m.scale for m in analyses if isinstance(m, Analysis)]
        for scale in scales:  # their statistics are of parameters before averaging
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
                dither = shared_dither(part, k, y.shape).to(y.device)
                index = self.quantisers[k].index(y, dither)
                seen[k].append((dither.cpu(), index.cpu()))
                return self.quantisers[k].value(index, dither)

            self.represent(draw(CHUNK), channel)
        for k, quantiser in enumerate(self.quantisers):
            # frames after those of a stage are not sent yet; a frame sent as it is has its table
            if seen[k] and isinstance(quantiser, Quantiser):
                dither, index = (torch.cat(parts) for parts in zip(*seen[k], strict=True))
                self.tables[k] = count_table(dither, index, quantiser.levels)

    def get_extra_state(self) -> dict[str, Any]:
        """Return the tables for the model's file; torch calls this."""
        known = {str(k): t for k, t in enumerate(self.tables) if isinstance(t, Table)}
        return {k: {"low": t.low, "pmf": torch.from_numpy(t.pmf)} for k, t in known.items()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take the tables from a model's file; torch calls this."""
        for k, table in state.items():
            self.tables[int(k)] = Table(int(table["low"]), table["pmf"].cpu().numpy())
