r"""Steady state of a source of any order under each loss, for one representation.

The encoder measures one direction of the state; the Kalman filter settles to gains
:math:`\gamma_t` and errors :math:`m_t` of the period of the rates. Then

.. math::
    \text{FMD: } & D_t = m_t + (\hat s_t - \sqrt{\sigma^2 - m_t})_+^2, \\
    \text{CP: } & D_t = m_t + (\sqrt{m_t} - \sqrt{P_t})_+^2, \\
    \text{SA: } & D_t = m_t + (\sqrt{\omega_t} - \sqrt{h^T Q_t h} - \sqrt{P_t})_+^2, \qquad
        \omega_t = h^T (P_t + Q_t) h, \quad
        Q_t = A (Q_{t-1} - g_{t-1} g_{t-1}^T) A^T + \gamma_t \gamma_t^T,

with the smallest deviation :math:`\hat s_t` that the threshold allows and :math:`g_t` along
:math:`Q_t h`. PLF-JD takes the decoder of least mean distortion: at P = 0 `steady_decoder`, above
it and at a constant rate `spectral_near`. PLF-JD(w) is the end of a long sequence of the sequential
rule. PLF-SA at P = 0 is the sequential rule. Above it the value is that of a scheme: the mean given
the past is kept and its deviation alone is smaller, which is within the threshold; the bound is
PLF-FMD, whose constraint is a part of that of PLF-SA.

**PLF-JD above 0 with a window, at rates or thresholds that change, or with poles too near the
circle for spectra**: a scheme too. With :math:`\hat X^0` of threshold 0,
:math:`\hat X = (1 - \theta) \tilde X + \theta \hat X^0` has the
distance :math:`(1 - \theta)^2 E(\tilde X - \hat X^0)^2` at most, and

.. math:: D_t = m_t + \theta^2 (D^0_t - m_t) .

At a constant rate, a window of w frames also allows what P/w allows without a window, and the
better of both is taken. The bound is that of each frame alone, whose distances are p_t on average:
with :math:`a_t = \sigma - \sqrt{\sigma^2 - m_t}`, by Minkowski,

.. math:: \overline{D} \ge \overline{m}
          + \bigl(\sqrt{\overline{a^2}} - \sqrt{\overline{p}}\bigr)_+^2 .

**The encoder "optimal" at rates that change** is the best of a few directions of measurement. The
bound is that of the constant rate of the same mean: the programs of `steady_encoder` and
`joint_encoder` are convex in the errors of the state, the rates of a period enter through their
sum, and the distortions above are convex and increasing in m_t.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from rdp.linear_source import LinearFrames, LinearSource, lyapunov, scalar
from rdp.perception import FMD, JD, SA, Perception
from rdp.solution import Status
from rdp.state_space import StateSpace
from solvers.errors import SolverError
from solvers.linear.decoder import reconstruct
from solvers.linear.joint_encoder import JointEncoder, joint_encoder
from solvers.linear.measurement import represent
from solvers.linear.spectral_near import spectral_near
from solvers.linear.steady_decoder import best_decoder, frame_errors, periodic_filter
from solvers.linear.steady_encoder import SteadyEncoder, steady_encoder
from solvers.linear.steady_limits import (
    explicit,
    radius,
    self_adaptive,
    shrinkage,
    windowed,
)

Array = np.ndarray

_ROUNDING = 1e-14  # of the filter, relative to the variance
_UNCERTAIN = 1e-3  # relative gap above which the answer is not returned


class SteadyLosses(NamedTuple):
    """Long run of one loss.

    Parameters
    ----------
    distortion, mmse : (N,) arrays
        D_t and m_t of each frame of the period.
    measurement : (n,) array
        Direction of the state that the encoder measures.
    method : str
        How the distortions were found.
    error : float
        Distance to the limit, or certified gap, relative to the variance.
    contraction : float
        Factor by which the distance to the limit shrinks in one period, sequential decoder.
    lower_bound : float or None
        Bound of the mean distortion, where there is one.
    sequential : (N,) array or None
        D_t of the sequential decoder, where `distortion` is that of least mean under PLF-JD.
    """

    distortion: Array
    mmse: Array
    measurement: Array
    method: str
    error: float
    contraction: float
    lower_bound: float | None = None
    sequential: Array | None = None


def steady_losses(
    source: LinearSource,
    rates: Array,
    perception: Perception | None,
    levels: Array,
    encoder: str = "mmse",
) -> SteadyLosses:
    """Distortion of each frame of a period in the long run.

    Parameters
    ----------
    source : LinearSource
        Scalar frames, all poles inside the unit circle.
    rates : (N,) array, >= 0, bits per frame
        Rates of one period.
    perception : Perception or None
        The loss.
    levels : (N,) array
        Thresholds of the period.
    encoder : {"mmse", "optimal"}
        Encoder of least mean squared error, or the one made for PLF-JD.

    Raises
    ------
    ValueError
        Vector frames, poles on or outside the unit circle, frames without variance.
    SolverError
        JD at P > 0 with thresholds of which some are inf; poles too near the circle.
    """
    seen = settled(source)
    loss = None if np.isinf(levels).all() else perception
    if _near(loss, levels):
        _check_near(levels)
    a, w, h = scalar(seen)
    variance = float(h @ lyapunov(a, w) @ h)
    if not variance > 0:
        raise ValueError("source: expected frames that vary in the long run, got variance 0")
    if encoder == "optimal" and not _constant(rates):
        return _changing(seen, rates, loss, levels)
    plain, bound = _encoder(seen, rates, loss, levels, encoder)
    if encoder == "mmse" or bound is not None or not 0 < rates[0] < np.inf:
        return _with_measurement(seen, rates, loss, levels, plain, bound)
    # no program for this loss: the better of two encoders, and the bound of PLF-FMD for all
    made = _joint_encoder(seen, float(rates[0]))
    others = [] if made is None else [made.measurement]
    tried = [_with_measurement(seen, rates, loss, levels, c, None) for c in (plain, *others)]
    best = min(tried, key=lambda one: float(one.distortion.mean()))
    least = np.full(len(rates), _plain_encoder(seen, float(rates[0])).lower_bound)
    mean = float(best.distortion.mean())
    lowest = min(float(explicit(FMD(levels), levels, variance, least).mean()), mean)
    return best._replace(error=(mean - lowest) / variance, lower_bound=lowest)


@lru_cache(maxsize=32)
def settled(source: LinearSource) -> LinearSource:
    """Return a source in its long run: no state that no frame shows, and a stationary start.

    Parameters
    ----------
    source : LinearSource
        All poles that the frames show are inside the unit circle.

    Examples
    --------
    >>> start = StateSpace([[0.5]], [[0.75]], [1.0], initial=[[0.0]])
    >>> float(settled(start).covariance(frames=1)[0, 0])
    1.0
    """
    if not isinstance(source, StateSpace):
        return source
    seen = source.observable()
    return StateSpace(seen.transition, seen.noise, seen.output)


def _near(loss: Perception | None, levels: Array) -> bool:
    """Whether the loss is PLF-JD above threshold 0, with a window or not."""
    return isinstance(loss, JD) and loss.window != 1 and bool(levels.any())


def _with_measurement(
    seen: LinearSource,
    rates: Array,
    loss: Perception | None,
    levels: Array,
    measurement: Array,
    bound: float | None,
) -> SteadyLosses:
    """Long run of one loss for one direction of measurement; `bound` is that of all encoders."""
    a, w, h = scalar(seen)
    variance = float(h @ lyapunov(a, w) @ h)
    gains, errors = _filter(seen, tuple(rates.tolist()), tuple(measurement.tolist()))
    m = np.minimum(frame_errors(seen, rates, measurement, errors), variance)
    m = m if rates.any() else np.full(len(rates), variance)
    factor = shrinkage(a, measurement, gains, rates)
    method, error = "filter", _ROUNDING
    if isinstance(loss, JD) and _near(loss, levels) and np.isfinite(rates).any():
        if loss.window is not None or not _constant(rates) or not _constant(levels):
            return _nearly(seen, rates, loss, levels, measurement)
        try:
            answer = spectral_near(seen, float(rates[0]), float(levels[0]), measurement)
        except SolverError:  # poles too near the circle
            return _nearly(seen, rates, loss, levels, measurement)
        value, least = answer.distortion, answer.lower_bound
        _check_open(value - least, value, variance)
        same, left = np.full(len(rates), value), (value - least) / variance
        return SteadyLosses(same, m, measurement, "spectrum", left, factor, least)
    if isinstance(loss, JD) and loss.window not in (None, 1):
        found, error, factor = windowed(seen, rates, measurement, int(loss.window), factor)
        return SteadyLosses(found, m, measurement, "finite-horizon", error / variance, factor)
    if isinstance(loss, JD) and loss.window is None:
        best = best_decoder(seen, gains, m)
        lowest = bound
        if lowest is None:  # what keeps the motion keeps each frame
            each = float(explicit(FMD(0.0), np.zeros(len(m)), variance, m).mean())
            lowest = min(max(best.lower_bound, each), float(best.distortion.mean()))
        gap = float(best.distortion.mean()) - lowest
        _check_open(gap, float(best.distortion.mean()), variance)
        factor = max(factor, radius(a) ** (2 * len(rates)))
        return SteadyLosses(
            best.distortion, m, measurement, "matrix-inequality", gap / variance, factor, lowest,
            best.sequential,
        )  # fmt: skip
    if isinstance(loss, SA):
        found, kept = self_adaptive(a, h, gains, errors, m, levels)
        factor = max(factor, kept)
        if not levels.any():
            return SteadyLosses(found, m, measurement, "fixed-point", _ROUNDING, factor)
        framewise = float(explicit(FMD(levels), levels, variance, m).mean())
        left = (float(found.mean()) - framewise) / variance
        return SteadyLosses(found, m, measurement, "bounds", left, factor, framewise)
    found = explicit(loss, levels, variance, m)
    lower = None
    if bound is not None:  # the distortion increases with the error
        lower = float(explicit(loss, levels, variance, np.full(1, bound))[0])
        error = float(found[0] - lower) / variance
    return SteadyLosses(found, m, measurement, method, error, factor, lower)


def _check_near(levels: Array) -> None:
    """Raise SolverError for what is open under PLF-JD above threshold 0."""
    if np.isinf(levels).any():
        raise SolverError(
            Status.UNSUPPORTED,
            "steady_state: PLF-JD at P > 0 with thresholds of which some are inf is open for "
            "sources of higher order; for a finite horizon, solve a Problem",
        )


def _constant(rates: Array) -> bool:
    """Whether all frames of a period have one rate."""
    return bool((rates == rates[0]).all())


def _changing(
    seen: LinearSource, rates: Array, loss: Perception | None, levels: Array
) -> SteadyLosses:
    """The best of a few encoders at rates that change, and the bound of all encoders."""
    _, _, h = scalar(seen)
    variance, mean = float(seen.covariance(1)[0, 0]), float(rates.mean())
    plain = _plain_encoder(seen, mean)
    joint = _joint_encoder(seen, mean) if np.isfinite(mean) else None
    others = [] if joint is None else [joint.measurement]
    tried = [
        _with_measurement(seen, rates, loss, levels, c, None)
        for c in (plain.measurement, h, *others)
    ]
    best = min(tried, key=lambda one: float(one.distortion.mean()))
    level, of = float(levels.max()), loss
    if isinstance(loss, (JD, SA)):
        of = FMD(0.0)
        level = level if isinstance(loss, SA) else float(levels.mean()) / (loss.window or 1)
    least = np.full(1, plain.lower_bound)
    lowest = float(explicit(of, np.full(1, level), variance, least)[0])
    if isinstance(loss, JD) and loss.window is None and not levels.any() and joint is not None:
        lowest = max(lowest, joint.lower_bound)
    reached = float(best.distortion.mean())
    lowest = min(lowest, reached)
    return best._replace(error=(reached - lowest) / variance, lower_bound=lowest)


def _nearly(
    seen: LinearSource, rates: Array, loss: JD, levels: Array, measurement: Array
) -> SteadyLosses:
    """PLF-JD above 0 where no program is known: a scheme and a bound, see the module."""
    given = np.zeros(len(rates)), measurement, None
    try:
        exact = _with_measurement(seen, rates, loss.at(0.0), *given)
    except SolverError:
        if loss.window is None:
            raise
        exact = _with_measurement(seen, rates, JD(0.0), *given)  # keeps every window too
    variance, m = float(seen.covariance(1)[0, 0]), exact.mmse
    excess, window = np.maximum(exact.distortion - m, 0.0), loss.window
    if window is None:
        allowed, used = levels.mean(keepdims=True), excess.mean(keepdims=True)
    else:
        last = np.arange(len(m))[:, None] - np.arange(window)
        allowed, used = levels, excess[last % len(m)].sum(axis=1)
    share = np.sqrt(np.divide(allowed, used, out=np.ones_like(used), where=used > allowed)).min()
    found = m + (1 - share) ** 2 * excess
    level = float(levels.mean()) / (window or 1)
    if window is not None and _constant(rates) and _constant(levels):
        try:
            near = spectral_near(seen, float(rates[0]), level, measurement).distortion
        except SolverError:
            near = np.inf  # poles too near the circle: the scheme above stays
        found = np.minimum(found, near)
    short = explicit(FMD(0.0), np.zeros(len(m)), variance, m) - m  # a_t^2
    beyond = max(float(np.sqrt(short.mean())) - np.sqrt(level), 0.0)
    lowest = min(float(m.mean()) + beyond**2, float(found.mean()))
    left = (float(found.mean()) - lowest) / variance
    return exact._replace(
        distortion=found, method="bounds", error=left, lower_bound=lowest, sequential=None
    )


def _check_open(gap: float, distortion: float, variance: float) -> None:
    """Raise SolverError where value and bound are too far apart."""
    if not gap <= _UNCERTAIN * (distortion + 1e-6 * variance):
        raise SolverError(
            Status.INACCURATE,
            f"steady_state: PLF-JD has distortion {distortion:.3e} but bound "
            f"{distortion - gap:.3e}; poles too near the circle for float64",
        )


def _encoder(
    source: LinearSource, rates: Array, loss: Perception | None, levels: Array, encoder: str
) -> tuple[Array, float | None]:
    """Direction of measurement, and the bound of all encoders where a program has one."""
    joint = isinstance(loss, JD) and loss.window is None and not levels.any()
    if encoder == "optimal":
        if joint and 0 < rates[0] < np.inf:
            made = _joint_encoder(source, float(rates[0]))
            if made is not None:
                return made.measurement, made.lower_bound
    plain = _plain_encoder(source, float(rates.mean()))
    if encoder == "optimal" and joint and 0 < rates[0] < np.inf:
        # what keeps the motion keeps each frame, and at high rates costs no more
        variance = float(source.covariance(1)[0, 0])
        least = explicit(FMD(0.0), np.zeros(1), variance, np.full(1, plain.lower_bound))
        return plain.measurement, float(least[0])
    known = loss is None or not isinstance(loss, (JD, SA)) or _one_frame(loss)
    return plain.measurement, plain.lower_bound if _constant(rates) and known else None


def _one_frame(loss: Perception) -> bool:
    """Whether the loss is PLF-JD with a window of one frame, which is PLF-FMD."""
    return isinstance(loss, JD) and loss.window == 1


@lru_cache(maxsize=32)
def _plain_encoder(source: LinearSource, rate: float) -> SteadyEncoder:
    """Encoder of least mean squared error, found once for all losses of one (frozen) source."""
    return steady_encoder(source, rate)


@lru_cache(maxsize=32)
def _joint_encoder(source: LinearSource, rate: float) -> JointEncoder | None:
    """Encoder made for PLF-JD; None where float64 does not resolve it, as at high rates."""
    try:
        return joint_encoder(source, rate)
    except SolverError:
        return None


@lru_cache(maxsize=32)
def _filter(
    source: LinearSource, rates: tuple[float, ...], measurement: tuple[float, ...]
) -> tuple[Array, Array]:
    """Gains and errors of the Kalman filter, found once for all losses."""
    return periodic_filter(source, np.array(rates), np.array(measurement))


def approach(
    source: LinearSource, rates: Array, perception: Perception | None, levels: Array,
    measurement: Array,
) -> Array:  # fmt: skip
    """Distortion of the first frames by the sequential decoder, (T,).

    Parameters
    ----------
    source : LinearSource
        Scalar frames.
    rates, levels : (T,) arrays
        Rates and thresholds.
    perception : Perception or None
        The loss; JD and SA at threshold 0.
    measurement : (n,) array
        Direction of the state that the encoder measures.
    """
    finite = levels[np.isfinite(levels)]
    window = perception.window if isinstance(perception, JD) else None
    if finite.any() and isinstance(perception, (JD, SA)) and window != 1:
        what = f"no closed form for PLF-{perception.name} at P > 0"
        raise SolverError(Status.UNSUPPORTED, f"approach: {what}; solve a Problem")
    seen = source.observable() if isinstance(source, StateSpace) else source
    sent = represent(seen, rates, measurement)
    frames = LinearFrames(seen, len(rates))
    if isinstance(perception, (JD, SA)) and not np.isinf(levels).all():
        name = "JD" if isinstance(perception, JD) else "SA"
        width = None if window is None else min(window, len(rates))
        return sent.mmse + reconstruct(frames.covariance(), sent.factor, name, width).excess
    loss = None if np.isinf(levels).all() else perception
    each = [
        explicit(loss, levels[t : t + 1], float(frames.variance[t]), sent.mmse[t : t + 1])
        for t in range(len(rates))
    ]
    return np.concatenate(each)
