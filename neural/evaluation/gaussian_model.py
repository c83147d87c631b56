"""Gauss-Markov model of clips: the source of their DCT modes, and what long codes reach on it."""

from __future__ import annotations

from functools import lru_cache

import torch

from neural.datasets.moving_digits import FIELD
from neural.evaluation.gelbrich import dct_features
from neural.interfaces import Task
from rdp.source import GaussMarkov


@lru_cache(maxsize=2)  # cells differ only in their rates
def gaussian_model(task: Task, clips: int, seed: int) -> GaussMarkov:
    """Fit the source of the DCT modes of training clips; modes that never vary are left out."""
    x = task.batch(torch.Generator().manual_seed(seed), clips)
    modes = dct_features(x, FIELD)
    moving = (modes.std(axis=0) > 1e-12).all(axis=0)
    return GaussMarkov.from_samples(modes[:, :, moving]).source


@lru_cache(maxsize=8)  # the codecs of a cell share it
def gaussian_reference(
    task: Task, rates: tuple[float, ...], clips: int, seed: int
) -> tuple[float, ...]:
    """MMSE distortion of each frame that long codes reach on the fitted source.

    It is an upper bound on the distortion of the best long code for the clips themselves.
    """
    from solvers.methods.waterfilling import waterfill

    return tuple(waterfill(gaussian_model(task, clips, seed), rates, "MMSE").distortion.tolist())
