r"""General vector sources: all perception losses and the encoder in one semidefinite program.

.. math:: \min \sum_t w_t E\|X_t - \hat X_t\|^2 \quad\text{s.t.}\quad
          \sum_{s \le k} R_s \le B_k, \quad \phi(\cdot, \cdot) \le P_t .

Unknowns: the errors m_t of the representation, their floors Pi_t, and the second moments
H = Cov(Xhat), C = E[Xhat Xtil^T] in d x d blocks. Tanaka et al. (arXiv:1411.7632) write the rate
with log-determinants of the floors,

.. math:: \sum_{s \le k} R_s = \tfrac12 \ln\det W_1 - \tfrac12 \ln\det m_k
          + \sum_{t < k} \tfrac12 (\ln\det W_{t+1} - \ln\det \Pi_t), \qquad
          \begin{bmatrix} m_t - \Pi_t & m_t A^T \\ A m_t & A m_t A^T + W \end{bmatrix} \succeq 0,

which is convex for sums from the first frame on, not for the rate of one frame. The decoder adds,
derived in this project, [[Cov Xtil, C^T], [C, H]] >= 0 with C[t, s] = C[t, t] phi(s, t)^T for
s > t (causality), and for each threshold tr A + tr B - 2 tr Z <= P, [[A, Z], [Z^T, B]] >= 0; a
threshold 0 is an equality.

The program is written in :mod:`solvers._sdp.block_program` and solved by cvxpy with Clarabel. The
certificate (:mod:`solvers._sdp.block_bound`) is the Lagrangian at the solver's multipliers,
projected on their cones, minimised by our own code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rdp import gaussian
from rdp.perception import Perception, loss_name
from rdp.perception import perception as as_perception
from rdp.solution import Status
from rdp.vector_source import VectorGaussMarkov
from solvers._sdp.block_bound import block_bound
from solvers._sdp.block_program import BlockProgram
from solvers.acceptance import check_block
from solvers.errors import SolverError

Array = np.ndarray

@dataclass(frozen=True, eq=False)
class BlockSolution:
    """Answer for a general vector source, recomputed from its second moments.

    Parameters
    ----------
    distortion : (T,) array
        E|X_t - Xhat_t|^2.
    perception : (T,) array
        Perception loss of each frame; nan where the problem has none.
    rates : (T,) array
        Bits per frame that the representation takes.
    mmse : (T, d, d) array
        Error covariances m_t of the representation.
    cov_xhat : (T d, T d) array
        Covariance of the reconstruction.
    cross : (T d, T d) array
        E[Xhat_t Xtil_s^T] in blocks.
    objective : float
        sum_t w_t D_t.
    lower_bound : float
        Value of the dual at the projected multipliers.
    gap : float
        objective - lower_bound.
    source : VectorGaussMarkov
        The source that was asked about.
    loss : FMD, JD, SA or None
        The perception loss that was asked for, with its thresholds.
    weights : (T,) array
        Weights of the distortions.
    """

    distortion: Array
    perception: Array
    rates: Array
    mmse: Array
    cov_xhat: Array
    cross: Array
    objective: float
    lower_bound: float
    gap: float
    source: VectorGaussMarkov
    loss: Perception | None
    weights: Array


def solve_block(
    source: VectorGaussMarkov,
    rates: object,
    perception: Perception | str | None = None,
    weights: object = 1.0,
    budget: str = "cumulative",
    marginals: object = None,
) -> BlockSolution:
    r"""Least weighted distortion of a general vector source, encoder and decoder together.

    Parameters
    ----------
    source : VectorGaussMarkov
        T frames in R^d; the program has O((T d)^2) unknowns.
    rates : float or (T,) array, > 0, finite, bits per frame
        Rates whose sums bound the sums of the rates used.
    perception : FMD, JD, SA, str or None
        Perception loss with thresholds on squared W2; a name is the loss at threshold 0.
    weights : float or (T,) array, >= 0
        Weights of the distortions.
    budget : {"cumulative", "total"}
        Bound the rate used up to every frame, so that unused bits can be spent later, or only
        the total.
    marginals : (T, d, d) array or None
        For FMD: covariances that the reconstruction of each frame is compared with, instead of
        those of the source (output-constrained coding, arXiv:2503.03744).

    Returns
    -------
    BlockSolution

    Raises
    ------
    ValueError
        Bad rates, weights, marginals or budget; a KL threshold.
    SolverError
        The solver failed, or its answer is not accurate.

    Examples
    --------
    The optimal rates of Table I of arXiv:2503.03744, in bits:

    >>> from rdp import FMD
    >>> source = VectorGaussMarkov([], [np.diag([2.0, 3.0, 1.0])])
    >>> answer = solve_block(source, 2.1, FMD(0.0), marginals=[np.diag([3.0, 1.0, 1.0])])
    >>> (0.5 * np.log2([2, 3, 1] / np.diag(answer.mmse[0]))).round(3)
    array([0.929, 0.726, 0.445])
    """
    loss_name(perception, "perception")  # refuses a window
    loss = as_perception(perception)
    return _solve(BlockProgram(source, rates, loss, weights, budget, marginals))


def _solve(program: BlockProgram) -> BlockSolution:
    """Solve, recompute, check and certify."""
    x, bound = _optimise(program)
    cov, cross, errors = program.symmetric(x, "cov"), program.cross(x), program.errors(x)
    rates = _rates(program, errors)
    perception = np.full(program.source.frames, np.nan)
    if program.perception is not None:
        pairs = [program.compared(x, t) for t in range(program.source.frames)]
        perception = np.array([float(gaussian.bures(*pair)) for pair in pairs])
    objective = program.objective(x)
    residuals = _residuals(program, x, rates, perception)
    variance = float(program.weights @ np.trace(program.variance, axis1=1, axis2=2))
    bound = check_block("block_sdp", residuals, objective, bound, variance)
    return BlockSolution(
        distortion=program.distortion(x) * program.unit,
        perception=perception * program.unit,
        rates=rates,
        mmse=errors * program.unit,
        cov_xhat=cov * program.unit,
        cross=cross * program.unit,
        objective=objective * program.unit,
        lower_bound=bound * program.unit,
        gap=(objective - bound) * program.unit,
        source=program.source,
        loss=program.perception,
        weights=program.weights,
    )


def _rates(program: BlockProgram, errors: Array) -> Array:
    """Bits of each frame: half the log-ratio of prediction error and error."""
    a = program.source.transition
    predicted = program.noise.copy()
    predicted[1:] += a @ errors[:-1] @ np.swapaxes(a, 1, 2)
    gain = np.linalg.slogdet(predicted)[1] - np.linalg.slogdet(errors)[1]
    return np.asarray(0.5 * gain / np.log(2))


def _optimise(program: BlockProgram) -> tuple[Array, float]:
    """Return the unknowns and the certified bound."""
    import cvxpy as cp

    x = cp.Variable(program.length)

    def matrix(name: str) -> Any:
        map_ = program.affine(program.symmetric, name)
        return map_.expression(x)

    semidefinite = [item.expression(x) >> 0 for item in program.semidefinite]
    zero = [item.expression(x) == 0 for item in program.zero]
    positive = [item.expression(x) >= 0 for item in program.positive]
    rate = []
    for k in program.checkpoints:
        constant, names = program.rate_terms(k)
        spare = program.bits[: k + 1].sum() * np.log(2) - constant
        rate.append(spare + sum(0.5 * cp.log_det(matrix(name)) for name in names) >= 0)
    objective = cp.Minimize(program.cost.expression(x))
    problem = cp.Problem(objective, semidefinite + zero + positive + rate)
    try:
        problem.solve(solver=cp.CLARABEL)
    except cp.error.SolverError as failure:
        raise SolverError(Status.FAILED, f"block_sdp: {failure}") from None
    if problem.status != cp.OPTIMAL:
        raise SolverError(Status.FAILED, f"block_sdp: solver says {problem.status}")
    prices = np.array([float(constraint.dual_value) for constraint in rate])
    multipliers = [c.dual_value for c in (*semidefinite, *zero, *positive)]
    found = np.asarray(x.value)
    return found, block_bound(program, found, prices, multipliers)


def _residuals(
    program: BlockProgram, x: Array, rates: Array, perception: Array
) -> dict[str, float]:
    """Violation of each constraint, in units of the program."""
    spent = np.cumsum(rates - program.bits)[list(program.checkpoints)]
    beyond = 0.0 if program.perception is None else float((perception - program.levels).max())
    return {
        "moments": -min(np.linalg.eigvalsh(item.at(x)).min() for item in program.semidefinite),
        "rate": float(spent.max()),
        "perception": beyond,
    }
