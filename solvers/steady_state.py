"""`steady_state`: the distortion of every loss in the long run, at rates that repeat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rdp import CP, FMD, JD, SA, GaussMarkov, Perception, Problem, _check, closed_form
from rdp import perception as as_perception
from rdp import steady_state as formulas
from rdp.conditional import conditional
from rdp.solution import Status
from rdp.steady_windowed import zero_perception_windowed
from rdp.windowed import zero_perception_windowed as finite_windowed
from solvers.errors import SolverError

Array = np.ndarray

_ROUNDING = 1e-15  # of the explicit states, relative to the variance
_HORIZON = 64  # frames of the longest finite problem that is solved
_AIM = 1e-10  # distance to the limit that a finite horizon aims at, relative to the variance
_FAR = 1e-6  # and the largest one that is returned


@dataclass(frozen=True, eq=False)
class SteadyState:
    """Distortion in the long run, and how the first frames approach it.

    Parameters
    ----------
    source : GaussMarkov
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
        "closed-form", "fixed-point" (PLF-JD(w)), or "finite-horizon" (PLF-SA at P > 0).
    error : float
        Bound on the distance to the limit, relative to the variance: rounding for the first two
        methods, and what the last period changed, times what is left of it, for the third.
    contraction : float
        Factor by which the distance to the limit shrinks in one period.
    """

    source: GaussMarkov
    rates: Array
    perception: Perception | None
    window: int | None
    distortion: Array
    mmse: Array
    method: str
    error: float
    contraction: float

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


def steady_state(
    source: GaussMarkov,
    rates: object,
    perception: Perception | str | None = None,
    window: int | None = None,
) -> SteadyState:
    r"""Distortion of each frame of a period, in the long run, at rates that repeat.

    The limit, period after period, of the sequential objective: minimise :math:`D_1`, then
    :math:`D_2` given that, and so on, at rates :math:`R_1, .., R_N, R_1, ..` and thresholds P_t.

    Parameters
    ----------
    source : GaussMarkov
        A stationary scalar source of at least two frames; their number plays no role.
    rates : float or (N,) array, >= 0, bits per frame
        One number, or the rates of one period; inf allowed.
    perception : FMD, JD, SA, CP, str or None
        The loss; a name is the loss at threshold 0. `levels` is one number, or has one for each
        frame of the period. For JD, P is the distance per frame: :math:`W_2^2` of the first t
        frames is at most t P, and in the limit the rho-bar distance of the processes is at most P.
    window : int or None
        For JD at P = 0: number of consecutive frames that the loss sees, if the loss does not bring
        one. None is all.

    Returns
    -------
    SteadyState

    Raises
    ------
    ValueError
        The source is not stationary, bad rates, a window without JD.
    SolverError
        JD at P > 0 with rates that change, or a window; a horizon of 64 frames is too short for SA
        at P > 0.

    Notes
    -----
    Covered, with the method: no loss, FMD and CP at any P, JD and SA at P = 0: explicit. JD(w) at
    P = 0: a fixed point. JD at P > 0 and constant rate: FMD's value. It is a lower bound, as the
    marginal distance of a frame is no larger than rho-bar. Scaling the MMSE estimate reaches it:
    its spectrum is that of the source times 1 - m at unit variance. The sequential objective gets
    there too, at all (rho, R, P) for which long horizons were solved. SA at P > 0: the end of a
    long finite problem, which :func:`solvers.solve` solves and certifies.

    Examples
    --------
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
    rho, sigma = formulas.parameters(source)
    bits = _check.frozen(formulas.check_period(rates))
    if bits.ndim != 1:
        raise ValueError(f"rates: expected one number or one period, got shape {bits.shape}")
    perception = as_perception(perception, window=window)
    window = perception.window if isinstance(perception, JD) else None
    levels = np.zeros(len(bits)) if perception is None else period_levels(perception, len(bits))
    m = formulas.mmse(source, bits)
    method, error = "closed-form", _ROUNDING
    factor = formulas.contraction(source, bits)
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
            state = zero_perception_windowed(source, bits, window)
            found, factor, method = state.distortion, state.contraction, "fixed-point"
            error += state.change / (1 - factor) if factor < 1 else 0.0
    elif isinstance(perception, JD):
        if window is not None or np.ptp(bits) > 0 or np.ptp(levels) > 0 or abs(rho) == 1:
            raise SolverError(
                Status.UNSUPPORTED,
                "steady_state: PLF-JD at P > 0 is known for a constant rate and threshold, "
                "|rho| < 1 and no window only",
            )
        found = formulas.framewise(source, bits, levels)
        factor = formulas.contraction(source, bits, joint=True)
    elif not levels.any():
        found = formulas.zero_perception_self_adaptive(source, bits)
    else:
        found, error = _finite(rho, sigma, bits, levels, factor)
        method = "finite-horizon"
    distortion, m = _check.frozen(found), _check.frozen(m)
    return SteadyState(
        source, bits, perception, window, distortion, m, method, float(error), factor
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


def _finite(
    rho: float, sigma: float, bits: Array, levels: Array, factor: float
) -> tuple[Array, float]:
    """Last period of a long problem under PLF-SA, and a bound on what later ones change."""
    from solvers.solve import solve

    period = len(bits)
    needed = np.log(_AIM) / np.log(factor) if 0 < factor < 1 else 1.0
    periods = int(np.clip(np.ceil(needed) + 3, 3, max(3, _HORIZON // period)))
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
