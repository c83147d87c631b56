"""Problems of extreme size are answered, or refused in words; no warning of numpy gets out.

In these tests a warning is an error.
"""

import numpy as np
import pytest

from rdp import FMD, JD, SA, GaussMarkov, Problem
from solvers import SolverError, solve, sweep
from solvers.acceptance import certified

INF = np.inf
# units far from 1, thresholds and rates next to 0, weights 18 orders apart: each gave a warning
WARNED = {
    "long-horizon, joint": (
        Problem(
            GaussMarkov.stationary(0.9, 2), [1e-16, 0], JD([1e-60, 0.05]), weights=[1e6, 1e6]
        ),
        "long-horizon",
    ),
    "long-horizon, direction": (
        Problem(
            GaussMarkov([1.5e43, 3.4e43, 8.2e43, 2.4e42, 1.6e45], [0.9, 1, 0.9, 1]),
            [1e-300, 1e-300, 60, 0, 1e-300],
            SA([2.3e-114, 1.2e57, 6.7e57, 3e83, 2.4e93]),
            weights=[1e-12, 1e6, 0, 0, 1e6],
        ),
        "long-horizon",
    ),
    "program, tied frames of large variance": (
        Problem(
            GaussMarkov([4e43, 2e45, 1e48], [1.0, -1.0]),
            [60, 1e-9, 1e-300],
            JD([1e71, 4e74, 1e80]),
            weights=[0, 0, 1],
        ),
        "sdp",
    ),
}


@pytest.mark.parametrize("name", WARNED)
def test_no_warning_gets_out(name):
    problem, method = WARNED[name]
    try:
        found = solve(problem, method)
    except SolverError:
        return  # in words, which is one of two right answers
    assert certified(problem, found.objective, found.lower_bound)


@pytest.mark.parametrize("unit", [1e-60, 1e-9, 1e60])
@pytest.mark.parametrize("plf", [FMD, JD, SA])
@pytest.mark.parametrize("weights", [None, [0.0, 1e-6, 1e6]])
def test_units_far_from_one_change_nothing_but_the_unit(unit, plf, weights):
    """Frames that repeat, rates and thresholds from 0 to inf: the same shares of the variance."""
    levels, rates = np.array([0.5, 1e-9, INF]), [1e-9, 3.0, INF]
    found = []
    for scale in (1.0, unit):
        source = GaussMarkov(scale * np.array([1.0, 2.0, 1.0]), [1.0, 0.9])
        found.append(solve(Problem(source, rates, plf(levels * scale**2), weights)))
    one, other = found
    np.testing.assert_allclose(
        other.distortion / unit**2, one.distortion, rtol=1e-6, atol=1e-12 * 4
    )
    grid = sweep(other.problem, np.array([[0.0, 1e-300, 1], [500, 1e-16, 0]]))
    assert (grid.status == 0).all()
