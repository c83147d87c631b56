"""`rdp solve`."""

import numpy as np
import pytest

from rdp import JD, AutoRegressive, GaussMarkov, Problem, closed_form
from solvers import solve
from tests.solvers.cli.commands import answer, refused, run


def test_solve_gives_the_solution():
    found = answer("solve", "--rho", "0.9", "--rates", "0.1,4,4", "--plf", "JD")
    source = GaussMarkov.stationary(rho=0.9, frames=3)
    expected = solve(Problem(source, [0.1, 4, 4], JD(0)))
    for name in ("distortion", "perception", "mmse", "objective", "cov_xhat", "cross"):
        np.testing.assert_allclose(found[name], getattr(expected, name), err_msg=name)
    assert found["method"] == "closed-form"
    assert found["problem"]["levels"] == [0, 0, 0]
    assert found["problem"]["weights"] is None


def test_solve_prints_a_table():
    result = run("solve", "--rho", "0.9", "--rates", "0.1,4,4", "--plf", "jd")
    assert result.exit_code == 0
    for number in ("1.2804", "0.59394", "0.47902", "2.35338", "closed-form"):
        assert number in result.stdout


def test_solve_takes_every_option():
    found = answer(
        *("solve", "--rho", "0.9,0.5", "--sigma", "1,2,1", "--rates", "inf,1,0.5"),
        *("--plf", "FMD", "--levels", "0.1,inf,0", "--metric", "kl", "--weights", "1,2,3"),
        *("--encoder", "mmse", "--method", "closed-form"),
    )
    source = GaussMarkov([1, 2, 1], [0.9, 0.5])
    expected = closed_form.framewise(source, [np.inf, 1, 0.5], [0.1, np.inf, 0], "kl")
    np.testing.assert_allclose(found["distortion"], expected, atol=1e-12)
    assert found["objective"] == pytest.approx(expected @ [1, 2, 3])
    assert found["problem"]["rates"] == ["inf", 1, 0.5]
    assert found["problem"]["levels"] == [0.1, "inf", 0]


def test_solve_without_a_loss_has_no_perception():
    found = answer("solve", "--rates", "0.5", "--frames", "2")
    assert found["perception"] == [None, None]
    assert found["distortion"] == pytest.approx([0.5, 0.2975])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rates", "1,2", "--frames", "3"], "rates: expected shape (3,) for 3 frames, got (2,)"),
        (["--rates=-1,2"], "rates: expected values >= 0, got -1"),
        (["--rates", "nan,2"], "rates: expected numbers, got NaN"),
        (["--rates", "1;2"], "rates: expected numbers separated by commas, got '1;2'"),
        (["--rates", "1"], "frames: expected --frames, or a list of rates, got none"),
        (["--rates", "1,2", "--rho", "1.5"], "rho: expected |rho| <= 1, got 1.5"),
        (
            ["--rates", "1,2", "--rho", ".5,.5"],
            "rho: expected shape (1,) for 2 frames, got (2,)",
        ),
        (
            ["--rates", "1,2", "--sigma", "1,1,1"],
            "sigma: expected shape (2,) for 2 frames, got (3,)",
        ),
        (["--rates", "1,2", "--sigma", "0"], "sigma: expected values > 0, got 0"),
        (
            ["--rates", "1,2", "--plf", "WD"],
            "plf: expected one of MMSE, FMD, JD, SA, got 'WD'",
        ),
        (
            ["--rates", "1,2", "--plf", "JD", "--levels=-1"],
            "levels: expected values >= 0, got -1",
        ),
        (
            ["--rates", "1,2", "--plf", "JD", "--metric", "kl"],
            "metric: expected 'w2' for JD, got 'kl'",
        ),
        (
            ["--rates", "1,2", "--weights", "1,2,3"],
            "weights: expected shape (2,) for 2 frames, got (3,)",
        ),
        (
            ["--rates", "1,2", "--encoder", "best"],
            "encoder: expected 'optimal' or 'mmse', got 'best'",
        ),
    ],
)
def test_solve_names_bad_input(arguments, message):
    assert refused("solve", *arguments) == message


def test_a_method_that_does_not_cover_the_problem_exits_with_one():
    line = refused(
        *("solve", "--rates", "1,1", "--plf", "JD", "--levels", "0.01", "--method", "closed-form"),
        status=1,
    )
    assert line.startswith("unsupported: closed-form: does not cover PLF-JD")
    assert line.endswith("use method='barrier'")


def test_solve_takes_a_source_of_higher_order():
    found = answer("solve", "--ar", "1.72,-0.81", "--rates", "0.5,0.5,0.5", "--plf", "JD")
    expected = solve(Problem(AutoRegressive([1.72, -0.81]), [0.5] * 3, JD(0)))
    np.testing.assert_allclose(found["distortion"], expected.distortion)
    assert found["method"] == "linear"
    assert found["problem"]["phi"] == [1.72, -0.81]
    assert "rho" not in found["problem"]
    weighted = answer("solve", "--ar", "0.9", "--rates", "0.5", "--frames", "2", "--weights", "1")
    assert weighted["problem"]["rates"] == [0.5, 0.5]
    for more, message in (
        (["--rates", "1,1", "--rho", "0.8"], "ar: expected --rho or --ar, got both"),
        (["--rates", "1"], "frames: expected --frames, or a list of rates, got none"),
        (["--rates", "1,1", "--sigma", "1,1"], "sigma: expected one number with --ar, got '1,1'"),
    ):
        assert refused("solve", "--ar", "1.72,-0.81", *more) == message
