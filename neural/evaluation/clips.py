r"""Measurement of a codec of clips on held-out clips, from real bytes.

Distortion is the mean squared error of a pixel. Perception is measured in three ways:

- Gelbrich distance of the lowest DCT coefficients of the frames that a loss compares, divided by
  the number of pixels: a lower bound on squared W2 in the units of distortion, free of critics;
- W1 by a critic that is trained afresh for every decoder and law, on training clips, and read off
  on held-out ones: the largest it finds, so that it is a lower bound but for its own error;
- for digits: a classifier's view of whether a wrong digit in one frame stays wrong in the next.

Bounds are evaluated on the same clips; see `bounds_of`. So is what decoders between MMSE and full
realism reach, without training any; see `neural.evaluation.mixtures`.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from neural.codecs.video import VideoCodec
from neural.datasets.moving_digits import FIELD
from neural.evaluation.fresh_critics import (
    diversity,
    fresh_w1,
    half_width,
    permanence,
    train_classifier,
)
from neural.evaluation.gelbrich import FREQUENCIES, dct_features, gelbrich_interval, laws
from neural.evaluation.mixtures import mixtures, universal_gap
from neural.evaluation.reconstructions import Shown, run_codec, training_clips
from rdp.bounds import joint_support_bound, shared_encoder_gap
from rdp.operating_point import OperatingPoint
from rdp.perception import PLFS

if TYPE_CHECKING:
    from neural.tasks.clips import ClipTask
    from rdp.source import GaussMarkov

Array = np.ndarray
Tensor = torch.Tensor

UNITS = "mean squared error of a pixel, values in [0, 1]"


def measure(
    codec: VideoCodec,
    task: ClipTask,
    label: str,
    plfs: tuple[str, ...],
    *,
    clips: int = 2000,
    seed: int = 7,
    critic_steps: int = 0,
    critic_batch: int = 64,
    critic_clips: int = 2000,
    classifier_steps: int = 0,
    draws: int = 8,
    frequencies: int = FREQUENCIES,
    reference_clips: int = 0,
    kind: str = "measured",
    provenance: dict[str, Any] | None = None,
    universal: Shown | None = None,
    **fields: Any,
) -> tuple[list[OperatingPoint], Shown]:
    """Measure a trained codec on held-out clips: one point for each decoder, on the same bytes.

    Parameters
    ----------
    codec : VideoCodec
        Trained codec.
    task : ClipTask
        Where the clips come from.
    label : str
        Name of the codec.
    plfs : tuple of str
        Decoders to measure.
    clips : int
        Held-out clips.
    seed : int
        Seed of clips, bytes, fresh critics and classifier.
    critic_steps : int
        Steps of a fresh critic; 0 leaves W1 out.
    critic_batch, critic_clips : int
        Clips in each of its steps, and training clips in all.
    classifier_steps : int
        Steps of the classifier of digits; 0 leaves it out.
    draws : int
        Draws of the common randomness for the diversity.
    frequencies : int
        DCT coefficients in each direction, for the Gelbrich distance.
    reference_clips : int
        Training clips that the Gaussian reference is fitted to; 0 leaves it out.
    kind : {"measured", "reduced"}
        Whether the codec is of full size.
    provenance : dict or None
        More about the codec: "encoder" is "own" if no MMSE decoder of it was trained, "frames" are
        those that were trained.
    universal : Shown or None
        What the decoders of a shared encoder at the same rates made of the same clips.
    **fields : Any
        Other fields of OperatingPoint.

    Returns
    -------
    points : list of OperatingPoint
        With metric "gelbrich" under the loss of each decoder (FMD for MMSE); provenance holds
        everything else that was measured.
    shown : Shown
        What they were measured on.
    """
    given = provenance or {}
    own_encoder = given.get("encoder") == "own"
    needed = plfs if own_encoder else tuple(dict.fromkeys(("MMSE", *plfs)))
    shown = run_codec(codec, task, needed, clips, seed)
    clips_by_name = {"source": shown.x, **shown.frames}
    features = {name: dct_features(x, frequencies) for name, x in clips_by_name.items()}
    judge = None
    if classifier_steps and shown.labels is not None:
        judge = train_classifier(task.source("train"), classifier_steps, seed)
    spread = diversity(codec, task, plfs, draws, seed) if draws > 1 else {}
    reference = None
    if reference_clips and math.isfinite(codec.shape.rates[0]):
        reference = gaussian_reference(task, codec.shape.rates, reference_clips, seed).tolist()
    if critic_steps:
        seen = training_clips(codec, task, plfs, critic_clips, seed)
    points = []
    for plf in plfs:
        own = plf if plf in PLFS else "FMD"
        losses = {loss: _losses(features, plf, loss) for loss in PLFS}
        error = (shown.x - shown.frames[plf]).square().mean((2, 3)).double().numpy()
        half = half_width(error)
        distortion, value, width = error.mean(axis=0), losses[own][:, 0], losses[own][:, 1]
        about = {
            **given,
            "features": f"DCT {frequencies} x {frequencies}",
            "losses": {loss: found.tolist() for loss, found in losses.items()},
            "coded_bits": shown.coded_bits.tolist(),
            "diversity": spread.get(plf),
            "gaussian_reference": reference,
        }
        about["bounds"] = bounds_of(shown, features, plf)
        if plf != "MMSE" and not own_encoder:
            about["mixtures"] = mixtures(shown, features, plf)
        elif plf != "MMSE" and universal is not None and plf in universal.frames:
            path = dict(features)
            for name in ("MMSE", plf):
                path[name] = dct_features(universal.frames[name], frequencies)
            trained = given.get("frames", range(1, codec.shape.frames + 1))
            about["universal_gap"] = universal_gap(shown, features, universal, path, plf, trained)
        if critic_steps:
            wanted = PLFS if plf == "MMSE" else (plf,)
            about["fresh_w1"] = {
                loss: fresh_w1(task, seen, shown, plf, loss, critic_steps, seed, critic_batch)
                for loss in wanted
            }
        if judge is not None:
            about["digits"] = permanence(judge, shown, plf)
        points.append(
            OperatingPoint(
                label,
                plf,
                np.array(codec.shape.rates),
                distortion,
                value,
                metric="gelbrich",
                kind=kind,
                units=UNITS,
                source=_describe(task),
                seed=seed,
                samples=clips,
                provenance=about,
                intervals={
                    "distortion": _ends(distortion, half),
                    "perception": _ends(value, width),
                },
                **fields,
            )
        )
    return points, shown


def _ends(center: Array, half: Array) -> Array:
    return np.stack([np.maximum(center - half, 0.0), center + half], axis=1)


def _describe(task: ClipTask) -> str:
    options = ", ".join(f"{k}={v}" for k, v in task.data.items() if k not in ("kind", "folder"))
    return f"held-out {task.data['kind']} ({options})"


def _losses(features: dict[str, Array], plf: str, loss: str) -> Array:
    """Gelbrich distance and half width for each frame, (T, 2)."""
    x, xhat = features["source"], features[plf]
    return np.array([gelbrich_interval(*laws(loss, t, x, xhat)) for t in range(x.shape[1])])


def bounds_of(shown: Shown, features: dict[str, Array], plf: str) -> dict[str, list[float]]:
    r"""Bounds on the distortion of a decoder's frames, from its clips.

    Parameters
    ----------
    shown : Shown
        Clips.
    features : dict of arrays
        Their DCT features.
    plf : str
        Which decoder.

    Returns
    -------
    dict of (T,) lists
        Without an MMSE decoder of the same bytes joint_support alone:

        - excess: :math:`D - D_{MMSE}`, and excess_half, half the width of its interval;
        - shared_encoder_gap: what excess is not below if the MMSE decoder is the best one;
        - factor_two: :math:`2 D_{MMSE}`, enough for perfect FMD and SA;
        - reference: error of the MMSE reconstruction of the frame before, taken for this one, which
          no bit of this frame is needed for; that of black for the first frame;
        - joint_support: for JD, what D is not below if realism is perfect: the distance of the
          source from the nearest shift of the frame shown before; and its half width.
    """
    out = _bounds_of_mmse(shown, features, plf) if "MMSE" in shown.frames else {}
    if plf == "JD" and shown.labels is not None:
        x, frames = shown.x, shown.frames[plf]
        nearest = [
            np.zeros(len(x)),
            *(_nearest_shift(x[:, t], frames[:, t - 1]) for t in range(1, x.shape[1])),
        ]
        out["joint_support"] = [float(value.mean()) for value in nearest]
        out["joint_support_half"] = [float(half_width(value)) for value in nearest]
    return out


def _bounds_of_mmse(shown: Shown, features: dict[str, Array], plf: str) -> dict[str, list[float]]:
    x, estimate, frames = shown.x, shown.frames["MMSE"], shown.frames[plf]
    mmse = (x - estimate).square().mean((2, 3)).double().numpy()
    extra = (x - frames).square().mean((2, 3)).double().numpy() - mmse
    before = torch.cat([torch.zeros_like(x[:, :1]), estimate[:, :-1]], 1)
    return {
        "excess": extra.mean(axis=0).tolist(),
        "excess_half": half_width(extra).tolist(),
        "shared_encoder_gap": [
            shared_encoder_gap(features["MMSE"][:, t], features[plf][:, t])
            for t in range(x.shape[1])
        ],
        "factor_two": (2 * mmse.mean(axis=0)).tolist(),
        "reference": (x - before).square().mean((0, 2, 3)).tolist(),
    }


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


@lru_cache(maxsize=8)  # the codecs of a cell share it
def gaussian_reference(task: ClipTask, rates: tuple[float, ...], clips: int, seed: int) -> Array:
    """Distortion of each frame that long codes reach, by the Gaussian model of the DCT modes.

    Parameters
    ----------
    task : ClipTask
        Where the clips come from: training clips.
    rates : (T,) tuple of float
        Bits of each frame.
    clips : int
        How many clips to fit.
    seed : int
        Which clips.

    Returns
    -------
    (T,) array, mean squared error of a pixel; an upper bound on the best (long-block) code
    """
    from solvers.methods.waterfilling import waterfill

    return waterfill(gaussian_model(task, clips, seed), rates, "MMSE").distortion


def gaussian_model(task: ClipTask, clips: int, seed: int) -> GaussMarkov:
    """Fit the Gauss-Markov source of the DCT modes of training clips, those that vary at all.

    Parameters
    ----------
    task : ClipTask
        Where the clips come from.
    clips : int
        How many clips to fit.
    seed : int
        Which clips.
    """
    from rdp.source import GaussMarkov

    x = task.source("train").batch(torch.Generator().manual_seed(seed), clips)
    modes = dct_features(x, FIELD)
    moving = (modes.std(axis=0) > 1e-12).all(axis=0)
    return GaussMarkov.from_samples(modes[:, :, moving]).source
