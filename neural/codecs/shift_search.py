"""An encoder for the JD decoder: it searches the bits that name the nearest shift.

The shared encoder is trained for squared error, and its bits describe the digit as well as its
motion. Under perfect joint realism only the shift of the decoder's own frame before can be chosen.
This encoder tries its bits one by one: it changes a bit where the shift that decoders take from it
comes nearer to the source. Decoders, tables and the format of the stream stay as they are.
"""

from __future__ import annotations

from typing import cast

import torch

from neural.codecs.bitstream import encode
from neural.codecs.flow import scale_space, warp
from neural.codecs.quantiser import shared_dither, shared_noise
from neural.codecs.shifts import nearest_shift
from neural.codecs.video import ClipRepresentation, Motion, VideoCodec

Tensor = torch.Tensor

TIE = 1e-3  # weight of the error of the MMSE reconstruction, which decides where the shift does not


@torch.no_grad()
def encode_for_shift(codec: VideoCodec, x: Tensor, seed: int, passes: int = 2) -> bytes:
    """Return clips as a stream whose bits are chosen for the JD decoder.

    Parameters
    ----------
    codec : VideoCodec
        Trained codec with ``joint="shift"`` and two levels for later frames.
    x : (n, T, 64, 64) tensor
        Clips, values in [0, 1].
    seed : int
        Common randomness; it is part of the stream.
    passes : int
        How often each bit is tried.

    Raises
    ------
    ValueError
        The codec moves its frames by other means, has more levels, or has no JD decoder.
    """
    if codec.shape.joint != "shift" or codec.shape.levels != 2 or "JD" not in codec.decoders:
        raise ValueError(
            f"codec: expected a JD decoder with joint = 'shift' and 2 levels, got "
            f"{', '.join(codec.decoders)} with joint = {codec.shape.joint!r} and "
            f"{codec.shape.levels} levels"
        )
    chosen: dict[int, Tensor] = {}
    for t in range(1, x.shape[1]):
        chosen |= _search(codec, x[:, : t + 1], seed, chosen, passes)
    return encode(codec, x, seed, chosen)


def _search(
    codec: VideoCodec, x: Tensor, seed: int, chosen: dict[int, Tensor], passes: int
) -> dict[int, Tensor]:
    """Indices of the two latent vectors of the last frame of x, given those before."""
    t, n = x.shape[1] - 1, len(x)
    index: dict[int, Tensor] = {}
    dither: dict[int, Tensor] = {}

    def channel(k: int, y: Tensor) -> Tensor:
        dither[k] = shared_dither(seed, k, y.shape).to(y.device)
        index[k] = chosen[k] if k in chosen else codec.quantisers[k].index(y, dither[k])
        return codec.quantisers[k].value(index[k], dither[k])

    sent = codec.represent(x, channel)
    noise = [shared_noise(seed, s, (n, codec.shape.noise)).to(x.device) for s in range(t)]
    before = ClipRepresentation(*(part[:t] for part in sent))
    own = codec.reconstruct("JD", before, torch.stack(noise, 1))[:, -1:]
    pyramid, coder = scale_space(sent.references[t - 1]), cast(Motion, codec.later[t - 1])
    motion, residual = index[2 * t - 1].clone(), index[2 * t].clone()

    def error() -> Tensor:
        """Error of the shift that decoders take from the bits, of each clip."""
        latents = [
            codec.quantisers[k].value(part, dither[k])
            for k, part in ((2 * t - 1, motion), (2 * t, residual))
        ]
        flow = coder.moves(latents[0])
        sent.latents[t] = torch.cat(latents, 1)
        sent.flows[t - 1], sent.moved[t - 1] = flow, warp(pyramid, flow)
        estimate = codec.estimate(sent, t)
        found = nearest_shift(own, estimate) - x[:, t:]
        return (found.square() + TIE * (estimate - x[:, t:]).square()).mean((1, 2, 3))

    best = error()
    for _ in range(passes):
        for part in (residual, motion):
            for bit in range(part.shape[1]):
                part[:, bit] = 1 - part[:, bit]
                tried = error()
                part[:, bit] = torch.where(tried < best, part[:, bit], 1 - part[:, bit])
                best = torch.minimum(best, tried)
    return {2 * t - 1: motion, 2 * t: residual}
