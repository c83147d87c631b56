"""Measured points of video codecs in `neural/results`, and the style they are drawn in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from figures.build import MissingResults
from neural.evaluation.record import LABELS, Bounds, Permanence, record_of, trained
from neural.evaluation.tables import fresh_w1
from rdp.operating_point import OperatingPoint, load_points
from solvers.plotting import STYLES, line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RESULTS = files("neural") / "results"
# Names of result files, as patterns: full size, and the reduced size that stands in for it.
EXPERIMENTS = {
    "digits": (r"digits(-12-\d+)?", r"digits-reduced"),
    "joint": (r"digits-joint", r"digits-reduced-joint"),
    "exact": (r"digits-inf-2", r"digits-reduced-inf-2"),
    "recovery": (r"digits-inf-2-recovery", r"digits-reduced-recovery"),
    "people": (r"people", r"people-reduced"),
}
SEED = r"(-seed\d+)?"
SHARED, OWN = LABELS["shared"], LABELS["own"]
SERIES = (SHARED, OWN)
# crosses with error bars would look like stars
MARKERS: dict[str, dict[str, Any]] = {
    SHARED: {"marker": "o", "markersize": 3},
    OWN: {"marker": "D", "fillstyle": "none", "markersize": 3.5},
}
PLFS = ("FMD", "JD", "SA")
PICTURES = ("source", "MMSE", *PLFS)  # rows of the figure of samples

# Weight of the critic term in the training of decoders for FMD and SA. The published runs of this
# weight are compared with.
WEIGHT = 0.01


def _files(pattern: str, ending: str) -> list[str]:
    name = re.compile(f"{pattern}{SEED}{ending}")
    return sorted(path.name for path in RESULTS.iterdir() if name.fullmatch(path.name))


def _find(experiment: str, ending: str) -> list[str]:
    for pattern in EXPERIMENTS[experiment]:
        if found := _files(pattern, ending):
            return found
    raise MissingResults(
        f"no results of {experiment} in neural/results; python -m neural evaluate writes them"
    )


def points(experiment: str) -> list[OperatingPoint]:
    """Points of one of `EXPERIMENTS`, all seeds.

    Where the grid of digits has no JD decoder, those of the experiment made for them are added.
    """
    found = _stored(experiment)
    if experiment == "digits" and with_jd() != experiment:
        found += [point for point in _stored(with_jd()) if point.plf == "JD"]
    return found


def _stored(experiment: str) -> list[OperatingPoint]:
    found: list[OperatingPoint] = []
    for name in _find(experiment, r"\.json"):
        with as_file(RESULTS / name) as path:
            found += load_points(path)
    return found


def with_jd() -> str:
    """Experiment whose decoders of one encoder include JD: the grid, or the one made for JD."""
    in_grid = any(point.plf == "JD" for point in _stored("digits"))
    there = any(_files(pattern, r"\.json") for pattern in EXPERIMENTS["joint"])
    return "joint" if there and not in_grid else "digits"


def about_jd() -> str:
    """Caveat where JD decoders are of another experiment than the others; empty elsewhere."""
    apart = with_jd() != "digits"
    return " JD: codecs of their own." if apart else ""


def samples(experiment: str) -> dict[str, np.ndarray]:
    """Held-out clips and their reconstructions, (n, T, 64, 64) bytes, by cell and decoder."""
    name = _find(experiment, r"-samples\.npz")[0]
    with as_file(RESULTS / name) as path, np.load(path, allow_pickle=False) as stored:
        return dict(stored)


def cell(point: OperatingPoint) -> str:
    """Name of the cell of a point: its rates."""
    return "-".join(f"{rate:g}" for rate in point.rate)


def table(experiment: str) -> pd.DataFrame:
    """One row for each point and frame; values of the last frame alone are in its row."""
    rows: list[dict[str, Any]] = []
    for point in points(experiment):
        record, seed = record_of(point), trained(point).seed
        bounds = record.bounds or Bounds()
        for t in range(point.frames):
            row = {
                "kind": point.kind, "seed": seed, "series": point.label,
                "plf": point.plf, "cell": cell(point), "frame": t + 1,
                "rate_bits": point.rate[t], "distortion": point.distortion[t],
                "perception": None if point.perception is None else point.perception[t],
            }  # fmt: skip
            for name, ends in point.intervals.items():
                row[f"{name}_low"], row[f"{name}_high"] = ends[t]
            row["gaussian_reference"] = _at(record.gaussian_reference, t)
            row["mmse"] = _at(bounds.factor_two, t) / 2
            row["repeated_frame"] = _at(bounds.repeated_frame, t)
            row["joint_support"] = _at(bounds.joint_support, t)
            row["known_shift"] = _at(bounds.known_shift, t)
            row["nearest_known"] = _at(bounds.nearest_known, t)
            if defect := record.shift_defect:
                row |= _interval("shift_defect", defect.value[t], defect.half[t])
            if t == point.frames - 1:
                row |= _permanence(record.digits, point.samples)
                if critic := fresh_w1(point, record):
                    row |= _interval("fresh_w1", critic.value, critic.half)
            rows.append(row)
    return pd.DataFrame(rows)


def _permanence(digits: Permanence | None, clips: int | None) -> dict[str, Any]:
    """What the classifier reads in the last two frames, with the ends of its interval."""
    if digits is None:
        return {}
    low, high = digits.stay_wrong_ends(clips)
    return asdict(digits) | {"stay_wrong_low": low, "stay_wrong_high": high}


def _interval(name: str, value: float, half: float) -> dict[str, float]:
    return {name: value, f"{name}_low": value - half, f"{name}_high": value + half}


def _at(values: Sequence[float] | None, t: int) -> float:
    return float("nan") if values is None else values[t]


def last_frame(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the last frame, sorted by its rate."""
    return rows[rows.frame == rows.frame.max()].sort_values("rate_bits", kind="stable")


def over_mmse(rows: pd.DataFrame) -> pd.Series:
    """Distortion over that of the MMSE decoder of the same bytes.

    For an encoder of its own it is that of the shared encoder; NaN where there is none.
    """
    same = ["seed", "cell", "frame"]
    base = rows[rows.plf == "MMSE"].set_index(same).distortion
    of_cell = base.reindex(pd.MultiIndex.from_frame(rows[same])).to_numpy()
    of_point = rows["mmse"] if "mmse" in rows else np.full(len(rows), np.nan)
    return rows.distortion / np.where(np.isnan(of_point), of_cell, of_point)


def published() -> pd.DataFrame:
    """Published runs: for squared error alone, and for each loss at one weight."""
    names = sorted(p.name for p in RESULTS.iterdir() if re.fullmatch(r"published_\w+\.csv", p.name))
    if not names:
        raise MissingResults("no published_*.csv in neural/results")
    found = pd.concat([pd.read_csv(RESULTS / name) for name in names], ignore_index=True)
    return found[(found.plf == "MMSE") | (found["lambda"] == WEIGHT)]


def size(rows: pd.DataFrame) -> str:
    """End of a title: says whether codecs are of less than full size."""
    return ", reduced (CPU)" if (rows.kind == "reduced").any() else ""


def title(rows: pd.DataFrame) -> str:
    """Title for codecs of two frames: rate of frame 1, and size of the codecs."""
    first = rows.cell.str.partition("-")[0].unique()
    return f"Moving digits, {' or '.join(first)} bits for frame 1{size(rows)}"


def draw_runs(ax: Axes, rows: pd.DataFrame, x: str, y: str, plf: str, series: str = SHARED) -> None:
    """Draw every seed as a point with its interval, and a line through the means."""
    style = STYLES[plf]
    rows = rows[(rows.plf == plf) & (rows.series == series)].dropna(subset=[y])
    if f"{y}_low" in rows:
        ends = [rows[y] - rows[f"{y}_low"], rows[f"{y}_high"] - rows[y]]
        ax.errorbar(rows[x], rows[y], ends, color=style["color"], fmt="none", elinewidth=0.7)
    ax.plot(rows[x], rows[y], color=style["color"], linestyle="none", **MARKERS[series])
    if series == SHARED:
        mean = rows.groupby(x)[y].mean()
        ax.plot(mean.index, mean, color=style["color"], linestyle=style["linestyle"])


def name(plf: str) -> str:
    """Name of a loss in titles."""
    return plf if plf in ("MMSE", "source") else f"PLF-{plf}"


def rate_axis(ax: Axes, rows: pd.DataFrame, frame: int) -> None:
    """Label the axis of rates, with a tick at each measured rate."""
    ax.set_xlabel(f"rate $R_{frame}$ of frame {frame} (bits)")
    ax.set_xticks(sorted(set(rows.rate_bits)))


def note(figure: Figure, text: str) -> None:
    """Write a caveat below the panels."""
    figure.supxlabel(text, fontsize=6, color="#4D4D4D")


def legend(figure: Figure, handles: list[Any], title: str, columns: int | None = None) -> None:
    """Write title and legend above the panels."""
    figure.legend(
        handles=handles, title=title, title_fontsize=8, loc="outside upper center",
        ncols=columns or len(handles),
    )  # fmt: skip


def key(ax: Axes, plfs: Sequence[str], **more: Any) -> list[Any]:
    """One handle for each loss."""
    styles = [line(plf) | more for plf in plfs]
    return [handle for style in styles for handle in ax.plot([], [], **style)]


def markers(ax: Axes, series: Sequence[str] = SERIES) -> list[Any]:
    """One handle for each kind of codec."""
    styles = [{"color": "black", "linestyle": "none", "label": name} for name in series]
    marked = [style | MARKERS[str(style["label"])] for style in styles]
    return [handle for style in marked for handle in ax.plot([], [], **style)]
