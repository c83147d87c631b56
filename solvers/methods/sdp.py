r"""Method "sdp": the whole convex program, by cvxpy and Clarabel.

.. math::
    \min \sum_t w_t D_t \quad \text{over the second moments of } (\tilde X, \hat X)
    \text{ and, when the encoder is free, the errors } m_t,

subject to causality of encoder and decoder, the rates and the perception thresholds. This route is
slow and plain. It is there to check the others.

The weighted objective is one program (:mod:`solvers._sdp.weighted`), the sequential objective one
program for each frame (:mod:`solvers._sdp.sequential`). The lower bound comes from the multipliers
(:mod:`solvers.certificate`).

Clarabel is asked for 1e-11 and reaches 1e-8 relative to the objective in most problems. It does
not resolve thresholds in nats below 1e-5 or above 5 (exponential cones), and the sequential
objective under PLF-JD where some |rho| is 1: there the objective may be right but its certificate
is not, and `solve` refuses it.

The program is derived in this project; loss functions of Salehkalaibar et al., arXiv:2305.19301
and arXiv:2502.10628; the rate constraint is that of Tanaka et al., arXiv:1411.7632.
"""

from __future__ import annotations

from rdp.problem import Problem
from solvers._sdp.sequential import solve_sequential
from solvers._sdp.weighted import solve_weighted
from solvers.scheme import Scheme


def solve_sdp(problem: Problem) -> Scheme:
    """Scheme of a problem with scalar frames.

    PLF-FMD binds the frames one by one, so that its sequential objective is the one with equal
    weights.
    """
    if problem.weights is None and problem.plf not in ("MMSE", "FMD"):
        return solve_sequential(problem)
    return solve_weighted(problem)
