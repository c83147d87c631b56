"""Held-out clips of moving digits and their reconstructions, as a grid and as an animation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from figures import _video
from figures.build import MissingResults

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Reconstructions of moving digits under each loss"
SIZE = (7.0, 2.85)
STRIP = (5.0, 1.45)

CLIPS = 3  # of each cell in the grid
GAP = 4  # pixels between clips


def compute() -> pd.DataFrame:
    """Squared error of every stored picture."""
    rows: list[dict[str, Any]] = []
    for experiment in (_video.with_jd(), "recovery"):
        try:
            pictures = _video.samples(experiment)
        except MissingResults:
            if experiment != "recovery":
                raise
            continue
        for key, clips in pictures.items():
            cell, decoder = key.split("/")
            error = (clips / 255 - pictures[f"{cell}/source"] / 255.0) ** 2
            rows += [
                {
                    "experiment": experiment, "cell": cell, "decoder": decoder,
                    "clip": clip + 1, "frame": t + 1, "mse": error[clip, t].mean(),
                }
                for clip, t in np.ndindex(*clips.shape[:2])
            ]  # fmt: skip
    return pd.DataFrame(rows)


def cells(table: pd.DataFrame, experiment: str) -> list[str]:
    """Cells of an experiment that have every decoder, sorted by the rate of the last frame."""
    rows = table[(table.experiment == experiment) & table.decoder.isin(_video.PICTURES)]
    decoders = rows.groupby("cell").decoder.nunique()
    found = decoders[decoders == len(_video.PICTURES)].index
    return sorted(found, key=lambda cell: float(cell.split("-")[-1]))


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Draw the lowest and the highest rate of frame 2; each clip is a pair of columns."""
    experiment = _video.with_jd()
    pictures = _video.samples(experiment)
    found = cells(table, experiment)
    chosen = list(dict.fromkeys((found[0], found[-1])))
    axes = figure.subplots(1, len(chosen), squeeze=False)[0]
    for ax, cell in zip(axes, chosen, strict=True):
        rows = [
            np.hstack([_pair(c) for c in pictures[f"{cell}/{s}"][:CLIPS]]) for s in _video.PICTURES
        ]
        image = np.vstack(rows)
        ax.imshow(image, cmap="gray", vmin=0, vmax=255)
        height = len(image) / len(rows)
        centres = (np.arange(len(rows)) + 0.5) * height - 0.5
        ax.set_yticks(centres, map(_video.name, _video.PICTURES))
        ax.set_xticks([])
        ax.tick_params(length=0)
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
        first, second = cell.split("-")
        ax.set_title(f"{first} bits for frame 1, {second} for frame 2")
    reduced = _video.size(_video.table(experiment))
    figure.suptitle(f"Moving digits, held-out{reduced}; each pair: frames 1 and 2", fontsize=8)


def _pair(clip: np.ndarray) -> np.ndarray:
    """Frames side by side with a grey border."""
    framed = [np.pad(frame, 1, constant_values=128) for frame in clip]
    return np.pad(np.hstack(framed), ((0, 0), (0, GAP)), constant_values=255)


def animate(table: pd.DataFrame, figure: Figure) -> Iterator[None]:
    """Draw clip after clip, frame after frame; clips of three frames if there are any."""
    recovery = (table.experiment == "recovery").any()
    experiment = "recovery" if recovery else _video.with_jd()
    cell = cells(table, experiment)[-1]
    pictures = _video.samples(experiment)
    reduced = _video.size(_video.table(experiment))
    axes = figure.subplots(1, len(_video.PICTURES))
    images = []
    for ax, decoder in zip(axes, _video.PICTURES, strict=True):
        first = pictures[f"{cell}/{decoder}"][0, 0]
        images.append(ax.imshow(first, cmap="gray", vmin=0, vmax=255))
        ax.set_title(_video.name(decoder))
        ax.set_axis_off()
    clips, frames = pictures[f"{cell}/source"].shape[:2]
    for clip, t in np.ndindex(clips, frames):
        for image, decoder in zip(images, _video.PICTURES, strict=True):
            image.set_data(pictures[f"{cell}/{decoder}"][clip, t])
        rate = float(cell.split("-")[t])
        bits = f"{rate:g} bits" if np.isfinite(rate) else "lossless"
        figure.suptitle(f"frame {t + 1} of {frames}: {bits}{reduced}", fontsize=8)
        yield
