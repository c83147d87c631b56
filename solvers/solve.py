"""`solve`: choose a method, run it, recompute everything from the scheme, refuse what is off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rdp._threads import one_thread
from rdp.measure import reached_by
from rdp.problem import Problem
from rdp.solution import Solution, Status
from solvers import acceptance
from solvers.errors import SolverError
from solvers.methods.registry import METHODS, Method, method_for, quick_in_decimals
from solvers.methods.waiting import methods_in_order
from solvers.scheme import Scheme
from solvers.ties import break_ties

Array = np.ndarray

_LEAVE_TIES = ("long-horizon", "sdp")  # the other methods break ties themselves, or have none
FEW_FRAMES = 12  # up to here "sdp" takes less than a second where the others fail


def solve(problem: Problem, method: str = "auto") -> Solution:
    r"""Least distortion at given rates and perception thresholds.

    Minimise :math:`\sum_t w_t D_t` (or :math:`D_1`, then :math:`D_2`, ...) over causal codecs of
    rates :math:`R_t` whose perception loss is at most :math:`P_t` at every frame.

    Parameters
    ----------
    problem : Problem
        Source, rates, perception loss, objective.
    method : "auto", or a name in `solvers.methods.registry.METHODS`
        "closed-form", "shared-bits", "linear", "waterfilling", "lookahead", "long-horizon",
        "barrier", "precise", "sdp".
        "auto" takes the cheapest that covers the problem (:mod:`solvers.methods.registry`): the
        closed form where there is one, "shared-bits" for limited common randomness, "linear" for
        sources of higher order, "waterfilling"
        for vector frames, "lookahead" for perfect joint or self-adaptive realism, "long-horizon"
        for many frames, else "barrier" or, for a window, "sdp". If one cannot certify its answer,
        or only with a gap above 1e-6 of it, the next one that covers the problem is asked, and the
        message of the solution says so ("precise" computes with 140 digits).
        "barrier" is compiled. Until it is, others stand in (:mod:`solvers.methods.waiting`).

    Returns
    -------
    Solution
        Distortion and perception are recomputed from the scheme; the gap is certified
        (:mod:`solvers.acceptance`).

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
    if method != "auto" and method not in METHODS:
        names = ", ".join(["auto", *METHODS])
        raise ValueError(f"method: expected one of {names}, got {method!r}")
    if method == "auto":
        return solve_by_cheapest(problem)
    return _answer(problem, METHODS[method], METHODS[method].solve(problem))


def solve_by_cheapest(problem: Problem) -> Solution:
    """Ask the methods that cover a problem, the cheapest first, until an answer is certified.

    Where the certificate is not sharp, the next one is asked too, unless it is a second route, or
    decimal arithmetic over so many frames that it would take long.

    Raises
    ------
    SolverError
        No method covers the problem, or none that does certifies its answer.
    """
    failures: list[SolverError] = []
    best: Solution | None = None
    settled = False
    for method in methods_in_order(problem):
        if best is not None and method.checks_others:
            break
        if failures and method.checks_others and problem.source.frames > FEW_FRAMES:
            break  # it would take minutes
        if settled and method.name == "precise" and not quick_in_decimals(problem):
            continue
        try:
            found = _answer(problem, method, method.run(problem))
        except SolverError as error:
            failures.append(error)
            continue
        kept = _keeps_thresholds(problem, found)
        if best is None or (kept, -found.gap) > (settled, -best.gap):
            best, settled = found, kept
        if (settled and _is_sharp(best)) or problem.limited:
            break
    if best is None:
        if not failures:
            method_for(problem)  # says why there is none
        raise failures[-1]
    if failures:
        tried = "; ".join(map(str, failures))
        return replace(best, message=f"{best.message} (asked after: {tried})")
    return best


def _is_sharp(found: Solution) -> bool:
    """Whether no other method need be asked for better bounds."""
    problem, bounds = found.problem, found.frame_bounds
    few = quick_in_decimals(problem)
    if not acceptance.sharp(problem, found.objective, found.lower_bound, few):
        return False
    if bounds is None or problem.weights is not None or not few:
        return True
    return acceptance.sharp_frames(problem, found.distortion, bounds)


def _keeps_thresholds(problem: Problem, found: Solution) -> bool:
    """Whether what an answer exceeds its thresholds by is next to nothing."""
    if problem.perception is None:
        return True
    return bool(
        acceptance.sharply_within(problem, found.distortion, found.perception, problem.thresholds)
    )


def _answer(problem: Problem, method: Method, scheme: Scheme) -> Solution:
    """Answer of a method that found a scheme, ties broken."""
    found = finish(problem, scheme, method.name)
    if problem.weights is None or method.name not in _LEAVE_TIES:
        return found

    def again(weights: Array) -> Solution | None:
        try:
            other = method.solve(problem.with_(weights=weights))
            return finish(problem, other._replace(lower_bound=found.lower_bound), method.name)
        except SolverError:
            return None  # the answer that was found stays

    return break_ties(problem.weights, found.mmse, found, found.lower_bound, again)


def finish(problem: Problem, scheme: Scheme, method: str) -> Solution:
    """Recompute everything from a scheme, check it, and return the solution.

    Parameters
    ----------
    problem : Problem
        The problem that was solved.
    scheme : Scheme
        What a method found.
    method : str
        Name of the method.

    Raises
    ------
    SolverError
        A residual, or the certified gap, exceeds tolerance.
    """
    with one_thread():
        return _finished(problem, scheme, method)


def _frame_bounds(distortion: Array, bounds: Array | None) -> Array | None:
    """Bounds of the frames, rounded outward."""
    return None if bounds is None else acceptance.outward(distortion, bounds)


def measured(problem: Problem, scheme: Scheme, name: str) -> tuple[Array, Array]:
    """Return the distortions and losses of the second moments of a scheme.

    Parameters
    ----------
    problem : Problem
        The problem that was solved.
    scheme : Scheme
        What a method found.
    name : str
        What an error is about: a method or a function.

    Raises
    ------
    SolverError
        The moments are those of no distribution.
    """
    try:
        return reached_by(problem, scheme.mmse, scheme.cov_xhat, scheme.cross)
    except ValueError as error:  # the input is not at fault
        raise SolverError(Status.INACCURATE, f"{name}: {error} ({scheme.message})") from error


def _finished(problem: Problem, scheme: Scheme, method: str) -> Solution:
    source = problem.source
    moments, losses = measured(problem, scheme, method)
    distortion = acceptance.precise_distortion(problem, scheme.distortion, moments)
    perception = acceptance.precise_perception(problem, scheme.perception, losses)
    acceptance.check_scheme(method, problem, scheme, distortion, perception)
    objective = float(problem.frame_weights @ distortion)
    bound = float(acceptance.outward(objective, scheme.lower_bound))
    solution = Solution(
        problem=problem,
        distortion=distortion,
        perception=perception,
        rates=problem.rates,
        mmse=scheme.mmse.reshape(source.frames, -1).sum(axis=1),
        objective=objective,
        lower_bound=bound,
        gap=objective - bound,
        method=method,
        status=acceptance.status_of(problem, objective, bound),
        message=scheme.message,
        cov_xhat=scheme.cov_xhat,
        cross=scheme.cross,
        mode_mmse=None if source.modes is None else scheme.mmse,
        mode_rates=scheme.mode_rates,
        coefficients=scheme.coefficients,
        frame_bounds=_frame_bounds(distortion, scheme.frame_bounds),
    )
    acceptance.check_gap(solution)
    return solution
