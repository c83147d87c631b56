"""Method "shared-bits": limited common randomness, a scheme and a bound kept apart.

The distortion is that of a scheme (:func:`rdp.common_randomness.framewise_scheme`, or
`joint_scheme`). That long codes reach it is known for one frame, and sketched for more. The lower
bound is the converse of PLF-FMD, which holds for PLF-JD too, as joint
realism implies framewise realism. Where the two differ, the best code lies between them.
"""

from __future__ import annotations

import numpy as np

from rdp.common_randomness import (
    framewise_achievable,
    framewise_bound,
    framewise_scheme,
    joint_achievable,
    joint_scheme,
)
from rdp.mmse import mmse_recursion
from rdp.problem import Problem
from solvers.scheme import Scheme

Array = np.ndarray


def solve_shared_bits(problem: Problem) -> Scheme:
    """Scheme and converse of a problem with limited common randomness."""
    build = framewise_scheme if problem.plf == "FMD" else joint_scheme
    given = problem.source, problem.rates, problem.common_randomness
    found = build(*given)
    known = "known" if problem.source.frames == 1 else "sketched, not proved"
    return Scheme(
        cov_xhat=found.cov_xhat,
        cross=found.cross,
        mmse=mmse_recursion(problem.source, problem.rates).mmse,
        lower_bound=float(problem.frame_weights @ framewise_bound(*given)),
        message=f"distortion of a scheme, that long codes reach it is {known}; "
        "the lower bound is a converse",
    )


def shared_bits_points(problem: Problem, rates: Array) -> tuple[Array, Array]:
    """Distortion (N, T) of the schemes, and lower bound (N,) on the objective, at rates (N, T)."""
    achieve = framewise_achievable if problem.plf == "FMD" else joint_achievable
    given = problem.source, rates, problem.common_randomness
    return achieve(*given), framewise_bound(*given) @ problem.frame_weights
