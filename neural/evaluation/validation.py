"""Hold measured points of codecs against all bounds.

Those are the bounds of `solvers.validation`, and for clips those evaluated on the clips themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

from rdp.operating_point import OperatingPoint
from solvers.validation import Check, Validation, validate

ROUNDING = 1e-12  # mean squared error of a pixel


def hold(points: Sequence[OperatingPoint]) -> Validation:
    """Return a table of pass, fail and inconclusive.

    Besides the checks of `solvers.validation`, for clips: ``shared encoder``, that realism costs
    at least the Gelbrich distance between a decoder's frames and the MMSE decoder's; and for JD
    ``joint support``, that no frame is nearer to the source than the nearest shift of the frame
    shown before. The first supposes that the MMSE decoder is the best one, the second that joint
    realism is perfect: a failure says that it is not so.

    Parameters
    ----------
    points : sequence of OperatingPoint
        What codecs reached.

    Returns
    -------
    Validation
    """
    checks = list(validate(points).checks)
    for number, point in enumerate(points):
        found = point.provenance.get("bounds")
        if not isinstance(found, dict):
            continue
        if point.plf != "MMSE" and "excess" in found:
            checks += _frames(
                number, point, "shared encoder", found["excess"], found["excess_half"],
                found["shared_encoder_gap"], [0.0] * point.frames,
            )  # fmt: skip
        if "joint_support" in found:
            half = point.intervals["distortion"][:, 1] - point.distortion
            checks += _frames(
                number, point, "joint support", point.distortion.tolist(), half.tolist(),
                found["joint_support"], found["joint_support_half"],
            )[1:]  # fmt: skip
    return Validation(tuple(checks))


def _frames(
    number: int,
    point: OperatingPoint,
    bound: str,
    measured: Sequence[float],
    half: Sequence[float],
    limit: Sequence[float],
    limit_half: Sequence[float],
) -> list[Check]:
    """One check of measured >= limit for each frame."""
    checks = []
    rows = zip(measured, half, limit, limit_half, strict=True)
    for frame, (value, spread, least, width) in enumerate(rows, start=1):
        low, high, below, above = value - spread, value + spread, least - width, least + width
        # of frames that agree to the last bit the distances are rounding
        verdict = "inconclusive"
        if low >= above - ROUNDING:
            verdict = "pass"
        elif high < below:
            verdict = "fail"
        checks.append(
            Check(
                number, point.label, point.plf, frame, bound, ">=",
                value, low, high, least, below, above, verdict,
            )
        )  # fmt: skip
    return checks
