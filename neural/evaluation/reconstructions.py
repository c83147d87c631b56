"""Clips, and what the decoders of a codec make of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from neural.codecs.bitstream import encode, read
from neural.codecs.video import VideoCodec
from neural.datasets.moving_digits import MovingDigits

if TYPE_CHECKING:
    from neural.tasks.clips import ClipTask

Array = np.ndarray
Tensor = torch.Tensor


@dataclass(frozen=True, eq=False)
class Shown:
    """Held-out clips, and what the decoders of one codec made of their bytes.

    Parameters
    ----------
    x : (n, T, 64, 64) tensor
        Source.
    labels : (n,) tensor or None
        What the digits are.
    frames : dict of (n, T, 64, 64) tensors
        Reconstructions by loss.
    coded_bits : (T,) array
        Bits of a frame in the file, container and all.
    """

    x: Tensor
    labels: Tensor | None
    frames: dict[str, Tensor]
    coded_bits: Array

    def pictures(self, count: int = 8) -> dict[str, Array]:
        """Return the first clips as bytes: "source", and what each decoder shows.

        They have 52 levels of grey, as many as an eye tells apart, which compress to half.

        Parameters
        ----------
        count : int
            How many clips.
        """
        clips = {"source": self.x, **self.frames}
        return {
            name: (5 * (51 * x[:count]).round()).clamp(0, 255).byte().cpu().numpy()
            for name, x in clips.items()
        }


def run_codec(
    codec: VideoCodec, task: ClipTask, plfs: Sequence[str], clips: int, seed: int, chunk: int = 500
) -> Shown:
    """Send held-out clips as bytes, and decode them.

    Parameters
    ----------
    codec : VideoCodec
        Trained codec.
    task : ClipTask
        Where the clips come from.
    plfs : sequence of str
        Decoders to use.
    clips : int
        How many clips.
    seed : int
        Seed of the clips and, counted on, of the streams.
    chunk : int
        Clips of one stream.

    Returns
    -------
    Shown
    """
    generator = torch.Generator().manual_seed(seed)
    source = task.source("heldout")
    kept: dict[str, list[Tensor]] = {plf: [] for plf in plfs}
    xs, labels, bits, sizes = [], [], [], []
    for start in range(0, clips, chunk):
        n = min(chunk, clips - start)
        if isinstance(source, MovingDigits):
            drawn = source.draw(generator, n)
            x = drawn.frames
            labels.append(drawn.labels)
        else:
            x = source.batch(generator, n)
        message = read(codec, encode(codec, x, seed + 1 + start // chunk))
        for plf in plfs:
            kept[plf].append(message.show(plf).cpu())
        xs.append(x.cpu())
        bits.append(message.bits)
        sizes.append(n)
    coded = np.average(np.array(bits), axis=0, weights=sizes)
    frames = {plf: torch.cat(parts) for plf, parts in kept.items()}
    return Shown(torch.cat(xs), torch.cat(labels) if labels else None, frames, coded)


@torch.no_grad()
def training_clips(
    codec: VideoCodec, task: ClipTask, plfs: Sequence[str], clips: int, seed: int, chunk: int = 50
) -> Shown:
    """Training clips and what decoders make of them, for whom it is enough to know their law.

    Parameters
    ----------
    codec : VideoCodec
        Trained codec.
    task : ClipTask
        Where the clips come from.
    plfs : sequence of str
        Decoders to use.
    clips : int
        How many clips.
    seed : int
        Seed of clips and noise.
    chunk : int
        Clips at a time.

    Returns
    -------
    Shown
        Without labels and bits: the quantiser's noise is added, and nothing is written.
    """
    data = torch.Generator().manual_seed(seed)
    generator = torch.Generator(task.device).manual_seed(seed)
    xs: list[Tensor] = []
    kept: dict[str, list[Tensor]] = {plf: [] for plf in plfs}
    for start in range(0, clips, chunk):
        n = min(chunk, clips - start)
        xs.append(task.batch(data, n))
        sent = codec.represent(xs[-1], lambda k, y: codec.quantisers[k].noisy(y, generator))
        noise = torch.randn(codec.noise_shape(n), generator=generator, device=generator.device)
        for plf in plfs:
            kept[plf].append(codec.show(plf, sent, noise))
    frames = {plf: torch.cat(parts) for plf, parts in kept.items()}
    return Shown(torch.cat(xs), None, frames, np.zeros(codec.shape.frames))
