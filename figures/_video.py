"""Measured points of video codecs, as committed in `neural/results`, and how they are drawn."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from figures.build import MissingResults
from neural.evaluation.tables import fresh_w1
from rdp.operating_point import OperatingPoint, load_points
from solvers.plotting import STYLES, line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RESULTS = files("neural") / "results"
# Names of result files, as patterns: those of full size, and of a CPU's size in their absence.
EXPERIMENTS = {
    "digits": (r"digits(-12-\d+)?", r"digits-reduced"),
    "joint": (r"digits-joint", r"digits-reduced-joint"),
    "strict": (r"digits-strict", r"digits-reduced-strict"),
    "exact": (r"digits-inf-2", r"digits-reduced-inf-2"),
    "recovery": (r"digits-inf-2-recovery", r"digits-reduced-recovery"),
    "people": (r"people", r"people-reduced"),
}
SEED = r"(-seed\d+)?"
SHARED, OWN = "neural, shared encoder", "neural, own encoder"
SERIES = (SHARED, OWN)
# with error bars through them, crosses would look like stars
MARKERS: dict[str, dict[str, Any]] = {
    SHARED: {"marker": "o", "markersize": 3},
    OWN: {"marker": "D", "fillstyle": "none", "markersize": 3.5},
}
PLFS = ("FMD", "JD", "SA")
SHOWN = ("source", "MMSE", *PLFS)  # rows of pictures

# Weight of the critic term that decoders are trained with.
WEIGHTS = {"digits": 0.01, "strict": 0.1}
PUBLISHED_WEIGHT = WEIGHTS["digits"]  # public runs have many; those with this one are shown


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
    """Points of one of `EXPERIMENTS`, all seeds."""
    found: list[OperatingPoint] = []
    for name in _find(experiment, r"\.json"):
        with as_file(RESULTS / name) as path:
            found += load_points(path)
    return found


def samples(experiment: str) -> dict[str, np.ndarray]:
    """Held-out clips as sent and as shown, (n, T, 64, 64) bytes, by cell and decoder."""
    name = _find(experiment, r"-samples\.npz")[0]
    with as_file(RESULTS / name) as path, np.load(path, allow_pickle=False) as stored:
        return dict(stored)


def cell(point: OperatingPoint) -> str:
    """Rates of a point, as the name of its cell."""
    return "-".join(f"{rate:g}" for rate in point.rate)


def table(experiment: str) -> pd.DataFrame:
    """One row for each point and frame; what a point says of its last frame alone stands there."""
    rows: list[dict[str, Any]] = []
    for point in points(experiment):
        about = point.provenance
        bounds = about.get("bounds") or {}
        for t in range(point.frames):
            row = {
                "kind": point.kind, "seed": about["training_seed"], "series": point.label,
                "plf": point.plf, "cell": cell(point), "frame": t + 1,
                "rate_bits": point.rate[t], "distortion": point.distortion[t],
                "perception": None if point.perception is None else point.perception[t],
            }  # fmt: skip
            for name, ends in point.intervals.items():
                row[f"{name}_low"], row[f"{name}_high"] = ends[t]
            row["gaussian_reference"] = _at(about.get("gaussian_reference"), t)
            for name in ("reference", "joint_support"):
                row[name] = _at(bounds.get(name), t)
            if t == point.frames - 1:
                row |= _permanence(about.get("digits") or {}) | _fresh_w1(point)
            rows.append(row)
    return pd.DataFrame(rows)


def _permanence(digits: dict[str, Any]) -> dict[str, Any]:
    """What a classifier says of the last two frames, with the ends of its interval."""
    stay, half = digits.get("stay_wrong"), digits.get("stay_wrong_half")
    if stay is None or half is None:
        return digits
    return digits | {"stay_wrong_low": stay - half, "stay_wrong_high": stay + half}


def _fresh_w1(point: OperatingPoint) -> dict[str, float]:
    """W1 at the last frame by a critic trained afresh, with the ends of its interval."""
    found = fresh_w1(point)
    if found is None:
        return {}
    value, half = found
    return {"fresh_w1": value, "fresh_w1_low": value - half, "fresh_w1_high": value + half}


def _at(values: list[float] | None, t: int) -> float:
    return float("nan") if values is None else values[t]


def last_frame(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the last frame, in the order of its rate."""
    return rows[rows.frame == rows.frame.max()].sort_values("rate_bits", kind="stable")


def over_mmse(rows: pd.DataFrame) -> pd.Series:
    """Distortion over that of the MMSE decoder of the same bytes; NaN where there is none."""
    same = ["seed", "cell", "frame"]
    base = rows[rows.plf == "MMSE"].set_index(same).distortion
    return rows.distortion / base.reindex(pd.MultiIndex.from_frame(rows[same])).to_numpy()


def published() -> pd.DataFrame:
    """Published runs: made for squared error alone, and for each loss with one weight."""
    names = sorted(p.name for p in RESULTS.iterdir() if re.fullmatch(r"published_\w+\.csv", p.name))
    if not names:
        raise MissingResults("no published_*.csv in neural/results")
    found = pd.concat([pd.read_csv(RESULTS / name) for name in names], ignore_index=True)
    return found[(found.plf == "MMSE") | (found["lambda"] == PUBLISHED_WEIGHT)]


def size(rows: pd.DataFrame) -> str:
    """What a title has to say of codecs of less than full size."""
    return ", reduced (CPU)" if (rows.kind == "reduced").any() else ""


def title(rows: pd.DataFrame) -> str:
    """What codecs of two frames were given, and their size."""
    first = rows.cell.str.partition("-")[0].unique()
    return f"Moving digits, {' or '.join(first)} bits for frame 1{size(rows)}"


def draw_runs(ax: Axes, rows: pd.DataFrame, x: str, y: str, plf: str, series: str = SHARED) -> None:
    """Every seed as a point, with its interval if there is one, and a line through the means."""
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
    """Label the axis of rates, with a tick at each one that was measured."""
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
