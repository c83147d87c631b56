"""Parts of `steady_losses`: long runs that are explicit, fixed points or ends of sequences."""

from __future__ import annotations

import numpy as np

from rdp.closed_form import smallest_sd
from rdp.linear_source import LinearSource
from rdp.perception import CP, FMD, Perception
from rdp.solution import Status
from solvers.errors import SolverError
from solvers.linear.decoder import reconstruct
from solvers.linear.measurement import represent

Array = np.ndarray

_HORIZON = 1024  # frames of the longest sequence under PLF-JD(w)
FAR = 1e-6  # largest distance to the limit that is returned, relative to the variance


def explicit(loss: Perception | None, levels: Array, variance: float, m: Array) -> Array:
    """Distortion without a loss and under PLF-FMD (or a window of one) and CP.

    Parameters
    ----------
    loss : Perception or None
    levels, m : (N,) arrays
        Thresholds, and errors of the MMSE estimates.
    variance : float
        Of a frame.
    """
    if loss is None:
        return m
    if isinstance(loss, CP):
        return m + np.maximum(np.sqrt(np.maximum(m, 0.0)) - np.sqrt(levels), 0.0) ** 2
    metric = loss.metric if isinstance(loss, FMD) else "w2"
    sigma = np.sqrt(variance)
    # sigma - sd without cancellation at high rates
    both = sigma + np.sqrt(np.maximum(variance - m, 0.0))
    short = np.divide(m, both, out=np.zeros_like(m), where=both > 0)
    spare = sigma - smallest_sd(sigma, levels, metric)
    return np.asarray(m + np.maximum(short - spare, 0.0) ** 2)


def radius(matrix: Array) -> float:
    """Largest modulus of an eigenvalue.

    Parameters
    ----------
    matrix : (n, n) array
    """
    return float(np.abs(np.linalg.eigvals(matrix)).max(initial=0.0))


def shrinkage(a: Array, measurement: Array, gains: Array, rates: Array) -> float:
    r"""Radius of the derivative of the filter's error over one period, at rates that stay.

    With :math:`\kappa = P^- c / (c^T P^- c)` and k^2 the share that the rate captures,
    :math:`dP = dP^- - k^2 (\kappa c^T dP^- + dP^- c \kappa^T - \kappa c^T dP^- c \kappa^T)`.
    """
    unit, loop = np.eye(len(a)), np.eye(len(a) ** 2)
    for gain, bits in zip(gains, rates, strict=True):
        along = float(measurement @ gain)
        step = np.kron(a, a)
        if along != 0:
            share = -np.expm1(-2 * np.log(2) * bits)
            out = np.outer(gain, measurement) / along
            lost = np.kron(out, unit) + np.kron(unit, out) - np.kron(out, out)
            step = step - share * lost @ step
        loop = step @ loop
    return radius(loop)


def self_adaptive(
    a: Array, h: Array, gains: Array, errors: Array, m: Array, levels: Array
) -> tuple[Array, float]:
    """Distortions under PLF-SA, and the factor of what is known and not reconstructed.

    Parameters
    ----------
    a, h : (n, n) and (n,) arrays
        Transition and output.
    gains, errors : (N, n) and (N, n, n) arrays
        Of the filter.
    m, levels : (N,) arrays
        Errors of the frames, and thresholds.
    """
    scale = float(np.abs(errors).max()) + float(np.abs(gains).max()) ** 2
    held = np.zeros_like(a)
    out = np.zeros(len(gains))
    for _ in range(1_000_000 // len(gains)):
        before, loop = held, np.eye(len(a))
        for t, gain in enumerate(gains):
            known = a @ held @ a.T + np.outer(gain, gain)
            column = known @ h
            spread = max(float(h @ column), 0.0)
            fresh = m[t] + spread
            root = np.sqrt(fresh) + np.sqrt(spread)
            short = m[t] / root if root > 0 else 0.0  # difference, without cancellation
            out[t] = m[t] + max(short - np.sqrt(levels[t]), 0.0) ** 2
            step = a
            if spread > 1e-15 * scale:
                known = known - np.outer(column, column) / spread
                step = a - np.outer(column, h @ a) / spread
            held = 0.5 * (known + known.T)
            loop = step @ loop
        if np.abs(held - before).max() <= 4e-15 * scale:
            return out, radius(loop) ** 2
    raise SolverError(Status.FAILED, "steady_state: PLF-SA does not settle")


def windowed(
    source: LinearSource, rates: Array, measurement: Array, window: int, factor: float
) -> tuple[Array, float, float]:
    """End of a long sequence under PLF-JD(w), its distance to the limit, and the contraction.

    Parameters
    ----------
    source : LinearSource
        Scalar frames, stationary.
    rates : (N,) array
        Of a period.
    measurement : (n,) array
    window : int
        w.
    factor : float
        Contraction of the filter, taken where nothing changes.
    """
    period, sigma = len(rates), float(np.sqrt(source.covariance(1)[0, 0]))
    count = max(4, -(-64 // period), -(-2 * window // period))
    while True:
        frames = count * period
        sent = represent(source, np.tile(rates, count), measurement)
        cov = source.covariance(frames)
        made = reconstruct(cov, sent.factor, "JD", window)
        found = (sent.mmse + made.excess).reshape(count, period)
        change = np.abs(np.diff(found, axis=0)).max(axis=1)
        first, last = float(change[-count // 4 - 1]), float(change[-1])
        noise = 1e-13 * sigma**2
        rate = factor if first <= noise else (max(last, noise) / first) ** (1 / (count // 4))
        if rate < 1 and last * rate / (1 - rate) <= FAR * sigma**2 / 10:
            return found[-1], max(last, noise) * rate / (1 - rate) + noise, rate
        if 2 * frames > _HORIZON:
            raise SolverError(
                Status.INACCURATE,
                f"steady_state: PLF-JD({window}) has not settled after {frames} frames",
            )
        count *= 2
