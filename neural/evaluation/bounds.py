"""Bounds on the distortion of a decoder, evaluated on the held-out clips it was measured on."""

from __future__ import annotations

from dataclasses import replace

import torch

from neural.evaluation.gelbrich import Features
from neural.evaluation.intervals import half_width
from neural.evaluation.reconstructions import Reconstructions
from neural.evaluation.record import Bounds
from neural.evaluation.shift_defect import known_shift, mean_distance_to_shifts
from rdp.bounds import shared_encoder_gap

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
        nearest = mean_distance_to_shifts(clips.source, clips.decoded[plf])
        found = replace(found, joint_support=nearest.value, joint_support_half=nearest.half)
        if "MMSE" in clips.decoded:
            known = known_shift(clips.source, clips.decoded[plf], clips.decoded["MMSE"])
            found = replace(
                found, known_shift=known.distortion.value, known_shift_half=known.distortion.half,
                nearest_known=known.share,
            )  # fmt: skip
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
