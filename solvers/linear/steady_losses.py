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
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from rdp.closed_form import smallest_sd
from rdp.linear_source import LinearFrames, LinearSource, lyapunov, scalar
from rdp.perception import CP, FMD, JD, SA, Perception
from rdp.solution import Status
from rdp.state_space import StateSpace
from solvers.errors import SolverError
from solvers.linear.decoder import reconstruct
from solvers.linear.joint_encoder import JointEncoder, joint_encoder
from solvers.linear.measurement import represent
from solvers.linear.spectral_near import spectral_near
from solvers.linear.steady_decoder import best_decoder, frame_errors, periodic_filter
from solvers.linear.steady_encoder import SteadyEncoder, steady_encoder

Array = np.ndarray

_ROUNDING = 1e-14  # of the filter, relative to the variance
_HORIZON = 1024  # frames of the longest sequence under PLF-JD(w)
_UNCERTAIN = 1e-3  # relative gap above which the answer is not returned
_FAR = 1e-6  # largest distance to the limit that is returned, relative to the variance


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
    """

    distortion: Array
    mmse: Array
    measurement: Array
    method: str
    error: float
    contraction: float
    lower_bound: float | None = None


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
        JD at P > 0 with a window, rates or thresholds that change; the encoder "optimal" for rates
        that change; poles too near the circle.
    """
    seen = settled(source)
    loss = None if np.isinf(levels).all() else perception
    if _near(loss, levels):
        _check_near(loss, rates, levels)
    a, w, h = scalar(seen)
    variance = float(h @ lyapunov(a, w) @ h)
    if not variance > 0:
        raise ValueError("source: expected frames that vary in the long run, got variance 0")
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
    lowest = min(float(_explicit(FMD(levels), levels, variance, least).mean()), mean)
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
    factor = _shrinkage(a, measurement, gains, rates)
    method, error = "filter", _ROUNDING
    if _near(loss, levels) and np.isfinite(rates[0]):
        answer = spectral_near(seen, float(rates[0]), float(levels[0]), measurement)
        value, least = answer.distortion, answer.lower_bound
        _check_open(value - least, value, variance)
        same, left = np.full(len(rates), value), (value - least) / variance
        return SteadyLosses(same, m, measurement, "spectrum", left, factor, least)
    if isinstance(loss, JD) and loss.window not in (None, 1):
        found, error, factor = _windowed(seen, rates, measurement, int(loss.window), factor)
        return SteadyLosses(found, m, measurement, "finite-horizon", error / variance, factor)
    if isinstance(loss, JD) and loss.window is None:
        best = best_decoder(seen, gains, m)
        lowest = bound
        if lowest is None:  # what keeps the motion keeps each frame
            each = float(_explicit(FMD(0.0), np.zeros(len(m)), variance, m).mean())
            lowest = min(max(best.lower_bound, each), float(best.distortion.mean()))
        gap = float(best.distortion.mean()) - lowest
        _check_open(gap, float(best.distortion.mean()), variance)
        factor = max(factor, _radius(a) ** (2 * len(rates)))
        return SteadyLosses(
            best.distortion, m, measurement, "matrix-inequality", gap / variance, factor, lowest
        )
    if isinstance(loss, SA):
        found, radius = _self_adaptive(a, h, gains, errors, m, levels)
        factor = max(factor, radius)
        if not levels.any():
            return SteadyLosses(found, m, measurement, "fixed-point", _ROUNDING, factor)
        framewise = float(_explicit(FMD(levels), levels, variance, m).mean())
        left = (float(found.mean()) - framewise) / variance
        return SteadyLosses(found, m, measurement, "bounds", left, factor, framewise)
    found = _explicit(loss, levels, variance, m)
    lower = None
    if bound is not None:  # the distortion increases with the error
        lower = float(_explicit(loss, levels, variance, np.full(1, bound))[0])
        error = float(found[0] - lower) / variance
    return SteadyLosses(found, m, measurement, method, error, factor, lower)


def _check_near(loss: Perception | None, rates: Array, levels: Array) -> None:
    """Raise SolverError for what is open under PLF-JD above threshold 0."""
    assert isinstance(loss, JD)
    open_for = {
        "a window": loss.window is not None,
        "rates or thresholds that change": len(rates) > 1 and bool(np.ptp(rates) or np.ptp(levels)),
    }
    for what, given in open_for.items():
        if given:
            raise SolverError(
                Status.UNSUPPORTED,
                f"steady_state: PLF-JD at P > 0 with {what} is open for sources of higher order; "
                "known are a constant rate and threshold, and no window; for a finite horizon, "
                "solve a Problem",
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
    constant = bool(np.ptp(rates) == 0) if np.isfinite(rates).all() else len(rates) == 1
    joint = isinstance(loss, JD) and loss.window is None and not levels.any()
    if encoder == "optimal":
        if not constant:
            raise SolverError(
                Status.UNSUPPORTED,
                "steady_state: encoder 'optimal' is not known for rates that change with sources "
                "of higher order; take encoder 'mmse'",
            )
        if joint and 0 < rates[0] < np.inf:
            made = _joint_encoder(source, float(rates[0]))
            if made is not None:
                return made.measurement, made.lower_bound
    plain = _plain_encoder(source, float(rates.mean()))
    if encoder == "optimal" and joint and 0 < rates[0] < np.inf:
        # what keeps the motion keeps each frame, and at high rates costs no more
        variance = float(source.covariance(1)[0, 0])
        least = _explicit(FMD(0.0), np.zeros(1), variance, np.full(1, plain.lower_bound))
        return plain.measurement, float(least[0])
    explicit = loss is None or not isinstance(loss, (JD, SA)) or _one_frame(loss)
    return plain.measurement, plain.lower_bound if constant and explicit else None


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


def _explicit(loss: Perception | None, levels: Array, variance: float, m: Array) -> Array:
    """Distortion without a loss and under PLF-FMD (or a window of one) and CP."""
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


def _radius(matrix: Array) -> float:
    return float(np.abs(np.linalg.eigvals(matrix)).max(initial=0.0))


def _shrinkage(a: Array, measurement: Array, gains: Array, rates: Array) -> float:
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
    return _radius(loop)


def _self_adaptive(
    a: Array, h: Array, gains: Array, errors: Array, m: Array, levels: Array
) -> tuple[Array, float]:
    """Distortions under PLF-SA, and the factor of what is known and not reconstructed."""
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
            return out, _radius(loop) ** 2
    raise SolverError(Status.FAILED, "steady_state: PLF-SA does not settle")


def _windowed(
    source: LinearSource, rates: Array, measurement: Array, window: int, factor: float
) -> tuple[Array, float, float]:
    """End of a long sequence under PLF-JD(w), its distance to the limit, and the contraction."""
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
        if rate < 1 and last * rate / (1 - rate) <= _FAR * sigma**2 / 10:
            return found[-1], max(last, noise) * rate / (1 - rate) + noise, rate
        if 2 * frames > _HORIZON:
            raise SolverError(
                Status.INACCURATE,
                f"steady_state: PLF-JD({window}) has not settled after {frames} frames",
            )
        count *= 2


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
        _explicit(loss, levels[t : t + 1], float(frames.variance[t]), sent.mmse[t : t + 1])
        for t in range(len(rates))
    ]
    return np.concatenate(each)
