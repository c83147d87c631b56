"""What a search for least rates needs: distortions asked for, first frames, least rate of one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rdp import _check
from rdp.perception import Perception
from rdp.source import GaussMarkov

Array = np.ndarray

_MOST_BITS = 512.0  # per frame; beyond it a distortion is out of reach


def allowed_distortions(source: GaussMarkov, distortion: object) -> Array:
    """Distortions that are asked for, one for each frame; ValueError where one is not above 0.

    Parameters
    ----------
    source : GaussMarkov
    distortion : float or (T,) array
    """
    targets = _check.nonnegative("distortion", distortion)
    targets = _check.frozen(_check.per_frame("distortion", targets, source.frames))
    if not (targets > 0).all():
        raise ValueError("distortion: expected values > 0, got 0, which takes an infinite rate")
    return targets


def first_frames(loss: Perception | None, frames: int, kept: int) -> Perception | None:
    """The loss on the first frames, with the thresholds that later frames put on them."""
    if loss is None:
        return None
    levels = loss.thresholds(frames)
    if loss.name == "JD":
        levels = np.minimum.accumulate(levels[::-1])[::-1]
    return loss.over(levels[:kept])


def least_rate(excess: Callable[[float], float]) -> float | None:
    """Least rate at which `excess`, decreasing in the rate, is not positive; None if none is.

    Parameters
    ----------
    excess : callable
        Takes a rate in bits.
    """
    from scipy.optimize import brentq

    if excess(0.0) <= 0:
        return 0.0
    high = 1.0
    while excess(high) > 0:
        high *= 2
        if high > _MOST_BITS:
            return None
    return float(brentq(excess, 0.0, high, xtol=1e-12, rtol=1e-12))
