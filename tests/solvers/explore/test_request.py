"""Requests of the page: every field is checked, and errors name the field."""

import re

import numpy as np
import pytest

from solvers.explore.request import MOST_FRAMES, parse

GOOD = {"frames": 2, "rho": 0.9, "rates": [1, 2], "levels": [0, 0.5]}


def test_a_request_becomes_problems():
    request = parse({**GOOD, "sigma": [1, 3], "weights": [1, 2], "swept": 2, "seed": 7})
    joint = request.problem("JD")
    assert joint.plf == "JD"
    np.testing.assert_array_equal(joint.source.sigma, [1, 3])
    np.testing.assert_array_equal(joint.thresholds, [0, 0.5])
    np.testing.assert_array_equal(joint.weights, [1, 2])
    np.testing.assert_array_equal(request.swept, [False, True])
    assert [problem.plf for problem in request.problems()] == ["MMSE", "FMD", "JD", "SA"]


def test_a_window_is_for_jd_alone():
    request = parse({**GOOD, "levels": [0, 0], "window": 1})
    assert [problem.plf for problem in request.problems()] == ["MMSE", "FMD", "JD(1)", "SA"]


def test_fields_with_defaults():
    request = parse(GOOD)
    assert request.weights is None
    assert request.seed == 0
    np.testing.assert_array_equal(request.source.sigma, [1, 1])
    np.testing.assert_array_equal(request.swept, [True, True])


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
        ({"swept": 3}, "swept: expected a frame from 1 to 2, got 3"),
        ({"swept": "all"}, "swept: expected an integer"),
        ({"window": 0}, "window: expected an integer >= 1, got 0"),
        ({"window": 3}, "window: expected at most 2, the number of frames, got 3"),
        ({"window": "2"}, "window: expected an integer"),
        ({"seed": -1}, "seed: expected an integer"),
        ({"seed": "x"}, "seed: expected an integer"),
        ({"path": "/etc/passwd"}, "path: unknown field"),
    ],
)
def test_a_bad_field_is_named(change, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        parse({**GOOD, **change})


@pytest.mark.parametrize("data", [None, [], "request", 3])
def test_a_request_is_an_object(data):
    with pytest.raises(ValueError, match="request: expected an object with named fields"):
        parse(data)
