r"""Noisy observation with a limit on the rate: what the encoder sends is its own estimate.

The encoder sees :math:`Y_t = C S_t + V_t` and sends at most R_t bits in frame t; the frames are
:math:`X_t = h^T S_t`. Its Kalman estimate :math:`\hat S_t = A \hat S_{t-1} + \Gamma_t v_t` is a
linear Gaussian source of the same order, and the error of the estimate is independent of all that
the encoder sees. So for any code

.. math:: E(X_t - \hat X_t)^2 = h^T P_t h + E(h^T \hat S_t - \hat X_t)^2,

and the decoder's estimate is that of :math:`h^T \hat S_t`: coding separates from filtering. Frame
after frame the best measurement is :math:`h^T \hat S_t`, which leaves :math:`m_t = h^T P_t h +
2^{-2R_t} \operatorname{Var}(h^T \hat S_t | U^{t-1})`; with no loss and under PLF-FMD that is the
least for every code, as there D_t increases with m_t.

Under a loss the decoder's target is the distribution of X, not that of the estimate. The rules of
`solvers.linear.decoder`, and above threshold 0 those of `solvers.methods.linear_sequential`, need
the covariance of X and the factor of the decoder's estimate only, so they hold: each frame is the
best one, given the ones before. With weights under PLF-JD at threshold 0, `held_back` gives the
best decoder of this representation with its bound. Open are other encoders, which might serve the
weights better, and weights above threshold 0. Derived in this project.
"""

from __future__ import annotations

import numpy as np

from rdp import _check
from rdp.closed_form import smallest_sd
from rdp.linear_source import LinearFrames
from rdp.perception import CP, FMD, JD, Perception
from rdp.perception import perception as as_perception
from rdp.problem import Problem
from solvers.acceptance import check_block
from solvers.linear.decoder import reconstruct
from solvers.linear.held_back import demand, hold_back, innovations_of
from solvers.linear.perceptual_filter import (
    Observed,
    PerceptualFilter,
    block_factor,
    block_innovations,
)
from solvers.methods.linear_sequential import decode_given

Array = np.ndarray


def coded_filter(
    observed: Observed,
    rates: object,
    perception: Perception | str | None = None,
    weights: object = None,
) -> PerceptualFilter:
    r"""Code a noisily observed source at given rates.

    Minimise :math:`D_1`, then :math:`D_2` given that, and so on, or :math:`\sum_t w_t D_t`.

    Parameters
    ----------
    observed : Observed
        Source with scalar frames, and its observation by the encoder.
    rates : (T,) array, >= 0, bits per frame
        R_t; inf allowed.
    perception : FMD, JD, SA, str or None
        The loss, at any thresholds; JD with a window at threshold 0.
    weights : (T,) array, >= 0, or None
        w_t, with no loss, FMD, or JD without a window at threshold 0; None is the sequential
        objective.

    Returns
    -------
    PerceptualFilter
        `decoder` has the coefficients of the white variables that the encoder sends. With no loss
        or FMD, and for the sequential objective at threshold 0, the bound is the objective itself;
        above 0 it is the sum of the bounds of the frames given the ones before, and with weights
        under JD that of all decoders of this representation.

    Raises
    ------
    ValueError
        Vector frames, bad rates or weights, a loss or threshold that is not covered.
    SolverError
        The solver failed, or its certified gap is too large or negative.

    Examples
    --------
    The error of the filter, 1/2, and that of coding an estimate of variance 1/2 with one bit:

    >>> from rdp import StateSpace
    >>> walk = StateSpace([[0.9]], [[0.19]], [1.0])
    >>> coded_filter(Observed(walk, [[1.0]], [[1.0]]), [1.0]).distortion
    array([0.625])
    """
    source = observed.source
    if source.size != 1:
        raise ValueError(f"observed: expected scalar frames, got {source.size} outputs")
    bits = _check.nonnegative("rates", rates, ndim=1)
    count = _check.count("frames", len(bits))
    w = np.ones(count)
    if weights is not None:
        w = _check.finite("weights", _check.nonnegative("weights", weights, ndim=1))
        if w.shape != (count,):
            raise ValueError(f"weights: expected shape ({count},), got {w.shape}")
    loss = as_perception(perception)
    levels = np.full(count, np.inf) if loss is None else loss.thresholds(count)
    _check_covered(loss, levels, weights is not None)
    gain, m = _sent(observed, bits)
    factor = block_factor(source, gain)
    covariance = source.covariance(count)
    gap = 0.0
    if loss is None or np.isinf(levels).all():
        decoder, noise = factor, np.zeros_like(factor)
    elif isinstance(loss, FMD):
        decoder, noise = _framewise(factor, np.sqrt(np.diag(covariance)), levels, loss.metric)
    elif weights is not None:
        own = block_innovations(source, count)
        wanted, _ = demand(source.transition, source.output, own, w)
        answer = hold_back(source.transition, gain, wanted)
        rows = innovations_of(source.transition, gain, answer)
        lower = block_factor(source, own)
        decoder, noise = lower @ rows.from_estimate, lower @ rows.from_noise
        gap = 2 * answer.gap
    elif levels.any():
        made, bound = decode_given(
            Problem(LinearFrames(source, count), bits, loss), factor, covariance, m
        )
        decoder, noise = made.decoder, made.noise
        gap = float(made.excess.sum() + m.sum()) - bound
    else:
        window = loss.window if isinstance(loss, JD) else None
        made = reconstruct(covariance, factor, "JD" if isinstance(loss, JD) else "SA", window)
        decoder, noise = made.decoder, made.noise
    excess = ((factor - decoder) ** 2).sum(axis=1) + (noise**2).sum(axis=1)
    objective = float(w @ (m + excess))
    variance = float(w @ np.diag(covariance))
    bound = check_block("coded_filter", {}, objective, objective - gap, variance)
    return PerceptualFilter(m + excess, m, objective, bound, decoder, noise)


def _check_covered(loss: Perception | None, levels: Array, weighted: bool) -> None:
    """Raise ValueError for a loss or thresholds without a rule."""
    if loss is None or isinstance(loss, FMD) or np.isinf(levels).all():
        return
    window = loss.window if isinstance(loss, JD) else None
    if isinstance(loss, CP) or (window is not None and levels.any()):
        raise ValueError(
            "perception: expected FMD, JD, SA, or JD with a window at threshold 0, got "
            f"PLF-{loss.name} at {levels}"
        )
    if weighted and (levels.any() or not isinstance(loss, JD) or window is not None):
        above = " above threshold 0" if levels.any() else ""
        raise ValueError(f"weights: expected None with PLF-{loss.name}{above}")


def _sent(observed: Observed, bits: Array) -> tuple[Array, Array]:
    """Gains E[S_t u_t], (T, n, 1), of what is sent, and the errors m_t of the decoder."""
    source = observed.source
    gains, errors = observed.estimate(len(bits))
    a, h = source.transition, source.output[0]
    captured = -np.expm1(-2 * np.log(2) * bits)
    out, m = np.zeros((len(bits), len(a), 1)), np.zeros(len(bits))
    left = np.zeros_like(a)
    for t, (gain, error) in enumerate(zip(gains, errors, strict=True)):
        ahead = a @ left @ a.T + gain @ gain.T
        column = ahead @ h
        spread = max(float(h @ column), 0.0)
        if spread > 1e-15 * float(np.trace(ahead)) * float(h @ h):
            out[t, :, 0] = np.sqrt(captured[t] / spread) * column
        left = ahead - out[t] @ out[t].T
        m[t] = max(float(h @ error @ h), 0.0) + np.exp2(-2 * bits[t]) * spread
    return out, m


def _framewise(factor: Array, sigma: Array, levels: Array, metric: str) -> tuple[Array, Array]:
    """The decoder's estimate with the smallest deviation that the threshold allows."""
    floor = smallest_sd(sigma, levels, metric)
    spread = np.sqrt((factor**2).sum(axis=1))
    known = spread > 1e-9 * sigma
    scale = np.where(known, np.maximum(floor / np.where(known, spread, 1.0), 1.0), 0.0)
    return scale[:, None] * factor, np.diag(np.where(known, 0.0, floor))
