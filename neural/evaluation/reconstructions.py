"""Clips and their reconstructions by the decoders of a codec.

They stay on the device of the codec. Only what is small leaves it: numbers of each clip, features,
and the first few pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from neural.codecs.video import VideoCodec
from neural.tasks.clips import ClipTask

Array = np.ndarray
Tensor = torch.Tensor


@dataclass(frozen=True, eq=False)
class Reconstructions:
    """Source clips, and what each decoder of one codec makes of the same bytes.

    Parameters
    ----------
    source : (n, T, 64, 64) tensor
    labels : (n,) tensor or None
        Digits in the clips, on the CPU.
    decoded : dict of (n, T, 64, 64) tensors
        Reconstructions by the loss of the decoder.
    coded_bits : (T,) array
        Bits of each frame in the file, container included.
    """

    source: Tensor
    labels: Tensor | None
    decoded: dict[str, Tensor]
    coded_bits: Array

    def clips(self) -> dict[str, Tensor]:
        """All clips by name: "source", and the loss of each decoder."""
        return {"source": self.source, **self.decoded}

    def error(self, plf: str) -> Array:
        """Squared error of a decoder, averaged over the pixels of each frame, (n, T)."""
        return squared_error(self.source, self.decoded[plf])

    def pictures(self, count: int = 8) -> dict[str, Array]:
        """The first clips as bytes, by name.

        They have 52 levels of grey: the eye sees no difference, and files take half the space.
        """
        return {
            name: (5 * (51 * clips[:count]).round()).clamp(0, 255).byte().cpu().numpy()
            for name, clips in self.clips().items()
        }


def squared_error(one: Tensor, other: Tensor) -> Array:
    """Squared difference, averaged over the pixels of each frame, (n, T)."""
    return (one - other).square().mean((2, 3)).double().cpu().numpy()


def decode_heldout(
    codec: VideoCodec,
    task: ClipTask,
    plfs: Sequence[str],
    clips: int,
    seed: int,
    chunk: int = 500,
    encode: Callable[[VideoCodec, Tensor, int], bytes] = VideoCodec.encode,
) -> Reconstructions:
    """Encode held-out clips to bytes, and decode these.

    A stream holds at most ``chunk`` clips. The clips are drawn with ``seed``; stream number k, from
    1, uses ``seed + k``. ``encode`` makes the bytes from codec, clips and seed.
    """
    generator = torch.Generator().manual_seed(seed)
    source = task.source("heldout")
    kept: dict[str, list[Tensor]] = {plf: [] for plf in plfs}
    xs, labels, bits, sizes = [], [], [], []
    for start in range(0, clips, chunk):
        n = min(chunk, clips - start)
        drawn = source.draw(generator, n)
        x = drawn.frames
        if drawn.labels is not None:
            labels.append(drawn.labels)
        message = codec.read(encode(codec, x, seed + 1 + start // chunk))
        for plf in plfs:
            kept[plf].append(message.decode(plf))
        xs.append(x)
        bits.append(message.rates)
        sizes.append(n)
    coded = np.average(np.array(bits), axis=0, weights=sizes)
    decoded = {plf: torch.cat(parts) for plf, parts in kept.items()}
    return Reconstructions(torch.cat(xs), torch.cat(labels) if labels else None, decoded, coded)


@torch.no_grad()
def reconstruct_training(
    codec: VideoCodec,
    task: ClipTask,
    plfs: Sequence[str],
    clips: int,
    seed: int,
    chunk: int | None = None,
) -> Reconstructions:
    """Training clips and their reconstructions, for use where only the distribution matters.

    The noise of the quantiser is added and nothing is written, so that there are no labels and no
    bits. ``chunk`` clips are computed at a time; None is what suits the device.
    """
    chunk = chunk or (50 if task.device == "cpu" else 1000)
    data = torch.Generator().manual_seed(seed)
    generator = torch.Generator(task.device).manual_seed(seed)
    xs: list[Tensor] = []
    kept: dict[str, list[Tensor]] = {plf: [] for plf in plfs}
    for start in range(0, clips, chunk):
        n = min(chunk, clips - start)
        xs.append(task.batch(data, n))
        latents = codec.represent(xs[-1], lambda k, y: codec.quantisers[k].noisy(y, generator))
        noise = torch.randn(codec.noise_shape(n), generator=generator, device=generator.device)
        for plf in plfs:
            kept[plf].append(codec.reconstruct(plf, latents, noise))
    decoded = {plf: torch.cat(parts) for plf, parts in kept.items()}
    return Reconstructions(torch.cat(xs), None, decoded, np.zeros(codec.shape.frames))


@torch.no_grad()
def diversity(
    codec: VideoCodec, task: ClipTask, plfs: Sequence[str], draws: int, seed: int, clips: int = 100
) -> dict[str, tuple[float, ...]]:
    """Variance of a pixel over draws of the common randomness, for each decoder and frame.

    It is an average over held-out clips, and zero if a decoder uses no randomness.
    """
    x = task.source("heldout").batch(torch.Generator().manual_seed(seed), clips)
    messages = [codec.read(codec.encode(x, seed + draw)) for draw in range(draws)]
    out = {}
    for plf in plfs:
        made = torch.stack([message.decode(plf) for message in messages])
        out[plf] = tuple(made.var(dim=0).mean((0, 2, 3)).tolist())
    return out
