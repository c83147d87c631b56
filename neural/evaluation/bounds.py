"""Bounds on the distortion of a decoder, evaluated on the held-out clips it was measured on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from neural.datasets.moving_digits import FIELD
from neural.evaluation.gelbrich import Features
from neural.evaluation.intervals import half_width
from neural.evaluation.reconstructions import Reconstructions
from neural.evaluation.record import Bounds
from rdp.bounds import joint_support_bound, shared_encoder_gap

Array = np.ndarray
Tensor = torch.Tensor


def bounds_of(clips: Reconstructions, features: Features, plf: str) -> Bounds:
    """Bounds on the distortion of the decoder ``plf``; see the fields of the record.

    Parameters
    ----------
    clips : Reconstructions
        Without those of the MMSE decoder, only joint support is evaluated.
    features : dict of (n, T, k) arrays
        DCT features of the same clips.
    plf : str
        Loss of the decoder.
    """
    found = _bounds_of_mmse(clips, features, plf) if "MMSE" in clips.decoded else Bounds()
    if plf == "JD" and clips.labels is not None:
        x, frames = clips.source, clips.decoded[plf]
        nearest = [
            np.zeros(len(x)),
            *(_nearest_shift(x[:, t], frames[:, t - 1]) for t in range(1, x.shape[1])),
        ]
        found = replace(
            found,
            joint_support=tuple(float(value.mean()) for value in nearest),
            joint_support_half=tuple(float(half_width(value)) for value in nearest),
        )
    return found


def _bounds_of_mmse(clips: Reconstructions, features: Features, plf: str) -> Bounds:
    x, estimate = clips.source, clips.decoded["MMSE"]
    mmse = clips.error("MMSE")
    extra = clips.error(plf) - mmse
    before = torch.cat([torch.zeros_like(x[:, :1]), estimate[:, :-1]], 1)
    return Bounds(
        excess=tuple(extra.mean(axis=0).tolist()),
        excess_half=tuple(half_width(extra).tolist()),
        shared_encoder_gap=tuple(
            shared_encoder_gap(features["MMSE"][:, t], features[plf][:, t])
            for t in range(x.shape[1])
        ),
        factor_two=tuple((2 * mmse.mean(axis=0)).tolist()),
        repeated_frame=tuple((x - before).square().mean((0, 2, 3)).tolist()),
    )


def _nearest_shift(x: Tensor, before: Tensor, reach: int = 4, chunk: int = 500) -> Array:
    """Mean squared error between each frame and the nearest shift of the frame before it."""
    out = []
    for start in range(0, len(x), chunk):
        known = nn.functional.pad(before[start : start + chunk], (reach,) * 4)
        size = 2 * reach + 1
        moved = (
            known[:, i : i + FIELD, j : j + FIELD].numpy() for i in range(size) for j in range(size)
        )
        out.append(joint_support_bound(x[start : start + chunk].numpy(), moved))
    return np.concatenate(out) / FIELD**2
