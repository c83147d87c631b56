"""`steady_state`: the distortion of every loss in the long run, at rates that repeat."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rdp import CP, FMD, JD, SA, GaussMarkov, Perception, Problem, _check
from rdp import perception as as_perception
from rdp import steady_state as formulas
from rdp.linear_source import LinearFrames, LinearSource
from rdp.solution import Status
from rdp.steady_windowed import WindowedState, zero_perception_windowed
from solvers.errors import SolverError
from solvers.linear import steady_losses
from solvers.linear.measurement import represent
from solvers.steady_answer import OBJECTIVES, SteadyState, first_order, period_levels
from solvers.steady_threshold import joint_above_zero, perfect_joint

Array = np.ndarray

_ROUNDING = 1e-15  # of the explicit states, relative to the variance
_HORIZON = 64  # frames of the longest finite problem that is solved
_AIM = 1e-10  # distance to the limit that a finite horizon aims at, relative to the variance
_SLOW = 1e-3  # share of the distance that a horizon leaves above which it is not tried
_SMALL = 1e-4  # threshold, relative to the variance, whose bound serves threshold 0
_FAR = 1e-6  # and the largest one that is returned

_OBJECTIVE = {  # of each method for sources of higher order
    "filter": "both",
    "matrix-inequality": "mean",
    "spectrum": "mean",
    "bounds": "mean",
    "fixed-point": "sequential",
    "finite-horizon": "sequential",
}


def steady_state(
    source: GaussMarkov | LinearSource,
    rates: object,
    perception: Perception | str | None = None,
    window: int | None = None,
    encoder: str = "mmse",
    *,
    objective: str | None = None,
) -> SteadyState:
    r"""Distortion of each frame of a period, in the long run, at rates that repeat.

    Two objectives, at rates :math:`R_1, .., R_N, R_1, ..` and thresholds P_t. "sequential" is the
    limit, period after period, of: minimise :math:`D_1`, then :math:`D_2` given that, and so on.
    "mean" is the least mean distortion over a period. Without a loss, under FMD and CP, and under
    JD with a source of first order at a constant rate, both are the same. Else they differ, and
    `SteadyState.objective` says which one the answer has.

    Parameters
    ----------
    source : GaussMarkov, AutoRegressive or StateSpace
        A stationary scalar source; a GaussMarkov has at least two frames, and their number plays no
        role.
    rates : float or (N,) array, >= 0, bits per frame
        One number, or the rates of one period; inf allowed.
    perception : FMD, JD, SA, CP, str or None
        The loss; a name is the loss at threshold 0. `levels` is one number, or has one for each
        frame of the period. For JD, P is the distance per frame: :math:`W_2^2` of the first t
        frames is at most t P, and in the limit the rho-bar distance of the processes is at most P
        (the mean of several levels, so that one level of inf frees all frames). With a window, P is
        the distance of w frames together.
    window : int or None
        For JD: number of consecutive frames that the loss sees, if the loss does not bring
        one. None is all.
    encoder : {"mmse", "optimal"}
        Encoder of least mean squared error in the long run at the mean rate, or, for sources of
        higher order, the one made for PLF-JD at P = 0. For PLF-SA, JD(w) and JD at P > 0 "optimal"
        is the better of both, with the bound of PLF-FMD. At rates that change "optimal" is the best
        of these two for the mean rate and the measurement of the frame itself, with the bound of
        the constant rate. For sources of first order all are the same. The encoder
        "mmse" of a `Problem` is another one: it measures the frame itself, as its first frames
        count first.

    objective : {"sequential", "mean"} or None
        None is "sequential" for SA at P = 0 and JD(w) at P = 0, and for JD at P = 0 if the source
        is of first order; else "mean". SA at P > 0 is "sequential" where 64 frames settle. For
        "mean" under SA, and JD(w) at P = 0, the answer is a scheme and a bound.

    Returns
    -------
    SteadyState

    Raises
    ------
    ValueError
        The source is not stationary, bad rates, a window without JD, an unknown encoder or
        objective.
    SolverError
        The objective "sequential" for JD at P > 0, unless the source is of first order and the
        rate is constant without a window; for SA at P > 0 where 64 frames do not settle. JD at
        P > 0 that binds, with rates that change and \|rho\| > .9992; with a window, levels of which
        some are 0 and others not; a horizon of 64 frames is too short for SA at P > 0. For sources
        of higher order: JD at P > 0 with thresholds of which some are inf; poles too near the
        circle for float64.

    Notes
    -----
    Covered by default, with the method: no loss, FMD and CP at any P, JD and SA at P = 0: explicit.
    JD(w) at P = 0: a fixed point. JD at P > 0 and constant rate: FMD's value, at P / w for a window
    of w. It is a lower bound, as the marginal distances of the frames sum up to no more than that
    of all of them. Scaling the MMSE estimate reaches it: its spectrum is that of the source times
    1 - m at unit variance. The sequential objective gets there too without a window, at all
    (rho, R, P) for which long horizons were solved. JD at P > 0 and rates that change, with or
    without a window: the decoder of least *mean* distortion, with a certified bound
    (``solvers._steady``). As P falls to 0 it goes to the objective "mean" of P = 0, and not to
    "sequential", which costs more. SA at P > 0: the end of a long finite problem, which
    :func:`solvers.solve` solves and certifies.

    Sources of higher order (:mod:`solvers.linear.steady_losses`): the encoder measures one
    direction of the state, the best one for the mean squared error at the mean rate. No loss, FMD
    and CP at any P, SA and JD(w) at P = 0 have the decoder of the sequential objective. JD at P = 0
    is the decoder of least *mean* distortion, by a matrix inequality and its dual; a sequential
    decoder may lose to it. So is JD at P > 0, from spectra (:mod:`solvers.linear.spectral_near`).
    SA at P > 0 is the end of 64 frames; where they do not settle, a scheme and a lower bound. So is
    JD at P > 0 with a window, or with rates or thresholds that change.

    AutoRegressive and StateSpace of first order have the answers of the GaussMarkov source, and
    the method of higher order only where that has none.

    Examples
    --------
    A decoder that plans for later frames saves a third where the quality changes:

    >>> from rdp import GaussMarkov
    >>> source = GaussMarkov.stationary(rho=0.9, frames=2)
    >>> for objective in ("sequential", "mean"):
    ...     print(round(steady_state(source, [1.0, 0.1], "JD", objective=objective).mean, 4))
    0.3524
    0.2376

    Motion of second order makes JD pay for ever, and an encoder made for it saves a fifth:

    >>> from rdp import AutoRegressive
    >>> motion = AutoRegressive.from_poles(0.95 * np.exp([0.3j, -0.3j]))
    >>> for loss in (None, "FMD", "JD"):
    ...     print(round(steady_state(motion, 0.5, loss).mean, 4))
    0.0558
    0.0566
    0.1199
    >>> round(steady_state(motion, 0.5, "JD", encoder="optimal").mean, 4)
    0.0977

    An intra frame every eight frames, at a mean rate of half a bit:

    >>> from rdp import FMD, JD, GaussMarkov
    >>> source = GaussMarkov.stationary(rho=0.97, frames=2)
    >>> period = [2.25] + 7 * [0.25]
    >>> for loss in (None, FMD(0.0), JD(0.0)):
    ...     print(round(steady_state(source, period, loss).mean, 5))
    0.08272
    0.08487
    0.18251
    """
    if encoder not in ("mmse", "optimal"):
        raise ValueError(f"encoder: expected 'mmse' or 'optimal', got {encoder!r}")
    if objective is not None and objective not in OBJECTIVES:
        raise ValueError(f"objective: expected 'sequential' or 'mean', got {objective!r}")
    if isinstance(source, LinearFrames):
        source = source.source
    loss = as_perception(perception, window=window)
    if isinstance(source, GaussMarkov) or not isinstance(source, LinearSource):
        return _with_objective(source, rates, loss, encoder, objective)
    if (same := first_order(source)) is not None:
        try:
            found = _with_objective(same, rates, loss, encoder, objective)
        except SolverError:  # what first order refuses, the methods of any order may bound
            return _with_objective(source, rates, loss, encoder, objective)
        bound, error = found.lower_bound, found.error
        if bound is None and found.objective == "both":
            bound = found.mean
        elif bound is None and encoder == "optimal":  # that of all encoders: each frame alone
            assert found.perception is not None
            each = FMD(found.perception.levels)
            bound = min(_with_objective(same, rates, each, encoder, None).mean, found.mean)
            error = (found.mean - bound) / formulas.parameters(same)[1] ** 2
        return replace(
            found,
            source=source,
            measurement=_check.frozen(np.ones(1)),
            lower_bound=bound,
            error=error,
        )
    return _with_objective(source, rates, loss, encoder, objective)


def _with_objective(
    source: GaussMarkov | LinearSource,
    rates: object,
    perception: Perception | None,
    encoder: str,
    objective: str | None,
) -> SteadyState:
    """The answer that is known, or the one that is asked for."""
    if isinstance(source, GaussMarkov):
        found = _first_order(source, rates, perception)
    else:
        found = _higher_order(source, rates, perception, encoder, objective == "sequential")
    if objective is None or found.objective in ("both", objective):
        return found
    loss, bits = found.perception, found.rates
    if objective == "sequential":
        raise SolverError(
            Status.UNSUPPORTED,
            f"steady_state: PLF-{loss.name if loss else 'MMSE'} at P > 0 with the sequential "
            "objective is not known here, only the least mean; ask for objective 'mean'",
        )
    if isinstance(source, GaussMarkov) and isinstance(loss, JD) and loss.window is None:
        least, bound = perfect_joint(source, bits)
        gap = (float(least.mean()) - bound) / formulas.parameters(source)[1] ** 2
        return replace(
            found, distortion=_check.frozen(least), objective="mean", method="matrix-inequality",
            error=gap, lower_bound=bound,
        )  # fmt: skip
    assert loss is not None
    return _bracket(found, encoder)


def _bracket(found: SteadyState, encoder: str) -> SteadyState:
    """Least mean between a scheme and a bound: what keeps the loss keeps each frame."""
    source, bits, loss = found.source, found.rates, found.perception
    assert loss is not None
    schemes = [found.distortion]
    if isinstance(loss, JD):  # what keeps all frames keeps each window
        joint = JD(0.0)
        schemes.append(_with_objective(source, bits, joint, encoder, "mean").distortion)
    best = min(schemes, key=lambda one: float(one.mean()))
    each = _with_objective(source, bits, FMD(loss.levels), encoder, None)
    bound = each.mean if each.lower_bound is None else each.lower_bound
    if isinstance(source, GaussMarkov):
        variance = formulas.parameters(source)[1] ** 2
        if isinstance(loss, JD):  # what is allowed above 0 costs no more than at 0
            bound = max(bound, _bound_above_zero(source, bits, variance, loss.window))
    else:
        variance = float(steady_losses.settled(source).covariance(1)[0, 0])
    bound = min(bound, float(best.mean()))
    return replace(
        found, distortion=best, objective="mean", method="bounds",
        error=(float(best.mean()) - bound) / variance, lower_bound=bound,
    )  # fmt: skip


def _bound_above_zero(
    source: GaussMarkov, bits: Array, variance: float, window: int | None
) -> float:
    """Bound of the mean under PLF-JD(w) at a small threshold; 0 where none is known."""
    try:
        near = joint_above_zero(source, bits, np.full(len(bits), _SMALL * variance), window)
    except SolverError:
        return 0.0
    return near[1] or 0.0


def _first_order(source: GaussMarkov, rates: object, perception: Perception | None) -> SteadyState:
    """Steady state of a source of first order."""
    rho, sigma = formulas.parameters(source)
    bits = _check.frozen(formulas.check_period(rates))
    if bits.ndim != 1:
        raise ValueError(f"rates: expected one number or one period, got shape {bits.shape}")
    window = perception.window if isinstance(perception, JD) else None
    levels = np.zeros(len(bits)) if perception is None else period_levels(perception, len(bits))
    m = formulas.mmse(source, bits)
    method, error, lower_bound = "closed-form", _ROUNDING, None
    backbone = formulas.contraction(source, bits)
    factor: float | None = backbone
    constant = bool((bits == bits[0]).all())
    objective = "both"
    if perception is None or np.isinf(levels).all():
        found = m
    elif isinstance(perception, FMD):
        found = formulas.framewise(source, bits, levels, perception.metric)
    elif isinstance(perception, CP):
        found = m + np.maximum(np.sqrt(m) - np.sqrt(levels), 0.0) ** 2
    elif isinstance(perception, JD) and not levels.any():
        if not constant and window != 1 and abs(rho) < 1:
            objective = "sequential"
        if window is None:
            found = formulas.zero_perception_joint(source, bits)
            factor = formulas.contraction(source, bits, joint=True)
        else:
            state = _windowed(source, bits, window)
            found, factor, method = state.distortion, state.contraction, "fixed-point"
            slowest = max(factor, formulas.contraction(source, bits, joint=True))
            error += state.change / (1 - slowest) if slowest < 1 else 0.0
    elif isinstance(perception, JD):
        found, lower_bound = joint_above_zero(source, bits, levels, window)
        factor = None
        if window != 1 and (window is not None or not constant or np.ptp(levels) > 0):
            objective = "mean"
        if lower_bound is not None:
            method, error = "coupling", (found.mean() - lower_bound) / sigma**2
    elif not levels.any():
        found, objective = formulas.zero_perception_self_adaptive(source, bits), "sequential"
    else:
        objective = "sequential"
        found, error = _finite(rho, sigma, bits, levels, backbone)
        method = "finite-horizon"
    distortion, m = _check.frozen(found), _check.frozen(m)
    return SteadyState(
        source=source,
        rates=bits,
        perception=perception,
        window=window,
        distortion=distortion,
        mmse=m,
        objective=objective,
        method=method,
        error=float(error),
        contraction=factor,
        lower_bound=lower_bound,
    )


def _windowed(source: GaussMarkov, bits: Array, window: int) -> WindowedState:
    """PLF-JD(w) at P = 0."""
    try:
        return zero_perception_windowed(source, bits, window)
    except ArithmeticError as error:
        raise SolverError(Status.INACCURATE, f"steady_state: PLF-JD({window}): {error}") from None


def _higher_order(
    source: LinearSource,
    rates: object,
    perception: Perception | None,
    encoder: str,
    sequential: bool = False,
) -> SteadyState:
    """Steady state of a source of any order; of the sequential objective where it is wanted."""
    bits = _check.frozen(formulas.check_period(rates))
    if bits.ndim != 1:
        raise ValueError(f"rates: expected one number or one period, got shape {bits.shape}")
    period = len(bits)
    levels = np.full(period, np.inf) if perception is None else period_levels(perception, period)
    found = steady_losses.steady_losses(source, bits, perception, levels, encoder)
    if found.method == "bounds" and isinstance(perception, SA):
        near = _long_sequence(source, bits, levels, found)
        if encoder == "optimal":  # the bound is that of all encoders
            variance = float(steady_losses.settled(source).covariance(1)[0, 0])
            gap = float(near.distortion.mean()) - float(found.lower_bound or 0.0)
            near = near._replace(lower_bound=found.lower_bound, error=gap / variance)
        found = near
    if sequential and found.sequential is not None:
        found = found._replace(
            distortion=found.sequential, method="filter", error=_ROUNDING, lower_bound=None
        )
        objective = "sequential"
    else:
        objective = _OBJECTIVE[found.method]
    return SteadyState(
        source=source,
        rates=bits,
        perception=perception,
        window=perception.window if isinstance(perception, JD) else None,
        distortion=_check.frozen(found.distortion),
        mmse=_check.frozen(found.mmse),
        objective=objective,
        method=found.method,
        error=found.error,
        contraction=found.contraction,
        lower_bound=found.lower_bound,
        measurement=_check.frozen(found.measurement),
    )


def _long_sequence(
    source: LinearSource, bits: Array, levels: Array, found: steady_losses.SteadyLosses
) -> steady_losses.SteadyLosses:
    """End of a long sequence under PLF-SA above 0; what was found where it does not settle."""
    from solvers.methods.linear_sequential import decode_in_turn

    source = steady_losses.settled(source)  # that of the measurement that was found
    period, variance = len(bits), float(source.covariance(1)[0, 0])
    periods = _periods(period, found.contraction, _HORIZON)
    if found.contraction**periods > _SLOW:
        return found
    sent = represent(source, np.tile(bits, periods), found.measurement)
    loss = SA(np.tile(levels, periods))
    if (np.diag(sent.factor) < 0).any():
        return found
    try:
        made, _ = decode_in_turn(Problem(source, sent.rates, loss, encoder="mmse"), sent)
    except SolverError:
        return found
    *_, before, last = (sent.mmse + made.excess).reshape(periods, period)
    change, factor = float(np.abs(last - before).max()) / variance, found.contraction
    error = change * factor / (1 - factor) if factor < 1 else np.inf
    if not error <= _FAR:
        return found
    return found._replace(
        distortion=last, method="finite-horizon", error=error + _ROUNDING, lower_bound=None
    )


def _periods(period: int, factor: float, longest: int) -> int:
    """Periods after which little is left of the distance to the limit, within a longest horizon."""
    needed = np.log(_AIM) / np.log(factor) if 0 < factor < 1 else 1.0
    return int(np.clip(np.ceil(needed) + 3, 3, max(3, longest // period)))


def _finite(
    rho: float, sigma: float, bits: Array, levels: Array, factor: float
) -> tuple[Array, float]:
    """Last period of a long problem under PLF-SA, and a bound on what later ones change."""
    from solvers.solve import solve

    period = len(bits)
    periods = _periods(period, factor, _HORIZON)
    long = GaussMarkov.stationary(rho=rho, frames=periods * period, sigma=sigma)
    problem = Problem(long, np.tile(bits, periods), SA(np.tile(levels, periods)))
    *_, before, last = solve(problem).distortion.reshape(periods, period)
    change = float(np.abs(last - before).max()) / sigma**2
    error = change * factor / (1 - factor) if factor < 1 else np.inf
    if not error <= _FAR:
        raise SolverError(
            Status.INACCURATE,
            f"steady_state: PLF-SA after {periods * period} frames may be {error:.1e} of the "
            f"variance from its limit, tolerance {_FAR:.0e}",
        )
    return last, error
