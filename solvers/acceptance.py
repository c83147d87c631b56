"""What counts as solved: the tolerances, and the checks that every answer passes.

`solve`, `sweep`, `minimum_rate`, `allocate` and what builds on them refuse what fails here. Nothing
else in the package holds a tolerance on an answer.
"""

from __future__ import annotations

import numpy as np

from rdp.measure import excess_perception, losses_from_factors, residuals_of
from rdp.perception import CP, JD
from rdp.problem import Problem
from rdp.solution import Solution, Status
from rdp.source import GaussMarkov
from solvers.errors import SolverError
from solvers.scheme import Scheme

Array = np.ndarray

ULPS = 4 * np.finfo(np.float64).eps  # of a threshold, as a number
RESIDUAL = 1e-6  # of any constraint, relative to the variance of the source
GAP = 1e-5  # of the objective, relative to it
SHARP = 1e-6  # gap, relative to the objective, below which no other method is asked
BELOW = 1e-7  # of the objective: what it may be below its bound, by the tolerance of thresholds
GAP_FLOOR = 1e-13  # relative to the weighted variance: what double precision resolves
SHARP_FLOOR = 1e-18  # the same, below which no other method is asked: SHARP at 20 bits
MOMENTS = 1e-12  # rounding of second moments, relative to the largest variance
SQUARED_W2 = 1e-14  # rounding of squared W2, relative to the variance of the frames it compares
FACTORED = 1e-14  # rounding of its root, of factors, relative to the root of that variance
SAME_W2 = 1e-7  # of that variance: roots of small eigenvalues lose half of the digits
LOOSER = 1e-6  # root of a threshold, relative to it: what is as good as the threshold
MOVED = 1e-4  # root of squared W2 beyond a threshold, relative to the root of the distortion
SHARP_MOVED = 5e-7  # the same, below which no other method is asked: SHARP of the distortion
ROUNDING = 1e-12  # of the objective: errors of sums in an exact method
BITS = 1e-5  # gap of a total rate, bits, and relative to it
SPENT = 1e-9  # what a split may exceed its budget by before it is cut to it, bits, and relative
MISSED = 1e-6  # of an allowed distortion, relative to it
AGREEMENT = 1e-12  # of a distortion and the moments it belongs to, relative to the variance


def gap_allowed(problem: Problem, objective: Array | float) -> Array | float:
    """Return the certified gap that counts as solved, at one objective or several."""
    return GAP * objective + GAP_FLOOR * _weighted_variance(problem)


def _weighted_variance(problem: Problem) -> float:
    return float(problem.frame_weights @ _frame_variance(problem.source))


def _frame_variance(source: GaussMarkov) -> Array:
    """Variance of each frame, (T,), summed over its modes."""
    variance = source.variance
    return variance if variance.ndim == 1 else variance.sum(axis=1)


def certified(problem: Problem, objective: Array | float, bound: Array | float) -> Array:
    """Whether objectives and bounds (n,) are as near to each other as solved problems are."""
    return _near(objective, bound, _weighted_variance(problem))


def _near(objective: Array | float, bound: Array | float, variance: float) -> Array:
    """Whether objectives are near their bounds, and next to never below them."""
    gap, floor = objective - bound, GAP_FLOOR * variance
    above = gap <= GAP * np.abs(objective) + floor
    return np.asarray(above & (gap >= -BELOW * np.abs(objective) - floor))


def sharp(
    problem: Problem, objective: Array | float, bound: Array | float, few: bool = True
) -> Array:
    """Whether points (n,) are certified, and no other method need be asked for a better bound.

    So it is with `few` frames, over which other methods are quick. Over more of them a gap counts
    that double precision would hide in a difference of second moments.
    """
    floor = (SHARP_FLOOR if few else GAP_FLOOR) * _weighted_variance(problem)
    return np.asarray(np.abs(objective - bound) <= SHARP * np.abs(objective) + floor)


def sharp_frames(problem: Problem, distortion: Array, bound: Array) -> bool:
    """Whether no other method need be asked for a better bound of one of few frames, (T,) each."""
    allowed = GAP * distortion + SHARP_FLOOR * _frame_variance(problem.source)
    return bool((np.abs(distortion - bound) <= allowed).all())


def within_thresholds(
    problem: Problem,
    distortion: Array,
    perception: Array,
    levels: Array,
    rounding: Array | float | None = None,
    most_moved: float = MOVED,
) -> Array:
    """Whether schemes keep their thresholds; distortion, perception, levels (..., T), answer (...).

    What a threshold may be exceeded by depends on what is at stake. A scheme at distance W from the
    source is about W - sqrt(P) from one that keeps the threshold P. The roots of the distortions of
    the frames compared change by about that, which must be little next to the root of the frame,
    and for PLF-JD under the sequential objective, which feels each frame, next to all of them, or
    next to the root of the threshold.

    Where that is less than the rounding of squared W2, double precision cannot tell, and a scheme
    passes only if its loss is below the threshold by more than the rounding. No loss is above the
    distortion of the frames that it compares, as source and reconstruction are a coupling of their
    distributions: a scheme passes where that is below the threshold. Methods treat thresholds 0
    exactly: there a loss is rounding.

    Parameters
    ----------
    problem : Problem
        Source and loss function.
    distortion, perception, levels : (..., T) arrays
        What schemes reach, and their thresholds.
    rounding : float or (..., T) array, optional
        Error of the root of squared W2, relative to the deviation of the frames that it compares:
        0 for decimal arithmetic, `FACTORED` for losses from factors. By default squared W2 is that
        of second moments, and has an error of `SQUARED_W2`.
    most_moved : float
        What the root of a distortion may change by, relative to it.
    """
    asked = np.isfinite(levels)
    finite = np.where(asked, levels, 0.0)
    beyond = np.where(asked, perception - finite, 0.0)
    if problem.perception is not None and problem.perception.metric == "kl":
        return np.asarray((beyond <= RESIDUAL).all(axis=-1))
    compared, total = _compared(problem)
    room = _room(problem, distortion, finite, total, most_moved)
    error = SQUARED_W2 * compared
    if problem.plf == "FMD":  # a difference of two deviations
        rounding = FACTORED
    if rounding is not None:
        lost = rounding * np.sqrt(compared)
        error = np.minimum(lost * (2 * np.sqrt(finite) + lost), error)
    seen = np.where(room >= error, room, -error)
    allowed = np.where(finite > 0, seen, np.maximum(room, SQUARED_W2 * compared))
    kept = beyond <= allowed
    if not kept.all():
        kept |= _most(problem, distortion) <= finite
    return np.asarray(kept.all(axis=-1))


def sharply_within(problem: Problem, distortion: Array, perception: Array, levels: Array) -> Array:
    """Whether schemes keep thresholds so well that no other method need be asked.

    What they exceed them by changes a distortion by less than `SHARP`: otherwise an answer could be
    that much too good, by more than the gap says.

    Parameters
    ----------
    problem : Problem
        Source and loss function.
    distortion, perception, levels : (..., T) arrays
        What schemes reach, losses from factors, and thresholds.
    """
    return within_thresholds(problem, distortion, perception, levels, FACTORED, SHARP_MOVED)


def _most(problem: Problem, distortion: Array) -> Array:
    """What squared W2 of each frame is at most: the distortion of what it compares."""
    if isinstance(problem.perception, CP):  # compares distributions given different pasts
        return np.full(distortion.shape, np.inf)
    frames = np.arange(problem.source.frames)
    first: Array = frames
    if isinstance(problem.perception, JD):
        first = np.array([problem.perception.first_seen(int(t)) for t in frames])
    seen = (frames[:, None] <= frames) & (frames[:, None] >= first)
    return np.asarray(np.maximum(distortion, 0.0) @ seen)


def _room(
    problem: Problem,
    distortion: Array,
    levels: Array,
    variance: float,
    most_moved: float = MOVED,
) -> Array:
    """What squared W2 may exceed thresholds by."""
    moved = most_moved * np.sqrt(np.maximum(distortion, 0.0))
    felt = _felt(problem, distortion, most_moved)
    if felt is not None:
        least = np.empty(distortion.shape)
        for t in range(problem.source.frames):
            least[..., t] = felt[..., problem.first_seen(t) : t + 1].min(axis=-1)
        moved = np.minimum(moved, np.maximum(least, LOOSER * np.sqrt(levels)))
    room = np.minimum(moved * (2 * np.sqrt(levels) + moved), RESIDUAL * variance)
    return np.maximum(room, ULPS * levels)


def _felt(problem: Problem, distortion: Array, most_moved: float) -> Array | None:
    """What the root of each distortion may change by for the sake of others, (..., T).

    The frames that are compared pay for an excess together. With weights that must be little next
    to the objective, and frame by frame next to each of them.
    """
    source = problem.source
    if problem.weights is None:
        if not isinstance(problem.perception, JD):
            return None
        floor = GAP_FLOOR * _frame_variance(source)
        return np.asarray(most_moved * np.sqrt(np.maximum(distortion, floor)))
    reached = np.maximum(distortion, 0.0)
    share = most_moved * (reached @ problem.weights)[..., None]
    with np.errstate(all="ignore"):
        # w_s ((root D_s + moved)^2 - D_s) is at most 3 times the share of the objective
        paid = share / problem.weights
        moved = np.minimum(paid / np.sqrt(reached), np.sqrt(paid))
    return np.where(np.isnan(moved), 0.0, moved)


def _compared(problem: Problem) -> tuple[Array, float]:
    """Variance of the frames that the loss of each frame compares, (T,), and that of all frames."""
    source = problem.source
    total = np.zeros(source.frames + 1)
    np.cumsum(_frame_variance(source), out=total[1:])
    loss = problem.perception
    before = [0 if loss is None else loss.first_seen(t) for t in range(source.frames)]
    return total[1:] - total[before], float(total[-1])


def hidden(problem: Problem, distortion: Array) -> Array:
    """Which thresholds, (T,) bool array, second moments cannot check at these distortions (T,).

    Where they could not tell whether another method need be asked, they are too coarse.
    """
    levels, (compared, total) = problem.thresholds, _compared(problem)
    asked = (levels > 0) & np.isfinite(levels)
    finite = np.where(asked, levels, 0.0)
    room = _room(problem, distortion, finite, total, SHARP_MOVED)
    return np.asarray(asked & (room < SQUARED_W2 * compared))


def unresolved(problem: Problem, perception: Array, levels: Array) -> Array:
    """Whether losses (..., T) from second moments are too near to thresholds to tell, (..., T).

    Covariances that differ by a nuclear norm of E are at squared W2 of at most E. So by the
    triangle inequality their rounding changes the root of a loss by at most the root of it.
    """
    compared, _ = _compared(problem)
    asked = (levels > 0) & np.isfinite(levels)
    apart = np.abs(np.sqrt(perception) - np.sqrt(np.where(asked, levels, 0.0)))
    return np.asarray(asked & (apart <= np.sqrt(levels.shape[-1] * SQUARED_W2 * compared)))


def with_losses(problem: Problem, made: Scheme, gains: Array, noise: Array) -> Scheme:
    """Return a scheme with the losses that its second moments do not hold.

    Parameters
    ----------
    problem : Problem
        With PLF-JD or PLF-SA.
    made : Scheme
        With its distortions.
    gains, noise : (T, T) arrays, lower triangular
        Its factors, see :func:`rdp.measure.losses_from_factors`.
    """
    assert made.distortion is not None
    frames = hidden(problem, made.distortion)
    if not frames.any():
        return made
    losses = losses_from_factors(problem, gains, noise, frames)
    return made._replace(perception=losses, rounding=FACTORED)


def outward(objective: Array | float, bound: Array | float) -> Array:
    """Return bounds; those that exceed their objectives by rounding only are equal to them."""
    rounding = ROUNDING * np.abs(objective)
    return np.where(bound <= objective + rounding, np.minimum(bound, objective), bound)


def status_of(problem: Problem, objective: float, bound: float) -> Status:
    """Achievable if a scheme and a bound are known and the bound is not met, else solved."""
    open_gap = objective - bound > float(gap_allowed(problem, objective))
    return Status.ACHIEVABLE if problem.scheme_and_bound and open_gap else Status.SOLVED


def check_scheme(
    name: str, problem: Problem, scheme: Scheme, distortion: Array, perception: Array
) -> None:
    """Raise SolverError for a scheme that breaks a constraint by more than its distortions allow.

    Parameters
    ----------
    name : str
        What the error is about: a method or a function.
    problem : Problem
        The problem that the scheme is for.
    scheme : Scheme
        Its second moments.
    distortion, perception : (T,) arrays
        What the scheme reaches.
    """
    felt = distortion[problem.frame_weights > 0]
    stake = GAP * float(felt.min()) / float(problem.source.variance.max())
    moments = max(MOMENTS, min(RESIDUAL, stake))
    if scheme.coefficients is None:
        residuals = residuals_of(problem, scheme.mmse, scheme.cov_xhat, scheme.cross, perception)
    else:
        beyond = excess_perception(problem, perception)
        residuals = {**scheme.coefficients.residuals(), "perception": beyond}
    allowed = {key: RESIDUAL if key == "perception" else moments for key in residuals}
    _check_residuals(name, residuals, allowed, f" ({scheme.message})")
    rounding = np.ones(perception.shape)  # more than that of second moments
    if scheme.perception is not None:
        rounding[perception == scheme.perception] = scheme.rounding
    if not within_thresholds(problem, distortion, perception, problem.thresholds, rounding):
        raise SolverError(
            Status.INACCURATE,
            f"{name}: perception {perception} is beyond {problem.thresholds} by more than "
            f"distortions {distortion} leave room for ({scheme.message})",
        )


def _check_residuals(
    name: str, residuals: dict[str, float], allowed: dict[str, float], message: str = ""
) -> None:
    for constraint, value in residuals.items():
        if not value <= allowed[constraint]:  # nan counts as a failure too
            raise SolverError(
                Status.INACCURATE,
                f"{name}: residual of {constraint} is {value:.2e}, "
                f"tolerance {allowed[constraint]:.0e}{message}",
            )


def check_block(
    name: str, residuals: dict[str, float], objective: float, bound: float, variance: float
) -> float:
    """Return the bound of a program, rounded outward; SolverError where its answer is off.

    Parameters
    ----------
    name : str
        What the error is about.
    residuals : dict
        Violation of each constraint, relative to the variance or in bits.
    objective, bound : float
        Weighted distortion, and what no scheme is below.
    variance : float
        Weighted variance of the source.
    """
    _check_residuals(name, residuals, dict.fromkeys(residuals, RESIDUAL))
    if not _near(objective, bound, variance):
        raise SolverError(
            Status.INACCURATE, f"{name}: objective {objective:.9g}, certified bound {bound:.9g}"
        )
    return min(bound, objective)


def check_gap(solution: Solution) -> None:
    """Raise SolverError for a solution whose certified gap is too large, or negative."""
    if solution.status == Status.ACHIEVABLE:
        return
    if not certified(solution.problem, solution.objective, solution.lower_bound):
        allowed = float(gap_allowed(solution.problem, solution.objective))
        raise SolverError(
            Status.INACCURATE,
            f"{solution.method}: certified gap is {solution.gap:.2e}, tolerance {allowed:.2e}"
            f" ({solution.message})",
        )
    if solution.frame_bounds is not None and solution.problem.weights is None:
        variance = _frame_variance(solution.problem.source)
        check_frames(solution.method, variance, solution.distortion, solution.frame_bounds)


def check_frames(name: str, variance: Array, distortion: Array, bound: Array) -> Array:
    """Return the bounds of all frames, rounded outward; SolverError unless they are near.

    A small frame would be lost among large ones in the sum.

    Parameters
    ----------
    name : str
        What the error is about.
    variance, distortion, bound : (T,) arrays
        Variances of the frames of the source, and what is compared.
    """
    apart = np.abs(distortion - bound)
    if not (apart <= GAP * distortion + GAP_FLOOR * variance).all():
        raise SolverError(
            Status.INACCURATE, f"{name}: distortions {distortion} are not near bounds {bound}"
        )
    return np.minimum(distortion, bound)


def precise_distortion(problem: Problem, given: Array | None, moments: Array) -> Array:
    """Return the distortions that a method computed without cancellation, where it may be believed.

    The difference of second moments has an absolute error of rounding times the variance, which is
    more than the distortion itself from 25 bits on. Where the two differ by more than that, the
    moments are right, as they are those of the scheme that is returned.

    Parameters
    ----------
    problem : Problem
    given : (T,) array or None
        What the method computed.
    moments : (T,) array
        The distortions from the second moments of its scheme.
    """
    if given is None:
        return moments
    near = np.abs(given - moments) <= AGREEMENT * _frame_variance(problem.source)
    return np.where(near, given, moments)


def precise_perception(problem: Problem, given: Array | None, moments: Array) -> Array:
    """Return the losses that a method computed with more digits, where it may be believed.

    Parameters
    ----------
    problem : Problem
    given : (T,) array or None
        What the method computed; nan where it did not.
    moments : (T,) array
        The losses from the second moments of its scheme.
    """
    if given is None:
        return moments
    compared, _ = _compared(problem)
    return np.where(np.abs(given - moments) <= SAME_W2 * compared, given, moments)


def check_bits(name: str, total: float, bound: float) -> None:
    """Raise SolverError unless a total rate and its bound agree, and both are numbers."""
    allowed = BITS * (1 + abs(total))
    if not abs(total - bound) <= allowed:
        raise SolverError(
            Status.INACCURATE,
            f"{name}: certified gap is {total - bound:.2e} bits, tolerance {allowed:.2e}",
        )


def within_budget(name: str, rates: Array, total: float) -> Array:
    """Return the rates of a split, cut to their budget; SolverError where they are far above it."""
    used = float(rates.sum())
    if not used - total <= SPENT * (1 + total):
        raise SolverError(Status.INACCURATE, f"{name}: {used:.9g} bits, {total:.9g} allowed")
    return rates if used <= total else rates * (total / used)


def check_reached(name: str, reached: Array, asked: Array) -> None:
    """Raise SolverError where distortions exceed what was asked for."""
    if not (reached <= asked * (1 + MISSED)).all():
        raise SolverError(Status.INACCURATE, f"{name}: distortions {reached}, asked for {asked}")
