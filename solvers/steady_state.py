"""`steady_state`: the distortion of every loss in the long run, at rates that repeat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rdp import CP, FMD, JD, SA, GaussMarkov, Perception, Problem, _check, closed_form
from rdp import perception as as_perception
from rdp import steady_state as formulas
from rdp.conditional import conditional
from rdp.linear_source import LinearFrames, LinearSource
from rdp.solution import Status
from rdp.steady_windowed import WindowedState, zero_perception_windowed
from rdp.windowed import zero_perception_windowed as finite_windowed
from solvers.errors import SolverError
from solvers.linear import steady_losses
from solvers.linear.measurement import represent
from solvers.steady_threshold import joint_above_zero

Array = np.ndarray

_ROUNDING = 1e-15  # of the explicit states, relative to the variance
_HORIZON = 64  # frames of the longest finite problem that is solved
_AIM = 1e-10  # distance to the limit that a finite horizon aims at, relative to the variance
_SLOW = 1e-3  # share of the distance that a horizon leaves above which it is not tried
_FAR = 1e-6  # and the largest one that is returned


@dataclass(frozen=True, eq=False)
class SteadyState:
    """Distortion in the long run, and how the first frames approach it.

    Parameters
    ----------
    source : GaussMarkov, AutoRegressive or StateSpace
        The stationary source; its number of frames plays no role.
    rates : (N,) array, bits per frame
        Rates of one period.
    perception : Perception or None
        The loss; None is no constraint.
    window : int or None
        Number of frames that PLF-JD sees; None is all of them.
    distortion : (N,) array
        D_t of each frame of the period, squared units of the source.
    mmse : (N,) array
        MMSE distortion m_t, below which no D_t can be.
    method : str
        "closed-form", "fixed-point" (PLF-JD(w)), "coupling" (PLF-JD and PLF-JD(w) at P > 0
        and rates that change) or "finite-horizon" (PLF-SA at P > 0). For sources of higher order
        "filter", "matrix-inequality" (PLF-JD), "spectrum" (PLF-JD at P > 0), "fixed-point"
        (PLF-SA), "finite-horizon" (PLF-JD(w), PLF-SA at P > 0) or "bounds" (PLF-SA at P > 0
        where 64 frames do not settle; PLF-JD at P > 0 with a window, with rates or thresholds that
        change, or with poles of modulus .9999): the distortion of a scheme, whose bound may be far
        below.
    error : float
        Bound on the distance to the limit, relative to the variance: rounding for explicit values
        and fixed points, and what the last period changed, times what is left of it, for a finite
        horizon. Where there is a `lower_bound`, the mean minus it.
    contraction : float or None
        Factor by which the distance of the first frames to the limit shrinks in one period. None
        for PLF-JD at P > 0, whose limit no recursion approaches.
    lower_bound : float or None
        With the method "coupling", no causal scheme has a smaller mean. For sources of higher order
        at a constant rate, a certified bound of the mean: of all
        encoders without a loss, under PLF-FMD and CP, and with the encoder "optimal"; of all
        decoders of this encoder under PLF-JD with "mmse" (at any rates), and by "bounds". At rates
        that change with the encoder "optimal", of all encoders, those whose bits wait too. None
        elsewhere.
    measurement : (n,) array or None
        For sources of higher order, the direction of the state that the encoder measures.
    """

    source: GaussMarkov | LinearSource
    rates: Array
    perception: Perception | None
    window: int | None
    distortion: Array
    mmse: Array
    method: str
    error: float
    contraction: float | None
    lower_bound: float | None = None
    measurement: Array | None = None

    @property
    def mean(self) -> float:
        """Mean distortion over the period, squared units of the source."""
        return float(self.distortion.mean())

    def approach(self, periods: int) -> Array:
        """Distortion of the first frames, which start without a past, at the same rates.

        Parameters
        ----------
        periods : int
            How many periods from the first frame on.

        Returns
        -------
        (periods, N) array, squared units of the source

        Raises
        ------
        SolverError
            PLF-SA and PLF-JD at P > 0, whose first frames have no closed form; solve a Problem.

        Examples
        --------
        >>> found = steady_state(GaussMarkov.stationary(rho=0.9, frames=2), 0.5, FMD(0.0))
        >>> found.approach(3).round(4).ravel()
        array([0.5858, 0.3237, 0.2285])
        """
        length = len(self.rates) * _check.count("periods", periods)
        if not isinstance(self.source, GaussMarkov):
            return self._approach(length).reshape(periods, len(self.rates))
        rho, sigma = formulas.parameters(self.source)
        source = GaussMarkov.stationary(rho=rho, frames=length, sigma=sigma)
        rates = np.tile(self.rates, periods)
        loss = self.perception
        if loss is None or np.isinf(loss.levels).all():
            found = closed_form.mmse(source, rates)
        elif isinstance(loss, CP):
            levels = np.tile(loss.thresholds(len(self.rates)), periods)
            found = conditional(source, rates, levels)
        elif np.any(loss.levels) and not isinstance(loss, FMD):
            what = f"no closed form for PLF-{loss.name} at P > 0"
            raise SolverError(Status.UNSUPPORTED, f"approach: {what}")
        elif isinstance(loss, SA):
            found = closed_form.zero_perception_self_adaptive(source, rates)
        elif isinstance(loss, FMD):
            levels = np.tile(loss.thresholds(len(self.rates)), periods)
            found = closed_form.framewise(source, rates, levels, loss.metric)
        elif self.window is None or self.window >= length:
            found = closed_form.zero_perception_joint(source, rates)
        else:
            found = finite_windowed(source, rates, self.window)
        return found.reshape(periods, len(self.rates))

    def _approach(self, length: int) -> Array:
        """First frames of a source of higher order, with the sequential decoder."""
        assert self.measurement is not None
        assert not isinstance(self.source, GaussMarkov)
        periods = length // len(self.rates)
        levels = np.full(len(self.rates), np.inf)
        if self.perception is not None:
            levels = period_levels(self.perception, len(self.rates))
        return steady_losses.approach(
            self.source,
            np.tile(self.rates, periods),
            self.perception,
            np.tile(levels, periods),
            self.measurement,
        )


def steady_state(
    source: GaussMarkov | LinearSource,
    rates: object,
    perception: Perception | str | None = None,
    window: int | None = None,
    encoder: str = "mmse",
) -> SteadyState:
    r"""Distortion of each frame of a period, in the long run, at rates that repeat.

    The limit, period after period, of the sequential objective: minimise :math:`D_1`, then
    :math:`D_2` given that, and so on, at rates :math:`R_1, .., R_N, R_1, ..` and thresholds P_t.

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

    Returns
    -------
    SteadyState

    Raises
    ------
    ValueError
        The source is not stationary, bad rates, a window without JD, an unknown encoder.
    SolverError
        JD at P > 0 that binds, with rates that change and \|rho\| > .9992; with a window, levels of
        which some are 0 and others not; a horizon of 64 frames is too short for SA at P > 0. For
        sources of higher order: JD at P > 0 with thresholds of which some are inf; poles too near
        the circle for float64.

    Notes
    -----
    Covered, with the method: no loss, FMD and CP at any P, JD and SA at P = 0: explicit. JD(w) at
    P = 0: a fixed point. JD at P > 0 and constant rate: FMD's value, at P / w for a window of w. It
    is a lower bound, as the marginal distances of the frames sum up to no more than that of all of
    them. Scaling the MMSE estimate reaches it: its spectrum is that of the source times 1 - m at
    unit variance. The sequential objective gets
    there too, at all (rho, R, P) for which long horizons were solved. JD at P > 0 and rates that
    change, with or without a window: the decoder of least *mean* distortion, with a certified bound
    (``solvers._steady``). As P falls to 0 it goes to the best decoder that plans for later
    frames, and not to the sequential one of P = 0, which costs more. SA at P > 0: the end of a
    long finite problem, which :func:`solvers.solve` solves and certifies.

    Sources of higher order (:mod:`solvers.linear.steady_losses`): the encoder measures one
    direction of the state, the best one for the mean squared error at the mean rate. No loss, FMD
    and CP at any P, SA and JD(w) at P = 0 have the decoder of the sequential objective. JD at P = 0
    is the decoder of least *mean* distortion, by a matrix inequality and its dual; a sequential
    decoder may lose to it. So is JD at P > 0, from spectra (:mod:`solvers.linear.spectral_near`).
    SA at P > 0 is the end of 64 frames; where they do not settle, a scheme and a lower bound. So is
    JD at P > 0 with a window, or with rates or thresholds that change.

    Examples
    --------
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
    if isinstance(source, LinearFrames):
        source = source.source
    if not isinstance(source, GaussMarkov) and isinstance(source, LinearSource):
        return _higher_order(source, rates, as_perception(perception, window=window), encoder)
    rho, sigma = formulas.parameters(source)
    bits = _check.frozen(formulas.check_period(rates))
    if bits.ndim != 1:
        raise ValueError(f"rates: expected one number or one period, got shape {bits.shape}")
    perception = as_perception(perception, window=window)
    window = perception.window if isinstance(perception, JD) else None
    levels = np.zeros(len(bits)) if perception is None else period_levels(perception, len(bits))
    m = formulas.mmse(source, bits)
    method, error, lower_bound = "closed-form", _ROUNDING, None
    backbone = formulas.contraction(source, bits)
    factor: float | None = backbone
    if perception is None or np.isinf(levels).all():
        found = m
    elif isinstance(perception, FMD):
        found = formulas.framewise(source, bits, levels, perception.metric)
    elif isinstance(perception, CP):
        found = m + np.maximum(np.sqrt(m) - np.sqrt(levels), 0.0) ** 2
    elif isinstance(perception, JD) and not levels.any():
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
        if lower_bound is not None:
            method, error = "coupling", (found.mean() - lower_bound) / sigma**2
    elif not levels.any():
        found = formulas.zero_perception_self_adaptive(source, bits)
    else:
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
    source: LinearSource, rates: object, perception: Perception | None, encoder: str
) -> SteadyState:
    """Steady state of a source of any order."""
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
    return SteadyState(
        source=source,
        rates=bits,
        perception=perception,
        window=perception.window if isinstance(perception, JD) else None,
        distortion=_check.frozen(found.distortion),
        mmse=_check.frozen(found.mmse),
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


def period_levels(perception: Perception, period: int) -> Array:
    """Thresholds of each frame of a period; a window may be longer than it.

    Parameters
    ----------
    perception : Perception
        The loss.
    period : int
        Number of frames of the period.
    """
    levels = np.asarray(perception.levels)
    if levels.ndim == 1 and levels.shape != (period,):
        raise ValueError(
            f"levels: expected one number or shape ({period},), one for each frame of the period, "
            f"got {levels.shape}"
        )
    return np.broadcast_to(levels, (period,))


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
