"""What it costs to keep the MMSE encoder and adapt the decoder alone to the perception loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rdp import _check
from rdp.problem import Problem
from rdp.solution import Status
from solvers.errors import SolverError
from solvers.rate_search import least_rate
from solvers.solve import solve

Array = np.ndarray


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
    gap : float
        Certified gaps of both objectives together: how far their difference may be off.
    problem : Problem
        Source, rates, loss function and objective.
    """

    best: Array
    mmse_encoder: Array
    penalty: Array
    extra_rate: float
    gap: float
    problem: Problem


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
    >>> from rdp import FMD, GaussMarkov
    >>> result = universality(Problem(GaussMarkov([[2.0, 1.0, 0.5]]), 1.0, FMD(0.0)))
    >>> result.best.round(3), result.mmse_encoder.round(3)
    (array([2.928]), array([3.572]))
    >>> round(result.extra_rate, 3)
    0.116
    """
    _check.instance("problem", problem, Problem)
    best = solve(problem.with_(encoder="optimal"), method)
    mmse = problem.with_(encoder="mmse")
    other = solve(mmse, method)

    def behind(extra: float) -> float:
        return solve(mmse.with_(rates=problem.rates + extra), method).objective - best.objective

    gap = max(best.gap, 0.0) + max(other.gap, 0.0)
    extra: float | None = 0.0
    if other.objective - best.objective > 1e-9 * best.objective + gap:
        extra = least_rate(behind)
    if extra is None:
        raise SolverError(
            Status.INFEASIBLE, "universality: no rate makes up for the MMSE encoder"
        )
    return Universality(
        best=best.distortion,
        mmse_encoder=other.distortion,
        penalty=other.distortion - best.distortion,
        extra_rate=extra,
        gap=gap,
        problem=problem,
    )
