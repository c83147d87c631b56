r"""Compare measured operating points with theory.

Every check compares a measured value with a limit, both as intervals: the limit is evaluated at
both ends of the intervals of rate and perception loss. A check

- passes if the worst ends satisfy the bound,
- fails if not even the best ends do,
- is inconclusive in between, where more samples would be needed.

Values without an interval count as exact. Checks of the points of a Gauss-Markov source:

- ``rate-distortion``: :math:`D_t \ge m_t(R_1..R_t)`;
- ``rate-distortion-perception``: :math:`D_t`, and the sum over frames, are not below the least
  value at the measured rates and perception losses (certified lower bound of `solve`). Where
  that cannot be certified to tolerance, the name ends in ``framewise part`` and the limit is that
  of FMD, which is weaker but holds: neither JD nor SA is below the loss of the frame alone;
- ``permanence``: D_t of a JD decoder whose perception loss is exactly zero;
- ``one-shot rate``: the rate is at most :math:`I + \log_2(I + 1) + 5` bits for the information
  I that the measured distortion asks for. More bits are possible, and a waste.

Checks of points of one codec, whatever the source, that share label, rates and seed with an MMSE
point:

- ``split``: :math:`D_t \ge m_t + (W_2(X_t, \tilde X_t) - \sqrt{P_t})_+^2`. A failure means that
  the MMSE decoder is not the best one for its bytes;
- ``factor two``: FMD and SA decoders need no more than :math:`2 m_t`.

Checks of pairs of codecs, one with a shared encoder, one with its own for each loss:

- ``universality``: for scalar Gaussian frames theory says that sharing costs nothing; the
  measured cost is the difference of the excess of each codec over its own exact curve.

A Gelbrich distance in place of squared W2 is a lower bound on it. All bounds here follow from
second moments, so that they hold with it too, and are the sharper for it.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from rdp import _check, bounds, closed_form, linear_source
from rdp._files import replacing
from rdp.operating_point import OperatingPoint
from rdp.perception import perception
from rdp.problem import Problem
from rdp.source import GaussMarkov
from solvers.errors import SolverError
from solvers.solve import solve

Array = np.ndarray
Interval = tuple[float, float]

ROUNDING = 1e-9  # relative: what points computed on a curve may be below it
W2_METRICS = ("w2", "gelbrich")


@dataclass(frozen=True)
class Check:
    """One measured value compared with one bound.

    Parameters
    ----------
    point : int
        Number of the point, from 0.
    label : str
        Label of the point.
    plf : str
        Perception loss of the point.
    frame : int or None
        Frame, from 1; None for the sum over frames.
    bound : str
        Name of the bound.
    relation : {">=", "<="}
        What the measured value should be, compared with the limit.
    measured : float
        Measured value.
    low, high : float
        Its interval.
    limit : float
        Limit at the measured values.
    limit_low, limit_high : float
        Interval of the limit.
    verdict : {"pass", "fail", "inconclusive"}
        Outcome.
    """

    point: int
    label: str
    plf: str
    frame: int | None
    bound: str
    relation: str
    measured: float
    low: float
    high: float
    limit: float
    limit_low: float
    limit_high: float
    verdict: str


@dataclass(frozen=True)
class Validation:
    """A table of checks.

    Parameters
    ----------
    checks : tuple of Check
        In the order of the points.
    points : tuple of OperatingPoint
        The points that were checked.
    """

    checks: tuple[Check, ...]
    points: tuple[OperatingPoint, ...] = ()

    def __iter__(self) -> Iterator[Check]:
        return iter(self.checks)

    def __len__(self) -> int:
        return len(self.checks)

    def with_verdict(self, verdict: str) -> tuple[Check, ...]:
        """Return the checks of one verdict.

        Parameters
        ----------
        verdict : {"pass", "fail", "inconclusive"}
            Verdict of the checks to keep.
        """
        return tuple(check for check in self.checks if check.verdict == verdict)

    @property
    def ok(self) -> bool:
        """Whether no check failed; true where there are none."""
        return not self.with_verdict("fail")

    def to_dataframe(self) -> Any:
        """Return the checks as rows of a pandas DataFrame."""
        import pandas

        names = [field.name for field in fields(Check)]
        return pandas.DataFrame([asdict(check) for check in self.checks], columns=names)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the checks as rows of a CSV file.

        Parameters
        ----------
        path : path
            File to write.
        """
        with replacing(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(Check)])
            writer.writeheader()
            writer.writerows(asdict(check) for check in self.checks)


def validate(
    points: OperatingPoint | Iterable[OperatingPoint],
    source: GaussMarkov | None = None,
    method: str = "auto",
) -> Validation:
    """Compare operating points with the bounds and the exact curves.

    Parameters
    ----------
    points : OperatingPoint, or iterable of OperatingPoint
        What codecs reached.
    source : GaussMarkov or None
        Scalar frames that all points are about; None takes the source that each point names.
        Points of another kind of source get the checks that need none.
    method : str
        How `solve` computes exact curves.

    Returns
    -------
    Validation

    Raises
    ------
    ValueError
        A point with another number of frames than the source, or of vector frames.

    Examples
    --------
    >>> source = GaussMarkov.stationary(rho=0.9, frames=1)
    >>> honest = OperatingPoint("a", "MMSE", rate=[1.0], distortion=[0.3])
    >>> impossible = OperatingPoint("b", "MMSE", rate=[1.0], distortion=[0.2])
    >>> [check.verdict for check in validate([honest, impossible], source)
    ...  if check.bound == "rate-distortion"]
    ['pass', 'fail']
    """
    if not isinstance(points, (OperatingPoint, Iterable)):
        raise ValueError(f"points: expected OperatingPoints, got {points!r}")
    points = [points] if isinstance(points, OperatingPoint) else list(points)
    for point in points:
        _check.instance("points", point, OperatingPoint)
    sources = [_source(point, source) for point in points]
    estimates = _estimates(points)
    checks: list[Check] = []
    excesses: list[_Excess | None] = []
    for number, (point, known) in enumerate(zip(points, sources, strict=True)):
        checker = _PointChecks(number, point)
        excess = None
        if known is not None:
            checker.rate_distortion(known)
            excess = checker.curve(known, method)
            checker.permanence(known)
            checker.one_shot(known)
        estimate = None if point.plf == "MMSE" else estimates.get(same_bytes(point))
        if estimate is not None:
            checker.split(estimate, known)
            checker.factor_two(estimate)
        excesses.append(excess)
        checks += checker.checks
    for number, other in _pairs(points):
        first, second = excesses[number], excesses[other]
        if first is not None and second is not None:
            checker = _PointChecks(number, points[number])
            checker.universality(first, second)
            checks += checker.checks
    return Validation(tuple(checks), tuple(points))


@dataclass(frozen=True)
class _Excess:
    """Distortion of all frames above the exact curve, with its ends, and the distortion."""

    value: float
    low: float
    high: float
    distortion: float


class _PointChecks:
    """Collects the checks of one point."""

    def __init__(self, number: int, point: OperatingPoint) -> None:
        self.number, self.point = number, point
        self.checks: list[Check] = []
        self.rate = _ends(point, "rate")
        self.distortion = _ends(point, "distortion")
        measured = point.perception is not None and point.plf != "MMSE"
        usable = point.metric in W2_METRICS or (point.metric == "kl" and point.plf == "FMD")
        self.perception = _ends(point, "perception") if measured and usable else None

    def rate_distortion(self, source: GaussMarkov) -> None:
        """Check each frame against the MMSE curve."""
        limit = [closed_form.mmse(source, rates) for rates in self.rate]
        self._frames("rate-distortion", ">=", self.distortion, (limit[0], limit[2], limit[1]))

    def curve(self, source: GaussMarkov, method: str) -> _Excess | None:
        """Check each frame and their sum; return the excess of the sum."""
        if self.perception is None:
            return None
        name, frames = "rate-distortion-perception", source.frames
        ends = list(zip(self.rate, self.perception, strict=True))
        excess = None
        for weights in [*np.eye(frames), np.ones(frames)][: frames + (frames > 1)]:
            single = int(weights.argmax()) + 1 if weights.sum() == 1 else None
            part = _first(source, single)
            exact = True
            try:
                limits = [self._least(part, *end, weights, method) for end in ends]
            except SolverError:  # near P = 0 a certificate can miss its tolerance
                limits, exact = [self._framewise(part, *end, weights) for end in ends], False
            value, high, low = limits
            measured = [float(weights[weights > 0] @ end[weights > 0]) for end in self.distortion]
            bound = name if exact else f"{name}, framewise part"
            self._add(bound, single, ">=", tuple(measured), (value, low, high))
            if exact and (single is None or frames == 1) and np.isfinite(measured).all():
                above = measured[0] - value, measured[1] - high, measured[2] - low
                excess = _Excess(*above, measured[0])
        return excess

    def _least(
        self, source: GaussMarkov, rates: Array, levels: Array, weights: Array, method: str
    ) -> float:
        """Least weighted distortion of the first frames at given rates and perception losses."""
        if self.point.plf == "FMD":  # every frame at its least at once
            return self._framewise(source, rates, levels, weights)
        kept = slice(source.frames)
        loss = perception(self.point.plf)
        if loss is not None:
            loss = loss.over(levels[kept])
        return solve(Problem(source, rates[kept], loss, weights[kept]), method).lower_bound

    def _framewise(self, source: GaussMarkov, rates: Array, levels: Array, weights: Array) -> float:
        """The part of every perception loss that concerns each frame alone."""
        kept = slice(source.frames)
        metric = "kl" if self.point.metric == "kl" else "w2"
        least = closed_form.framewise(source, rates[kept], levels[kept], metric)
        return float(weights[kept] @ least)

    def permanence(self, source: GaussMarkov) -> None:
        """Check JD frames of zero loss against the bound on error permanence."""
        if self.point.plf != "JD" or self.perception is None or self.perception[2].any():
            return
        limit = [bounds.permanence_bound(source, rates) for rates in self.rate]
        self._frames("permanence", ">=", self.distortion, (limit[0], limit[2], limit[1]))

    def one_shot(self, source: GaussMarkov) -> None:
        """Check that an MMSE point wastes no more bits than a one-shot code would."""
        if self.point.plf != "MMSE":
            return
        information = closed_form.rate_for_distortion(source, self.distortion[0])
        limit = bounds.one_shot_rate(information)
        self._frames("one-shot rate", "<=", self.rate, (limit, limit, limit))

    def split(self, estimate: OperatingPoint, source: GaussMarkov | None) -> None:
        """Check each frame against the MMSE error plus the distance left to the source."""
        if self.perception is None or self.point.metric not in W2_METRICS:
            return
        error = _ends(estimate, "distortion")
        far = _distance_of_estimate(estimate, source)
        if far is None:
            return
        level = self.perception
        ends = [(error[i], far[i], level[j]) for i, j in ((0, 0), (1, 2), (2, 1))]
        value, low, high = (bounds.fmd_distortion_at_perception(*end) for end in ends)
        self._frames("split", ">=", self.distortion, (value, low, high))

    def factor_two(self, estimate: OperatingPoint) -> None:
        """Check FMD and SA frames against twice the MMSE error."""
        if self.point.plf not in ("FMD", "SA"):
            return
        value, low, high = (bounds.factor_two(end) for end in _ends(estimate, "distortion"))
        self._frames("factor two", "<=", self.distortion, (value, low, high))

    def universality(self, own: _Excess, other: _Excess) -> None:
        """Excess of the shared encoder over that of the encoder made for the loss."""
        cost = own.value - other.value, own.low - other.high, own.high - other.low
        self._add("universality", None, "<=", cost, (0.0, 0.0, 0.0), own.distortion)

    def _frames(
        self, bound: str, relation: str, measured: Sequence[Array], limit: Sequence[Array]
    ) -> None:
        for t in range(self.point.frames):
            at = [tuple(float(end[t]) for end in ends) for ends in (measured, limit)]
            self._add(bound, t + 1, relation, at[0], at[1])

    def _add(
        self,
        bound: str,
        frame: int | None,
        relation: str,
        measured: tuple[float, ...],
        limit: tuple[float, ...],
        scale: float = 0.0,
    ) -> None:
        value, low, high = measured
        at, limit_low, limit_high = limit
        margins = (low - limit_high, high - limit_low)
        if relation == "<=":
            margins = (limit_low - high, limit_high - low)
        slack = ROUNDING * max(abs(value), abs(at), scale)
        verdict = "inconclusive"
        if margins[0] >= -slack:
            verdict = "pass"
        elif margins[1] < -slack:
            verdict = "fail"
        self.checks.append(
            Check(
                self.number, self.point.label, self.point.plf, frame, bound, relation,
                value, low, high, at, limit_low, limit_high, verdict,
            )
        )  # fmt: skip


def _source(point: OperatingPoint, source: GaussMarkov | None) -> GaussMarkov | None:
    known = point.source if source is None else source
    linear_source.need_first_order("validate", known)
    if not isinstance(known, GaussMarkov):
        return None
    if known.modes is not None:
        raise ValueError(f"source: expected scalar frames, got {known.modes} modes")
    if known.frames != point.frames:
        raise ValueError(
            f"points: expected {known.frames} frames like the source, got {point.frames} "
            f"for {point.label!r}"
        )
    return known


def _first(source: GaussMarkov, frames: int | None) -> GaussMarkov:
    """The first frames of a source; what comes later does not make them easier."""
    if frames is None:
        return source
    return GaussMarkov(source.sigma[:frames], source.rho[: frames - 1])


def _ends(point: OperatingPoint, name: str) -> tuple[Array, Array, Array]:
    """Value, lower and upper end of a measured quantity."""
    value = getattr(point, name)
    ends = point.intervals.get(name)
    return (value, value, value) if ends is None else (value, ends[:, 0], ends[:, 1])


def same_bytes(point: OperatingPoint) -> tuple[object, ...]:
    """What points of the same bytes share: label, seed and rates."""
    return point.label, point.seed, point.rate.shape, (point.rate + 0.0).tobytes()  # -0 is 0


def _estimates(points: Sequence[OperatingPoint]) -> dict[tuple[object, ...], OperatingPoint]:
    """The first MMSE point of each group of points of the same bytes."""
    found: dict[tuple[object, ...], OperatingPoint] = {}
    for point in points:
        if point.plf == "MMSE":
            found.setdefault(same_bytes(point), point)
    return found


def _distance_of_estimate(
    estimate: OperatingPoint, source: GaussMarkov | None
) -> tuple[Array, Array, Array] | None:
    """Squared W2 distance of each frame's estimate from the source, with its ends."""
    if estimate.perception is not None and estimate.metric in W2_METRICS:
        return _ends(estimate, "perception")
    if source is None:
        return None
    error = _ends(estimate, "distortion")
    sd = [np.sqrt(np.maximum(source.variance - end, 0.0)) for end in error]
    return (source.sigma - sd[0]) ** 2, (source.sigma - sd[1]) ** 2, (source.sigma - sd[2]) ** 2


def _pairs(points: Sequence[OperatingPoint]) -> Iterator[tuple[int, int]]:
    """Points with a shared encoder, each with the nearest one whose encoder is its own.

    The distance is the largest difference of the rates of a frame; infinite rates are no
    difference.
    """
    own: dict[tuple[str, int], list[int]] = {}
    for number, point in enumerate(points):
        if point.provenance.get("encoder") == "own":
            own.setdefault((point.plf, point.frames), []).append(number)
    rates = {key: np.stack([points[n].rate for n in numbers]) for key, numbers in own.items()}
    for number, point in enumerate(points):
        key = point.plf, point.frames
        if point.provenance.get("encoder") != "shared" or point.plf == "MMSE" or key not in own:
            continue
        with np.errstate(invalid="ignore"):
            apart = np.where(rates[key] == point.rate, 0.0, np.abs(rates[key] - point.rate))
        yield number, own[key][int(apart.max(axis=1).argmin())]
