"""A source whose first frame is known: the problem of the frames after it."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rdp import JD, SA, Problem, StateSpace
from solvers import solve


@pytest.mark.parametrize("transition", [1.0, 0.5])
@pytest.mark.parametrize(
    "loss", [JD(0.05, window=2), JD([0.0, 0.02, 0.05], window=2), JD(0.05), SA(0.05)], ids=repr
)
def test_a_first_frame_that_is_known_costs_nothing_and_changes_nothing(loss, transition):
    known = StateSpace([[transition]], [[1.0]], [1.0], [[0.0]])
    later = StateSpace([[transition]], [[1.0]], [1.0], [[1.0]])  # the same from its second frame
    found = solve(Problem(known, [0.5, 0.5, 1.0], loss, encoder="mmse"))
    levels = np.broadcast_to(loss.levels, 3)[1:]
    same = solve(Problem(later, [0.5, 1.0], loss.at(levels), encoder="mmse"))
    assert abs(found.distortion[0]) < 1e-9
    assert_allclose(found.distortion[1:], same.distortion, atol=2e-5)
    assert found.lower_bound <= found.objective * (1 + 1e-9)
