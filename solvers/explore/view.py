"""Content of the page: the tables behind its plots, and the problem as Python code.

Each of PARTS takes a :class:`Request` and returns a dict for JSON with at least two entries:
"tables" (name -> column -> list, with None for undefined values) and "notes" (sentences about
values that could not be computed).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rdp.perception import LOSSES
from rdp.solution import Solution
from solvers.curves import sweep_table, unbinding
from solvers.errors import SolverError
from solvers.explore.long_run import steady
from solvers.explore.request import Request
from solvers.explore.turns import keep_going
from solvers.plotting import loss_label
from solvers.solve import solve

Array = np.ndarray

POINTS = 33  # of each curve, at most
PROGRAM_POINTS = 9  # of each curve, where a window leaves only the semidefinite program
STEP = 4  # points of a curve between two looks at whether the page still waits
POINT_FRAMES = 132  # largest number of points of a curve times frames: more frames take longer
LEAST_RATE = 6.0  # bits; the least end of the rate axis


def point(request: Request) -> dict[str, Any]:
    """Return the solution of the problem under each loss.

    The table "frames" has one row for each loss and frame, "paths" one for each frame. "bounds"
    has the objective of each loss and its gap to the certified bound, "code" the problem as Python.

    Examples
    --------
    >>> from solvers.explore.request import parse
    >>> request = parse({"frames": 2, "rho": 0.9, "rates": [0.5, 0.5], "levels": [0, 0]})
    >>> table = point(request)["tables"]["frames"]
    >>> table["plf"][4:6], [round(d, 4) for d in table["distortion"][4:6]]
    (['JD', 'JD'], [0.5858, 0.379])
    """
    notes: list[str] = []
    found: dict[str, Solution] = {}
    for plf in LOSSES:
        keep_going()
        try:
            found[plf] = solve(request.problem(plf))
        except SolverError as error:
            notes.append(f"{loss_label(plf)} at this point: {error}")
    return {
        "tables": {"frames": _frames(request, found), "paths": _paths(request, found)},
        "bounds": {
            plf: {"objective": s.objective, "gap": max(s.gap, 0.0)} for plf, s in found.items()
        },
        "code": code(request),
        "notes": notes,
    }


def rate(request: Request) -> dict[str, Any]:
    """Return curves over the rate of the swept frames: the table "rate"."""
    top = max(LEAST_RATE, 1.25 * request.rates.max())
    return _curve(request, "rate", "rates", "rate", top)


def perception(request: Request) -> dict[str, Any]:
    """Return curves over the threshold of the swept frames: the table "perception".

    The curves end where no loss binds.
    """
    top = unbinding(request.problems())
    return _curve(request, "perception", "levels", "threshold", top)


# The page requests one part after the other and draws each while the next is computed.
PARTS = {"point": point, "rate": rate, "perception": perception, "steady": steady}


def code(request: Request) -> str:
    """Return a Python program that prints the distortions under each loss."""
    source, weights = request.source, request.weights
    window = "" if request.window is None else f", window={request.window}"
    return f"""\
from rdp import FMD, JD, SA, GaussMarkov, Problem
from solvers import solve

source = GaussMarkov(sigma={source.sigma.tolist()}, rho={source.rho.tolist()})
rates = {request.rates.tolist()}  # bits per frame
levels = {request.levels.tolist()}  # perception thresholds, squared Wasserstein-2
weights = {None if weights is None else weights.tolist()}
for perception in (None, FMD(levels), JD(levels{window}), SA(levels)):
    solution = solve(Problem(source, rates, perception, weights))
    print(solution.problem.plf.ljust(5), *(f"{{d:.6f}}" for d in solution.distortion))
"""


def _frames(request: Request, found: dict[str, Solution]) -> dict[str, list[Any]]:
    """Distortion and perception loss of each frame under each loss."""
    count, rows = request.source.frames, len(found)
    solutions = found.values()
    return {
        "plf": [plf for plf in found for _ in range(count)],
        "frame": list(range(1, count + 1)) * rows,
        "rate": request.rates.tolist() * rows,
        "threshold": _plain(np.concatenate([s.problem.thresholds for s in solutions])),
        "distortion": _plain(np.concatenate([s.distortion for s in solutions])),
        "perception": _plain(np.concatenate([s.perception for s in solutions])),
    }


def _curve(request: Request, name: str, swept: str, axis: str, top: float) -> dict[str, Any]:
    """Distortions at values from 0 to `top`, denser near 0, where they change most."""
    import pandas as pd

    count = min(POINTS, POINT_FRAMES // request.source.frames)
    joint = request.problem("JD")
    positive = name == "perception" or joint.thresholds.any() or joint.weights is not None
    step = STEP if positive else count
    if positive and joint.simplest().plf not in ("FMD", "JD"):
        count, step = PROGRAM_POINTS, 1
    grid = np.linspace(0, 1, count) ** 2 * top
    problems = request.problems()
    parts = []
    for problem in problems:
        for start in range(0, len(grid), step):
            keep_going()
            parts.append(sweep_table([problem], swept, grid[start : start + step], request.swept))
    table = pd.concat(parts, ignore_index=True)
    # the page has one entry for JD, with any window
    names = dict(zip((problem.plf for problem in problems), LOSSES, strict=True))
    table["plf"] = table["plf"].map(names)
    failed = table.plf[table.status != 0].value_counts(sort=False)
    notes = [
        f"{loss_label(str(plf))} against {axis}: {count} points are not certified and not drawn"
        for plf, count in failed.items()
    ]
    table = table.rename(columns={"x": axis}).drop(columns="status")
    columns = {column: _plain(table[column].to_numpy()) for column in table}
    return {"tables": {name: columns}, "notes": notes}


def _paths(request: Request, found: dict[str, Solution]) -> dict[str, list[Any]]:
    """One source sequence and its reconstruction under each loss, all from the same seed."""
    columns: dict[str, list[Any]] = {"frame": list(range(1, request.source.frames + 1))}
    for plf, solution in found.items():
        x, xhat = solution.simulate(1, request.seed)
        columns.setdefault("source", x[0].tolist())
        columns[plf] = xhat[0].tolist()
    return columns


def _plain(values: Array) -> list[Any]:
    """List for JSON, with None for values that are not finite."""
    if values.dtype.kind != "f":
        return values.tolist()
    known = np.isfinite(values)
    return [value if there else None for value, there in zip(values.tolist(), known, strict=True)]
