"""Burg's method for several sequences, with an exact information criterion."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rdp import _check

Array = np.ndarray

CRITERIA = ("bic", "aic")
_EXACT = 1e-13  # share of the variance that rounding leaves of a sequence predicted exactly


class BurgPath(NamedTuple):
    """What Burg's method finds at the orders 0, 1, .., and which of them is taken."""

    predictors: list[Array]  # (p,) coefficients of order p
    innovation: Array  # variance of the innovation
    correlation: Array  # of consecutive prediction errors
    criterion: Array
    chosen: int
    sigma: float


def fit(x: object, order: int | str, max_order: int, criterion: str) -> BurgPath:
    """Run Burg's method; the arguments are those of `AutoRegressive.from_samples`."""
    data = _check.finite("x", _check.array("x", x, ndim=2))
    n, frames = data.shape
    if data.size < 2:
        raise ValueError(f"x: expected at least 2 values, got shape {data.shape}")
    if criterion not in CRITERIA:
        raise ValueError(f"criterion: expected one of {CRITERIA}, got {criterion!r}")
    if isinstance(order, str):
        if order != "auto":
            raise ValueError(f"order: expected an integer or 'auto', got {order!r}")
        highest = min(_check.count("max_order", max_order), frames - 1)
    else:
        highest = 0 if order == 0 else _check.count("order", order)
        if highest >= frames:
            raise ValueError(
                f"order: expected an order below the {frames} frames of a sequence, got {order}"
            )
    data = data - data.mean()
    scale = np.abs(data).max()
    if not scale > 0:
        raise ValueError("x: expected samples that vary, got a constant")
    data = data / scale
    unit = float((data**2).mean())
    errors = forward = data  # errors[:, t]: prediction of x_t from the frames that exist
    backward = data
    predictors, unexplained, correlation = [np.zeros(0)], [1.0], [_lag_one(data)]
    likelihood = [_deviance(errors, unit * np.ones(frames))]
    variances = np.full(frames, unit)
    for p in range(1, highest + 1):
        f, b = forward[:, 1:], backward[:, :-1]
        power = float((f**2).sum() + (b**2).sum())
        kappa = 2 * float((f * b).sum()) / power if power > 0 else 0.0
        left = (1 - kappa) * (1 + kappa) * unexplained[-1]
        if not left > _EXACT:
            raise ValueError(f"x: order {p} predicts the samples exactly; expected random ones")
        forward, backward = f - kappa * b, b - kappa * f
        # frames p+1.. are predicted with p frames; the earlier ones keep the lower orders
        errors = np.concatenate([errors[:, :p], forward], axis=1)
        variances = np.concatenate([variances[:p], np.full(frames - p, unit * left)])
        before = predictors[-1]
        predictors.append(np.append(before - kappa * before[::-1], kappa))
        unexplained.append(left)
        correlation.append(_lag_one(forward))
        likelihood.append(_deviance(errors, variances))
    price = np.log(n * frames) if criterion == "bic" else 2.0
    scores = np.array(likelihood) + price * (np.arange(highest + 1) + 1)
    best = int(scores.argmin()) if order == "auto" else highest
    sigma = float(np.sqrt(unit) * scale)
    return BurgPath(
        predictors, np.array(unexplained) * sigma**2, np.array(correlation), scores, best, sigma
    )


def _deviance(errors: Array, variances: Array) -> float:
    """Return -2 ln of the Gaussian likelihood of prediction errors, up to a constant."""
    return float((np.log(variances) + errors**2 / variances).sum())


def _lag_one(errors: Array) -> float:
    """Correlation of consecutive prediction errors."""
    power = float((errors**2).sum())
    return float((errors[:, 1:] * errors[:, :-1]).sum()) / power if power > 0 else 0.0
