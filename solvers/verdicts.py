"""One verdict for each validated point: how far it is above the curve, and what was not checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from rdp.operating_point import OperatingPoint
from rdp.perception import perception
from rdp.source import GaussMarkov
from solvers.allocation import minimum_rate
from solvers.errors import SolverError
from solvers.validation import W2_METRICS, Check, Validation, same_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVES = ("rate-distortion", "rate-distortion-perception")
NOT_CHECKED = "not checked"
ORDER = ("fail", "inconclusive", "pass")  # of a point: that of the worst of its checks
LEAST_SPAN = 1.0  # bits of the x axis of the plot


Row = TypeVar("Row", "Check", "Verdict")


@dataclass(frozen=True)
class Verdict:
    """What the checks of one point come to.

    Parameters
    ----------
    point : int
        Number of the point, from 0.
    label, plf : str
        Label and perception loss of the point.
    rate : float
        Bits per frame, the mean over the frames.
    bits_above : float
        Bits per frame above the least rate for its distortions and perception losses; nan where no
        source is known.
    checks : int
        Number of checks.
    verdict : {"pass", "fail", "inconclusive", "not checked"}
        "fail" if any check fails, else "inconclusive" if any is.
    left_out : tuple of str
        Checks that were left out, and why.
    """

    point: int
    label: str
    plf: str
    rate: float
    bits_above: float
    checks: int
    verdict: str
    left_out: tuple[str, ...]


def verdicts(
    found: Validation, source: GaussMarkov | None = None, most: int | None = None
) -> list[Verdict]:
    """Return one verdict for each point that was validated.

    Parameters
    ----------
    found : Validation
        What :func:`solvers.validate` returned.
    source : GaussMarkov or None
        The source that it was given.
    most : int or None
        Number of points, those of the worst verdicts, whose `bits_above` is computed: a
        millisecond each. None computes all.

    Returns
    -------
    list of Verdict
        In the order of the points.

    Examples
    --------
    >>> from solvers.validation import validate
    >>> source = GaussMarkov.stationary(rho=0.9, frames=1)
    >>> point = OperatingPoint("mine", "MMSE", rate=1.25, distortion=0.25)
    >>> [verdict] = verdicts(validate(point, source), source)
    >>> verdict.verdict, round(verdict.bits_above, 6)
    ('pass', 0.25)
    """
    by_point: dict[int, list[Check]] = {}
    for check in found:
        by_point.setdefault(check.point, []).append(check)
    estimated = {same_bytes(point) for point in found.points if point.plf == "MMSE"}
    out = []
    known: dict[int, GaussMarkov] = {}
    for number, point in enumerate(found.points):
        checks = by_point.get(number, [])
        named = point.source if source is None else source
        if isinstance(named, GaussMarkov):
            known[number] = named
        outcomes = {check.verdict for check in checks}
        out.append(
            Verdict(
                number,
                point.label,
                point.plf,
                float(point.rate.mean()),
                np.nan,
                len(checks),
                next((verdict for verdict in ORDER if verdict in outcomes), NOT_CHECKED),
                tuple(_left_out(point, known.get(number), checks, same_bytes(point) in estimated)),
            )
        )
    for item in worst_first(out, most):
        if item.point in known:
            above = _bits_above(found.points[item.point], known[item.point])
            out[item.point] = replace(item, bits_above=above)
    return out


def worst_first(items: Sequence[Row], most: int | None) -> list[Row]:
    """Return all items in their order, or the `most` of the worst verdicts where there are more.

    Parameters
    ----------
    items : sequence of Check or of Verdict
        In the order of the points.
    most : int or None
        Number of items; None is all.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> items = [SimpleNamespace(verdict=verdict) for verdict in ("pass", "fail", "pass")]
    >>> [item.verdict for item in worst_first(items, 2)]
    ['fail', 'pass']
    """
    if most is None or len(items) <= most:
        return list(items)
    order = ("fail", "inconclusive", NOT_CHECKED, "pass")
    return sorted(items, key=lambda item: order.index(item.verdict))[:most]


def draw(found: Validation, figure: Figure) -> None:
    """Draw each point, and the least distortion at its rates and perception losses below it.

    The marker is that of the label. It is filled where the point is below a curve: impossible.

    Parameters
    ----------
    found : Validation
        What :func:`solvers.validate` returned.
    figure : matplotlib Figure
        Empty figure; it gets one panel for each loss.

    Raises
    ------
    ValueError
        No point was compared with a curve.
    """
    from matplotlib.lines import Line2D

    from solvers.plotting import line, loss_label, rows_and_columns

    limits: dict[int, dict[tuple[str, int | None], float]] = {}
    for check in found:
        if check.bound in CURVES:
            limits.setdefault(check.point, {})[check.bound, check.frame] = check.limit
    below = {c.point for c in found if c.bound in CURVES and c.verdict == "fail"}
    labels = list(dict.fromkeys(found.points[number].label for number in sorted(limits)))
    markers = {label: "osDv^P"[index % 6] for index, label in enumerate(labels)}
    losses = list(dict.fromkeys(found.points[number].plf for number in sorted(limits)))
    if not losses:
        raise ValueError("plot: expected points of a known source, got none")
    down, across = rows_and_columns(len(losses))
    axes = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).flat
    for ax, plf in zip(axes, losses, strict=False):
        style = line(plf, marker=True)
        for number in (n for n in sorted(limits) if found.points[n].plf == plf):
            point = found.points[number]
            x, y = point.rate.mean(), point.distortion.mean()
            least = _least(limits[number], point)
            ends = point.intervals.get("distortion")
            low, high = (y, y) if ends is None else ends.mean(axis=0)
            ax.plot([x, x], [least, y], color=style["color"], linewidth=0.8)
            ax.plot(x, least, "_", color="black", markersize=8)
            ax.errorbar(
                x, y, [[y - low], [high - y]], color=style["color"], marker=markers[point.label],
                capsize=1.5, markerfacecolor=style["color"] if number in below else "white",
            )  # fmt: skip
        ax.set(title=loss_label(plf), xlabel="mean rate (bits per frame)", yscale="log")
    axes[0].set_ylabel("mean distortion per frame")
    left, right = axes[0].get_xlim()
    if right - left < LEAST_SPAN:
        middle = (left + right) / 2
        axes[0].set_xlim(max(0.0, middle - LEAST_SPAN / 2), middle + LEAST_SPAN / 2)
    empty: dict[str, Any] = {"linestyle": "none", "color": "black", "markerfacecolor": "white"}
    entries = [Line2D([], [], marker=markers[label], label=label, **empty) for label in labels]
    entries.append(Line2D([], [], marker="_", markersize=8, label="lower bound", **empty))
    if below:
        filled = empty | {"markerfacecolor": "black"}
        entries.append(Line2D([], [], marker="o", label="filled: impossible", **filled))
    figure.legend(handles=entries, loc="outside lower center", ncols=4)


def _least(limits: dict[tuple[str, int | None], float], point: OperatingPoint) -> float:
    """Mean limit of the frames: of their sum where it was checked, else the MMSE curve."""
    frames = point.frames
    exact = limits.get((CURVES[1], None if frames > 1 else 1))
    if exact is not None:
        return exact / frames
    return float(np.mean([limits[CURVES[0], t + 1] for t in range(frames)]))


def _bits_above(point: OperatingPoint, source: GaussMarkov) -> float:
    """Bits per frame above the least rate; below 0 where the point is impossible."""
    loss = None
    if point.plf != "MMSE":
        if point.perception is None or point.metric not in W2_METRICS:
            return np.nan
        loss = perception(point.plf, point.perception)
    if not np.isfinite(point.rate).all():
        return np.nan
    try:
        least = minimum_rate(source, point.distortion, loss)
    except SolverError:  # no certificate, or no rate reaches these distortions
        return np.nan
    return float(point.rate.sum() - least.total) / point.frames


def _left_out(
    point: OperatingPoint, source: GaussMarkov | None, checks: Sequence[Check], estimated: bool
) -> list[str]:
    """Say which checks of a point were left out, and why."""
    made = {check.bound for check in checks}
    out = []
    if source is None and point.source is None:
        out.append("curves: the point names no source")
    elif source is None:
        out.append(f"curves: the point names no Gauss-Markov source, but {str(point.source)!r}")
    elif point.plf != "MMSE" and CURVES[1] not in made:
        if point.perception is None:
            missing = "the point has no perception loss, measured or estimated"
            out.append(f"curve of PLF-{point.plf}: {missing}")
        elif f"{CURVES[1]}, framewise part" in made:
            out.append(f"curve of PLF-{point.plf}: not certified; that of PLF-FMD in its place")
        else:
            out.append(f"curve of PLF-{point.plf}: its perception loss is in {point.metric!r}")
    if point.plf != "MMSE" and not estimated:
        out.append("split, factor two: no MMSE point with the same label, rates and seed")
    elif point.plf != "MMSE" and "split" not in made:
        named = "the point" if point.perception is None else "its MMSE point"
        if point.perception is not None and point.metric not in W2_METRICS:
            named = "the point"
        out.append(f"split: {named} has no perception loss in squared W2")
    return out
