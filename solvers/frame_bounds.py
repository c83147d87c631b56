"""Bounds of the frames under the sequential objective, and how much they depend on earlier frames.

The sequential objective is the least D_1, then the least D_2 given the first frame, and so on. A
frame has two bounds. One holds for the earlier frames as they were found. The other holds for all
schemes whose earlier frames are nearly as good, and says how far one may trust the first: under
PLF-JD a frame that gives up a share of its distortion may save the next one the root of that share.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rdp import _check
from rdp.problem import Problem
from rdp.solution import Solution, Status
from rdp.source import GaussMarkov
from solvers.errors import SolverError
from solvers.rate_search import first_frames
from solvers.solve import solve

Array = np.ndarray

_RANGE = (-3.0, 7.0)  # decimal logarithm of what an earlier frame is worth next to frame t
_EVALUATIONS = 12  # for each earlier frame and round
_ROUNDS = 2


@dataclass(frozen=True, eq=False)
class FrameBounds:
    """What no scheme does better than, frame by frame.

    Parameters
    ----------
    distortion : (T,) array
        D_t of the solution.
    given_earlier : (T,) array
        No scheme with the same frames before t has a smaller D_t.
    near_earlier : (T,) array
        No scheme has a smaller D_t if each frame before t has at most (1 + lost) times the
        distortion of the solution.
    lost : float
        What the earlier frames may lose, relative to their distortions.
    """

    distortion: Array
    given_earlier: Array
    near_earlier: Array
    lost: float

    @property
    def sensitivity(self) -> Array:
        """What a frame could gain from earlier frames that lose so much, relative to D_t, (T,)."""
        gained = self.given_earlier - self.near_earlier
        some = self.distortion > 0
        return np.where(some, gained / np.where(some, self.distortion, 1.0), 0.0)


def frame_bounds(solution: Solution, lost: float = 1e-6) -> FrameBounds:
    r"""Certified bounds of all frames of a solution of the sequential objective.

    With weights :math:`\lambda_s \ge 0` of the earlier frames and 1 of frame t, every lower bound B
    on the weighted distortion gives :math:`D_t \ge B - \sum_s \lambda_s (1 + \epsilon) D_s` for all
    schemes whose earlier frames have at most :math:`(1 + \epsilon) D_s`. The weights are searched
    one after the other; the bound is concave in them.

    Parameters
    ----------
    solution : Solution
        Of a problem with scalar frames and the sequential objective.
    lost : float, > 0
        What the earlier frames may lose, relative to their distortions.

    Returns
    -------
    FrameBounds

    Raises
    ------
    ValueError
        A problem with weights, or vector frames.
    SolverError
        The method gives no bound for each frame, or a weighted problem was not solved.

    Notes
    -----
    It solves some 25 weighted problems for each pair of frames: a second for four frames. Derived
    in this project.

    Examples
    --------
    A first frame of few bits stays wrong under joint realism. If it lost a millionth, the second
    frame could gain nearly a hundredth; under SA next to nothing:

    >>> from rdp import JD, SA
    >>> problem = Problem(GaussMarkov.stationary(rho=0.9, frames=2), [0.5, 2.0], JD(0.05))
    >>> found = frame_bounds(solve(problem))
    >>> found.distortion.round(4), found.given_earlier.round(4)
    (array([0.5048, 0.2034]), array([0.5048, 0.2034]))
    >>> found.sensitivity.round(4)
    array([0.    , 0.0076])
    >>> frame_bounds(solve(problem.with_(perception=SA(0.05)))).sensitivity.round(4)
    array([0., 0.])
    """
    _check.instance("solution", solution, Solution)
    problem = solution.problem
    if problem.weights is not None:
        raise ValueError("solution: expected the sequential objective, got weights")
    if problem.source.modes is not None:
        raise ValueError("solution: expected scalar frames, got vector frames")
    if solution.frame_bounds is None:
        reason = f"frame_bounds: method {solution.method!r} gives no bound for each frame"
        raise SolverError(Status.UNSUPPORTED, reason)
    room = float(_check.positive("lost", lost, ndim=0))
    near = solution.frame_bounds.copy()
    for t in range(1, problem.source.frames):
        if near[t] <= 0:  # nothing is less
            continue
        near[t] = min(near[t], _near(problem, solution.distortion, t, room))
    return FrameBounds(solution.distortion, solution.frame_bounds, near, room)


def _near(problem: Problem, distortion: Array, t: int, lost: float) -> float:
    """Bound on D_t for schemes whose earlier frames lose a share of their distortions."""
    from scipy.optimize import minimize_scalar

    source, frames = problem.source, t + 1
    assert isinstance(source, GaussMarkov)
    first = Problem(
        GaussMarkov(source.sigma[:frames], source.rho[:t]),
        problem.rates[:frames],
        first_frames(problem.perception, source.frames, frames),
    )
    earlier = distortion[:t]
    unit = distortion[t] / np.maximum(earlier, 1e-12 * distortion[t])

    def loss(logs: Array) -> float:
        weights = np.append(10.0**logs * unit, 1.0)
        found = solve(first.with_(weights=weights)).lower_bound
        return -float(found - (1 + lost) * (weights[:t] @ earlier))

    logs, best = np.zeros(t), 0.0
    for _ in range(_ROUNDS):
        for s in range(t):
            moved = logs.copy()

            def along(value: float, moved: Array = moved, s: int = s) -> float:
                moved[s] = value
                return loss(moved)

            found = minimize_scalar(
                along, bounds=_RANGE, method="bounded", options={"maxiter": _EVALUATIONS}
            )
            logs[s], best = found.x, max(best, -float(found.fun))
    return best
