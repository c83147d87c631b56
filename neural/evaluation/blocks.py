"""Measurement of a codec of blocks of a known source, from fresh samples and real bytes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from neural.codecs.block import BlockCodec
from neural.evaluation.options import BlockEvaluation
from neural.evaluation.record import LABELS, BlockSamples, Record, to_provenance
from neural.tasks.blocks import BlockTask
from rdp.codec import evaluation
from rdp.operating_point import OperatingPoint

Array = np.ndarray


def to_blocks(x: Array, size: int) -> torch.Tensor:
    """Put independent sequences (n, T) side by side into blocks (n / size, T, size), float32."""
    n, frames = x.shape
    if n % size:
        raise ValueError(f"x: expected a multiple of {size} sequences, got {n}")
    return torch.from_numpy(x.reshape(n // size, size, frames)).float().transpose(1, 2)


def to_sequences(blocks: torch.Tensor) -> Array:
    """Take blocks (n, T, k) apart into sequences (n k, T), float64: the inverse of `to_blocks`."""
    return blocks.transpose(1, 2).reshape(-1, blocks.shape[1]).double().numpy()


def evaluate(
    codec: BlockCodec,
    task: BlockTask,
    plfs: tuple[str, ...],
    options: BlockEvaluation,
    origin: Record,
    shared: None = None,
    **fields: Any,
) -> tuple[list[OperatingPoint], None]:
    """Measure a trained codec on fresh samples: one point for each decoder, from the same bytes.

    Parameters
    ----------
    codec : BlockCodec
        Trained codec.
    task : BlockTask
        Its source gives the samples.
    plfs : tuple of str
        Decoders to measure.
    options : BlockEvaluation
    origin : Record
        Encoder and training of the codec; the other fields are filled in.
    shared : None
        Only codecs of clips are compared with a shared encoder here.
    **fields : Any
        Commit and versions of `OperatingPoint`.

    Returns
    -------
    points : list of OperatingPoint
        In the order of plfs.
    clips : None
        No samples are kept.
    """
    size, seed, source = codec.shape.block, options.seed, task.source
    children = np.random.SeedSequence(seed).spawn(options.repeats + 1)
    samples = [source.sample(options.n, np.random.default_rng(child)) for child in children[:-1]]
    messages = [
        codec.read(codec.encode(to_blocks(x, size), seed + i)) for i, x in enumerate(samples)
    ]
    x = np.concatenate(samples)
    rates = np.array([message.rates for message in messages]) / size
    points = []
    for plf in plfs:
        xhat = np.concatenate([to_sequences(message.decode(plf)) for message in messages])
        found = evaluation.sample_w2(x, xhat, plf, np.random.default_rng(children[-1]))
        distances = {name: tuple(value.tolist()) for name, value in found.items()}
        record = replace(origin, blocks=BlockSamples(size, options.n, distances))
        points.append(
            evaluation.evaluate(
                x, xhat, rates, plf, LABELS[origin.encoder], source=source, seed=seed,
                kind=options.kind, provenance=to_provenance(record), **fields,
            )
        )  # fmt: skip
    return points, None
