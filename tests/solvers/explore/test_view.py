"""The tables behind the plots: the same numbers as the package gives."""

import contextlib
import io
import json
import sys

import numpy as np
import pytest

from rdp import FMD, JD, SA, GaussMarkov, Problem, closed_form
from rdp.solution import Status
from rdp.windowed import zero_perception_windowed
from solvers import SolverError, solve
from solvers.explore.request import parse
from solvers.explore.view import PARTS, POINT_FRAMES, POINTS, code, perception, point, rate

ASKED = {"frames": 3, "rho": 0.9, "rates": [0.1, 4, 4], "levels": [0, 0, 0]}
SOURCE = GaussMarkov.stationary(rho=0.9, frames=3)


def column(table, plf, name):
    return [value for value, of in zip(table[name], table["plf"], strict=True) if of == plf]


@pytest.mark.parametrize("weights", [None, [1, 2, 1]])
@pytest.mark.parametrize("level", [0.0, 0.05])
def test_frames_are_those_of_solve(weights, level):
    asked = {**ASKED, "rates": [0.5, 1, 1], "levels": [level] * 3, "weights": weights}
    answer = point(parse(asked))
    assert answer["notes"] == []
    for loss in (None, FMD(level), JD(level), SA(level)):
        expected = solve(Problem(SOURCE, [0.5, 1, 1], loss, weights))
        plf = expected.problem.plf
        table = answer["tables"]["frames"]
        assert column(table, plf, "distortion") == pytest.approx(expected.distortion, rel=1e-4)
        bound = answer["bounds"][plf]
        assert bound["objective"] == pytest.approx(expected.objective, rel=1e-6)
        assert 0 <= bound["gap"] <= 1e-5 * expected.objective
    assert column(answer["tables"]["frames"], "MMSE", "perception") == [None] * 3


def test_rate_curves_sweep_the_chosen_frames():
    table = rate(parse({**ASKED, "swept": 1}))["tables"]["rate"]
    assert len(table["rate"]) == 4 * POINTS
    rates = [[first, 4, 4] for first in column(table, "JD", "rate")]
    expected = closed_form.zero_perception_joint(SOURCE, rates)
    for t in range(3):
        found = column(table, "JD", f"distortion_{t + 1}")
        np.testing.assert_allclose(found, expected[:, t], rtol=1e-9)


def test_curves_of_many_frames_have_fewer_points():
    asked = {"frames": 8, "rho": 0.9, "rates": [1] * 8, "levels": [0] * 8}
    rates = np.array(column(rate(parse(asked))["tables"]["rate"], "FMD", "rate"))
    assert len(rates) == POINT_FRAMES // 8 < POINTS
    assert rates[0] == 0
    assert rates[-1] == 6
    assert (np.diff(rates, 2) > 0).all()  # closer where distortion changes most


def test_perception_curves_end_where_no_loss_binds():
    answer = perception(parse({**ASKED, "rates": [0.5, 0.5, 0.5], "weights": [1, 1, 1]}))
    table = answer["tables"]["perception"]
    mmse = closed_form.mmse(SOURCE, [0.5, 0.5, 0.5])
    for plf in ("FMD", "JD", "SA"):
        assert column(table, plf, "threshold")[0] == 0
        curve = np.array([column(table, plf, f"distortion_{t}") for t in (1, 2, 3)], dtype=float)
        total = curve.sum(axis=0)
        assert (np.diff(total) <= 1e-7).all()
        np.testing.assert_allclose(curve[:, -1], mmse, atol=1e-6)


def test_paths_share_the_source_and_follow_the_seed():
    first, again, other = (
        point(parse({**ASKED, "seed": seed}))["tables"]["paths"] for seed in (1, 1, 2)
    )
    assert first == again != other
    assert set(first) == {"frame", "source", "MMSE", "FMD", "JD", "SA"}
    x, xhat = solve(Problem(SOURCE, [0.1, 4, 4], JD(0))).simulate(1, 1)
    np.testing.assert_allclose(first["source"], x[0])
    np.testing.assert_allclose(first["JD"], xhat[0])


def test_the_code_runs_and_prints_the_numbers_of_the_page():
    request = parse({**ASKED, "weights": [1, 0.5, 2], "levels": [0.1, 0.1, 0.1]})
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(code(request), {})
    table = point(request)["tables"]["frames"]
    for line in said.getvalue().splitlines():
        plf, *numbers = line.split()
        assert [float(number) for number in numbers] == pytest.approx(
            column(table, plf, "distortion"), abs=2e-6
        )
    assert len(said.getvalue().splitlines()) == 4


def test_everything_is_strict_json():
    request = parse({**ASKED, "frames": 1, "rho": 0, "rates": [0], "levels": [0]})
    for part in PARTS.values():
        json.dumps(part(request), allow_nan=False)


def test_a_loss_that_fails_is_left_out_with_a_note(monkeypatch):
    module = sys.modules["solvers.explore.view"]

    def fails(problem, method="auto"):
        if problem.plf == "SA":
            raise SolverError(Status.INACCURATE, "no")
        return solve(problem, method)

    monkeypatch.setattr(module, "solve", fails)
    answer = point(parse(ASKED))
    assert answer["notes"] == ["PLF-SA at this point: inaccurate: no"]
    assert set(answer["bounds"]) == {"MMSE", "FMD", "JD"}
    assert "SA" not in answer["tables"]["paths"]


def test_a_window_is_that_of_jd_in_tables_curves_and_code():
    asked = {"frames": 3, "rho": 0.9, "rates": [0.1, 2, 2], "levels": [0, 0, 0], "window": 2}
    request = parse(asked)
    table = point(request)["tables"]["frames"]
    at = [i for i, name in enumerate(table["plf"]) if name == "JD"]
    expected = zero_perception_windowed(request.source, request.rates, 2)
    np.testing.assert_allclose([table["distortion"][i] for i in at], expected, rtol=1e-9)
    for part in (rate, perception):
        (curves,) = part(request)["tables"].values()
        assert set(curves["plf"]) == {"MMSE", "FMD", "JD", "SA"}
    assert "JD(levels, window=2)" in code(request)
