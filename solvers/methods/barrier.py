r"""Method "barrier": a compiled primal-dual barrier method, one point or many.

.. math::
    \min \sum_t w_t D_t, \qquad D_t = m_t + |K_t - \tilde L_t|^2 + (H - K K^T)_{tt},
    \qquad H \succeq K K^T,

over lower-triangular decoder gains K (:math:`\hat X = K u` + noise, :math:`\tilde X = \tilde L u`)
and :math:`H = \operatorname{Cov} \hat X`, subject to the thresholds. For the sequential
objective, one frame after the other, with the earlier rows of K and H given.

Why this method. With a modelling language, most of the time of a point goes into building the
problem (`benchmarks/bench_newton.py`). As a semidefinite program the problem has blocks of size 2T
for the scheme and for each threshold. Here K and H are the only unknowns. Squared W2 and its
derivatives come from a singular value decomposition, so a threshold is one number and no block.
Steps with Nesterov-Todd scaling reach a gap of 1e-8 in ten or eleven steps for every T, where
first-order methods take hundreds. Two frames, the size of most sweeps, have a kernel in numbers
(:mod:`solvers._barrier.two_frames`). Under the sequential objective each frame is a program with
one row of gains (:mod:`solvers._barrier.sequential`). No point starts from the answer of another,
so a sweep gives the same digits in any order and in any chunks.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rdp import _check
from rdp.closed_form import smallest_sd
from rdp.mmse import check_rates, factor_of_backbone, mmse_recursion
from rdp.problem import Problem
from rdp.solution import Status
from rdp.source import GaussMarkov
from solvers.acceptance import FACTORED
from solvers.errors import SolverError
from solvers.scheme import Scheme
from solvers.ties import break_ties, unfelt

if TYPE_CHECKING:
    from solvers._barrier.batch import Points
    from solvers._barrier.source import Source

Array = np.ndarray

_CHUNK = 64  # points in a task at least
KERNELS = {  # what each function of `solvers._barrier.batch` solves
    "sequential_points": "the sequential objective",
    "weighted_points": "weighted objectives",
    "two_frame_points": "weighted objectives of two frames under PLF-JD",
}


def solve_barrier(problem: Problem) -> Scheme:
    r"""Solve a problem by the compiled barrier method.

    Minimise :math:`\sum_t w_t D_t`, or :math:`D_1`, then :math:`D_2`, ..., over causal schemes of
    given rates and perception thresholds.

    Parameters
    ----------
    problem : Problem
        Scalar frames; any loss, thresholds, objective and encoder.

    Returns
    -------
    Scheme

    Raises
    ------
    SolverError
        Vector frames, or a certified gap above tolerance.

    Notes
    -----
    For scalar frames the MMSE encoder is best for every decoder (proof in
    :mod:`solvers.certificate`), so both encoders have the same answer. Loss functions of
    Salehkalaibar et al., arXiv:2305.19301 and arXiv:2502.10628; the method is derived in this
    project.

    Examples
    --------
    >>> from rdp import JD, GaussMarkov
    >>> from solvers import solve
    >>> source = GaussMarkov.stationary(rho=0.9, frames=3)
    >>> problem = Problem(source, [0.05, 8, 8], JD(0.1), weights=[0, 0, 1])
    >>> solve(problem, method="barrier").distortion.round(3)
    array([1.446, 0.568, 0.078])
    """
    source = problem.source
    _scalar(source)
    frames = source.frames
    if problem.plf in ("MMSE", "FMD"):
        return _fmd_scheme(problem)
    backbone = mmse_recursion(source, problem.rates)
    points = _run(
        source,
        problem.rates[None],
        problem.thresholds[None],
        problem.plf,
        problem.weights,
        None if problem.weights is None else backbone.mmse[None],
    )
    bound = float(points.bound[0])
    if points.status[0] != 0:
        total = float(points.distortion[0] @ _weight(problem.weights, frames))
        raise SolverError(
            Status.INACCURATE,
            f"barrier: objective {total:.10g} has no certificate beyond {bound:.10g}",
        )
    gains, root = points.scheme
    return Scheme(
        cov_xhat=root @ root.T,
        cross=gains @ factor_of_backbone(source, backbone).T,
        mmse=backbone.mmse,
        lower_bound=bound,
        message="primal-dual barrier",
        distortion=points.distortion[0],
        perception=points.perception[0],
        rounding=FACTORED,
        frame_bounds=points.frame_bounds[0] if problem.weights is None else None,
    )


def barrier_batch(
    source: GaussMarkov,
    rates: object,
    levels: object,
    plf: str,
    weights: Array | None = None,
    parallel: bool = True,
) -> tuple[Array, Array, Array, Array, Array]:
    r"""Solve one source at many rates and thresholds.

    Minimise the weighted or the sequential objective at each point; see :func:`solve_barrier`.

    Parameters
    ----------
    source : GaussMarkov
        T scalar frames.
    rates : (N, T) array, >= 0
        Bits per frame, inf allowed.
    levels : (N, T) array, >= 0
        Thresholds in squared W2, squared units of the source; 0 and inf allowed.
    plf : {"JD", "SA"}
        Perception loss. The others have closed forms in :mod:`rdp.closed_form`.
    weights : (T,) array, >= 0, or None
        Weights of the distortions; None is the sequential objective.
    parallel : bool
        Use NUMBA_NUM_THREADS threads, by default one for each core.

    Returns
    -------
    distortion, perception : (N, T) arrays
        Recomputed from the scheme of each point.
    objective, lower_bound : (N,) arrays
        For the sequential objective, sums over the frames.
    status : (N,) int array
        0 where the certified gap is within tolerance.

    Raises
    ------
    ValueError
        Shapes that do not match, negative values, a loss without a kernel, vector frames.

    Examples
    --------
    >>> from rdp import GaussMarkov
    >>> source = GaussMarkov.stationary(rho=0.9, frames=2)
    >>> rates, levels = np.full((3, 2), 0.5), np.array([[np.inf, p] for p in (0.0, 0.1, 9.0)])
    >>> barrier_batch(source, rates, levels, "JD", np.ones(2))[2].round(4)
    array([0.9648, 0.801 , 0.7975])
    """
    _scalar(source)
    bits = check_rates(source, rates)
    allowed = _check.nonnegative("levels", levels)
    if bits.ndim != 2:
        raise ValueError(f"rates: expected shape (N, {source.frames}), got {bits.shape}")
    if allowed.shape != bits.shape:
        raise ValueError(f"levels: expected shape {bits.shape}, got {allowed.shape}")
    if weights is not None:
        weights = _check.nonnegative("weights", weights)
        if weights.shape != (source.frames,) or not np.isfinite(weights).all():
            raise ValueError(f"weights: expected {source.frames} finite values, got {weights}")
    if plf not in ("JD", "SA"):
        raise ValueError(f"plf: expected 'JD' or 'SA', got {plf!r}")
    least = None if weights is None else mmse_recursion(source, bits).mmse
    points = _run(source, bits, allowed, plf, weights, least, parallel)
    objective = points.distortion @ _weight(weights, source.frames)
    return points.distortion, points.perception, objective, points.bound, points.status


def _run(
    source: GaussMarkov,
    rates: Array,
    levels: Array,
    plf: str,
    weights: Array | None,
    least: Array | None,
    parallel: bool = False,
) -> Points:
    """Answers of all points; `least` are their MMSE distortions (N, T), where there are weights.

    The kernels work in units in which the largest frame is near one.
    """
    from numba import config

    from solvers._barrier import batch
    from solvers._compiled import announced

    unit = 2.0 ** np.round(np.log2(source.sigma.max()))  # exact to divide and multiply by
    given = (
        _kernel_source(source.scaled(1 / unit), plf),
        np.zeros(0) if weights is None else np.array(weights, dtype=np.float64),
    )
    # new arrays: for those that are read-only, as a problem's are, numba compiles once more
    rates, levels = np.array(rates, order="C"), np.array(levels / unit**2, order="C")
    workers = config.NUMBA_NUM_THREADS if parallel else 1  # type: ignore[attr-defined]
    count, frames = rates.shape
    points = batch.Points(
        distortion=np.zeros((count, frames)),
        perception=np.zeros((count, frames)),
        bound=np.zeros(count),
        frame_bounds=np.zeros((count, frames)),
        status=np.zeros(count, np.int64),
        scheme=np.zeros((2, frames, frames)),
    )

    def solve(kernel: Callable[..., None], chosen: Array) -> None:
        span = _span(chosen)
        part = batch.Points(
            points.distortion[span],
            points.perception[span],
            points.bound[span],
            points.frame_bounds[span],
            points.status[span],
            np.empty_like(points.scheme),
        )
        kernel(*given, rates[span], levels[span], part)
        for values, found in zip(points[:5], part[:5], strict=True):
            values[span] = found
        if chosen[-1] == len(rates) - 1:  # the scheme is that of the last point
            points.scheme[:] = part.scheme

    def spread(kernel: Callable[..., None], chosen: Array) -> None:
        if not chosen.size:
            return
        tasks = min(4 * workers if workers > 1 else 1, -(-len(chosen) // _CHUNK))
        parts = np.array_split(chosen, tasks) if tasks > 1 else [chosen]
        with (
            announced(kernel, KERNELS[kernel.__name__]),
            ThreadPoolExecutor(workers) if tasks > 1 else nullcontext() as pool,
        ):
            list((pool.map if pool else map)(partial(solve, kernel), parts))

    two = np.zeros(len(levels), dtype=bool)
    if weights is not None and plf == "JD" and source.frames == 2:
        two = (levels.min(axis=1) > 0) & (levels[:, 1] < np.inf)
        spread(batch.two_frame_points, np.flatnonzero(two))
    # the general kernel solves the points at which the one for two frames stalls, say |rho| = 1
    rest = np.flatnonzero(~two | (points.status != 0))
    spread(batch.sequential_points if weights is None else batch.weighted_points, rest)
    if least is not None:
        _break_ties(given, rates, levels, least / unit**2, points)
    for values, power in zip(points, (2, 2, 2, 2, 0, 1), strict=True):
        if power:
            values *= unit**power
    return points


def is_compiled(problem: Problem) -> bool:
    """Whether the kernel of a problem is compiled: its answer takes milliseconds."""
    from solvers._barrier import batch
    from solvers._compiled import is_ready

    if problem.plf in ("MMSE", "FMD"):
        return True
    if problem.weights is None:
        return is_ready(batch.sequential_points)
    two = _has_two_frames(problem.plf, problem.weights, problem.thresholds[None])
    return is_ready(batch.two_frame_points if two[0] else batch.weighted_points)


def _has_two_frames(plf: str, weights: Array | None, levels: Array) -> Array:
    """Whether the kernel of two frames solves each of N points, (N,) bool array."""
    if weights is None or plf != "JD" or levels.shape[1] != 2:
        return np.zeros(len(levels), dtype=bool)
    return (levels.min(axis=1) > 0) & (levels[:, 1] < np.inf)


def _break_ties(
    given: tuple[Source, Array], rates: Array, levels: Array, least: Array, points: Points
) -> None:
    """Solve again where a frame weighs next to nothing (:mod:`solvers.ties`)."""
    from solvers._barrier import batch
    from solvers._compiled import announced

    source, weights = given
    solved = unfelt(weights, least, points.distortion).any(axis=1) & (points.status == 0)
    for i in np.flatnonzero(solved):
        one = slice(i, i + 1)

        def again(raised: Array, one: slice = one) -> _Point | None:
            part = batch.Points(
                np.empty_like(points.distortion[:1]),
                np.empty_like(points.perception[:1]),
                np.empty_like(points.bound[:1]),
                np.empty_like(points.frame_bounds[:1]),
                np.empty_like(points.status[:1]),
                np.empty_like(points.scheme),
            )
            with announced(batch.weighted_points, KERNELS["weighted_points"]):
                batch.weighted_points(source, raised, rates[one], levels[one], part)
            if part.status[0] != 0:
                return None
            return _Point(part.distortion[0], part.perception[0], part.scheme)

        first = _Point(points.distortion[i], points.perception[i], points.scheme)
        better = break_ties(weights, least[i], first, float(points.bound[i]), again)
        points.distortion[i], points.perception[i] = better.distortion, better.perception
        if i == len(rates) - 1:
            points.scheme[:] = better.scheme


class _Point(NamedTuple):
    """What a kernel finds at one point: D_t, the loss of each frame, gains and noise."""

    distortion: Array
    perception: Array
    scheme: Array


def _span(chosen: Array) -> Array | slice:
    """Indices as a slice where they follow one another: then nothing is copied."""
    first, stop = chosen[0], chosen[-1] + 1
    return slice(first, stop) if stop - first == len(chosen) else chosen


def _weight(weights: Array | None, frames: int) -> Array:
    """Weights of the frames in the objective."""
    return np.ones(frames) if weights is None else np.asarray(weights)


def _scalar(source: GaussMarkov) -> None:
    if source.modes is not None:
        raise SolverError(
            Status.UNSUPPORTED, "barrier: expected scalar frames; vector frames use 'waterfilling'"
        )


def _kernel_source(source: GaussMarkov, plf: str) -> Source:
    """Source of the kernels: contiguous writable arrays of one type."""
    from solvers._barrier import constants
    from solvers._barrier.source import Source

    phi = source.transition()
    return Source(
        constants.JD if plf == "JD" else constants.SA,
        np.array(source.gain),
        np.array(source.innovation),
        np.array(source.variance),
        phi,
        phi * np.sqrt(source.innovation),
    )


def _fmd_scheme(problem: Problem) -> Scheme:
    """The estimate scaled to the smallest allowed spread; noise where there is no estimate."""
    from solvers.certificate import lower_bound

    source = problem.source
    frames = source.frames
    backbone = mmse_recursion(source, problem.rates)
    factor = factor_of_backbone(source, backbone)
    spread = np.sqrt(backbone.variance)
    wanted = spread
    if problem.perception is not None:
        floor = smallest_sd(source.sigma, problem.thresholds, problem.perception.metric)
        wanted = np.maximum(spread, floor)
    known = spread > 0
    gains = np.where(known, wanted / np.where(known, spread, 1.0), 0.0)[:, None] * factor
    fresh = np.where(known, 0.0, wanted)
    return Scheme(
        cov_xhat=gains @ gains.T + np.diag(fresh**2),
        cross=gains @ factor.T,
        mmse=backbone.mmse,
        lower_bound=lower_bound(problem, np.zeros(frames), np.zeros((frames, frames, frames))),
        message="one frame at a time",
    )
