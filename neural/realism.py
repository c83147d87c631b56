r"""Measurement of a codec of clips on held-out clips, from real bytes.

Distortion is the mean squared error of a pixel. Perception is measured in three ways:

- Gelbrich distance of the lowest DCT coefficients of the frames that a loss compares, divided by
  the number of pixels: a lower bound on squared W2 in the units of distortion, free of critics;
- W1 by a critic that is trained afresh for every decoder and law, on training clips, and read off
  on held-out ones: the largest it finds, so that it is a lower bound but for its own error;
- for digits: a classifier's view of whether a wrong digit in one frame stays wrong in the next.

Bounds are evaluated on the same clips; see `bounds_of`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from neural.bitstream import encode, read
from neural.critics import compared
from neural.digits import FIELD, MovingDigits
from neural.judges import diversity, fresh_w1, half_width, permanence, train_classifier
from neural.video import VideoCodec
from rdp.bounds import joint_support_bound, shared_encoder_gap
from rdp.gaussian import gelbrich
from rdp.operating_point import OperatingPoint
from rdp.perception import PLFS

if TYPE_CHECKING:
    from neural.clips import ClipTask

Array = np.ndarray
Tensor = torch.Tensor

FREQUENCIES = 12  # in each direction; 144 features of a frame
UNITS = "mean squared error of a pixel, values in [0, 1]"


def dct_features(frames: Tensor, frequencies: int = FREQUENCIES) -> Array:
    """Lowest coefficients of the orthonormal DCT of each frame, over the square root of pixels.

    Parameters
    ----------
    frames : (n, t, h, w) tensor
        Clips.
    frequencies : int
        How many to keep in each direction.

    Returns
    -------
    (n, t, frequencies**2) float64 array; with all of them, the sum of squares of a frame's
    features is the mean square of its pixels
    """
    rows, columns = (_dct(size, frequencies, frames.device) for size in frames.shape[2:])
    found = rows @ frames.double() @ columns.T / math.sqrt(frames.shape[2] * frames.shape[3])
    return found.flatten(2).cpu().numpy()


def _dct(size: int, frequencies: int, device: torch.device) -> Tensor:
    k = torch.arange(frequencies, dtype=torch.float64)[:, None]
    place = torch.arange(size, dtype=torch.float64) + 0.5
    waves = torch.cos(math.pi / size * k * place) * math.sqrt(2 / size)
    waves[0] /= math.sqrt(2)
    return waves.to(device)


def gelbrich_interval(
    wanted: Array, shown: Array, batches: int = 10, quantile: float = 1.96
) -> tuple[float, float]:
    """Gelbrich distance of samples of two laws, and half the width of its interval.

    Parameters
    ----------
    wanted, shown : (n, k) arrays
        Features, sample i of both from the same clip.
    batches : int
        Groups of clips for the jackknife.
    quantile : float
        Width in standard errors.

    Returns
    -------
    value, half width : float
        The value is that of all clips, less the bias that the jackknife sees, not below zero.
    """
    both = np.concatenate([wanted, shown], axis=1)
    shift = both.mean(axis=0)  # taken out, so that moments are not differences of large numbers
    parts = np.array_split(both - shift, batches)
    counts = np.array([len(part) for part in parts])
    first = np.array([part.sum(axis=0) for part in parts])
    second = np.array([part.T @ part for part in parts])
    total = counts.sum(), first.sum(axis=0), second.sum(axis=0)
    full = _gelbrich(*total, shift)
    left = np.array(
        [
            _gelbrich(total[0] - counts[b], total[1] - first[b], total[2] - second[b], shift)
            for b in range(batches)
        ]
    )
    spread = math.sqrt((batches - 1) / batches * ((left - left.mean()) ** 2).sum())
    value = batches * full - (batches - 1) * left.mean()
    return max(float(value), 0.0), quantile * spread


def _gelbrich(count: int, first: Array, second: Array, shift: Array) -> float:
    mean = first / count
    cov = second / count - np.outer(mean, mean)
    mean = mean + shift
    k = len(mean) // 2
    return float(gelbrich(mean[:k], cov[:k, :k], mean[k:], cov[k:, k:]))


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


def measure(
    codec: VideoCodec,
    task: ClipTask,
    label: str,
    plfs: tuple[str, ...],
    *,
    clips: int = 2000,
    seed: int = 7,
    critic_steps: int = 0,
    classifier_steps: int = 0,
    draws: int = 8,
    frequencies: int = FREQUENCIES,
    reference_clips: int = 0,
    kind: str = "measured",
    provenance: dict[str, Any] | None = None,
    **fields: Any,
) -> list[OperatingPoint]:
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
        More about the codec.
    **fields : Any
        Other fields of OperatingPoint.

    Returns
    -------
    list of OperatingPoint
        With metric "gelbrich" under the loss of each decoder (FMD for MMSE); provenance holds
        everything else that was measured.
    """
    needed = tuple(dict.fromkeys(("MMSE", *plfs)))
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
    points = []
    for plf in plfs:
        own = plf if plf in PLFS else "FMD"
        losses = {loss: _losses(features, plf, loss) for loss in PLFS}
        error = (shown.x - shown.frames[plf]).square().mean((2, 3)).double().numpy()
        half = half_width(error)
        distortion, value, width = error.mean(axis=0), losses[own][:, 0], losses[own][:, 1]
        about = {
            **(provenance or {}),
            "features": f"DCT {frequencies} x {frequencies}",
            "losses": {loss: found.tolist() for loss, found in losses.items()},
            "coded_bits": shown.coded_bits.tolist(),
            "diversity": spread.get(plf),
            "gaussian_reference": reference,
        }
        if about.get("encoder") != "own":  # of its own, and no MMSE decoder of it was trained
            about["bounds"] = bounds_of(shown, features, plf)
        if critic_steps:
            wanted = PLFS if plf == "MMSE" else (plf,)
            about["fresh_w1"] = {
                loss: fresh_w1(codec, task, shown, plf, loss, critic_steps, seed) for loss in wanted
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
    return points


def _ends(center: Array, half: Array) -> Array:
    return np.stack([np.maximum(center - half, 0.0), center + half], axis=1)


def _describe(task: ClipTask) -> str:
    options = ", ".join(f"{k}={v}" for k, v in task.data.items() if k not in ("kind", "folder"))
    return f"held-out {task.data['kind']} ({options})"


def _losses(features: dict[str, Array], plf: str, loss: str) -> Array:
    """Gelbrich distance and half width for each frame, (T, 2)."""
    x, xhat = (torch.from_numpy(features[name]) for name in ("source", plf))
    found = []
    for t in range(x.shape[1]):
        wanted, shown = compared(loss, t, x, xhat)
        found.append(gelbrich_interval(wanted.flatten(1).numpy(), shown.flatten(1).numpy()))
    return np.array(found)


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
        - excess: :math:`D - D_{MMSE}`, and excess_half, half the width of its interval;
        - shared_encoder_gap: what excess is not below if the MMSE decoder is the best one;
        - factor_two: :math:`2 D_{MMSE}`, enough for perfect FMD and SA;
        - reference: error of the MMSE reconstruction of the frame before, taken for this one, which
          no bit of this frame is needed for; that of black for the first frame;
        - joint_support: for JD, what D is not below if realism is perfect: the distance of the
          source from the nearest shift of the frame shown before; and its half width.
    """
    x, estimate, frames = shown.x, shown.frames["MMSE"], shown.frames[plf]
    mmse = (x - estimate).square().mean((2, 3)).double().numpy()
    extra = (x - frames).square().mean((2, 3)).double().numpy() - mmse
    steps = range(x.shape[1])
    out = {
        "excess": extra.mean(axis=0).tolist(),
        "excess_half": half_width(extra).tolist(),
        "shared_encoder_gap": [
            shared_encoder_gap(features["MMSE"][:, t], features[plf][:, t]) for t in steps
        ],
        "factor_two": (2 * mmse.mean(axis=0)).tolist(),
    }
    before = torch.cat([torch.zeros_like(x[:, :1]), estimate[:, :-1]], 1)
    out["reference"] = (x - before).square().mean((0, 2, 3)).tolist()
    if plf == "JD" and shown.labels is not None:
        nearest = [
            np.zeros(len(x)),
            *(_nearest_shift(x[:, t], frames[:, t - 1]) for t in steps[1:]),
        ]
        out["joint_support"] = [float(value.mean()) for value in nearest]
        out["joint_support_half"] = [float(half_width(value)) for value in nearest]
    return out


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


def gaussian_reference(task: ClipTask, rates: Sequence[float], clips: int, seed: int) -> Array:
    """Distortion of each frame that long codes reach, by the Gaussian model of the DCT modes.

    Parameters
    ----------
    task : ClipTask
        Where the clips come from: training clips.
    rates : (T,) sequence of float
        Bits of each frame.
    clips : int
        How many clips to fit.
    seed : int
        Which clips.

    Returns
    -------
    (T,) array, mean squared error of a pixel; an upper bound on the best (long-block) code
    """
    from rdp.source import GaussMarkov
    from solvers.vector import waterfill

    x = task.source("train").batch(torch.Generator().manual_seed(seed), clips)
    modes = dct_features(x, FIELD)
    moving = (modes.std(axis=0) > 1e-12).all(axis=0)
    fit = GaussMarkov.from_samples(modes[:, :, moving]).source
    return waterfill(fit, rates, "MMSE").distortion
