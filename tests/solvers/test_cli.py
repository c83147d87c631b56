"""The `rdp` command: what it prints, its JSON, and its exit status."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from rdp import FMD, JD, GaussMarkov, Problem, closed_form, perception
from rdp.clip import fit_clip, sample_clip
from rdp.operating_point import OperatingPoint, load_points, save_points
from solvers import allocate, minimum_rate, pareto, solve, universality
from solvers.cli import app
from solvers.cli.output import plain

ROOT = Path(__file__).resolve().parents[2]
FIT = ["fit", "--sample", "--frames", "12", "--horizon", "4", "--bpp", "0.1,1"]


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="rdp")


def strict_json(text):
    """Parse JSON that has neither NaN nor Infinity."""

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def parsed(text):
    """Rows of a CSV text as dicts."""
    return list(csv.DictReader(io.StringIO(text)))


def answer(*arguments):
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return strict_json(result.stdout)


def refused(*arguments, status=2):
    """Return the one line on stderr of a command that ends with a status."""
    result = run(*arguments)
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    (line,) = result.stderr.splitlines()
    return line


# --- all commands ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "mentions"),
    [
        ([], ["solve", "pareto", "validate", "--version", "--traceback"]),
        (["solve"], ["--rates", "--rho", "--plf", "--levels", "--weights", "--method", "--json"]),
        (["curve"], ["--against", "--plf", "--from", "--to", "--csv", "--json", "--plot"]),
        (["table"], ["--frames", "--rho", "--csv", "--json"]),
        (["sweep"], ["--rates", "--levels", "--csv", "--checkpoint", "--progress", "--quiet"]),
        (["minimum-rate"], ["--distortion", "--plf", "--levels", "--objective", "--csv", "--json"]),
        (["allocate"], ["--total", "--weights", "--plf", "--csv", "--json"]),
        (["pareto"], ["--rates", "--between", "--points", "--csv", "--json", "--plot"]),
        (["universality"], ["--rates", "--clip", "--sample", "--csv", "--json"]),
        (["validate"], ["POINTS.json", "--rho", "--sigma", "--csv", "--json"]),
        (["fit"], ["--sample", "--block", "--transform", "--bpp", "--csv", "--json", "--plot"]),
    ],
)
def test_help_names_every_option(command, mentions, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert all(word in result.stdout for word in mentions)


def test_no_option_is_without_help():
    import typer

    for name, command in typer.main.get_command(app).commands.items():
        assert command.help, name
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"{name} {parameter.name}"


def test_version():
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("gauss-markov-rdp ")


def test_the_command_starts_without_the_heavy_libraries():
    heavy = ["av", "cvxpy", "matplotlib", "numba", "pandas", "scipy", "sympy", "torch"]
    code = (
        "import sys; from solvers.cli import main; sys.argv = ['rdp', '--help']\n"
        f"try: main()\nfinally: assert not set({heavy}) & set(sys.modules), set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)


def test_an_unknown_option_or_command_is_bad_input():
    assert run("solve", "--colour", "red").exit_code == 2
    assert run("dissolve").exit_code == 2
    assert run("solve").exit_code == 2  # no rates


def test_a_traceback_on_demand():
    result = run("--traceback", "solve", "--rates=-1", "--frames", "2")
    assert isinstance(result.exception, ValueError)


def test_json_has_no_numbers_that_json_lacks():
    given = {"a": [np.float64("nan"), -np.inf, 1], 2: np.arange(2), "b": (None, "text", True)}
    assert plain(given) == {"a": [None, "-inf", 1], "2": [0, 1], "b": [None, "text", True]}


# --- rdp solve ------------------------------------------------------------------------------


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
            "perception: expected one of MMSE, FMD, JD, SA, got 'WD'",
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


def test_a_solver_that_cannot_exits_with_one():
    line = refused(
        *("solve", "--rates", "1,1", "--plf", "JD", "--levels", "0.01", "--method", "closed-form"),
        status=1,
    )
    assert line.startswith("unsupported: closed-form: does not cover PLF-JD")


# --- rdp curve ------------------------------------------------------------------------------


def test_curve_against_rate():
    found = answer("curve", "--rates", "0.25,x,x", "--points", "5", "--rho", "0.8")
    source = GaussMarkov.stationary(rho=0.8, frames=3)
    assert found["swept"] == "rates"
    assert found["x"] == [0, 1, 2, 3, 4]
    grid = np.array([[0.25, x, x] for x in found["x"]])
    expected = {
        "MMSE": closed_form.mmse(source, grid),
        "FMD": closed_form.zero_perception_framewise(source, grid),
        "JD": closed_form.zero_perception_joint(source, grid),
        "SA": closed_form.zero_perception_self_adaptive(source, grid),
    }
    assert list(found["curves"]) == list(expected)
    for plf, values in expected.items():
        np.testing.assert_allclose(found["curves"][plf]["distortion"], values, err_msg=plf)


def test_curve_against_perception():
    found = answer(
        *("curve", "--against", "perception", "--rates", "0.5,1", "--plf", "fmd"),
        *("--levels", "0,x", "--from", "0.1", "--to", "0.3", "--points", "3"),
    )
    source = GaussMarkov.stationary(rho=0.9, frames=2)
    levels = np.array([[0, x] for x in (0.1, 0.2, 0.3)])
    expected = closed_form.framewise(source, np.tile([0.5, 1], (3, 1)), levels)
    np.testing.assert_allclose(found["curves"]["FMD"]["distortion"], expected)


def test_curve_against_perception_ends_where_no_loss_binds():
    arguments = ["--rates", "0.5,0.5", "--weights", "1,1", "--points", "3"]
    found = answer("curve", "--against", "perception", *arguments)
    source = GaussMarkov.stationary(rho=0.9, frames=2)
    assert list(found["curves"]) == ["FMD", "JD", "SA"]
    for plf, curve in found["curves"].items():
        total = np.sum(curve["distortion"], axis=1)
        assert total[0] > total[1] >= total[2]
        assert total[2] == pytest.approx(closed_form.mmse(source, [0.5, 0.5]).sum(), abs=1e-6)
        loss = perception(plf, found["x"][1])
        expected = solve(Problem(source, 0.5, loss, weights=[1, 1]), method="sdp")
        assert total[1] == pytest.approx(expected.objective, abs=1e-6)


def test_curve_as_a_table_and_as_csv(tmp_path):
    arguments = ["curve", "--frames", "2", "--points", "3", "--plf", "MMSE,JD"]
    printed = run(*arguments)
    assert printed.exit_code == 0
    assert "D_2" in printed.stdout
    assert "MMSE" in printed.stdout
    shown = parsed(run(*arguments, "--csv", "-").stdout)
    written = run(*arguments, "--csv", tmp_path / "curve.csv")
    assert written.exit_code == 0
    assert written.stdout == ""
    assert parsed((tmp_path / "curve.csv").read_text()) == shown
    assert [row["plf"] for row in shown] == ["MMSE"] * 3 + ["JD"] * 3
    source = GaussMarkov.stationary(rho=0.9, frames=2)
    rates = [[float(row["x"])] * 2 for row in shown[3:]]
    found = [[float(row["distortion_1"]), float(row["distortion_2"])] for row in shown[3:]]
    np.testing.assert_allclose(found, closed_form.zero_perception_joint(source, rates))


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_curve_as_a_plot(tmp_path, suffix):
    path = tmp_path / f"curve.{suffix}"
    result = run("curve", "--frames", "2", "--points", "3", "--frame", "1", "--plot", path)
    assert result.exit_code == 0, result.output
    assert path.stat().st_size > 2000
    assert f"wrote {path}" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--against", "time"], "against: expected one of rate, perception, got 'time'"),
        (["--rates", "1,2"], "rates: expected x in rates and nowhere else, to draw against rate"),
        (
            ["--against", "perception"],
            "levels: expected x in levels and nowhere else, to draw against perception",
        ),
        (["--frames", "2", "--frame", "3"], "frame: expected 1 to 2, got 3"),
        (
            ["--frames", "2", "--plf", "WD"],
            "plf: expected all or any of MMSE, FMD, JD, SA, got 'WD'",
        ),
        (["--frames", "2", "--from=-1"], "rates: expected values >= 0, got -1"),
        (
            ["--frames", "2", "--plot", "curve.txt"],
            "plot: expected a file ending in .png, .pdf, .svg, got 'curve.txt'",
        ),
        ([], "frames: expected --frames, or a list of rates, got none"),
        (["--frames", "2", "--metric", "kl"], "metric: expected 'w2' for JD, got 'kl'"),
    ],
)
def test_curve_names_bad_input(arguments, message):
    assert refused("curve", *arguments) == message


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    path = tmp_path / "absent" / "curve.csv"
    assert str(path.parent) in refused("curve", "--frames", "2", "--csv", path)


def test_points_that_fail_are_null_and_the_status_says_so(monkeypatch):
    module = sys.modules["solvers.sweep"]  # the package has a function of the same name

    def half(problem, rates, levels):
        found = original(problem, rates, levels)
        found.status[:2] = 1
        return found

    original = module.sweep
    monkeypatch.setattr(module, "sweep", half)
    result = run("curve", "--frames", "2", "--points", "3", "--plf", "FMD", "--json")
    assert result.exit_code == 1
    assert strict_json(result.stdout)["curves"]["FMD"]["status"] == [1, 1, 0]
    assert result.stderr == "failed: 2 of 3 points were not solved to tolerance\n"


# --- rdp table ------------------------------------------------------------------------------


def test_table_prints_what_sympy_derives():
    from rdp.asymptotics import extreme_rate_table

    result = run("table")
    assert result.exit_code == 0
    assert result.stdout == extreme_rate_table(2).text() + "\n"


def test_table_as_json_and_csv():
    found = answer("table", "--frames", "2", "--rho", "0.6")
    rows = {(row["rates"], row["plf"], row["frame"]): row for row in found["rows"]}
    assert len(rows) == 4 * 4 * 2
    # at (eps, inf) the joint loss keeps 2 (1 - sqrt(1 - rho^2)) - 2 rho^2 x
    assert rows["(eps, inf)", "JD", 2]["leading"] == "2/5"
    assert rows["(eps, inf)", "JD", 2]["first"] == "-18/25"
    shown = parsed(run("table", "--rho", "3/5", "--csv", "-").stdout)
    assert [row["leading"] for row in shown] == [row["leading"] for row in found["rows"]]


@pytest.mark.parametrize("rho", ["often", "1/0"])
def test_table_names_bad_input(rho):
    assert refused("table", "--rho", rho) == f"rho: expected a number or a fraction, got {rho!r}"


def test_table_of_an_impossible_correlation():
    assert refused("table", "--rho", "2").startswith("rho: ")
    assert run("table", "--frames", "0").exit_code == 2


# --- rdp fit --------------------------------------------------------------------------------


def test_fit_as_json():
    found = answer(*FIT)
    fit = fit_clip(sample_clip(), frames=12)
    assert found["clip"]["frames"] == 12
    np.testing.assert_allclose(found["modes"]["sigma"], fit.sigma)
    np.testing.assert_allclose(found["modes"]["rho"], fit.rho)
    assert found["failing"] == {"level": 0.01, **fit.failing(0.01)}
    curves = found["prediction"]
    assert curves["bits_per_pixel"] == [0.1, 1]
    assert np.shape(curves["mse"]["JD"]) == (2, 4)
    mean = np.mean(curves["mse"]["SA"], axis=1)
    np.testing.assert_allclose(curves["psnr_db"]["SA"], 10 * np.log10(255**2 / mean))
    ratio = np.mean(curves["mse_mmse_encoder"]["FMD"], axis=1) / np.mean(
        curves["mse"]["FMD"], axis=1
    )
    np.testing.assert_allclose(curves["penalty"]["FMD"], ratio)


def test_fit_prints_a_report():
    result = run(*FIT)
    assert result.exit_code == 0
    for words in ("12 frames of 320x176", "64 modes", "excess kurtosis", "bits/pixel", "JD dB"):
        assert words in result.stdout
    fit = fit_clip(sample_clip(), frames=12)
    assert f"{fit.rho[0]:.4f} +- {fit.rho_se[0]:.4f}" in result.stdout


def test_fit_of_a_clip_without_innovations_reports_null(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (1, 16, 16), dtype=np.uint8)
    np.save(tmp_path / "still.npy", np.repeat(picture, 3, axis=0))
    arguments = ["fit", tmp_path / "still.npy", "--bpp", "1", "--horizon", "2"]
    found = answer(*arguments)
    assert found["modes"]["whiteness"] == [None] * 64
    assert found["failing"]["either"] is None
    assert "nan" not in run(*arguments).stdout.split("\n", 1)[1]  # the first line is the path


def test_fit_writes_csv_and_plot(tmp_path):
    result = run(*FIT, "--csv", tmp_path / "fit.csv", "--plot", tmp_path / "fit.svg")
    assert result.exit_code == 0, result.output
    rows = parsed((tmp_path / "fit.csv").read_text())
    assert len(rows) == 2 * 2 * 4 * 4
    assert set(rows[0]) == {
        *("bits_per_pixel", "plf", "encoder", "frame", "rate", "mse", "psnr_db")
    }
    assert (tmp_path / "fit.svg").stat().st_size > 2000


def test_fit_takes_a_range_of_rates_and_a_frame_transform():
    found = answer(*FIT[:-2], "--bpp", "0.1:10:3", "--transform", "frame", "--first", "3")
    assert found["prediction"]["bits_per_pixel"] == pytest.approx([0.1, 1, 10])
    assert np.ptp(found["prediction"]["rates"][0][1:]) == pytest.approx(0)
    assert found["prediction"]["rates"][0][0] == pytest.approx(
        3 * found["prediction"]["rates"][0][1]
    )
    assert len(found["modes"]["sigma"]) == 22 * 40


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "clip: expected a path or --sample, got none"),
        (["a.mp4", "--sample"], "clip: expected a path or --sample, got both"),
        (["absent.mp4"], "absent.mp4: no such file or folder"),
        (["--sample", "--bpp", "0:1:3"], "bpp: expected FROM:TO:N with 0 < FROM, got '0:1:3'"),
        (["--sample", "--bpp", "0,1"], "bits_per_pixel: expected values > 0, got 0"),
        (["--sample", "--block", "0"], "block: expected an integer >= 1, got 0"),
        (["--sample", "--transform", "dwt"], "transform: expected one of block, frame, got 'dwt'"),
        (["--sample", "--level", "2"], "level: expected a number in (0, 1), got 2.0"),
        (["--sample", "--start", "131"], f"{sample_clip()}: expected at least 2 frames, got 1"),
        (
            ["--sample", "--plot", "x.gif"],
            "plot: expected a file ending in .png, .pdf, .svg, got 'x.gif'",
        ),
    ],
)
def test_fit_names_bad_input(arguments, message):
    assert refused("fit", *arguments) == message


def test_fit_of_a_damaged_file(tmp_path):
    path = tmp_path / "cut.mp4"
    path.write_bytes(sample_clip().read_bytes()[:100_000])
    assert refused("fit", path) == f"{path}: not a video, or truncated or damaged"


# --- rdp minimum-rate, allocate, pareto, universality ---------------------------------------


def test_minimum_rate_as_json_table_and_csv(tmp_path):
    arguments = ["minimum-rate", "--distortion", "0.5,0.3", "--plf", "JD"]
    found = answer(*arguments)
    source = GaussMarkov.stationary(rho=0.9, frames=2)
    expected = minimum_rate(source, [0.5, 0.3], JD(0))
    np.testing.assert_allclose(found["rates"], expected.rates, atol=1e-6)
    assert found["total"] == pytest.approx(sum(found["rates"]))
    assert found["lower_bound"] == pytest.approx(found["total"], abs=1e-6)
    assert np.all(np.array(found["distortion"]) <= np.array([0.5, 0.3]) * (1 + 1e-6))
    printed = run(*arguments)
    assert f"total {expected.total:.6g} bits" in printed.stdout
    assert run(*arguments, "--csv", tmp_path / "rates.csv").stdout == ""
    rows = parsed((tmp_path / "rates.csv").read_text())
    assert [float(row["bits"]) for row in rows] == pytest.approx(found["rates"])


def test_minimum_rate_frame_after_frame_ends_where_no_rate_helps():
    found = answer(
        *("minimum-rate", "--distortion", "0.5,0.2975", "--objective", "sequential"),
        *("--frames", "2"),
    )
    assert found["rates"] == pytest.approx([0.5, 0.5])
    line = refused(
        *("minimum-rate", "--distortion", "1.9,0.001", "--plf", "JD"),
        *("--objective", "sequential"),
        status=1,
    )
    assert line.startswith("infeasible: minimum_rate: ")


def test_allocate_as_json_and_table():
    found = answer("allocate", "--total", "2", "--frames", "2", "--weights", "1,3")
    expected = allocate(GaussMarkov.stationary(rho=0.9, frames=2), 2.0, weights=[1, 3])
    np.testing.assert_allclose(found["bits"], expected.rates, atol=1e-6)
    assert sum(found["bits"]) == pytest.approx(2)
    assert found["objective"] == pytest.approx(np.dot([1, 3], found["distortion"]))
    printed = run("allocate", "--total", "2", "--frames", "2", "--weights", "1,3")
    assert f"objective {expected.objective:.6g}" in printed.stdout


def test_pareto_as_json_csv_and_plot(tmp_path):
    arguments = ["pareto", "--rates", "0.05,8,8", "--plf", "jd,fmd", "--points", "3"]
    found = answer(*arguments)
    assert found["between"] == [2, 3]
    source = GaussMarkov.stationary(rho=0.9, frames=3)
    front = pareto(Problem(source, [0.05, 8, 8], JD(0)), (2, 3), 3)
    np.testing.assert_allclose(found["fronts"]["JD"]["distortion"], front.distortion, rtol=1e-6)
    assert np.ptp(found["fronts"]["FMD"]["distortion"], axis=0) == pytest.approx(0, abs=1e-9)
    result = run(*arguments, "--csv", tmp_path / "f.csv", "--plot", tmp_path / "f.png")
    assert result.exit_code == 0, result.output
    rows = parsed((tmp_path / "f.csv").read_text())
    assert [row["plf"] for row in rows] == ["JD"] * 3 + ["FMD"] * 3
    assert (tmp_path / "f.png").stat().st_size > 2000
    other = answer(*arguments, "--between", "3,1")
    assert other["between"] == [3, 1]
    shown = found["fronts"]["JD"]
    np.testing.assert_allclose(
        shown["objective"], (np.array(shown["weights"]) * shown["distortion"]).sum(1)
    )
    assert (np.array(shown["lower_bound"]) <= shown["objective"]).all()
    assert [float(row["objective"]) for row in rows[:3]] == pytest.approx(shown["objective"])
    printed = run(*arguments).stdout
    assert all(head in printed for head in ("D_2", "objective", "at least"))


def test_universality_costs_nothing_for_scalar_frames():
    found = answer("universality", "--rates", "0.1,4", "--levels", "0.1", "--plf", "all")
    assert set(found) == {"MMSE", "FMD", "JD", "SA"}
    for rows in found.values():
        assert rows["penalty"] == pytest.approx([0, 0], abs=1e-6)
        assert rows["extra_rate"] == [0, 0]


def test_universality_of_a_clip(tmp_path):
    frames = np.random.default_rng(1).random((6, 16, 16)).cumsum(axis=0) / 6
    np.save(tmp_path / "clip.npy", frames)
    arguments = ["universality", "--clip", tmp_path / "clip.npy", "--rates", "0.5", "--plf", "FMD"]
    found = answer(*arguments, "--frames", "2")["FMD"]
    fit = fit_clip(tmp_path / "clip.npy")
    expected = universality(Problem(fit.source(2), 0.5 * fit.modes, FMD(0)))
    np.testing.assert_allclose(found["penalty"], expected.penalty / fit.modes)
    assert min(found["penalty"]) > 0
    assert found["extra_rate"] == pytest.approx([expected.extra_rate / fit.modes] * 2)
    printed = run(*arguments, "--frames", "2")
    assert "more bits per pixel in every frame" in printed.stdout
    # twice the pixels' threshold is twice the threshold of their sum
    loose = answer(*arguments, "--frames", "2", "--levels", "1e9")["FMD"]
    assert loose["penalty"] == pytest.approx([0, 0], abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["minimum-rate", "--distortion", "0", "--frames", "2"],
            "distortion: expected values > 0, got 0, which takes an infinite rate",
        ),
        (
            ["minimum-rate", "--distortion", "1,1", "--objective", "mean"],
            "objective: expected 'total' or 'sequential', got 'mean'",
        ),
        (
            ["allocate", "--total", "0", "--frames", "2"],
            "total: expected values > 0, got 0",
        ),
        (
            ["pareto", "--rates", "1,1", "--between", "1,3"],
            "between: expected two different frames, 1 to 2, got '1,3'",
        ),
        (
            ["pareto", "--rates", "1,1", "--between", "one"],
            "between: expected two frames like 2,3, got 'one'",
        ),
        (
            ["pareto", "--rates", "1", "--frames", "1"],
            "rates: expected at least 2 frames for a front, got 1",
        ),
        (
            ["universality", "--rates", "1", "--sample", "--clip", "a.mp4"],
            "clip: expected a path or --sample, got both",
        ),
        (
            ["universality", "--rates", "1", "--sample"],
            "frames: expected --frames, or a list of rates, got none",
        ),
        (["universality", "--rates", "1,1", "--clip", "a.mp4"], "a.mp4: no such file or folder"),
    ],
)
def test_questions_name_bad_input(arguments, message):
    assert refused(*arguments) == message


# --- rdp sweep ------------------------------------------------------------------------------


def test_sweep_writes_the_grid(tmp_path):
    path = tmp_path / "grid.csv"
    arguments = ["--plf", "FMD", "--rates", "0.5,0:2:3", "--levels", "0:0.2:2"]
    result = run("sweep", *arguments, "--csv", path, "--checkpoint", tmp_path / "kept")
    assert result.exit_code == 0, result.output
    rows = parsed(path.read_text())
    points = [(float(r["rate_1"]), float(r["rate_2"]), float(r["level_1"])) for r in rows]
    assert points == [(0.5, rate, level) for rate in (0, 1, 2) for level in (0, 0.2)]
    source = GaussMarkov.stationary(rho=0.9, frames=2)
    for (*rates, level), row in zip(points, rows, strict=True):
        expected = closed_form.framewise(source, rates, level)
        found = [float(row["distortion_1"]), float(row["distortion_2"])]
        np.testing.assert_allclose(found, expected)
    assert (tmp_path / "kept").exists()
    again = run("sweep", *arguments, "--csv", "-", "--checkpoint", tmp_path / "kept", "--progress")
    assert parsed(again.stdout) == rows
    assert "6.00/6.00" in again.stderr


def test_sweep_without_a_loss_has_no_thresholds():
    rows = parsed(
        run("sweep", "--plf", "MMSE", "--rates", "1", "--frames", "2", "--csv", "-").stdout
    )
    assert [row["perception_1"] for row in rows] == [""]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rates", "0:4"], "rates: expected a number or FROM:TO:N, got '0:4'"),
        (["--rates", "0:1:2"], "frames: expected --frames, or a list of rates, got none"),
        (["--rates", "1,2", "--levels", "0,0,0"], "levels: expected shape (..., 2)"),
        (
            ["--rates", "1,2", "--plf", "MMSE", "--levels", "1"],
            "levels: expected none for a problem without perception loss",
        ),
    ],
)
def test_sweep_names_bad_input(arguments, message):
    assert refused("sweep", *arguments, "--csv", "-").startswith(message)


# --- rdp validate ---------------------------------------------------------------------------


@pytest.fixture
def points(tmp_path):
    """Write points of a codec at a distance from the curve, and return the file."""

    def write(factor, source=None):
        known = GaussMarkov.stationary(rho=0.9, frames=2)
        distortion = factor * closed_form.mmse(known, [1, 1])
        point = OperatingPoint("codec", "MMSE", [1, 1], distortion, source=source)
        save_points(tmp_path / "points.json", [point])
        return tmp_path / "points.json"

    return write


def test_validate_passes_what_is_possible(points):
    source = GaussMarkov.stationary(rho=0.9, frames=2)
    named, told = run("validate", points(1.1, source)), run("validate", points(1.1), "--rho", "0.9")
    for result in (named, told):
        assert result.exit_code == 0, result.output
        assert "rate-distortion" in result.stdout
        assert "points: 1; checks: 4 pass, 0 fail, 0 inconclusive" in result.stdout


def test_validate_fails_what_is_impossible(points, tmp_path):
    arguments = ["validate", points(0.9), "--rho", "0.9", "--sigma", "1"]
    result = run(*arguments, "--json")
    assert result.exit_code == 1
    found = strict_json(result.stdout)
    assert not found["ok"]
    assert found["fail"] == 2
    verdicts = {item["bound"]: item["verdict"] for item in found["checks"]}
    assert verdicts == {"rate-distortion": "fail", "one-shot rate": "pass"}
    assert run(*arguments).exit_code == 1
    assert run(*arguments, "--csv", tmp_path / "checks.csv").exit_code == 1
    rows = parsed((tmp_path / "checks.csv").read_text())
    assert [row["verdict"] for row in rows] == [item["verdict"] for item in found["checks"]]


def test_validate_without_a_source_says_that_nothing_was_checked(points):
    path = points(1.0)
    said = refused("validate", path)
    assert said.startswith(f"{path}: nothing could be checked; give a source by --rho")
    assert refused("validate", path, "--json") == said


def test_validate_says_which_points_were_not_checked(points):
    path = points(1.1, GaussMarkov.stationary(rho=0.9, frames=2))
    save_points(path, [*load_points(path), OperatingPoint("other", "JD", [1], [1])])
    result = run("validate", path)
    assert result.exit_code == 0
    assert "points: 2; checks: 4 pass" in result.stdout
    assert "not checked: points 1; give a source by --rho" in result.stdout


def test_validate_names_bad_input(points, tmp_path):
    path = points(1.0)
    assert refused("validate", path, "--rho", ".9,.9").startswith("rho: expected shape (1,)")
    assert refused("validate", path, "--sigma", "1") == "rho: expected --rho with --sigma, got none"
    save_points(path, [])
    assert refused("validate", path) == f"{path}: points: expected at least one, got none"
    assert refused("validate", absent := tmp_path / "absent.json") == (
        f"{absent}: No such file or directory"
    )
    assert refused("validate", tmp_path) == f"{tmp_path}: Is a directory"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "expected a JSON file, got 'Expecting value' at line 1, column 1"),
        (b'{\n"a": x', "expected a JSON file, got 'Expecting value' at line 2, column 6"),
        (b"\x7fELF\xff\x00", "expected a JSON file, got bytes that are no text"),
        (b"[" * 100_000, "expected a JSON file, got one nested too deeply"),
        (b"{}", "schema: expected 'gauss-markov-rdp/operating-points', as save_points writes it"),
    ],
)
def test_validate_names_a_malformed_file(tmp_path, content, said):
    (tmp_path / "points.json").write_bytes(content)
    assert refused("validate", tmp_path / "points.json") == f"{tmp_path / 'points.json'}: {said}"
