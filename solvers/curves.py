"""Curves of several perception losses: distortion against rate, or against the threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rdp.measure import perception_of
from rdp.mmse import estimate_factor, mmse_recursion
from rdp.problem import Problem


def unbinding(templates: Sequence[Problem]) -> float:
    """Threshold that the MMSE estimate meets under every loss; one variance if none does.

    Parameters
    ----------
    templates : sequence of Problem
        One for each loss, at the same source and rates.

    Returns
    -------
    float
        Beyond it, no loss changes anything.

    Examples
    --------
    >>> from rdp import FMD, GaussMarkov
    >>> problem = Problem(GaussMarkov.stationary(rho=0.9, frames=1), 1.0, FMD(0.0))
    >>> round(unbinding([problem]), 4)  # (1 - sqrt(1 - 1/4))^2
    0.0179
    """
    needed = [1e-3 * templates[0].source.variance.max()]
    for problem in templates:
        factor = estimate_factor(problem.source, problem.rates)
        estimate = factor @ factor.T
        if problem.perception is not None:
            m = mmse_recursion(problem.source, problem.rates).mmse
            args = problem.source, estimate, estimate, problem.perception
            needed.extend(perception_of(*args, m))
    top = max(needed)
    return float(top if np.isfinite(top) else templates[0].source.variance.max())


def sweep_table(templates: list[Problem], name: str, grid: Any, mask: Any) -> Any:
    """Sweep rates or levels of several problems.

    Parameters
    ----------
    templates : list of Problem
        One for each loss.
    name : {"rates", "levels"}
        What is swept.
    grid : (N,) array
        Values of it.
    mask : (T,) bool array
        Frames it holds for.

    Returns
    -------
    pandas.DataFrame
        Columns x, plf, distortion_1 to distortion_T, gap, status (0 where solved).
    """
    import pandas as pd

    from solvers.sweep import sweep

    columns: dict[str, list[Any]] = {}
    for problem in templates:
        rates = np.tile(problem.rates, (len(grid), 1))
        levels = np.tile(problem.thresholds, (len(grid), 1))
        np.copyto(rates if name == "rates" else levels, grid[:, None], where=mask)
        found = sweep(problem, rates, None if problem.perception is None else levels)
        part = {"x": grid, "plf": [problem.plf] * len(grid)}
        part |= {f"distortion_{t + 1}": d for t, d in enumerate(found.distortion.T)}
        for column, values in {**part, "gap": found.gap, "status": found.status}.items():
            columns.setdefault(column, []).append(values)
    return pd.DataFrame({column: np.concatenate(parts) for column, parts in columns.items()})
