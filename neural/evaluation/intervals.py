"""Confidence intervals of means and of shares, and the jackknife for what is not a mean."""

from __future__ import annotations

import math

import numpy as np

Array = np.ndarray


def half_width(samples: Array) -> Array:
    """Half the width of the 95% interval of a mean of independent samples over the first axis."""
    return 1.96 * samples.std(axis=0, ddof=1) / math.sqrt(len(samples))


def ends(centre: Array, half: Array) -> Array:
    """Lower and upper ends (T, 2) of intervals of values that are not negative."""
    return np.stack([np.maximum(centre - half, 0.0), centre + half], axis=1)


def share_ends(share: float, count: int) -> tuple[float, float]:
    """Return the ends of the 95% interval of a share of so many independent samples.

    The interval is Wilson's: the shares that differ from the measured one by at most 1.96 of their
    own standard errors. It does not shrink to a point where the measured share is 0 or 1.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.

    Parameters
    ----------
    share : float
        From 0 to 1.
    count : int, >= 1
        Samples.

    Examples
    --------
    >>> [round(end, 3) for end in share_ends(1.0, 100)]
    [0.963, 1.0]
    """
    weight = 1.96**2 / count
    middle = (share + weight / 2) / (1 + weight)
    half = math.sqrt(weight * (share * (1 - share) + weight / 4)) / (1 + weight)
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return min(low, share), max(high, share)  # rounded, they could miss a share of 0 or 1


def jackknife(values: Array, quantile: float = 1.96) -> tuple[float, float]:
    """Value without the bias that the jackknife finds, and half the width of its interval.

    Parameters
    ----------
    values : (batches + 1,) array
        From all samples, then from all samples but one batch, for each batch.
    quantile : float
        Width in standard errors.
    """
    full, left = values[0], values[1:]
    count, mean = len(left), left.mean()
    spread = math.sqrt((count - 1) / count * ((left - mean) ** 2).sum())
    return float(count * full - (count - 1) * mean), quantile * spread
