r"""Method "long-horizon": perception thresholds P > 0 over tens or hundreds of frames.

.. math::
    \min \sum_t w_t D_t, \qquad D_t = m_t + |K_t - \tilde L_t|^2 + S_{tt}, \qquad
    H = K K^T + S, \quad S \succeq 0,

over lower-triangular decoder gains K (:math:`\hat X = K u` + noise of covariance S,
:math:`\tilde X = \tilde L u`), subject to the thresholds; or frame after frame.

Why this method. The barrier method (:mod:`solvers.methods.barrier`) takes the same Newton steps,
but it writes their equations down: T^2 unknowns, T^6 operations. Here a product with the matrix of
the equations is a few products of T x T matrices for each threshold, and conjugate gradients need
about a hundred of them, because the causal part of the equations has an exact inverse
(:mod:`solvers._long_horizon.direction`). Certificates are those of :mod:`solvers.certificate`.
The sequential objective needs no barrier: a frame has one multiplier, and a frame without room
continues the past in one way only (:mod:`solvers._long_horizon.sequential`).
`benchmarks/bench_long_horizon.py` measures the times.
"""

from __future__ import annotations

import numpy as np

from rdp._threads import one_thread
from rdp.gaussian import bures_of_factors, psd_cholesky
from rdp.mmse import estimate_factor, mmse_recursion
from rdp.perception import JD, SA
from rdp.problem import Problem
from rdp.solution import Status
from solvers._long_horizon.path import Found, follow
from solvers._long_horizon.program import Program, program_of, start
from solvers._long_horizon.sequential import solve_frames
from solvers.acceptance import check_frames, with_losses
from solvers.errors import SolverError
from solvers.scheme import Scheme

Array = np.ndarray

ACCEPTED = 1e-6  # gap above which a problem is reported as failed, relative to the objective
# share of the gains and barrier parameter; the second where the first gives no certificate
_STARTS = {"JD": ((0.6, 1.0), (0.9, 0.03)), "SA": ((0.9, 0.03), (0.6, 0.3))}
_FLOOR = 1e-12  # relative to the weighted variance: what double precision resolves


def solve_long_horizon(problem: Problem) -> Scheme:
    r"""Solve a problem of scalar frames by Newton steps that are never written down.

    Minimise :math:`\sum_t w_t D_t`, or frame after frame, over causal schemes of given rates and
    perception thresholds.

    Parameters
    ----------
    problem : Problem
        Scalar frames; JD or SA. With weights: thresholds above zero; for JD every frame up to the
        last threshold has innovation (|rho_t| < 1); for SA every frame has a weight or a threshold.

    Returns
    -------
    Scheme

    Raises
    ------
    SolverError
        A problem that is not covered, or a certified gap above tolerance.

    Notes
    -----
    Loss functions of Salehkalaibar et al., arXiv:2305.19301 and arXiv:2502.10628; the method is
    derived in this project. One threshold of JD costs the least; thresholds that differ and bind at
    every frame, below about 1e-4 of the variance with low rates, need thousands of products and may
    end without a certificate: then the method raises, and 'barrier' or 'sdp' may still answer.
    For the sequential objective the bound of a frame holds given the
    frames before it, which meet their thresholds up to rounding.

    Examples
    --------
    >>> from rdp import JD, GaussMarkov
    >>> source = GaussMarkov.stationary(rho=0.9, frames=3)
    >>> problem = Problem(source, [0.05, 8, 8], JD(0.1), weights=[0, 0, 1])
    >>> round(solve_long_horizon(problem).lower_bound, 3)
    0.078
    """
    source = problem.source
    if source.modes is not None:
        raise SolverError(
            Status.UNSUPPORTED,
            "long horizon: expected scalar frames; vector frames use 'waterfilling'",
        )
    if problem.plf not in ("JD", "SA"):
        raise SolverError(
            Status.UNSUPPORTED,
            f"long horizon: expected JD or SA, got {problem.plf}; use 'closed-form'",
        )
    # powers of two divide and multiply exactly; products of variances neither over- nor underflow
    unit = 2.0 ** np.round(np.log2(source.sigma.max()))
    scaled = problem.with_(
        source=source.scaled(1 / unit),
        perception=(JD if problem.plf == "JD" else SA)(problem.thresholds / unit**2),
    )
    # a path that rounding leads astray may overflow: its answer has no certificate then
    with one_thread(), np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        made = _sequential(scaled) if problem.weights is None else _weighted(scaled)
    # rounding of sums over the frames: the bound is rounded outward
    slip = 4 * (source.frames + 2) * np.finfo(np.float64).eps * abs(made.lower_bound)
    return made._replace(
        cov_xhat=made.cov_xhat * unit**2,
        cross=made.cross * unit**2,
        mmse=mmse_recursion(source, problem.rates).mmse,
        lower_bound=float((made.lower_bound - slip) * unit**2),
        distortion=None if made.distortion is None else made.distortion * unit**2,
        perception=None if made.perception is None else made.perception * unit**2,
        frame_bounds=None if made.frame_bounds is None else made.frame_bounds * unit**2,
    )


def _sequential(problem: Problem) -> Scheme:
    source = problem.source
    found = solve_frames(problem)
    check_frames("long horizon", source.variance, found.distortion, found.bounds)
    bound = float(found.bounds.sum())
    informed = np.diag(estimate_factor(source, problem.rates)) > 0
    gains = found.root * informed
    made = Scheme(
        cov_xhat=found.root @ found.root.T,
        cross=gains @ estimate_factor(source, problem.rates).T,
        mmse=found.distortion,
        lower_bound=bound,
        message=f"frame by frame, {found.tight} of {source.frames} continue the past",
        distortion=found.distortion,
        frame_bounds=found.bounds,
    )
    return with_losses(problem, made, gains, found.root * ~informed)


def _weighted(problem: Problem) -> Scheme:
    """Solve the frames up to the last threshold; the MMSE estimate is best after it."""
    source, weights = problem.source, problem.weights
    estimate = estimate_factor(source, problem.rates)
    mmse = mmse_recursion(source, problem.rates).mmse
    gains, noise = estimate.copy(), np.zeros_like(estimate)
    assert weights is not None
    bound, message = float(weights @ mmse), "the MMSE estimate meets every threshold"
    if np.isfinite(problem.thresholds).any():
        program = program_of(problem)
        n = program.frames
        if program.total == 0:
            gains[:n, :n], noise[:n, :n] = start(program, mmse[:n], 0.9)
            message = "no weight up to the last threshold"
        elif not _met(program, mmse):
            found = follow_from_starts(program, mmse[:n])
            gains[:n, :n], noise[:n, :n] = found.gains, found.noise
            bound = found.bound + float(weights[n:] @ mmse[n:])
            message = f"{found.steps} Newton steps, {found.products} products"
    made = Scheme(
        cov_xhat=gains @ gains.T + noise,
        cross=gains @ estimate.T,
        mmse=mmse,
        lower_bound=bound,
        message=message,
        distortion=mmse + ((gains - estimate) ** 2).sum(axis=1) + np.diag(noise),
    )
    return with_losses(problem, made, gains, psd_cholesky(noise))


def follow_from_starts(program: Program, mmse: Array) -> Found:
    """Follow the central path from one start, or from the other one.

    Parameters
    ----------
    program : Program
    mmse : (n,) array
        m_t of its frames.

    Raises
    ------
    SolverError
        No certificate from either.
    """
    for shrink, first in _STARTS["JD" if program.joint else "SA"]:
        found = follow(program, *start(program, mmse, shrink), first)
        allowed = ACCEPTED * found.objective + _FLOOR * program.total
        if found.objective - found.bound <= allowed < np.inf:
            return found
    raise _uncertified(found.objective, found.bound)


def _met(program: Program, mmse: Array) -> bool:
    """Whether the MMSE estimate meets every threshold."""
    for t, level in zip(program.compared, program.levels, strict=True):
        root = program.estimate[: t + 1, : t + 1]
        target = program.root[: t + 1, : t + 1]
        if not program.joint:
            target = root.copy()
            target[t, t] = np.sqrt(root[t, t] ** 2 + mmse[t])
        if bures_of_factors(target, root) > level:
            return False
    return True


def _uncertified(total: float, bound: float) -> SolverError:
    return SolverError(
        Status.INACCURATE,
        f"long horizon: objective {total:.10g} has no certificate beyond {bound:.10g}",
    )
