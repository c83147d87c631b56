"""`discounted`: all frames from the first one on, later ones with less weight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rdp import JD, GaussMarkov, Perception, Problem, _check
from rdp import perception as as_perception
from rdp.solution import Solution
from rdp.steady_state import check_period, parameters
from solvers.solve import solve
from solvers.steady_answer import period_levels

Array = np.ndarray

MAX_FRAMES = 4096  # of the finite problem
MAX_WINDOWED = 24  # of one with a window, which only the semidefinite program solves


@dataclass(frozen=True, eq=False)
class Discounted:
    r"""Least discounted distortion, between two proven ends.

    Parameters
    ----------
    objective : float
        :math:`(1 - \gamma) \sum_{t \ge 1} \gamma^{t-1} D_t` of a scheme, with an upper bound on its
        frames beyond the horizon; squared units of the source.
    lower_bound : float
        No scheme does better.
    discount : float
        :math:`\gamma`.
    frames : int
        Frames of the finite problem.
    start : Solution
        Its solution: the optimal scheme up to the horizon.
    """

    objective: float
    lower_bound: float
    discount: float
    frames: int
    start: Solution

    @property
    def gap(self) -> float:
        """Objective minus lower bound."""
        return self.objective - self.lower_bound


def discounted(
    source: GaussMarkov,
    rates: object,
    perception: Perception | str | None = None,
    discount: float = 0.9,
    window: int | None = None,
    tolerance: float = 1e-6,
) -> Discounted:
    r"""Least discounted distortion over all frames, at rates that repeat.

    Minimise :math:`(1 - \gamma) \sum_{t \ge 1} \gamma^{t-1} D_t` over causal codecs of rates
    :math:`R_1, .., R_N, R_1, ..` whose perception loss is at most P_t at every frame. A small
    :math:`\gamma` asks for good first frames; as it grows to 1 the objective becomes the mean
    distortion in the long run.

    Parameters
    ----------
    source : GaussMarkov
        A stationary scalar source of at least two frames; their number plays no role.
    rates : float or (N,) array, >= 0, bits per frame
        One number, or the rates of one period.
    perception : FMD, JD, SA, CP, str or None
        The loss; a name is the loss at threshold 0. `levels` is one number, or has one for each
        frame of the period. For JD they bound :math:`W_2^2` of all frames so far.
    discount : float, 0 <= gamma < 1
        Weight of a frame relative to the one before.
    window : int or None
        For JD: number of consecutive frames that the loss sees, if the loss does not bring one.
    tolerance : float, > 0
        Largest share of the variance that the frames beyond the horizon may weigh.

    Returns
    -------
    Discounted

    Raises
    ------
    ValueError
        A source that is not stationary, bad rates, a discount out of range, or one so near to 1
        that the tolerance needs more than 4096 frames, or 24 under PLF-JD with a window.
    SolverError
        A finite problem that no method solves.

    Notes
    -----
    Derived in this project. The first T frames of any scheme are one of the finite problem, so its
    certified bound holds here too. Beyond T the scheme goes on with noise of its own, which every
    threshold allows. As :math:`W_2` of a frame is at most :math:`\sqrt{P_t}`, its distortion is
    at most :math:`(2\sigma + \sqrt{P_t})^2` there, and all of them weigh :math:`\gamma^T`.
    Losses other than :math:`W_2` are taken at threshold 0 only.

    Examples
    --------
    Realism of all frames costs a hasty codec more than a patient one:

    >>> source = GaussMarkov.stationary(rho=0.9, frames=2)
    >>> for discount in (0.0, 0.9, 0.99):
    ...     found = [discounted(source, 0.5, loss, discount).objective for loss in ("FMD", "JD")]
    ...     print(np.round(found, 4))
    [0.5858 0.5858]
    [0.2305 0.252 ]
    [0.1734 0.1767]
    """
    rho, sigma = parameters(source)
    bits = check_period(rates)
    if bits.ndim != 1:
        raise ValueError(f"rates: expected one number or one period, got shape {bits.shape}")
    perception = as_perception(perception, window=window)
    levels = np.full(len(bits), np.inf)
    if perception is not None:
        levels = period_levels(perception, len(bits))
    reach = _reach(perception, sigma, levels)
    window = perception.window if isinstance(perception, JD) else None
    frames = _horizon(discount, tolerance, reach / sigma**2, window)
    places = np.arange(frames) % len(bits)
    problem = Problem(
        GaussMarkov.stationary(rho=rho, frames=frames, sigma=sigma),
        bits[places],
        None if perception is None else perception.at(levels[places]),
        weights=(1 - discount) * discount ** np.arange(frames),
    )
    found = solve(problem)
    beyond = discount**frames * reach
    return Discounted(found.objective + beyond, found.lower_bound, discount, frames, found)


def _reach(perception: Perception | None, sigma: float, levels: Array) -> float:
    """Largest distortion of a frame that goes on with noise of its own."""
    largest = np.where(np.isinf(levels), 0.0, levels).max()
    if largest > 0 and getattr(perception, "metric", "w2") != "w2":
        raise ValueError(f"perception: expected W2, or threshold 0, got {perception!r}")
    return float((2 * sigma + np.sqrt(largest)) ** 2)


def _horizon(discount: float, tolerance: float, reach: float, window: int | None) -> int:
    """Frames until what is beyond weighs no more than the tolerance."""
    _check.finite("discount", _check.nonnegative("discount", discount, ndim=0))
    if discount >= 1:
        raise ValueError(f"discount: expected a value in [0, 1), got {discount:g}")
    _check.positive("tolerance", tolerance, ndim=0)
    frames = window or 1
    if discount > 0 and tolerance < reach:
        frames = max(frames, int(np.ceil(np.log(tolerance / reach) / np.log(discount))))
    most = MAX_FRAMES if window is None else MAX_WINDOWED
    if frames > most:
        raise ValueError(
            f"discount: {discount:g} needs {frames} frames at tolerance {tolerance:g}, more than "
            f"{most}; allow a larger tolerance, or ask steady_state for the limit"
        )
    return frames
