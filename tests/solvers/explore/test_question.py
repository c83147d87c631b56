"""What a browser may ask: everything is checked, and errors name the field."""

import re

import numpy as np
import pytest

from solvers.explore.request import MOST_FRAMES, parse

GOOD = {"frames": 2, "rho": 0.9, "rates": [1, 2], "levels": [0, 0.5]}


def test_a_question_becomes_problems():
    question = parse({**GOOD, "sigma": [1, 3], "weights": [1, 2], "moved": 2, "seed": 7})
    joint = question.problem("JD")
    assert joint.plf == "JD"
    np.testing.assert_array_equal(joint.source.sigma, [1, 3])
    np.testing.assert_array_equal(joint.thresholds, [0, 0.5])
    np.testing.assert_array_equal(joint.weights, [1, 2])
    np.testing.assert_array_equal(question.moved, [False, True])
    assert [problem.plf for problem in question.problems()] == ["MMSE", "FMD", "JD", "SA"]


def test_what_may_be_left_out():
    question = parse(GOOD)
    assert question.weights is None
    assert question.seed == 0
    np.testing.assert_array_equal(question.source.sigma, [1, 1])
    np.testing.assert_array_equal(question.moved, [True, True])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": 0}, "frames: expected an integer >= 1, got 0"),
        ({"frames": MOST_FRAMES + 1}, f"frames: expected at most {MOST_FRAMES}"),
        ({"frames": 1.5}, "frames: expected an integer"),
        ({"rho": 1.5}, "rho: expected |rho| <= 1"),
        ({"rho": "0.9"}, "rho: expected numbers"),
        ({"rho": [[0.9]]}, "rho: expected numbers"),
        ({"rho": float("nan")}, "rho: expected numbers, got NaN"),
        ({"sigma": [1, 2, 3]}, "sigma: expected shape (2,) for 2 frames, got (3,)"),
        ({"sigma": 0}, "sigma: expected values > 0"),
        ({"sigma": float("inf")}, "sigma: expected finite values"),
        ({"rates": [1, -1]}, "rates: expected values >= 0, got -1"),
        ({"rates": [1, 21]}, "rates: expected at most 20 bits, got 21"),
        ({"rates": [1, True]}, "rates: expected numbers"),
        ({"rates": None}, "rates: expected numbers"),
        ({"levels": [0, -0.1]}, "levels: expected values >= 0, got -0.1"),
        ({"weights": [0, 0]}, "weights: expected at least one weight > 0"),
        ({"moved": 3}, "moved: expected a frame from 1 to 2, got 3"),
        ({"moved": "all"}, "moved: expected an integer"),
        ({"seed": -1}, "seed: expected an integer"),
        ({"seed": "x"}, "seed: expected an integer"),
        ({"path": "/etc/passwd"}, "path: unknown"),
    ],
)
def test_a_bad_field_is_named(change, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        parse({**GOOD, **change})


@pytest.mark.parametrize("data", [None, [], "question", 3])
def test_not_even_names_with_values(data):
    with pytest.raises(ValueError, match="question: expected names with values"):
        parse(data)
