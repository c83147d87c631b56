"""Comparison of measured points with bounds.

The bounds are those of `solvers.validation` and, for clips, those evaluated on the same clips.
"""

from __future__ import annotations

from collections.abc import Sequence

from neural.evaluation.record import Values, record_of
from rdp.operating_point import OperatingPoint
from solvers.validation import Check, Validation, validate

ROUNDING = 1e-12  # mean squared error of a pixel
JOINT = 0.002  # largest shift defect of a decoder that counts as joint; that of FMD is about 0.014


def validate_codecs(points: Sequence[OperatingPoint]) -> Validation:
    """Return a table of pass, fail and inconclusive.

    For clips there are four checks besides those of `solvers.validation`. ``shared encoder``:
    realism costs at least the Gelbrich distance between the reconstructions of a decoder and of the
    MMSE decoder. ``joint support``, for JD: no frame is nearer to the source than the nearest shift
    of the reconstruction of the frame before. The first assumes that the MMSE decoder is optimal,
    the second that joint realism is perfect. Where a check fails, its assumption does not hold.
    ``joint realism``, for JD: the shift defect is at most `JOINT`. It says whether the second
    assumption holds, and is there for points whose shift defect was measured. ``exact bound``, for
    clips of a known Gauss-Markov source: no frame errs less than by the best code that spends all
    bits so far on it.
    """
    checks = list(validate(points).checks)
    for number, point in enumerate(points):
        record = record_of(point)
        if point.plf == "JD" and record.shift_defect is not None:
            exact = (0.0,) * point.frames
            checks += _frames(
                number, point, "joint realism", record.shift_defect.value,
                record.shift_defect.half, (JOINT,) * point.frames, exact, "<=",
            )[1:]  # fmt: skip
        if record.exact is not None:
            half = tuple((point.intervals["distortion"][:, 1] - point.distortion).tolist())
            measured, exact = tuple(point.distortion.tolist()), (0.0,) * point.frames
            checks += _frames(
                number, point, "exact bound", measured, half, record.exact.bound, exact
            )
        found = record.bounds
        if found is None:
            continue
        if point.plf != "MMSE" and found.excess is not None:
            assert found.excess_half is not None
            assert found.shared_encoder_gap is not None
            checks += _frames(
                number, point, "shared encoder", found.excess, found.excess_half,
                found.shared_encoder_gap, (0.0,) * point.frames,
            )  # fmt: skip
        if found.joint_support is not None:
            assert found.joint_support_half is not None
            width = point.intervals["distortion"][:, 1] - point.distortion
            checks += _frames(
                number, point, "joint support", tuple(point.distortion.tolist()),
                tuple(width.tolist()), found.joint_support, found.joint_support_half,
            )[1:]  # fmt: skip
    return Validation(tuple(checks))


def _frames(
    number: int,
    point: OperatingPoint,
    bound: str,
    measured: Values,
    half: Values,
    limit: Values,
    limit_half: Values,
    relation: str = ">=",
) -> list[Check]:
    """One check of measured >= limit, or <=, for each frame."""
    checks = []
    rows = zip(measured, half, limit, limit_half, strict=True)
    for frame, (value, spread, least, width) in enumerate(rows, start=1):
        low, high, below, above = value - spread, value + spread, least - width, least + width
        # distances between frames that agree to the last bit are rounding errors
        if relation == ">=":
            holds, fails = low >= above - ROUNDING, high < below
        else:
            holds, fails = high <= below + ROUNDING, low > above
        verdict = "pass" if holds else "fail" if fails else "inconclusive"
        checks.append(
            Check(
                number, point.label, point.plf, frame, bound, relation,
                value, low, high, least, below, above, verdict,
            )
        )  # fmt: skip
    return checks
