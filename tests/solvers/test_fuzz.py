"""A short run of the fuzzer: nothing wrong, nothing but the errors that are announced."""

import pytest

pytest.importorskip("benchmarks.fuzz", reason="benchmarks are in the repository only")

from benchmarks import fuzz


@pytest.mark.parametrize(("family", "count"), [("usual", 24), ("extreme", 24), ("sequential", 1)])
def test_random_problems_are_answered_right(family, count):
    tally = fuzz.fuzz(family, count, seconds=120, seed=2)
    assert tally.tried >= count
    assert not {what for what in tally.counts if what != "unsolved"}, tally.kept
    assert tally.counts["unsolved"] <= (0 if family != "extreme" else 1), tally.kept


def test_a_wrong_answer_is_seen():
    import numpy as np

    from rdp import JD, GaussMarkov, Problem

    problem = Problem(GaussMarkov.stationary(0.9, 2), 1.0, JD([0.1, 0.2]), weights=[1, 1])
    right = np.array([0.26, 0.2]), np.array([0.1, 0.2]), 0.46
    assert not list(fuzz.faults(problem, *right))
    for changed, name in (
        ((right[0] * 0.5, right[1], 0.23), "better than the MMSE"),
        ((right[0], right[1] + 1e-3, 0.46), "beyond a threshold"),
        ((right[0], right[1], 0.47), "bound above the answer"),
        ((right[0], right[1], 0.4), "bound far below"),
        ((right[0] * np.nan, right[1], 0.46), "distortion not finite"),
    ):
        assert name in list(fuzz.faults(problem, *changed))
