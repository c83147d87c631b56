"""Recipes for a JD decoder: how far from joint realism each is during training, and its error."""

from __future__ import annotations

from importlib.resources import as_file
from typing import TYPE_CHECKING

import pandas as pd

from figures import _video
from figures.build import MissingResults
from figures.video_rate import LIMITS
from neural.evaluation.validation import JOINT
from solvers.plotting import shades

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Recipes for joint realism"
SIZE = (7.0, 3.6)

FILE = "joint-recipes.csv"
EFFORT = "joint-effort.csv"
KEPT = [
    "recipe", "start", "seed", "step", "weight", "distortion", "joint_support", "shift_defect",
    "mmse",
]  # fmt: skip
LINES = {"mmse": ":", "shift": "-"}  # how the decoder begins
MARKS = "osv^DPX*"


def recipes(name: str = FILE) -> pd.DataFrame:
    """Every measurement on the way, of every recipe and seed; MissingResults without the table."""
    with as_file(_video.RESULTS / name) as path:
        if not path.is_file():
            raise MissingResults(
                f"no {name} in neural/results; python -m benchmarks.bench_joint writes it"
            )
        return pd.read_csv(path)


def compute() -> pd.DataFrame:
    """Distortion and shift defect of every measurement."""
    return recipes()[KEPT]


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Left: shift defect during training. Right: distortion, and the bound of joint support."""
    left, right = figure.subplots(1, 2)
    handles = []
    colours = shades("JD", table.recipe.nunique())  # all of one loss
    for number, (recipe, rows) in enumerate(table.groupby("recipe", sort=False)):
        style = {
            "color": colours[number], "linestyle": LINES[rows.start.iloc[0]],
            "marker": MARKS[number % len(MARKS)], "markersize": 3,
        }  # fmt: skip
        if len(rows) == 1:  # a ring that other lines begin in
            style |= {"markersize": 6, "fillstyle": "none", "linestyle": "none"}
        for _, one in rows.groupby("seed"):
            left.plot(one.step, one.shift_defect, **style)
            right.plot(one.step, one.distortion, **style)
        handles += left.plot([], [], **style, label=recipe)
    bound = LIMITS["joint support"] | {"label": "joint support"}
    right.axhline(table.joint_support.mean(), **bound)
    handles += left.plot([], [], **bound)
    left.axhline(JOINT, color="black", linewidth=0.8)
    left.annotate(
        "joint below this line", (0.98, JOINT), xycoords=("axes fraction", "data"),
        xytext=(0, -9), textcoords="offset points", fontsize=6, ha="right",
    )  # fmt: skip
    left.set(yscale="log", ylabel="shift defect of frame 2\n(mean squared error of a pixel)")
    right.set(ylabel="$D_2$ (mean squared error of a pixel)")
    for ax in (left, right):
        ax.set_xlabel("steps of the JD decoder")
    figure.legend(
        handles=handles, loc="outside upper center", ncols=2, fontsize=6,
        title="JD decoders of one frozen codec, 12 and 16 bits, reduced (CPU)", title_fontsize=8,
    )  # fmt: skip
    _video.note(
        figure,
        "Dotted: the decoder begins as the MMSE decoder. Solid: it begins as a shift of its own "
        "frame 1. A line for each seed, measured on held-out digits.\nA decoder is joint if it is "
        "below the line on the left and not below the bound on the right.",
    )
