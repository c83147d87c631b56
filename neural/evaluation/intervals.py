"""Confidence intervals of means, and the jackknife for what is not a mean."""

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
