"""Quantisers of the transform codec, at the low rates where most modes get a fraction of a bit.

dB below the curve of the model at the same bits in each frame, for the MMSE and the JD decoder. The
dithered quantisers send a mode once its prediction error exceeds 1.05, 1.5, 2.05 or 4 times the
level; the codec has 2.05. The other scheme has no dither: a dead zone, one step for all modes,
centroids as points, and its bits are the ideal length under the same model, the activity of blocks
included. Tails: the excess kurtosis of the variables from which the JD decoder takes its
innovations, 0 for Gaussian ones, over the samples sent; and that of the innovations of the clip
itself. Both decoders are compared with curves of the encoder for MMSE. Values at a rate are
interpolated between qualities.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, NamedTuple

import numpy as np
import typer
from scipy.special import ndtr

from benchmarks.bench_clip_codec import clips
from benchmarks.report import report
from rdp.clip import fit_luma
from rdp.clip.model import dct_modes
from rdp.clip_codec.coder import ModeCoder
from rdp.clip_codec.decoders import Reconstruction
from rdp.clip_codec.model import ModeModel, fit_model, scale
from rdp.clip_codec.recursion import Recursion
from solvers.methods.waterfilling import waterfill
from solvers.prediction import decibels

Array = np.ndarray

RATES = (0.05, 0.1, 0.2, 0.5)
QUALITIES = range(156, 83, -12)
WORTHS = (1.05, 1.5, 2.05, 4.0)
DEAD = 0.6  # first threshold of the dead zone, in steps; the others follow one step apart
LEAST = 0.2  # deviation in steps below which a mode is not sent
BINS = 40  # thresholds on either side


class Frame(NamedTuple):
    """One coded frame: its bits, MMSE and JD modes, and the variables of the samples sent."""

    bits: float
    mmse: Array
    joint: Array
    white: Array


def dithered(model: ModeModel, modes: Array, quality: int, worth: float) -> list[Frame]:
    """Code the modes with the quantisers of the codec."""
    coders = [ModeCoder(model, modes.shape[1], 0) for _ in range(2)]
    for coder in coders:
        coder.recursion = Recursion(model, worth)
    shown = Reconstruction(model, "JD")
    frames = []
    for x in modes:
        chunk = coders[0].encode(x, quality)
        coded = coders[1].decode(chunk)
        joint = shown.next(coded)
        white = coded.white[:, coded.channel.sent]
        frames.append(Frame(8.0 * len(chunk), coded.estimate, joint.copy(), white))
    return frames


def dead_zone(model: ModeModel, modes: Array, quality: int) -> list[Frame]:
    """Code the modes with a dead zone and centroids, in a closed loop, without dither."""
    step = np.sqrt(12.0) * scale(quality)
    coder = ModeCoder(model, modes.shape[1], 0)
    sigma, rho = model.sigma, model.rho
    estimate, joint, left = np.zeros_like(modes[0]), np.zeros_like(modes[0]), None
    rng = np.random.default_rng(0)
    frames = []
    for x in modes:
        innovation = sigma**2 if left is None else (1 - rho**2) * sigma**2
        v = innovation if left is None else rho**2 * left + innovation
        sent = np.sqrt(v) > LEAST * step
        gain = np.array([_conveyed(s) for s in (np.sqrt(v[sent]) / step).tolist()]) * step**2
        left = v.copy()
        left[sent] -= gain
        estimate, white = rho * estimate, rng.standard_normal(x.shape)
        conveyed = dict(zip(np.flatnonzero(sent).tolist(), gain.tolist(), strict=True))
        activity, bits = coder.activity, 0.0
        activity.next_frame()
        for i in [i for i in coder.order.tolist() if sent[i]]:
            deviation = np.sqrt(v[i] * activity.value)
            y, length = _quantise((x[:, i] - estimate[:, i]) / step, deviation / step)
            y, bits = y * step, bits + length
            share = conveyed[i] / v[i]
            activity.total += share**2 * y**2 / conveyed[i]
            activity.weight += share**2
            estimate[:, i] += y
            white[:, i] = y / np.sqrt(conveyed[i])
        joint = rho * joint + np.sqrt(innovation) * white
        frames.append(Frame(bits, estimate.copy(), joint, white[:, sent]))
    return frames


def _edges(index: Array) -> tuple[Array, Array]:
    """Ends of cells, in steps."""
    far = np.abs(index)
    low = np.where(far > 0, far - 1 + DEAD, -DEAD)
    high = far + DEAD
    return np.where(index < 0, -high, low), np.where(index < 0, -low, high)


def _centroid(index: Array, sd: Array) -> tuple[Array, Array]:
    """Probability of each cell under N(0, sd^2), and mean in it."""
    low, high = (edge / sd for edge in _edges(index))
    mirrored = low > 0  # tails from the side where they keep their digits
    a, b = np.where(mirrored, -high, low), np.where(mirrored, -low, high)
    p = np.maximum(ndtr(b) - ndtr(a), 1e-300)
    mean = sd * (np.exp(-(low**2) / 2) - np.exp(-(high**2) / 2)) / np.sqrt(2 * np.pi) / p
    low, high = _edges(index)
    return p, np.clip(mean, low, high)


def _quantise(error: Array, sd: Array) -> tuple[Array, float]:
    """Return reconstruction points and ideal code length, all in steps."""
    index = np.sign(error) * np.floor(np.abs(error) + 1 - DEAD)
    p, y = _centroid(index, sd)
    return y, float(-np.log2(p).sum())


def _conveyed(sd: float) -> float:
    """Variance of the reconstruction points under N(0, sd^2), steps squared."""
    reach = max(BINS, int(8 * sd) + 1)
    p, y = _centroid(np.arange(-reach, reach + 1.0), np.full(2 * reach + 1, sd))
    return float(p @ y**2)


def measure(luma: Array, code: Callable[[ModeModel, Array, int], list[Frame]]) -> Array:
    """Rates, dB below the curve of MMSE and JD, and tails, (Q, 4), one row for each quality."""
    modes = dct_modes(luma - luma.mean(), 8).transpose(1, 0, 2)
    model, fit = fit_model(modes), fit_luma(luma)
    source, pixels = fit.source(len(luma)), luma[0].size
    rows = []
    for quality in QUALITIES:
        frames = code(model, modes, quality)
        bits = np.array([frame.bits for frame in frames]) / pixels
        gaps = []
        for plf, shown in (("MMSE", [f.mmse for f in frames]), ("JD", [f.joint for f in frames])):
            best = waterfill(source, bits * fit.modes, plf, encoder="mmse").distortion.mean()
            error = np.mean((modes - np.array(shown)) ** 2)
            gaps.append(float(decibels(best / fit.modes) - decibels(error)))
        u = np.concatenate([frame.white.ravel() for frame in frames])
        rows.append([bits.mean(), *gaps, _tails(u)])
    found = np.array(rows)
    if not found[0, 0] < min(RATES) < max(RATES) < found[-1, 0]:
        raise ValueError(f"QUALITIES: rates from {found[0, 0]:.3f} to {found[-1, 0]:.3f}")
    return found


def own_tails(luma: Array) -> float:
    """Excess kurtosis of the innovations of a clip."""
    modes = dct_modes(luma - luma.mean(), 8).transpose(1, 0, 2)
    model = fit_model(modes)
    used = model.sigma > 0
    new = (modes[1:] - model.rho * modes[:-1])[:, :, used]
    return _tails(new / np.sqrt(np.mean(new**2, axis=(0, 1))))


def _tails(values: Array) -> float:
    return float(np.mean(values**4) / np.mean(values**2) ** 2 - 3)


def main(frames: Annotated[int, typer.Option(help="Frames of each clip.")] = 48) -> None:
    """Measure every scheme on the sample clip and on a draw of its model."""
    schemes: dict[str, Callable[[ModeModel, Array, int], list[Frame]]] = {
        f"dither {worth:g}": lambda model, modes, quality, worth=worth: dithered(
            model, modes, quality, worth
        )
        for worth in WORTHS
    }
    schemes["dead zone"] = dead_zone
    rows: list[dict[str, object]] = []
    for name, luma in clips(frames).items():
        own = own_tails(luma)
        for scheme, code in schemes.items():
            table = measure(luma, code)
            at = np.array([np.interp(np.log(RATES), np.log(table[:, 0]), part) for part in table.T])
            row: dict[str, object] = {"clip": name, "quantiser": scheme}
            for k, plf in ((1, "MMSE"), (2, "JD")):
                row |= {f"{plf}, {rate:g} bpp": float(at[k, i]) for i, rate in enumerate(RATES)}
            row["tails, 0.1 bpp"] = float(at[3, RATES.index(0.1)])
            rows.append({**row, "tails of the clip": own})
    report("clip_schemes", rows, ("scipy", "constriction"))


if __name__ == "__main__":
    typer.run(main)
