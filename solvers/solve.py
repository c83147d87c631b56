"""`solve`: choose a method, run it, recompute everything from the scheme, refuse what is off."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import numpy as np

from rdp.measure import distortion_of, perception_of
from rdp.mmse import factor_from_mmse
from rdp.problem import Problem
from rdp.solution import Solution
from solvers.errors import SolverError
from solvers.methods.closed_form import coverage
from solvers.scheme import Scheme

Array = np.ndarray

# Backends are named, not imported: numba and cvxpy load when they are first used.
BACKENDS = {
    "closed-form": ("solvers.methods.closed_form", "solve_closed_form"),
    "barrier": ("solvers.methods.barrier", "solve_barrier"),
    "lookahead": ("solvers.methods.lookahead", "solve_lookahead"),
    "sdp": ("solvers.methods.sdp", "solve_sdp"),
    "waterfilling": ("solvers.methods.waterfilling", "solve_waterfilling"),
}

RESIDUAL = 1e-6  # of moments and perception, relative to the variance of the source
GAP = 1e-5  # of the objective, relative to it
GAP_FLOOR = 1e-8  # relative to the weighted variance: what a solver can resolve at high rates


def solve(problem: Problem, method: str = "auto") -> Solution:
    r"""Least distortion at given rates and perception thresholds.

    Minimise :math:`\sum_t w_t D_t` (or :math:`D_1`, then :math:`D_2`, ...) over causal codecs of
    rates :math:`R_t` whose perception loss is at most :math:`P_t` at every frame.

    Parameters
    ----------
    problem : Problem
        Source, rates, perception loss, objective.
    method : {"auto", "closed-form", "barrier", "lookahead", "sdp", "waterfilling"}
        "auto" takes the cheapest exact one: the closed form where there is one, "waterfilling"
        for vector frames, "lookahead" for perfect joint or self-adaptive realism, else "barrier".

    Returns
    -------
    Solution
        Distortion and perception are recomputed from the scheme; the gap is certified.

    Raises
    ------
    ValueError
        Unknown method.
    SolverError
        The method does not cover the problem, or did not solve it to tolerance.

    Examples
    --------
    >>> from rdp import JD, GaussMarkov
    >>> solution = solve(Problem(GaussMarkov.stationary(rho=0.9, frames=2), 0.5, JD(0.0)))
    >>> solution.distortion.round(4)
    array([0.5858, 0.379 ])
    >>> solution.method
    'closed-form'
    """
    if not isinstance(problem, Problem):
        raise ValueError(f"problem: expected a Problem, got {type(problem).__name__}")
    if method != "auto" and method not in BACKENDS:
        names = ", ".join(["auto", *BACKENDS])
        raise ValueError(f"method: expected one of {names}, got {method!r}")
    name = choose(problem) if method == "auto" else method
    module, function = BACKENDS[name]
    backend: Callable[[Problem], Scheme] = getattr(import_module(module), function)
    return finish(problem, backend(problem), name)


def choose(problem: Problem) -> str:
    """Name the cheapest exact method for a problem.

    Parameters
    ----------
    problem : Problem
        The question.
    """
    if problem.source.modes is not None:
        return "waterfilling"
    if coverage(problem):
        return "closed-form"
    if problem.plf in ("JD", "SA") and not problem.thresholds.any():
        return "lookahead"
    return "barrier"


def finish(problem: Problem, scheme: Scheme, method: str) -> Solution:
    """Recompute everything from a scheme, check it, and return the solution.

    Parameters
    ----------
    problem : Problem
        The question.
    scheme : Scheme
        What a backend found.
    method : str
        Name of the backend.

    Raises
    ------
    SolverError
        A residual, or the certified gap, exceeds tolerance.
    """
    source = problem.source
    distortion = distortion_of(source, scheme.mmse, scheme.cov_xhat, scheme.cross)
    perception = (
        np.full(source.frames, np.nan)
        if problem.perception is None
        else perception_of(source, scheme.cov_xhat, scheme.cross, problem.perception)
    )
    weights = np.ones(source.frames) if problem.weights is None else problem.weights
    objective = float(weights @ distortion)
    solution = Solution(
        problem=problem,
        distortion=distortion,
        perception=perception,
        rates=problem.rates,
        mmse=scheme.mmse.reshape(source.frames, -1).sum(axis=1),
        objective=objective,
        lower_bound=scheme.lower_bound,
        gap=objective - scheme.lower_bound,
        method=method,
        status="solved",
        message=scheme.message,
        cov_xhat=scheme.cov_xhat,
        cross=scheme.cross,
        mode_mmse=None if source.modes is None else scheme.mmse,
        mode_rates=scheme.mode_rates,
    )
    _check_residuals(solution, scheme)
    _check_gap(solution, weights)
    return solution


def residuals(solution: Solution) -> dict[str, float]:
    """How far a solution is from feasible, by constraint, relative to the source variance.

    Parameters
    ----------
    solution : Solution
        What to check.

    Returns
    -------
    dict
        "moments": the joint covariance of estimate and reconstruction is not positive
        semidefinite; "causality": the reconstruction depends on later frames; "rate": more bits
        than allowed; "perception": beyond the thresholds.
    """
    problem, source = solution.problem, solution.problem.source
    mmse = solution.mmse if solution.mode_mmse is None else solution.mode_mmse
    factor = factor_from_mmse(source, mmse)
    estimate = factor @ np.swapaxes(factor, -1, -2)
    cross, scale = solution.cross, float(source.variance.max())
    joint = np.block([[estimate, np.swapaxes(cross, -1, -2)], [cross, solution.cov_xhat]])
    own = np.diagonal(cross, axis1=-2, axis2=-1)
    future = np.triu(cross - own[..., :, None] * np.swapaxes(source.transition(), -1, -2))
    out = {
        "moments": max(0.0, -float(np.linalg.eigvalsh(joint).min())) / scale,
        "causality": float(np.abs(future).max()) / scale,
        "rate": _excess_rate(solution, mmse),
        "perception": 0.0,
    }
    if problem.perception is not None:
        unit = 1.0 if problem.perception.metric == "kl" else float(source.variance.sum())
        bound = np.isfinite(problem.thresholds)  # a free frame may be infinitely far in KL
        beyond = solution.perception[bound] - problem.thresholds[bound]
        out["perception"] = float(np.max(beyond, initial=0.0)) / unit
    return out


def _excess_rate(solution: Solution, mmse: Array) -> float:
    """Prediction error removed beyond what the rates allow, relative to the variance."""
    source = solution.problem.source
    previous = np.concatenate([np.zeros_like(mmse[:1]), mmse[:-1]])
    v = source.gain**2 * previous + source.innovation
    if source.modes is None:
        least = np.exp2(-2 * solution.problem.rates) * v
        return float(np.max(np.maximum(least - mmse, mmse - v) / source.variance, initial=0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = np.where(v > mmse, 0.5 * np.log2(v / mmse), 0.0).sum(axis=1)
    finite = np.isfinite(solution.problem.rates)
    beyond = (bits - solution.problem.rates)[finite]
    return float(np.max(beyond / (1 + solution.problem.rates[finite]), initial=0.0))


def _check_residuals(solution: Solution, scheme: Scheme) -> None:
    for name, value in residuals(solution).items():
        if not value <= RESIDUAL:  # nan counts as a failure too
            raise SolverError(
                "inaccurate",
                f"{solution.method}: residual of {name} is {value:.2e}, tolerance {RESIDUAL:.0e}"
                f" ({scheme.message})",
            )


def _check_gap(solution: Solution, weights: Array) -> None:
    total = float(weights @ solution.problem.source.variance.reshape(len(weights), -1).sum(axis=1))
    allowed = GAP * solution.objective + GAP_FLOOR * total
    if not -allowed <= solution.gap <= allowed:
        raise SolverError(
            "inaccurate",
            f"{solution.method}: certified gap is {solution.gap:.2e}, tolerance {allowed:.2e}"
            f" ({solution.message})",
        )
