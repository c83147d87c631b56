"""What the page shows: tables behind its plots, and the question as Python."""

from __future__ import annotations

from typing import Any

import numpy as np

from rdp.perception import LOSSES
from rdp.solution import Solution
from solvers.curves import sweep_table, unbinding
from solvers.errors import SolverError
from solvers.explore.request import Question
from solvers.methods.registry import method_for
from solvers.solve import solve

Array = np.ndarray

POINTS = 33  # of each curve, at most
POINT_FRAMES = 132  # points of a curve times frames, at most: more frames take longer
LEAST_RATE = 6.0  # bits, where rate curves end unless the question asks for more


def point(question: Question) -> dict[str, Any]:
    """Solve the problem as asked, under every loss.

    Parameters
    ----------
    question : Question
        What was asked.

    Returns
    -------
    dict
        "tables": name -> column -> list, with None for what is undefined; "frames" has one row
        for each loss and frame, "paths" for each frame. "bounds": by loss, the objective and how
        far the certified bound is below it. "code": the question as Python. "notes": what could
        not be computed, in words.

    Examples
    --------
    >>> from solvers.explore.request import parse
    >>> question = parse({"frames": 2, "rho": 0.9, "rates": [0.5, 0.5], "levels": [0, 0]})
    >>> table = point(question)["tables"]["frames"]
    >>> table["plf"][4:6], [round(d, 4) for d in table["distortion"][4:6]]
    (['JD', 'JD'], [0.5858, 0.379])
    """
    notes: list[str] = []
    found: dict[str, Solution] = {}
    for plf in LOSSES:
        try:
            found[plf] = _solved(question, plf)
        except SolverError as error:
            notes.append(f"{_label(plf)} at this point: {error}")
    return {
        "tables": {"frames": _frames(question, found), "paths": _paths(question, found)},
        "bounds": {
            plf: {"objective": s.objective, "gap": max(s.gap, 0.0)} for plf, s in found.items()
        },
        "code": code(question),
        "notes": notes,
    }


def rate(question: Question) -> dict[str, Any]:
    """Sweep the rate of the frames that move.

    Parameters
    ----------
    question : Question
        What was asked.

    Returns
    -------
    dict
        "tables": "rate", with one row for each loss and rate. "notes" as of :func:`point`.
    """
    top = max(LEAST_RATE, 1.25 * question.rates.max())
    return _curve(question, "rate", "rates", "rate", top)


def perception(question: Question) -> dict[str, Any]:
    """Sweep the threshold of the frames that move, up to where no loss binds.

    Parameters
    ----------
    question : Question
        What was asked.

    Returns
    -------
    dict
        "tables": "perception", with one row for each loss and threshold. "notes" as of
        :func:`point`.
    """
    top = unbinding(question.problems())
    return _curve(question, "perception", "levels", "threshold", top)


# What the page asks for, one request each: a part is drawn while the next is computed.
PARTS = {"point": point, "rate": rate, "perception": perception}


def code(question: Question) -> str:
    """Write a question as Python.

    Parameters
    ----------
    question : Question
        What was asked.

    Returns
    -------
    str
        A program that prints the distortions under every loss.
    """
    source, weights = question.source, question.weights
    return f"""\
from rdp import FMD, JD, SA, GaussMarkov, Problem
from solvers import solve

source = GaussMarkov(sigma={source.sigma.tolist()}, rho={source.rho.tolist()})
rates = {question.rates.tolist()}  # bits per frame
levels = {question.levels.tolist()}  # perception thresholds, squared Wasserstein-2
weights = {None if weights is None else weights.tolist()}
for perception in (None, FMD(levels), JD(levels), SA(levels)):
    solution = solve(Problem(source, rates, perception, weights))
    print(solution.problem.plf.ljust(5), *(f"{{d:.6f}}" for d in solution.distortion))
"""


def _solved(question: Question, plf: str) -> Solution:
    """Solution at the point asked for, by the compiled solver where auto takes a slower one."""
    problem = question.problem(plf)
    if method_for(problem).name != "lookahead":
        return solve(problem)
    try:
        return solve(problem, "barrier")
    except SolverError:
        return solve(problem)


def _label(plf: str) -> str:
    return plf if plf == "MMSE" else f"PLF-{plf}"


def _frames(question: Question, found: dict[str, Solution]) -> dict[str, list[Any]]:
    """Distortion and perception of every frame."""
    count, rows = question.source.frames, len(found)
    solutions = found.values()
    return {
        "plf": [plf for plf in found for _ in range(count)],
        "frame": list(range(1, count + 1)) * rows,
        "rate": question.rates.tolist() * rows,
        "threshold": _plain(np.concatenate([s.problem.thresholds for s in solutions])),
        "distortion": _plain(np.concatenate([s.distortion for s in solutions])),
        "perception": _plain(np.concatenate([s.perception for s in solutions])),
    }


def _curve(question: Question, name: str, swept: str, axis: str, top: float) -> dict[str, Any]:
    """Table of distortions from 0 to the top of what is swept, closer where they change most."""
    grid = np.linspace(0, 1, min(POINTS, POINT_FRAMES // question.source.frames)) ** 2 * top
    table = sweep_table(question.problems(), swept, grid, question.moved)
    failed = table.plf[table.status != 0].value_counts(sort=False)
    notes = [
        f"{_label(str(plf))} against {axis}: {count} points not certified, left out"
        for plf, count in failed.items()
    ]
    table = table.rename(columns={"x": axis}).drop(columns="status")
    columns = {column: _plain(table[column].to_numpy()) for column in table}
    return {"tables": {name: columns}, "notes": notes}


def _paths(question: Question, found: dict[str, Solution]) -> dict[str, list[Any]]:
    """One source sequence, and its reconstruction under every loss from the same randomness."""
    columns: dict[str, list[Any]] = {"frame": list(range(1, question.source.frames + 1))}
    for plf, solution in found.items():
        x, shown = solution.simulate(1, question.seed)
        columns.setdefault("source", x[0].tolist())
        columns[plf] = shown[0].tolist()
    return columns


def _plain(values: Array) -> list[Any]:
    """List for JSON, None where there is no number."""
    if values.dtype.kind != "f":
        return values.tolist()
    known = np.isfinite(values)
    return [value if there else None for value, there in zip(values.tolist(), known, strict=True)]
