"""Trade-off between the distortions of two frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rdp import _check
from rdp.problem import Problem
from solvers.acceptance import GAP_FLOOR
from solvers.solve import solve

Array = np.ndarray


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
        The two frames, from 1.
    problem : Problem
        Source, rates and loss function of all points.
    """

    weights: Array
    distortion: Array
    lower_bound: Array
    frames: tuple[int, int]
    problem: Problem

    @property
    def objective(self) -> Array:
        """Weighted distortion of each point, (n,) array."""
        return np.asarray((self.weights * self.distortion).sum(axis=1))

    @property
    def gap(self) -> Array:
        """Objective minus lower bound, (n,) array."""
        return self.objective - self.lower_bound


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
        Numbers i and j of two frames, from 1.
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
        Numbers that are not two frames of the source, fewer than two points.
    SolverError
        A point was not solved to tolerance.

    Notes
    -----
    Without perception loss and under PLF-FMD the front is a single point, but for sources of higher
    order with the encoder "optimal". The weights are spaced evenly in the logarithm of the ratio of
    the weighted distortions, 1e-4 to 1e4; at the ends the other frame decides between equals.

    Examples
    --------
    At perfect joint realism error permanence is partly a choice of the decoder:

    >>> from rdp import JD, GaussMarkov
    >>> problem = Problem(GaussMarkov.stationary(rho=0.9, frames=3), [0.05, 8, 8], JD(0.0))
    >>> pareto(problem, frames=(2, 3), points=2).distortion.round(3)[:, 1:]
    array([[0.733, 0.594],
           [0.947, 0.514]])
    """
    _check.instance("problem", problem, Problem)
    count = problem.source.frames
    if np.shape(frames) != (2,):
        raise ValueError(f"frames: expected two numbers, got {frames!r}")
    first, second = (_check.count("frames", frame) for frame in frames)
    if first == second or max(first, second) > count:
        raise ValueError(f"frames: expected two different frames, 1 to {count}, got {frames}")
    i, j = first - 1, second - 1
    if _check.count("points", points) < 2:
        raise ValueError(f"points: expected at least 2, got {points}")
    equal = np.zeros(count)
    equal[[i, j]] = 1.0
    middle = solve(problem.with_(weights=equal), method).distortion
    variance = problem.source.variance.reshape(count, -1).sum(axis=1)
    middle = np.maximum(middle, GAP_FLOOR * variance)  # frames that are known exactly, too
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
        frames=(first, second),
        problem=problem,
    )
