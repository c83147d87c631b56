"""Codecs of moving digits and the curves of a Gauss-Markov source fitted to the same clips.

The curves are stored. ``python -m figures.video_theory`` computes them again; it needs torch and
``MNIST_FOLDER``.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from figures import _video
from figures.build import MissingResults
from rdp.operating_point import OperatingPoint, environment, load_points, save_points
from solvers.plotting import STYLES, line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Moving digits and the fitted Gauss-Markov model"
SIZE = (7.0, 2.8)

CONFIG = "digits-reduced.toml"  # its training clips are fitted
CURVES = "model-digits.json"
FIRST = 12.0  # bits
RATES = tuple(float(rate) for rate in range(0, 25, 2))  # bits of frame 2
CLIPS, SEED = 2000, 7
MODEL = "Gauss-Markov model"


def model(
    rates: Sequence[float] = RATES, plfs: Sequence[str] = tuple(STYLES), clips: int = CLIPS
) -> list[OperatingPoint]:
    """Fit the DCT modes of training clips, and compute reverse water-filling for each loss."""
    from neural.evaluation.clips import UNITS
    from neural.evaluation.gaussian_model import gaussian_model
    from neural.experiment import Experiment
    from solvers.methods.waterfilling import waterfill

    with as_file(files("neural") / "configs" / CONFIG) as path:
        task = Experiment.load(path).task
    source = gaussian_model(task, clips, SEED)
    return [
        OperatingPoint(
            MODEL, plf, np.array([FIRST, rate]), waterfill(source, (FIRST, rate), plf).distortion,
            kind="computed", units=UNITS, source="DCT modes of training digits", seed=SEED,
            samples=clips, provenance={"config": CONFIG}, **environment(("numpy", "torch")),
        )
        for plf in plfs
        for rate in rates
    ]  # fmt: skip


def compute() -> pd.DataFrame:
    """Curves and points of frame 2: distortion, and its ratio to the MMSE of the same series."""
    path = _video.RESULTS / CURVES
    if not path.is_file():
        raise MissingResults(f"no {CURVES} in neural/results; python -m {__name__} writes it")
    with as_file(path) as found:
        curves = pd.DataFrame(
            {
                "series": point.label, "plf": point.plf, "kind": point.kind, "seed": point.seed,
                "cell": f"{point.rate[0]:g}-{point.rate[1]:g}", "frame": 2,
                "rate_bits": point.rate[1], "distortion": point.distortion[1],
            }
            for point in load_points(found)
        )  # fmt: skip
    rows = _video.last_frame(_video.table("digits"))
    rows = rows[rows.series == _video.SHARED]
    parts = [part.assign(over_mmse=_video.over_mmse(part)) for part in (curves, rows)]
    ends = ["distortion_low", "distortion_high"]
    return pd.concat(parts)[[*curves.columns, "over_mmse", *ends]]


def draw(table: pd.DataFrame, figure: Figure) -> None:
    """Left: distortion. Right: its ratio to the MMSE distortion of the model or the codec."""
    left, right = figure.subplots(1, 2)
    curves = table[table.series == MODEL]
    measured = table[table.series == _video.SHARED]
    for plf in STYLES:
        curve = curves[curves.plf == plf].sort_values("rate_bits")
        left.plot(curve.rate_bits, curve.distortion, **line(plf))
        if plf != "MMSE":
            right.plot(curve.rate_bits, curve.over_mmse, **line(plf))
    for ax, column, plfs in ((left, "distortion", STYLES), (right, "over_mmse", _video.PLFS)):
        for plf in plfs:
            part = measured[measured.plf == plf]
            ax.plot(
                part.rate_bits, part[column], color=STYLES[plf]["color"],
                marker=STYLES[plf]["marker"], linestyle="none", fillstyle="none",
            )  # fmt: skip
        _video.rate_axis(ax, curves, 2)
    left.set(ylim=(0, None), ylabel="$D_2$ (mean squared error of a pixel)")
    right.set(ylabel="$D_2$ / MMSE distortion")
    handles = [
        handle
        for plf in STYLES
        for handle in left.plot([], [], **line(plf), marker=STYLES[plf]["marker"], fillstyle="none")
    ]
    _video.legend(figure, handles, _video.title(measured))
    _video.note(
        figure,
        "Symbols: codecs with a shared encoder. Lines: Gauss-Markov source with the second moments "
        "of the DCT modes.\nIts MMSE curve is an upper bound for long codes; the curves of the "
        f"losses are predictions.{_video.about_jd()}",
    )


if __name__ == "__main__":
    save_points(Path(__file__).resolve().parents[1] / "neural" / "results" / CURVES, model())
