"""The questions people ask: how many bits, how split, which frame pays, one encoder or many.

For scalar frames the least total rate and the best split of a budget are convex programs in the
errors of the representation, under every loss function: both come with a certified bound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rdp import _check
from rdp.measure import distortion_of, perception_of
from rdp.perception import Perception
from rdp.problem import Problem
from rdp.solution import Solution
from rdp.source import GaussMarkov
from solvers.errors import SolverError
from solvers.solve import finish, solve

Array = np.ndarray

_MOST_BITS = 512.0  # per frame; beyond it a distortion is out of reach


@dataclass(frozen=True, eq=False)
class MinimumRate:
    """Least rates for given distortions and perception thresholds.

    Parameters
    ----------
    rates : (T,) array
        Bits per frame.
    total : float
        Sum of the rates.
    lower_bound : float
        No scheme needs fewer bits in total; for the sequential objective equal to the total.
    distortion : (T,) array
        D_t of the scheme, at most what was asked for.
    perception : (T,) array
        Perception loss of the scheme; nan without a loss function.
    """

    rates: Array
    total: float
    lower_bound: float
    distortion: Array
    perception: Array


@dataclass(frozen=True, eq=False)
class RateSplit:
    """Best split of a total rate over frames.

    Parameters
    ----------
    rates : (T,) array
        Bits per frame.
    objective : float
        Weighted distortion reached.
    lower_bound : float
        No split of the total rate reaches less.
    solution : Solution
        The scheme at these rates.
    """

    rates: Array
    objective: float
    lower_bound: float
    solution: Solution


@dataclass(frozen=True, eq=False)
class Pareto:
    """Trade-off between the distortions of two frames.

    Parameters
    ----------
    weights : (n, T) array
        Weights of the frames at each point of the front.
    distortion : (n, T) array
        Distortions at each point; the two frames asked for form the front.
    lower_bound : (n,) array
        Every scheme has weights . D at least this: with the weights, a supporting line.
    frames : (int, int)
        Positions of the two frames, from 0.
    """

    weights: Array
    distortion: Array
    lower_bound: Array
    frames: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Universality:
    """What it costs to keep the encoder of the MMSE codec and adapt the decoder alone.

    Parameters
    ----------
    best : (T,) array
        D_t with the encoder designed for the loss function.
    mmse_encoder : (T,) array
        D_t with the encoder designed for mean squared error, and the best decoder for the loss.
    penalty : (T,) array
        Their difference.
    extra_rate : float
        Bits added to every frame with which the MMSE encoder reaches the objective of the best.
    """

    best: Array
    mmse_encoder: Array
    penalty: Array
    extra_rate: float


def minimum_rate(
    source: GaussMarkov,
    distortion: object,
    perception: Perception | None = None,
    objective: str = "total",
    method: str = "auto",
) -> MinimumRate:
    r"""Least rates at which given distortions and perception thresholds can be met.

    Minimise :math:`\sum_t R_t`, or :math:`R_1`, then :math:`R_2` given that, and so on, subject to
    distortions at most :math:`D_t` and the perception loss at most :math:`P_t`.

    Parameters
    ----------
    source : GaussMarkov
        T scalar frames.
    distortion : float or (T,) array, > 0
        Distortion allowed at each frame, squared units of the source; inf is no constraint.
    perception : FMD, JD, SA or None
        Perception loss with its thresholds.
    objective : {"total", "sequential"}
        Total rate, or frame by frame with the sequential decoder of least distortion.
    method : str
        Solver of the sequential objective, see :func:`solvers.solve`.

    Returns
    -------
    MinimumRate

    Raises
    ------
    ValueError
        Bad distortions or objective.
    SolverError
        Vector frames, or a distortion that no rate reaches because of the frames before (sequential
        objective under PLF-JD).

    Notes
    -----
    The total rate is convex in the errors :math:`m_t` of the representation,
    :math:`\sum_t R_t = \tfrac12 \log v_1 + \sum_{t<T} \tfrac12 \log (a_{t+1}^2 + q_{t+1}/m_t)
    - \tfrac12 \log m_T`, and so are the constraints. Derived in this project. Without perception
    loss this is the sequential rate-distortion function of Tanaka et al., arXiv:1411.7632.

    Examples
    --------
    Perfect realism costs bits, and under PLF-JD the first frame is worth more of them:

    >>> from rdp import JD
    >>> source = GaussMarkov.stationary(rho=0.9, frames=3)
    >>> minimum_rate(source, [0.5, 0.3, 0.2]).rates.round(3)
    array([0.5  , 0.494, 0.557])
    >>> minimum_rate(source, [0.5, 0.3, 0.2], JD(0.0)).rates.round(3)
    array([0.782, 0.386, 0.615])
    """
    targets = _targets(source, distortion)
    if objective not in ("total", "sequential"):
        raise ValueError(f"objective: expected 'total' or 'sequential', got {objective!r}")
    if source.modes is not None:
        raise SolverError("unsupported", "minimum_rate: vector frames")
    if objective == "sequential":
        return _frame_by_frame(source, targets, perception, method)
    from solvers._sdp.free_rates import least_rate

    problem = Problem(source, np.zeros(source.frames), perception, np.ones(source.frames))
    found = least_rate(problem, targets)
    scheme = found.scheme
    reached = distortion_of(source, scheme.mmse, scheme.cov_xhat, scheme.cross)
    if (reached > targets * (1 + 1e-6)).any():
        raise SolverError("inaccurate", f"minimum_rate: distortions {reached}, asked for {targets}")
    return MinimumRate(
        rates=found.rates,
        total=float(found.rates.sum()),
        lower_bound=found.lower_bound,
        distortion=reached,
        perception=(
            np.full(source.frames, np.nan)
            if perception is None
            else perception_of(source, scheme.cov_xhat, scheme.cross, perception)
        ),
    )


def _targets(source: GaussMarkov, distortion: object) -> Array:
    targets = _check.nonnegative("distortion", distortion)
    if targets.ndim and targets.shape != (source.frames,):
        raise ValueError(
            f"distortion: expected shape ({source.frames},) for {source.frames} frames, "
            f"got {targets.shape}"
        )
    if not (targets > 0).all():
        raise ValueError("distortion: expected values > 0, got 0, which takes an infinite rate")
    return np.broadcast_to(targets, (source.frames,))


def _frame_by_frame(
    source: GaussMarkov, targets: Array, perception: Perception | None, method: str
) -> MinimumRate:
    """Least R_t given the frames before, by a root search on the sequential distortion."""
    rates = np.zeros(source.frames)
    for t in range(source.frames):
        first = slice(0, t + 1)
        short = Problem(
            GaussMarkov(source.sigma[first], source.rho[:t]),
            rates[first],
            _first_frames(perception, source.frames, t + 1),
        )
        rates[t] = _least(_Excess(short, targets[t], method), t)
    solution = solve(short.with_(rates=rates), method)
    return MinimumRate(
        rates=rates,
        total=float(rates.sum()),
        lower_bound=float(rates.sum()),
        distortion=solution.distortion,
        perception=solution.perception,
    )


@dataclass(frozen=True)
class _Excess:
    """Distortion of the last frame beyond its target, as a function of its rate."""

    problem: Problem
    target: float
    method: str

    def __call__(self, rate: float) -> float:
        rates = np.append(self.problem.rates[:-1], rate)
        solution = solve(self.problem.with_(rates=rates), self.method)
        return float(solution.distortion[-1]) - self.target


def _first_frames(perception: Perception | None, frames: int, kept: int) -> Perception | None:
    """The loss on the first frames, with the thresholds that later frames put on them."""
    if perception is None:
        return None
    levels = perception.thresholds(frames)
    if perception.name == "JD":
        levels = np.minimum.accumulate(levels[::-1])[::-1]
    return perception.at(levels[:kept])


def _least(excess: Callable[[float], float], frame: int) -> float:
    """Least rate at which `excess`, decreasing in the rate, is not positive."""
    from scipy.optimize import brentq

    if excess(0.0) <= 0:
        return 0.0
    high = 1.0
    while excess(high) > 0:
        high *= 2
        if high > _MOST_BITS:
            raise SolverError(
                "infeasible",
                f"minimum_rate: no rate of frame {frame} (from 0) reaches its distortion "
                "after the frames before",
            )
    return float(brentq(excess, 0.0, high, xtol=1e-12, rtol=1e-12))


def allocate(
    source: GaussMarkov,
    total_rate: float,
    perception: Perception | None = None,
    weights: object = None,
) -> RateSplit:
    r"""Best split of a bit budget over frames.

    Minimise :math:`\sum_t w_t D_t` over the rates with :math:`\sum_t R_t \le R`, and over all
    schemes of these rates whose perception loss is at most :math:`P_t`.

    Parameters
    ----------
    source : GaussMarkov
        T scalar frames.
    total_rate : float, > 0
        Bits for all frames together.
    perception : FMD, JD, SA or None
        Perception loss with its thresholds.
    weights : (T,) array, >= 0, optional
        Weights of the distortions; equal if not given.

    Returns
    -------
    RateSplit

    Raises
    ------
    ValueError
        Bad total rate or weights.
    SolverError
        Vector frames, or not solved to tolerance.

    Notes
    -----
    In the errors :math:`m_t` of the representation both the least weighted distortion and the
    total rate are convex, whatever the loss function, so that the split is a global optimum and
    its bound certified. It need not be convex in the rates themselves. The decoder looks ahead:
    it serves all weights at once. Derived in this project.

    Examples
    --------
    Without perception loss the first frame, which all others build on, gets most of the bits; with
    perfect joint realism its errors are permanent, yet the later frames get more:

    >>> from rdp import JD
    >>> source = GaussMarkov.stationary(rho=0.9, frames=3)
    >>> allocate(source, 2.1).rates.round(3)
    array([1.381, 0.535, 0.183])
    >>> allocate(source, 2.1, JD(0.0)).rates.round(3)
    array([1.329, 0.466, 0.305])
    """
    if source.modes is not None:
        raise SolverError("unsupported", "allocate: vector frames")
    total = float(_check.positive("total_rate", total_rate, ndim=0))
    shares = np.ones(source.frames) if weights is None else _check.array("weights", weights)
    problem = Problem(source, np.full(source.frames, total / source.frames), perception, shares)
    from solvers._sdp.free_rates import best_split

    found = best_split(problem)
    solution = finish(problem.with_(rates=found.rates), found.scheme, "sdp")
    return RateSplit(found.rates, solution.objective, found.lower_bound, solution)


def pareto(
    problem: Problem, frames: tuple[int, int], points: int = 33, method: str = "auto"
) -> Pareto:
    r"""Trade-off between the distortions of two frames at given rates and thresholds.

    For weights from one frame to the other, minimise :math:`w D_i + (1 - w) D_j`; the front is the
    lower left boundary of the convex set of all :math:`(D_i, D_j)`.

    Parameters
    ----------
    problem : Problem
        Source, rates and loss function; its weights play no role.
    frames : (int, int)
        Positions i and j of two frames, from 0.
    points : int
        Number of points, at least 2.
    method : str
        Solver, see :func:`solvers.solve`.

    Returns
    -------
    Pareto

    Raises
    ------
    ValueError
        Positions that are not two frames of the source, fewer than two points.
    SolverError
        A point was not solved to tolerance.

    Notes
    -----
    The front is a single point without perception loss and under PLF-FMD, which leave no choice.
    The weights are spaced evenly in the logarithm of the ratio of the weighted distortions, from
    1e-4 to 1e4; at the ends the other frame still decides between equals.

    Examples
    --------
    At perfect joint realism error permanence is partly a choice of the decoder:

    >>> from rdp import JD
    >>> problem = Problem(GaussMarkov.stationary(rho=0.9, frames=3), [0.05, 8, 8], JD(0.0))
    >>> pareto(problem, frames=(1, 2), points=2).distortion.round(3)[:, 1:]
    array([[0.733, 0.594],
           [0.947, 0.514]])
    """
    count = problem.source.frames
    if np.shape(frames) != (2,):
        raise ValueError(f"frames: expected two positions, got {frames!r}")
    i, j = frames
    if i == j or not (0 <= i < count and 0 <= j < count):
        raise ValueError(f"frames: expected two different positions below {count}, got {frames}")
    if _check.count("points", points) < 2:
        raise ValueError(f"points: expected at least 2, got {points}")
    equal = np.zeros(count)
    equal[[i, j]] = 1.0
    middle = solve(problem.with_(weights=equal), method).distortion
    ratios = np.logspace(4, -4, points)
    weights = np.zeros((points, count))
    weights[:, i] = ratios / (1 + ratios) * middle[j]
    weights[:, j] = 1 / (1 + ratios) * middle[i]
    weights /= weights.sum(axis=1, keepdims=True)
    found = [solve(problem.with_(weights=row), method) for row in weights]
    return Pareto(
        weights=weights,
        distortion=np.array([solution.distortion for solution in found]),
        lower_bound=np.array([solution.lower_bound for solution in found]),
        frames=(i, j),
    )


def universality(problem: Problem, method: str = "auto") -> Universality:
    r"""What the MMSE encoder loses against the encoder designed for the loss function.

    Compare the least :math:`\sum_t w_t D_t` over all encoders of the given rates with that of the
    MMSE encoder and the best decoder; and find the least rate r such that the MMSE encoder at
    :math:`R_t + r` is as good as the best at :math:`R_t`.

    Parameters
    ----------
    problem : Problem
        Source, rates, loss function and objective; its encoder plays no role.
    method : str
        Solver, see :func:`solvers.solve`.

    Returns
    -------
    Universality

    Raises
    ------
    SolverError
        A problem was not solved to tolerance.

    Notes
    -----
    For scalar frames the penalty is zero: any representation of given rates is a degraded version
    of the MMSE one. For vector frames it is not: perfect realism wants other bits per mode than
    least distortion. Derived in this project.

    Examples
    --------
    >>> from rdp import FMD
    >>> result = universality(Problem(GaussMarkov([[2.0, 1.0, 0.5]]), 1.0, FMD(0.0)))
    >>> result.best.round(3), result.mmse_encoder.round(3)
    (array([2.928]), array([3.572]))
    >>> round(result.extra_rate, 3)
    0.116
    """
    best = solve(problem.with_(encoder="optimal"), method)
    mmse = problem.with_(encoder="mmse")
    other = solve(mmse, method)

    def behind(extra: float) -> float:
        return solve(mmse.with_(rates=problem.rates + extra), method).objective - best.objective

    tolerance = 1e-9 * best.objective + max(best.gap, 0.0) + max(other.gap, 0.0)
    same = other.objective - best.objective <= tolerance
    return Universality(
        best=best.distortion,
        mmse_encoder=other.distortion,
        penalty=other.distortion - best.distortion,
        extra_rate=0.0 if same else _least(behind, 0),
    )
