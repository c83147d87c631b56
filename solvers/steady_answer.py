"""`SteadyState`: the answer of `solvers.steady_state`, and the sources of first order among all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rdp import CP, FMD, SA, AutoRegressive, GaussMarkov, Perception, _check, closed_form
from rdp import steady_state as formulas
from rdp.conditional import conditional
from rdp.linear_source import LinearSource, scalar, stable
from rdp.solution import Status
from rdp.state_space import StateSpace
from rdp.windowed import zero_perception_windowed as finite_windowed
from solvers.errors import SolverError
from solvers.linear import steady_losses

Array = np.ndarray

OBJECTIVES = ("sequential", "mean")  # that can be asked for

_OBJECTIVES = {
    "sequential": "sequential objective",
    "mean": "least mean",
    "both": "sequential objective and least mean alike",
}
_OPEN = 1e-3  # share of the distortion above which the gap is said as two ends


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
    objective : {"sequential", "mean", "both"}
        What `distortion` is the least of: each frame given those before it, the mean over the
        period, or both, which are then the same.
    method : str
        "closed-form", "fixed-point" (PLF-JD(w)), "coupling" (PLF-JD and PLF-JD(w) at P > 0
        and rates that change), "matrix-inequality" (PLF-JD, least mean at rates that change),
        "finite-horizon" (PLF-SA at P > 0) or "bounds" (PLF-SA and PLF-JD(w), least mean). For
        sources of higher order "filter", "matrix-inequality" (PLF-JD), "spectrum" (PLF-JD at
        P > 0), "fixed-point" (PLF-SA), "finite-horizon" (PLF-JD(w), PLF-SA at P > 0) or "bounds"
        (PLF-SA and PLF-JD(w), least mean; PLF-SA at P > 0 where 64 frames do not settle; PLF-JD at
        P > 0 with a window, with rates or thresholds that change, or with poles of modulus .9999).
        "bounds" is the distortion of a scheme, whose bound may be far below.
    error : float
        Bound on the distance to the limit, relative to the variance: rounding for explicit values
        and fixed points, and what the last period changed, times what is left of it, for a finite
        horizon. Where there is a `lower_bound`, the mean minus it.
    contraction : float or None
        Factor by which the distance of the first frames to the limit shrinks in one period. None
        for PLF-JD at P > 0, whose limit no recursion approaches.
    lower_bound : float or None
        With the methods "coupling", "matrix-inequality" and "bounds", no causal scheme has a
        smaller mean. For sources of higher order
        at a constant rate, a certified bound of the mean: of all
        encoders without a loss, under PLF-FMD and CP, and with the encoder "optimal"; of all
        decoders of this encoder under PLF-JD with "mmse" (at any rates), and by "bounds". At rates
        that change with the encoder "optimal", of all encoders, those whose bits wait too. None
        elsewhere. Sources of first order that are not GaussMarkov have the mean itself where both
        objectives are the same, and with the encoder "optimal" that of each frame alone.
    measurement : (n,) array or None
        For LinearSource, the direction of the state that the encoder measures.
    """

    source: GaussMarkov | LinearSource
    rates: Array
    perception: Perception | None
    window: int | None
    distortion: Array
    mmse: Array
    objective: str
    method: str
    error: float
    contraction: float | None
    lower_bound: float | None = None
    measurement: Array | None = None

    @property
    def mean(self) -> float:
        """Mean distortion over the period, squared units of the source."""
        return float(self.distortion.mean())

    @property
    def origin(self) -> str:
        """How near the limit is, by which method, and which objective it is of; for people."""
        within = f"within {self.error:.0e}"
        if self.lower_bound is not None:
            gap = max(self.mean - self.lower_bound, 0.0)
            within = f"certified gap {gap:.0e}"
            if gap > _OPEN * self.mean:
                within = f"the least is {self.lower_bound:.6g} or more"
        return f"{within} by {self.method}, {_OBJECTIVES[self.objective]}"

    def __str__(self) -> str:
        """Summary in one line."""
        name = "MMSE" if self.perception is None else self.perception.name
        return f"{name}: mean {self.mean:.6g}, {self.origin}"

    def approach(self, periods: int) -> Array:
        """Distortion of the first frames, which start without a past, at the same rates.

        They are those of the sequential objective, whatever `objective` is.

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
        >>> from solvers.steady_state import steady_state
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


def first_order(source: LinearSource) -> GaussMarkov | None:
    """Return the GaussMarkov source of two frames that a source is in its long run, or None.

    Parameters
    ----------
    source : LinearSource
        Any source of scalar or vector frames.

    Examples
    --------
    >>> found = first_order(StateSpace([[0.5]], [[3.0]], [1.0]))
    >>> print(found.rho, found.sigma)
    [0.5] [2. 2.]
    >>> first_order(AutoRegressive([0.5, 0.1])) is None
    True
    """
    if isinstance(source, AutoRegressive):
        rho, sigma = float(source.phi[0]), source.sigma
        return GaussMarkov.stationary(rho=rho, frames=2, sigma=sigma) if source.order == 1 else None
    parts = source.realisation()
    if len(parts.output) != 1 or (isinstance(source, StateSpace) and source.observable().order > 1):
        return None
    if not stable(parts.transition):
        return None
    a, w, h = scalar(steady_losses.settled(source))
    rho = float(a[0, 0])
    variance = float(h[0] ** 2 * w[0, 0]) / ((1 - rho) * (1 + rho))
    if not 0 < variance < np.inf:
        return None
    return GaussMarkov.stationary(rho=rho, frames=2, sigma=float(np.sqrt(variance)))
