"""What viewers see: held-out clips of moving digits under each loss, as a grid and as a film."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from figures import _video
from figures.build import MissingResults

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Moving digits under each loss"
SIZE = (7.0, 3.0)
STRIP = (5.0, 1.45)

CLIPS = 3  # of each cell in the grid
GAP = 4  # pixels between clips


def compute() -> pd.DataFrame:
    """Squared error of every picture that is at hand; the pictures stay where they are."""
    rows: list[dict[str, Any]] = []
    for experiment in ("digits", "recovery"):
        try:
            pictures = _video.samples(experiment)
        except MissingResults:
            if experiment == "digits":
                raise
            continue
        for key, shown in pictures.items():
            cell, decoder = key.split("/")
            error = (shown / 255 - pictures[f"{cell}/source"] / 255.0) ** 2
            rows += [
                {
                    "experiment": experiment, "cell": cell, "decoder": decoder,
                    "clip": clip + 1, "frame": t + 1, "mse": error[clip, t].mean(),
                }
                for clip, t in np.ndindex(*shown.shape[:2])
            ]  # fmt: skip
    return pd.DataFrame(rows)


def cells(table: pd.DataFrame, experiment: str) -> list[str]:
    """Cells of an experiment, in the order of the rate of the last frame."""
    found = table[table.experiment == experiment].cell.unique()
    return sorted(found, key=lambda cell: float(cell.split("-")[-1]))


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Lowest and highest rate of frame 2; each clip is a pair of columns."""
    pictures = _video.samples("digits")
    found = cells(table, "digits")
    chosen = list(dict.fromkeys((found[0], found[-1])))
    axes = figure.subplots(1, len(chosen), squeeze=False)[0]
    for ax, cell in zip(axes, chosen, strict=True):
        rows = [
            np.hstack([_pair(c) for c in pictures[f"{cell}/{s}"][:CLIPS]]) for s in _video.SHOWN
        ]
        image = np.vstack(rows)
        ax.imshow(image, cmap="gray", vmin=0, vmax=255)
        height = len(image) / len(rows)
        ax.set_yticks((np.arange(len(rows)) + 0.5) * height - 0.5, map(_video.name, _video.SHOWN))
        ax.set_xticks([])
        ax.tick_params(length=0)
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
        first, second = cell.split("-")
        ax.set_title(f"{first} bits for frame 1, {second} for frame 2")
    reduced = _video.size(_video.table("digits"))
    figure.suptitle(f"Moving digits, held-out{reduced}; pairs: frames 1 and 2", fontsize=8)


def _pair(clip: np.ndarray) -> np.ndarray:
    """Frames side by side on grey, so that one sees where they end."""
    framed = [np.pad(frame, 1, constant_values=128) for frame in clip]
    return np.pad(np.hstack(framed), ((0, 0), (0, GAP)), constant_values=255)


def animate(table: pd.DataFrame, figure: Figure) -> Iterator[None]:
    """Clip after clip, frame after frame; of three frames if there are such clips."""
    experiment = "recovery" if (table.experiment == "recovery").any() else "digits"
    cell = cells(table, experiment)[-1]
    pictures = _video.samples(experiment)
    reduced = _video.size(_video.table(experiment))
    axes = figure.subplots(1, len(_video.SHOWN))
    images = []
    for ax, shown in zip(axes, _video.SHOWN, strict=True):
        first = pictures[f"{cell}/{shown}"][0, 0]
        images.append(ax.imshow(first, cmap="gray", vmin=0, vmax=255))
        ax.set_title(_video.name(shown))
        ax.set_axis_off()
    clips, frames = pictures[f"{cell}/source"].shape[:2]
    for clip, t in np.ndindex(clips, frames):
        for image, shown in zip(images, _video.SHOWN, strict=True):
            image.set_data(pictures[f"{cell}/{shown}"][clip, t])
        rate = float(cell.split("-")[t])
        bits = f"{rate:g} bits" if np.isfinite(rate) else "as it is"
        figure.suptitle(f"frame {t + 1} of {frames}: {bits}{reduced}", fontsize=8)
        yield
