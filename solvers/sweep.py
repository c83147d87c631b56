"""`sweep`: one problem at many rates and thresholds; arrays in, arrays out.

Points are cut into chunks. In a chunk each point goes to the method that `solve` would take
(:mod:`solvers._chunk`).
Closed forms take all points together in numpy, the barrier method runs over points in parallel, and
the other methods take one point after the other. Chunks are independent: they can go to
the processes of an executor and be kept in a checkpoint file.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from rdp import _check
from rdp._files import replacing
from rdp.problem import Problem
from rdp.solution import Status
from solvers._chunk import Chunk, solve_chunk

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Sweep:
    """Distortion, perception and certified bounds at many rates and thresholds.

    Parameters
    ----------
    problem : Problem
        The template: source, loss function, objective and encoder.
    rates : (..., T) array
        Bits per frame.
    levels : (..., T) array
        Perception thresholds; inf where there are none.
    distortion : (..., T) array
        D_t, squared units of the source; nan where a point failed.
    perception : (..., T) array
        Perception loss reached; nan where a point failed or the problem has no loss function.
    objective : (...) array
        Weighted sum of the distortions, or their sum for the sequential objective.
    lower_bound : (...) array
        Certified bound on the objective.
    status : (...) int array
        Code of each point's :class:`rdp.Status`: 0 where it is solved, that of "achievable" for a
        scheme that does not meet its bound; anything else is a failure, with nan for its values.
    """

    problem: Problem
    rates: Array
    levels: Array
    distortion: Array
    perception: Array
    objective: Array
    lower_bound: Array
    status: Array

    @property
    def gap(self) -> Array:
        """Objective minus lower bound, (...) array."""
        return self.objective - self.lower_bound

    def to_dataframe(self) -> Any:
        """Return one row for each point: rates, levels, distortions, perceptions, bounds.

        Returns
        -------
        pandas.DataFrame
            Columns rate_t, level_t, distortion_t, perception_t for t = 1..T, then objective,
            lower_bound, gap and status.
        """
        import pandas as pd

        frames = self.problem.source.frames
        columns: dict[str, Array] = {}
        for name in ("rate", "level", "distortion", "perception"):
            values = getattr(self, name if name in ("distortion", "perception") else name + "s")
            flat = values.reshape(-1, frames)
            columns |= {f"{name}_{t + 1}": flat[:, t] for t in range(frames)}
        for name in ("objective", "lower_bound", "gap", "status"):
            columns[name] = getattr(self, name).ravel()
        return pd.DataFrame(columns)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write :meth:`to_dataframe` as CSV, with all digits.

        Parameters
        ----------
        path : path
            File to write.
        """
        with replacing(path, "w", newline="", encoding="utf-8") as file:
            self.to_dataframe().to_csv(file, index=False)


def sweep(
    problem: Problem,
    rates: object = None,
    levels: object = None,
    executor: Executor | None = None,
    progress: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    chunk: int = 4096,
) -> Sweep:
    r"""Solve one problem at many rates and perception thresholds.

    Minimise :math:`\sum_t w_t D_t`, or frame after frame, at every point of a grid of rates and
    thresholds.

    Parameters
    ----------
    problem : Problem
        The template. Its rates and thresholds hold where none are given here.
    rates : float or (..., T) or (..., 1) array, >= 0, bits per frame, optional
        The last axis is that of the frames; a number, or a last axis of length 1, holds for all
        frames. ``[[r1, r2, r3]]`` is one point of three frames, ``[[r], [s], [u]]`` is three
        points. A flat list such as ``[r, s, u]`` could be either, and is refused.
    levels : float or (..., T) or (..., 1) array, >= 0, optional
        Thresholds, written like rates; the leading axes broadcast with those of rates.
    executor : concurrent.futures.Executor, optional
        Where chunks are solved: a ProcessPoolExecutor, or ``client.get_executor()`` of a Dask
        cluster. By default here, on all cores.
    progress : bool
        Show a progress bar (tqdm).
    checkpoint : path, optional
        File that keeps the finished chunks. A run that was killed goes on where it stopped.
    chunk : int
        Points in one chunk.

    Returns
    -------
    Sweep
        Points that fail have status != 0 and nan values.

    Warns
    -----
    RuntimeWarning
        An exception ended a point: an error in the package. The others are solved, the point has
        the status "failed", and a checkpoint does not keep its chunk.

    Raises
    ------
    ValueError
        Rates or levels that do not fit the problem or each other, or that can be read in two
        ways; levels for a problem without a perception loss; a checkpoint of another sweep.

    Examples
    --------
    >>> from rdp import JD, GaussMarkov
    >>> problem = Problem(GaussMarkov.stationary(rho=0.9, frames=2), 0.5, JD(0.0))
    >>> result = sweep(problem, rates=[[0.5], [1.0], [2.0]])
    >>> result.distortion.round(4)
    array([[0.5858, 0.379 ],
           [0.2679, 0.124 ],
           [0.0635, 0.0174]])
    """
    _check.instance("problem", problem, Problem)
    problem.need_first_order("sweep")
    if executor is not None:
        _check.instance("executor", executor, Executor)
    grid_rates, grid_levels = _grid(problem, rates, levels)
    shape, frames = grid_rates.shape[:-1], problem.source.frames
    plan = _Plan(
        problem,
        grid_rates.reshape(-1, frames),
        grid_levels.reshape(-1, frames),
        _check.count("chunk", chunk),
    )
    values = np.full((len(plan.rates), 2 * frames + 3), np.nan)
    values[:, -1] = Status.FAILED.code
    errors: dict[int, str] = {}
    for part, found in _run(plan, executor, progress, checkpoint):
        values[part] = found.values
        errors |= {part.start + index: what for index, what in found.errors.items()}
    if errors:
        _tell(plan, errors)
    columns = values.reshape(*shape, -1)
    return Sweep(
        problem=problem,
        rates=_check.frozen(grid_rates),
        levels=_check.frozen(grid_levels),
        distortion=_check.frozen(columns[..., :frames]),
        perception=_check.frozen(columns[..., frames : 2 * frames]),
        objective=_check.frozen(columns[..., -3]),
        lower_bound=_check.frozen(columns[..., -2]),
        status=columns[..., -1].astype(np.int64),
    )


def _tell(plan: _Plan, errors: dict[int, str]) -> None:
    """Warn of the exceptions that ended points."""
    index = min(errors)
    at = f"rates {plan.rates[index].tolist()}"
    if plan.problem.perception is not None:
        at += f", levels {plan.levels[index].tolist()}"
    warnings.warn(
        f"sweep: an exception in the package at {len(errors)} of {len(plan.rates)} points, of "
        f"which the first is point {index} ({at}): {errors[index]}. The other points are not "
        f"affected. Please report this, with source, loss and weights",
        RuntimeWarning,
        stacklevel=3,
    )


def _grid(problem: Problem, rates: object, levels: object) -> tuple[Array, Array]:
    """Rates and levels of one shape (..., T)."""
    frames = problem.source.frames
    if levels is not None and problem.perception is None:
        raise ValueError("levels: expected none for a problem without perception loss")
    given = []
    for name, value, default in (
        ("rates", rates, problem.rates),
        ("levels", levels, problem.thresholds),
    ):
        array = default if value is None else _points(name, value, frames)
        given.append(array)
    try:
        shape = np.broadcast_shapes(given[0].shape, given[1].shape, (frames,))
    except ValueError:
        raise ValueError(
            f"levels: expected a shape that broadcasts with rates {given[0].shape}, "
            f"got {given[1].shape}"
        ) from None
    return np.broadcast_to(given[0], shape), np.broadcast_to(given[1], shape)


def _points(name: str, value: object, frames: int) -> Array:
    """Return rates or levels with the frames on the last axis, or raise ValueError."""
    array = _check.nonnegative(name, value)
    if array.ndim == 1 and array.size > 1:
        texts = [f"{number:g}" for number in (array if array.size <= 6 else array[:3])]
        more = "" if array.size <= 6 else ", ..."
        one = f"[[{', '.join(texts)}{more}]] for one point of {frames} frames, or "
        raise ValueError(
            f"{name}: expected frames on the last axis of two or more, got shape {array.shape}, "
            f"which can be read in two ways; write {one if array.size == frames else ''}"
            f"[{', '.join(f'[{text}]' for text in texts)}{more}] for {array.size} points"
        )
    if array.ndim and array.shape[-1] not in (1, frames):
        raise ValueError(
            f"{name}: expected shape (..., {frames}) or (..., 1) for {frames} frames, "
            f"got {array.shape}"
        )
    return array


class _Plan(NamedTuple):
    """What a sweep has to solve: points (N, T) and how many of them make a chunk."""

    problem: Problem
    rates: Array
    levels: Array
    chunk: int

    def parts(self) -> list[slice]:
        starts = range(0, len(self.rates), self.chunk)
        return [slice(start, min(start + self.chunk, len(self.rates))) for start in starts]

    def digest(self) -> bytes:
        """Fingerprint of everything that determines the answer."""
        problem, source = self.problem, self.problem.source
        weights = np.zeros(0) if problem.weights is None else problem.weights
        metric = "" if problem.perception is None else problem.perception.metric
        words = f"{problem.plf} {metric} {problem.encoder} {source.sigma.shape} {self.chunk}"
        total = hashlib.sha256(words.encode())
        arrays = [source.sigma, source.rho, weights, self.rates, self.levels]
        if problem.limited:
            arrays.append(problem.common_randomness)
        for array in arrays:
            total.update(f"{array.shape}".encode() + np.ascontiguousarray(array, "<f8").tobytes())
        return total.digest()


def _run(
    plan: _Plan,
    executor: Executor | None,
    progress: bool,
    checkpoint: str | os.PathLike[str] | None,
) -> Iterator[tuple[slice, Chunk]]:
    """Results of all chunks: those on file first, the others as they come."""
    from solvers._checkpoint import Checkpoint

    parts = plan.parts()
    record = None if checkpoint is None else Checkpoint(checkpoint, plan.digest())
    done = {} if record is None else record.done
    ready = {index: done[index] for index in range(len(parts)) if index in done}
    missing = [index for index in range(len(parts)) if index not in ready]
    with _bar(len(plan.rates), progress) as advance:
        for index, kept in ready.items():
            part = parts[index]
            advance(part.stop - part.start)
            yield part, Chunk(kept.reshape(part.stop - part.start, -1), {})
        for index, found in _solved(plan, parts, missing, executor):
            if record is not None and not found.errors:  # those are tried again
                record.add(index, found.values)
            advance(len(found.values))
            yield parts[index], found


def _solved(
    plan: _Plan, parts: list[slice], missing: list[int], executor: Executor | None
) -> Iterator[tuple[int, Chunk]]:
    if executor is None:
        for index in missing:
            part = parts[index]
            yield index, solve_chunk(plan.problem, plan.rates[part], plan.levels[part], True)
        return
    futures = {
        executor.submit(
            solve_chunk, plan.problem, plan.rates[parts[i]], plan.levels[parts[i]], False
        ): i
        for i in missing
    }
    try:
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        for future in futures:
            future.cancel()


class _bar:
    """Progress bar over points, or nothing."""

    def __init__(self, total: int, show: bool) -> None:
        self.bar: Any = None
        if show:
            from tqdm.auto import tqdm

            self.bar = tqdm(total=total, unit="point", unit_scale=True)

    def __enter__(self) -> Any:
        return self.bar.update if self.bar is not None else lambda points: None

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.close()
