"""Moments of windows of frames, and the Gelbrich distances that follow, without their bias."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rdp.gaussian import gelbrich
from rdp.perception import perception

Array = np.ndarray

_ROUNDING = 1e-14  # variance over second moment, and over the largest one, that is rounding
_AT_ONCE = 1 << 23  # numbers in one array of windows, which bounds the memory


class Moments(NamedTuple):
    """Sizes (G,), sums (G, d, 2w) and sums of products (G, d, 2w, 2w) of windows of (x, y)."""

    size: Array
    first: Array
    second: Array

    def estimates(self, plf: str) -> Array:
        """Distance of all samples, then without each group, (G + 1,)."""
        everything = Moments(*(part.sum(axis=0) for part in self))
        left = Moments(*(part.sum(axis=0) - part for part in self))
        return np.append(_distance(everything, plf), _distance(left, plf))


def window_moments(x: Array, y: Array, parts: list[Array], window: int) -> Moments:
    """Moments of all windows of so many frames."""
    modes = x.shape[2]
    counts, first, second = [], [], []
    for part in parts:
        step = max(1, _AT_ONCE // (len(part) * x.shape[1] * 2 * window))
        sums, products = [], []
        for i in range(0, modes, step):
            views = [
                np.lib.stride_tricks.sliding_window_view(z[part, :, i : i + step], window, axis=1)
                for z in (x, y)
            ]
            both = np.concatenate(views, axis=-1)  # (n, T - w + 1, modes, 2w)
            both = both.transpose(2, 0, 1, 3).reshape(both.shape[2], -1, 2 * window)
            sums.append(both.sum(axis=1))
            products.append(both.transpose(0, 2, 1) @ both)
        counts.append(len(part) * (x.shape[1] - window + 1))
        first.append(np.concatenate(sums))
        second.append(np.concatenate(products))
    return Moments(np.array(counts, dtype=float), np.array(first), np.array(second))


def moments_at(x: Array, y: Array, parts: list[Array], t: int, memory: int) -> Moments:
    """Moments of the windows that end at frame t, from 0."""
    seen = slice(max(0, t + 1 - memory), t + 1)
    return window_moments(x[:, seen], y[:, seen], parts, t + 1 - seen.start)


def jackknife(moments: Moments, plf: str, quantile: float) -> tuple[float, float, float]:
    """Distance without its bias, and the ends of its interval."""
    found = moments.estimates(plf)
    full, left = found[0], found[1:]
    groups = len(left)
    spread = np.sqrt((groups - 1) / groups * ((left - left.mean()) ** 2).sum())
    value = max(groups * full - (groups - 1) * left.mean(), 0.0)
    return value, max(value - quantile * spread, 0.0), value + quantile * spread


def _distance(moments: Moments, plf: str) -> Array:
    """Gelbrich distance of the two distributions that a loss compares, mean over modes."""
    wanted, found = _compared(plf, moments.first.shape[-1] // 2)
    count = moments.size[..., None, None]
    mean = moments.first / count
    cov = moments.second / count[..., None] - mean[..., :, None] * mean[..., None, :]
    power = np.diagonal(moments.second, axis1=-2, axis2=-1) / moments.size[..., None, None]
    kept = np.diagonal(cov, axis1=-2, axis2=-1) > _ROUNDING * (power + power.max())
    cov = np.where(kept[..., :, None] & kept[..., None, :], cov, 0.0)
    a, b = (
        (mean[..., chosen], cov[..., chosen, :][..., chosen]) for chosen in (wanted, found)
    )
    return gelbrich(*a, *b).mean(axis=-1)


def _compared(plf: str, window: int) -> tuple[list[int], list[int]]:
    """Places in (x of the window, y of the window) of what a loss wants, and of what it finds."""
    last = window - 1
    if plf == "SA":
        past = list(range(window, window + last))
        return [*past, last], [*past, window + last]
    loss = perception(plf)
    first = loss.first_seen(last) if loss is not None else last
    seen = list(range(first, window))
    return seen, [window + s for s in seen]


def student_quantile(confidence: float, groups: int) -> float:
    """Quantile of Student's distribution for a mean over so many groups."""
    from scipy.stats import t as student

    return float(student.ppf((1 + confidence) / 2, groups - 1))
