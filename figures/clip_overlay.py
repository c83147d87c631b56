"""Codecs on the sample clip and the predicted curves, and what their frames look like."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from rdp.clip import compare, encode_peer, fit_luma, read_luma, sample_clip
from rdp.clip.peers import PEERS, even_crop, missing_encoder
from rdp.clip_codec import decode_clip, encode_clip
from rdp.perception import LOSSES
from solvers.methods.waterfilling import waterfill
from solvers.plotting import STYLES, line, loss_label
from solvers.prediction import decibels, predict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from rdp.clip import ClipFit, Comparison

Array = np.ndarray

TITLE = "Codecs on the sample clip and the predicted curves"
SIZE = (7.0, 4.2)
STRIP = (7.0, 1.25)

FIRST = 25.0  # bits of the first frame over those of a later frame, as the codecs have it
BITS_PER_PIXEL = np.geomspace(0.01, 0.1, 9)
MEMORY = 4  # frames of the longest window
LEAST = 0.1  # distance below which a decoder is named instead of drawn
PICTURE_RATE = 0.02  # bits per pixel of the pictures, about
PICTURE = 60  # frame, from 1
WINDOW = (slice(40, 136), slice(142, 238))  # rows and columns of the pictures
STEPS = range(36, 84, 4)  # frames of the animation, from 1

MARKERS: dict[str, dict[str, Any]] = {
    "x264": {"marker": "o", "color": "black"},
    "x265": {"marker": "s", "color": "#E69F00"},
    "av1": {"marker": "^", "color": "#56B4E9"},
    "vp9": {"marker": "v", "color": "#CC79A7"},
}
OWN = "rdp"  # series of the codec of this package; its colours are those of the losses
OWN_RATES = (0.02, 0.06)  # bits per pixel
CORRELATIONS = (0.9885, 0.9955)  # of the right panel
DRAWN = ("x264", "vp9")  # in pictures, beside the decoders of the own codec


class Run(NamedTuple):
    """One codec at one quality: its rate, its clip, and what was measured.

    Parameters
    ----------
    series : str
        Name in the legend.
    quality : float
        Quality parameter.
    bits : (T,) array
        Bits of each frame.
    luma : (T, H, W) array
        Decoded clip.
    found : Comparison
    """

    series: str
    quality: float
    bits: Array
    luma: Array
    found: Comparison


@cache
def clip() -> Array:
    """Return the luma of the sample clip, cropped to whole blocks."""
    return even_crop(read_luma(sample_clip()))


@cache
def peers() -> tuple[Run, ...]:
    """Run the classical codecs that are installed."""
    runs = []
    for codec in installed():
        for quality in PEERS[codec].qualities[2:]:  # low rates
            coded = encode_peer(clip(), codec, quality)
            found = compare(clip(), coded.luma, memory=MEMORY, name=codec)
            runs.append(Run(codec, quality, coded.bits, coded.luma, found))
    return tuple(runs)


def installed() -> list[str]:
    """Return the codecs that can run here."""
    return [codec for codec in MARKERS if codec in PEERS and missing_encoder(codec) is None]


@cache
def own() -> tuple[Run, ...]:
    """Run the codec of this package: each stream is decoded under every loss."""
    runs = []
    for rate in OWN_RATES:
        stream = encode_clip(clip(), rate)
        for plf in LOSSES:
            luma = decode_clip(stream.data, plf)
            found = compare(clip(), luma, plf, memory=MEMORY, name=plf)
            runs.append(Run(OWN, rate, stream.frame_bits, luma, found))
    return tuple(runs)


# Whatever codes the clip: functions that return runs.
MEASURED = [peers, own]


def measured() -> list[Run]:
    """Return the runs of all codecs."""
    return [run for source in MEASURED for run in source()]


def compute() -> pd.DataFrame:
    """Return the points of all codecs, and the predicted curves with the statistics of MMSE."""
    fit = fit_luma(clip(), name="sample")
    rows = [*_predicted(fit), *(_row(run) for run in measured())]
    return pd.DataFrame(rows)


def _predicted(fit: ClipFit) -> Iterator[dict[str, Any]]:
    """PSNR under each loss; for MMSE also what its reconstruction keeps of the statistics."""
    source = fit.source(fit.shape[0])
    prediction = predict(source, BITS_PER_PIXEL, fit.modes, FIRST)
    for plf in prediction.distortion:
        for i, rate in enumerate(BITS_PER_PIXEL):
            mse = prediction.distortion[plf][i].mean()
            row = {"series": "predicted", "plf": plf, "bits_per_pixel": rate, "mse": mse}
            row["psnr_db"] = float(decibels(mse))
            if plf == "MMSE":
                budget = prediction.rates[i] * fit.modes
                kept = source.sigma**2 - waterfill(source, budget, "MMSE").mode_mmse
                shrunk = (source.sigma - np.sqrt(np.maximum(kept, 0.0))) ** 2
                row["FMD"] = shrunk.sum(axis=1).mean() / fit.modes
                row["variance"] = kept.sum() / (source.sigma**2).sum()
                row["lost"] = 1.0
                row["correlation"] = (source.rho[0] * kept).sum() / kept.sum()
            yield row


def _row(run: Run) -> dict[str, Any]:
    row = {
        "series": run.series,
        "plf": run.found.plf,
        "quality": run.quality,
        "bits_per_pixel": run.bits.sum() / clip().size,
        "mse": run.found.distortion.mean(),
        "psnr_db": run.found.psnr,
    }
    for loss, estimate in run.found.losses.items():
        row |= {loss: estimate.value, f"{loss}_low": estimate.low, f"{loss}_high": estimate.high}
    row |= {
        "variance": run.found.decoded_variance / run.found.variance,
        "lost": run.found.lost,
        "correlation": run.found.correlation[1, 0],
        "change": run.found.change[0],
    }
    return row | {f"variance_of_{band.name}": band.variance for band in run.found.bands}


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Above: PSNR, distance and correlation against rate. Below: pictures at one rate."""
    above, below = figure.subfigures(2, 1, height_ratios=(1.7, 1), squeeze=False)[:, 0]
    left, middle, right = above.subplots(1, 3)
    for plf, curve in table[table.series == "predicted"].groupby("plf", sort=False):
        left.plot(curve.bits_per_pixel, curve.psnr_db, **line(str(plf)))
    mmse = table[(table.series == "predicted") & (table.plf == "MMSE")]
    middle.plot(mmse.bits_per_pixel, mmse.FMD, **line("MMSE"))
    right.plot(mmse.bits_per_pixel, mmse.correlation, **line("MMSE"))
    for (series, plf), rows in table[table.series != "predicted"].groupby(
        ["series", "plf"], sort=False
    ):
        style = {"linestyle": "none", "markersize": 3.2} | _marker(str(series), str(plf))
        label = "_" if series == OWN and plf != LOSSES[0] else series
        left.plot(rows.bits_per_pixel, rows.psnr_db, label=label, **style)
        right.plot(rows.bits_per_pixel, rows.correlation, **style)
        rows = rows[rows.FMD > LEAST]
        middle.plot(rows.bits_per_pixel, rows.FMD, **style)
        bars = np.maximum([rows.FMD - rows.FMD_low, rows.FMD_high - rows.FMD], 0.0)
        middle.errorbar(
            rows.bits_per_pixel, rows.FMD, bars, fmt="none", ecolor=style["color"], elinewidth=0.7
        )
    _note(middle, [f"{OWN}, {n}: below {LEAST:g}" for n in _below(table)])
    _note(right, list(_outside(table)))
    right.set_ylim(*CORRELATIONS)
    before = clip() - clip().mean()
    energy = (before[1:] ** 2).sum() + (before[:-1] ** 2).sum()
    source = 2 * (before[1:] * before[:-1]).sum() / energy
    right.axhline(source, color="black", linewidth=0.8)
    where = (BITS_PER_PIXEL[0], source)
    right.annotate("source", where, (0, 2), textcoords="offset points", fontsize=7)
    for ax, label in (
        (left, "PSNR (dB)"),
        (middle, "FMD distance (squared luma)"),
        (right, "correlation with frame before"),
    ):
        ax.set(xscale="log", xlabel="bits per pixel", ylabel=label)
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter("")
    middle.set_yscale("log")
    handles, labels = left.get_legend_handles_labels()
    above.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    _strip(below)
    below.suptitle(f"frame {PICTURE} of {len(clip())}; bits per pixel", fontsize=8)


def _marker(series: str, plf: str) -> dict[str, Any]:
    """Marker of a series; that of the own codec has the colour of the loss."""
    if series == OWN:
        return {"marker": "*", "color": STYLES[plf]["color"], "markersize": 7}
    return MARKERS[series]


def _below(table: pd.DataFrame) -> list[str]:
    """Decoders of the own codec whose distance is too small for the axis, joined to one text."""
    rows = table[(table.series == OWN) & (table.FMD <= LEAST)]
    return [", ".join(dict.fromkeys(rows.plf))] if len(rows) else []


def _outside(table: pd.DataFrame) -> Iterator[str]:
    """Decoders whose correlation is below the axis, with their values."""
    rows = table[(table.series == OWN) & (table.correlation < CORRELATIONS[0])]
    for plf, part in rows.groupby("plf", sort=False):
        values = ", ".join(f"{value:.3f}" for value in part.correlation)
        yield f"{OWN}, {plf}: {values}"


def _note(ax: Axes, lines: list[str]) -> None:
    """Write lines of text into the upper right corner."""
    text = "\n".join(lines)
    ax.text(0.98, 0.98, text, transform=ax.transAxes, ha="right", va="top", fontsize=6)


def _strip(figure: Any) -> list[tuple[Any, Array]]:
    """Draw one frame of the source and of each codec; return the images with their clips."""
    shown = [("source", clip()), *((_title(run), run.luma) for run in _chosen())]
    axes = figure.subplots(1, len(shown), squeeze=False)[0]
    found = []
    for ax, (title, luma) in zip(axes, shown, strict=True):
        image = ax.imshow(luma[PICTURE - 1][WINDOW], cmap="gray", vmin=16, vmax=235)
        ax.set_title(title)
        ax.set_axis_off()
        found.append((image, luma))
    missing = [codec for codec in DRAWN if codec not in installed()]
    if missing:
        _say_missing(axes[0], missing)
    return found


def _say_missing(ax: Axes, missing: list[str]) -> None:
    text = f"without {', '.join(missing)}: not installed"
    ax.text(0, -0.05, text, transform=ax.transAxes, va="top", color=STYLES["JD"]["color"])


def _chosen() -> list[Run]:
    """Return the run of each codec and decoder that is nearest to the rate of the pictures."""
    found = []
    for series, plf in [*((codec, "MMSE") for codec in DRAWN), *((OWN, plf) for plf in LOSSES)]:
        runs = [run for run in measured() if (run.series, run.found.plf) == (series, plf)]
        if runs:
            rates = [run.bits.sum() / clip().size for run in runs]
            nearest = np.abs(np.log(np.array(rates) / PICTURE_RATE)).argmin()
            found.append(runs[int(nearest)])
    return found


def _title(run: Run) -> str:
    rate = f"{run.bits.sum() / clip().size:.3f}"
    name = f"{OWN}, {loss_label(run.found.plf)}" if run.series == OWN else run.series
    return f"{name}\n{rate}"


def animate(table: pd.DataFrame, figure: Figure) -> Iterator[None]:
    """Show frame after frame of the source and of each codec."""
    images = _strip(figure)
    for frame in STEPS:
        for image, luma in images:
            image.set_data(luma[frame - 1][WINDOW])
        yield
