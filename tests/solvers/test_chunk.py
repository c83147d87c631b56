"""Exceptions in the package: what they end, and what is said."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rdp import JD, GaussMarkov, Problem, Status
from solvers import _chunk, sweep

SOURCE = GaussMarkov([1.0, 2.0, 0.5], [0.9, -0.4])
BROKEN = Problem(SOURCE, 0.5, JD([0.1, 0.05, 0.2]))
RATES = np.array([[0.5], [1.0], [2.0]])


@pytest.fixture
def breaks(monkeypatch):
    """Let the solution of single points raise at rate 1, and take all points one by one."""
    solved = _chunk.solve_by_cheapest

    def use(error):
        def broken(problem):
            if problem.rates[0] == 1.0:
                raise error
            return solved(problem)

        monkeypatch.setattr(_chunk, "solve_by_cheapest", broken)
        monkeypatch.setattr(_chunk, "methods_at", lambda _, rates, levels: np.full(len(rates), "*"))

    return use


@pytest.mark.parametrize("threads", [False, True])
def test_an_exception_at_one_point_ends_that_point_only(breaks, threads):
    right = sweep(BROKEN, RATES)
    breaks(IndexError("out of range"))
    with ThreadPoolExecutor(2) as executor, pytest.warns(RuntimeWarning) as told:
        found = sweep(BROKEN, RATES, executor=executor if threads else None, chunk=1)
    assert len(told) == 1
    for part in (
        "1 of 3 points",
        "point 1 (rates [1.0, 1.0, 1.0], levels [0.1, 0.05, 0.2]): IndexError: out of range",
    ):
        assert part in str(told[0].message)
    assert told[0].filename == __file__
    assert found.status.tolist() == [0, Status.FAILED.code, 0]
    assert np.isnan(found.distortion[1]).all()
    np.testing.assert_allclose(found.distortion[[0, 2]], right.distortion[[0, 2]], rtol=1e-6)


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), ImportError("cvxpy"), OSError(28), MemoryError(), Warning("x")]
)
def test_what_no_method_is_to_blame_for_ends_a_sweep(breaks, error):
    breaks(error)
    with pytest.raises(type(error)):
        sweep(BROKEN, RATES)


def test_points_that_an_exception_ended_are_tried_again(breaks, monkeypatch, tmp_path):
    path = tmp_path / "kept"
    with monkeypatch.context():
        breaks(ZeroDivisionError("by zero"))
        with pytest.warns(RuntimeWarning, match="ZeroDivisionError: by zero"):
            sweep(BROKEN, RATES, checkpoint=path, chunk=1)
    monkeypatch.undo()
    found = sweep(BROKEN, RATES, checkpoint=path, chunk=1)
    right = sweep(BROKEN, RATES)
    np.testing.assert_array_equal(found.distortion, right.distortion)


def test_an_exception_in_many_points_at_once_leaves_them_to_be_solved_alone(monkeypatch):
    problem = Problem(SOURCE, 0.5, JD(0.0), weights=1)
    right = sweep(problem, RATES)

    def broken(*given):
        raise FloatingPointError("overflow")

    monkeypatch.setattr(_chunk, "_lookahead", broken)
    with pytest.warns(RuntimeWarning, match=r"FloatingPointError: overflow, in lookahead for many"):
        found = sweep(problem, RATES)
    np.testing.assert_allclose(found.distortion, right.distortion, rtol=1e-9)
    assert not found.status.any()
