"""Backend "closed-form": the scheme behind every closed form, as second moments.

Covered are, for scalar frames: no perception loss; PLF-FMD at any thresholds, metric and
objective (the marginal law binds each frame alone, so the optimum is simultaneous for all
frames); PLF-JD and PLF-SA under the sequential objective where every threshold is 0 or inf, and
a single frame at any threshold; and any loss whose thresholds the MMSE estimate meets already.
"""

from __future__ import annotations

import numpy as np

from rdp import closed_form as formulas
from rdp.measure import perception_of
from rdp.mmse import Backbone, estimate_factor, mmse_recursion
from rdp.perception import FMD
from rdp.problem import Problem
from solvers.errors import SolverError
from solvers.scheme import Scheme

Array = np.ndarray


def coverage(problem: Problem) -> str | None:
    """Name the closed form that answers a problem: "MMSE", "FMD", "JD", "SA", or None.

    Parameters
    ----------
    problem : Problem
        The question.
    """
    if problem.source.modes is not None:
        return None
    levels = problem.thresholds
    if problem.perception is None or np.isinf(levels).all():
        return "MMSE"
    if problem.plf == "FMD" or problem.source.frames == 1:
        return "FMD"
    if problem.weights is None and np.isin(levels, (0.0, np.inf)).all():
        # a joint law binds the past too: free frames are explicit only after the bound ones, and
        # a frame with nothing new keeps what it receives for later
        free_last = (np.diff(np.isinf(levels).astype(int)) >= 0).all()
        if problem.plf == "SA" or (free_last and (problem.source.innovation > 0).all()):
            return problem.plf
    if _mmse_meets(problem):
        return "MMSE"
    return None


def solve_closed_form(problem: Problem) -> Scheme:
    """Answer a problem by its closed form.

    Parameters
    ----------
    problem : Problem
        Scalar frames, and a loss, thresholds and objective that a closed form covers.

    Returns
    -------
    Scheme

    Raises
    ------
    SolverError
        No closed form covers the problem; the message names the method that does.
    """
    which = coverage(problem)
    if which is None:
        raise SolverError("unsupported", f"no closed form for {_describe(problem)}")
    backbone = mmse_recursion(problem.source, problem.rates)
    factor = estimate_factor(problem.source, problem.rates)
    build = {"MMSE": _mmse, "FMD": _framewise, "JD": _joint, "SA": _self_adaptive}[which]
    decoder, noise, distortion = build(problem, backbone, factor)
    cov_xhat = decoder @ decoder.T + noise @ noise.T
    weights = np.ones(problem.source.frames) if problem.weights is None else problem.weights
    bound = float(weights @ distortion)
    return Scheme(cov_xhat, decoder @ factor.T, backbone.mmse, bound, f"closed form of {which}")


# Each builder returns (K, N, D): Xhat = K u + N z with white u of the representation and decoder
# noise z, and the distortions of the closed form.


def _mmse(problem: Problem, backbone: Backbone, factor: Array) -> tuple[Array, Array, Array]:
    return factor, np.zeros_like(factor), backbone.mmse


def _framewise(problem: Problem, backbone: Backbone, factor: Array) -> tuple[Array, Array, Array]:
    perception = problem.perception
    metric = perception.metric if isinstance(perception, FMD) else "w2"
    levels = problem.thresholds
    shown = formulas.smallest_sd(problem.source.sigma, levels, metric)
    known = np.sqrt(backbone.variance)
    scale = np.where(known > 0, np.maximum(shown / np.where(known > 0, known, 1.0), 1.0), 0.0)
    noise = np.diag(np.where(known > 0, 0.0, shown))
    distortion = formulas.framewise(problem.source, problem.rates, levels, metric)
    return scale[:, None] * factor, noise, distortion


def _joint(problem: Problem, backbone: Backbone, factor: Array) -> tuple[Array, Array, Array]:
    source = problem.source
    shown = source.factor()
    received = backbone.gain > 0
    decoder, noise = shown * received, shown * ~received
    distortion = formulas.zero_perception_joint(source, problem.rates)
    free = np.isinf(problem.thresholds)
    return _free_frames(free, decoder, noise, distortion, backbone, factor)


def _self_adaptive(
    problem: Problem, backbone: Backbone, factor: Array
) -> tuple[Array, Array, Array]:
    source = problem.source
    decoder = np.zeros_like(factor)
    decoder[1:] = source.gain[1:, None] * factor[:-1]
    fresh = np.sqrt(backbone.prediction_error)
    received = backbone.gain > 0
    decoder += np.diag(fresh * received)
    noise = np.diag(fresh * ~received)
    distortion = formulas.zero_perception_self_adaptive(source, problem.rates)
    free = np.isinf(problem.thresholds)
    return _free_frames(free, decoder, noise, distortion, backbone, factor)


def _free_frames(
    free: Array, decoder: Array, noise: Array, distortion: Array, backbone: Backbone, factor: Array
) -> tuple[Array, Array, Array]:
    """Frames without a constraint show the MMSE estimate itself."""
    row = free[:, None]
    return (
        np.where(row, factor, decoder),
        np.where(row, 0.0, noise),
        np.where(free, backbone.mmse, distortion),
    )


def _mmse_meets(problem: Problem) -> bool:
    perception, source = problem.perception, problem.source
    if perception is None:
        return True
    factor = estimate_factor(source, problem.rates)
    cov = factor @ factor.T
    # the marginal loss of a frame is part of every other, and quickly computed
    for loss in (FMD(), perception):
        if (perception_of(source, cov, cov, loss) > problem.thresholds).any():
            return False
    return True


def _describe(problem: Problem) -> str:
    if problem.source.modes is not None:
        return "vector frames; use method='waterfilling'"
    what = "weights" if problem.weights is not None else f"thresholds {problem.thresholds}"
    method = "barrier" if problem.thresholds.any() else "lookahead"
    return f"PLF-{problem.plf} with {what}; use method='{method}'"
