"""The part "steady" of the page: the rates of the frames as one period that repeats."""

from __future__ import annotations

from typing import Any

import numpy as np

from rdp.perception import LOSSES, perception
from rdp.source import GaussMarkov
from solvers._steady.deadline import at_most
from solvers.errors import SolverError
from solvers.explore.request import Request
from solvers.explore.turns import keep_going
from solvers.plotting import loss_label
from solvers.steady_answer import SteadyState
from solvers.steady_state import steady_state

PATIENCE = 3.0  # seconds for the long run of one loss
_OPEN = 1e-3  # gap, as a share of the distortion, above which both ends are said
_FAR = 0.1  # and above which the scheme is not drawn


def steady(request: Request) -> dict[str, Any]:
    """Distortion of each frame of the period in the long run, and what the pattern costs.

    "tables" has the table "steady" with one row for each loss and frame, "schedule" one row for
    each loss: mean distortion, that at the constant rate of the same mean, and the difference in
    per cent. A loss that needs longer than `PATIENCE` has a scheme, or no rows, and "text" says
    its bound. Both
    tables are empty, and "text" says why, for a source that changes from frame to frame.

    Examples
    --------
    >>> from solvers.explore.request import parse
    >>> asked = {"frames": 2, "rho": 0.9, "rates": [1, 0.1], "levels": [0, 0]}
    >>> for row in steady(parse(asked))["schedule"]:
    ...     print(row["plf"], f"{row['mean']:.4f} {row['percent']:+.0f} %")
    MMSE 0.1633 +15 %
    FMD 0.1721 +16 %
    JD 0.3524 +138 %
    SA 0.2213 +34 %
    """
    source, text = request.source, list[str]()
    if source.frames < 2 or np.ptp(source.sigma) > 0 or np.ptp(source.rho) > 0:
        return {
            "tables": {"steady": {"plf": [], "frame": [], "distortion": []}},
            "schedule": [],
            "text": "The long run needs two frames or more, all with the same correlation and "
            "deviation.",
            "notes": [],
        }
    columns: dict[str, list[Any]] = {"plf": [], "frame": [], "rate": [], "distortion": []}
    rows = []
    for plf in LOSSES:
        keep_going()
        try:
            found = _state(source, request.rates, request, plf, request.levels)
            keep_going()
            mean = request.rates.mean(keepdims=True)
            constant = _state(source, mean, request, plf, request.levels.mean()).mean
        except SolverError as error:
            text.append(f"{loss_label(plf)}: {error}.")
            continue
        least = found.mean if found.lower_bound is None else found.lower_bound
        if (apart := found.mean - least) > _OPEN * found.mean:
            text.append(
                f"{loss_label(plf)}: stopped after {PATIENCE:g} s, with a mean between {least:.4g} "
                f"and {found.mean:.4g}. The command rdp steady takes the time that it needs."
            )
        if apart > _FAR * found.mean:
            continue
        columns["plf"] += [plf] * source.frames
        columns["frame"] += range(1, source.frames + 1)
        columns["rate"] += request.rates.tolist()
        columns["distortion"] += found.distortion.tolist()
        more = 100 * (found.mean / constant - 1) if constant > 0 else 0.0
        rows.append({"plf": plf, "mean": found.mean, "constant": constant, "percent": more})
    return {"tables": {"steady": columns}, "schedule": rows, "text": " ".join(text), "notes": []}


def _state(
    source: GaussMarkov, rates: Any, request: Request, plf: str, levels: Any
) -> SteadyState:
    """The long run under one loss, by its name; the window is for JD."""
    window = request.window if plf == "JD" else None
    with at_most(PATIENCE):
        return steady_state(source, rates, perception(plf, levels, window=window))
