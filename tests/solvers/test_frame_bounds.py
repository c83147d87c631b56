"""Bounds of the frames under the sequential objective, and what earlier frames change."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rdp import FMD, JD, SA, GaussMarkov, Problem
from solvers import SolverError, frame_bounds, solve

SOURCE = GaussMarkov.stationary(0.9, 3)


@pytest.mark.parametrize("method", ["barrier", "long-horizon", "sdp", "precise"])
@pytest.mark.parametrize("loss", [JD(0.05), SA(0.05)], ids=str)
def test_every_method_bounds_each_frame(method, loss):
    found = solve(Problem(SOURCE, [0.3, 1.0, 0.6], loss), method)
    assert (found.frame_bounds <= found.distortion).all()
    assert_allclose(found.frame_bounds, found.distortion, rtol=1e-5)
    assert found.frame_bounds.sum() == pytest.approx(found.lower_bound, rel=1e-12)


def test_exact_methods_and_modes_bound_each_frame():
    for problem in (
        Problem(SOURCE, 0.5, JD(0.0)),
        Problem(SOURCE, 0.5),
        Problem(GaussMarkov([[2.0, 1.0]] * 2, [[0.9, 0.5]]), 1.0, "JD"),
    ):
        found = solve(problem)
        assert_allclose(found.frame_bounds, found.distortion, rtol=1e-9)
    assert solve(Problem(SOURCE, 0.5, JD(0.0), np.ones(3))).frame_bounds is None


def test_a_frame_is_sensitive_by_the_root_of_what_earlier_frames_lose():
    """JD by the root, SA by the loss itself: a hundred times less loss, a tenth or a hundredth."""
    problem = Problem(GaussMarkov.stationary(0.9, 2), [0.5, 2.0], JD(0.05))
    coarse, fine = (frame_bounds(solve(problem), lost) for lost in (1e-4, 1e-6))
    assert (coarse.near_earlier <= fine.near_earlier).all()
    assert (fine.near_earlier <= fine.given_earlier).all()
    assert fine.sensitivity[0] == 0
    assert coarse.sensitivity[1] / fine.sensitivity[1] == pytest.approx(10, rel=0.1)
    other = frame_bounds(solve(problem.with_(perception=SA(0.05))), 1e-4)
    assert other.sensitivity[1] < 1e-4


def test_a_scheme_whose_first_frame_loses_a_little_keeps_the_bound():
    """A weighted optimum is such a scheme: its second frame is better, and above the bound."""
    problem = Problem(GaussMarkov.stationary(0.9, 2), [0.5, 2.0], JD(0.05))
    found = solve(problem)
    other = solve(problem.with_(weights=[20.0, 1.0]))
    lost = other.distortion[0] / found.distortion[0] - 1
    assert 0 < lost < 0.01
    assert other.distortion[1] < found.distortion[1]
    bound = frame_bounds(found, lost).near_earlier[1]
    assert bound <= other.distortion[1] <= bound * (1 + 1e-2)


@pytest.mark.filterwarnings("error")
def test_frames_that_are_known_have_the_bound_zero():
    problem = Problem(GaussMarkov([1.0, 2.0, 1.0], [-1.0, 0.9]), [np.inf, 1.0, 1.0], JD(1e-3))
    found = solve(problem)
    assert (found.distortion[:2] == 0).all()
    bounds = frame_bounds(found)
    assert (bounds.near_earlier[:2] == 0).all()
    assert 0 < bounds.near_earlier[2] <= found.distortion[2]


def test_what_has_no_such_bounds_is_refused():
    with pytest.raises(ValueError, match="expected the sequential objective"):
        frame_bounds(solve(Problem(SOURCE, 0.5, FMD(0.1), np.ones(3))))
    with pytest.raises(ValueError, match="expected scalar frames"):
        frame_bounds(solve(Problem(GaussMarkov([[2.0, 1.0]] * 2, [[0.9, 0.5]]), 1.0, "JD")))
    with pytest.raises(ValueError, match="lost"):
        frame_bounds(solve(Problem(SOURCE, 0.5, JD(0.0))), 0.0)
    with pytest.raises(ValueError, match="solution"):
        frame_bounds("x")
    without = replace(solve(Problem(SOURCE, 0.5, JD(0.0))), frame_bounds=None, method="linear")
    with pytest.raises(SolverError, match="'linear' gives no bound for each frame"):
        frame_bounds(without)
