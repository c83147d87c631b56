"""A real clip whose first frame is starved, decoded under each loss: pictures, and the error."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from rdp.clip import fit_luma, read_luma, sample_clip
from rdp.clip_codec import ClipStream, decode_frames, encode_clip
from rdp.perception import LOSSES
from solvers.methods.waterfilling import waterfill
from solvers.plotting import STYLES
from solvers.prediction import decibels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    Array = np.ndarray

TITLE = "A starved first frame, in pixels"
SIZE = (7.0, 4.8)

FRAMES = 16
BPP, FIRST_BPP = 0.5, 0.03  # bits per pixel, all frames and the first one
SHOWN = (1, 2, 8)  # frames in the strip, from 1
CROP = slice(40, 136), slice(60, 188)  # rows and columns of a picture


def compute() -> pd.DataFrame:
    """Measured PSNR of each frame, and what the model predicts."""
    stream, pictures = _pictures()
    decoded = {plf: pictures[plf] for plf in LOSSES}
    return _errors(pictures["source"], stream, decoded)


@cache
def _pictures() -> tuple[ClipStream, dict[str, Array]]:
    """Return the stream, and the frames of the source and of every decoder."""
    luma = read_luma(sample_clip(), frames=FRAMES)
    stream = encode_clip(luma, BPP, FIRST_BPP)
    decoded = {plf: np.stack(list(decode_frames(stream.data, plf))) for plf in LOSSES}
    return stream, {"source": luma, **decoded}


def _errors(luma: Array, stream: ClipStream, decoded: dict[str, Array]) -> pd.DataFrame:
    """PSNR of each frame, measured, and predicted for the bits that each frame took."""
    height, width = luma.shape[1:]
    fit = fit_luma(np.pad(luma, [(0, 0), (0, -height % 8), (0, -width % 8)], "edge"))
    bits = stream.frame_bits / (height * width)
    rows = []
    for plf, frames in decoded.items():
        measured = decibels(((luma - frames) ** 2).mean(axis=(1, 2)))
        best = waterfill(fit.source(FRAMES), bits * fit.modes, plf, encoder="mmse")
        expected = decibels(best.distortion / fit.modes)
        for panel, values in (("measured", measured), ("predicted", expected)):
            rows.append(
                pd.DataFrame(
                    {
                        "panel": panel, "series": plf, "frame": np.arange(1, FRAMES + 1),
                        "value": values, "bits_per_pixel": bits,
                    }
                )
            )  # fmt: skip
    return pd.concat(rows, ignore_index=True)


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Top: the strip. Below: PSNR against the frame, measured and predicted."""
    strip, below = cast(Any, figure.subfigures(2, 1, height_ratios=[1.5, 1]))
    _, pictures = _pictures()
    names = list(pictures)
    axes = strip.subplots(len(SHOWN), len(names))
    for row, t in zip(axes, SHOWN, strict=True):
        for ax, name in zip(row, names, strict=True):
            picture = pictures[name][t - 1][CROP]
            ax.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        row[0].set_ylabel(f"frame {t}")
    for ax, name in zip(axes[0], names, strict=True):
        ax.set_title(name)
    left, right = below.subplots(1, 2, sharey=True)
    for ax, panel in ((left, "measured"), (right, "predicted")):
        for plf in LOSSES:
            curve = table[(table.panel == panel) & (table.series == plf)]
            ax.plot(curve.frame, curve.value, **{**STYLES[plf], "markersize": 3}, label=plf)
        ax.set(xlabel="frame", title=panel, xticks=[1, 4, 8, 12, 16])
    first = table[(table.panel == "measured") & (table.frame == 1)].bits_per_pixel.iloc[0]
    left.set_ylabel("PSNR (dB)")
    left.set_title(f"measured; frame 1 has {first:.2f} bit/pixel, all {BPP:g} on average")
    right.set_title("predicted for the bits of each frame")
    right.legend(loc="lower right", ncols=2)
