"""Operating points of neural codecs of a known source: fresh samples, real bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from neural.codecs.bitstream import encode, read
from neural.codecs.block import BlockCodec
from rdp.codec.evaluation import evaluate, sample_w2
from rdp.operating_point import OperatingPoint
from rdp.source import GaussMarkov

Array = np.ndarray


def blocks(x: Array, size: int) -> torch.Tensor:
    """Put sequences side by side into blocks.

    Parameters
    ----------
    x : (n, T) array
        Independent sequences, n a multiple of the size of a block.
    size : int
        Sequences k of a block.

    Returns
    -------
    (n / k, T, k) float32 tensor
    """
    n, frames = x.shape
    if n % size:
        raise ValueError(f"x: expected a multiple of {size} sequences, got {n}")
    return torch.from_numpy(x.reshape(n // size, size, frames)).float().transpose(1, 2)


def sequences(frames: torch.Tensor) -> Array:
    """Take blocks apart again: the inverse of `blocks`.

    Parameters
    ----------
    frames : (n, T, k) tensor
        Blocks.

    Returns
    -------
    (n k, T) float64 array
    """
    return frames.transpose(1, 2).reshape(-1, frames.shape[1]).double().numpy()


def measure(
    codec: BlockCodec,
    source: GaussMarkov,
    n: int,
    seed: int,
    *,
    repeats: int = 8,
    plfs: tuple[str, ...] | None = None,
    label: str = "neural",
    **fields: Any,
) -> list[OperatingPoint]:
    """Run a codec on fresh samples: one point for each decoder, all from the same bytes.

    Parameters
    ----------
    codec : BlockCodec
        Trained codec.
    source : GaussMarkov
        Scalar frames; gives the samples.
    n : int
        Sequences in each stream.
    seed : int
        Seed of the samples and, counted on, of the streams.
    repeats : int, >= 2
        Independent streams, which the interval of the rate comes from.
    plfs : tuple of str, or None
        Decoders to use; None is all.
    label : str
        Name of the codec.
    **fields : Any
        Other fields of OperatingPoint.

    Returns
    -------
    list of OperatingPoint
        In the order of plfs; provenance holds the distances of whole samples besides.
    """
    if repeats < 2:
        raise ValueError(f"repeats: expected at least 2, got {repeats}")
    size = codec.shape.block
    children = np.random.SeedSequence(seed).spawn(repeats + 1)
    samples = [source.sample(n, np.random.default_rng(child)) for child in children[:-1]]
    messages = [
        read(codec, encode(codec, blocks(x, size), seed + i)) for i, x in enumerate(samples)
    ]
    x = np.concatenate(samples)
    rates = np.array([message.bits for message in messages]) / size
    about = dict(fields.pop("provenance", {}), block=size, n=n)
    points = []
    for plf in plfs or tuple(codec.decoders):
        xhat = np.concatenate([sequences(message.show(plf)) for message in messages])
        found = sample_w2(x, xhat, plf, np.random.default_rng(children[-1]))
        more = {**about, "sample_w2": {name: value.tolist() for name, value in found.items()}}
        points.append(
            evaluate(
                x, xhat, rates, plf, label, source=source, seed=seed, provenance=more, **fields
            )
        )
    return points
