"""`rdp curve`."""

import numpy as np
import pytest

from rdp import GaussMarkov, OperatingPoint, Problem, closed_form, perception, save_points
from solvers import solve
from tests.solvers.cli.commands import answer, parsed, refused, run, strict_json


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
    printed_rows = parsed(run(*arguments, "--csv", "-").stdout)
    written = run(*arguments, "--csv", tmp_path / "curve.csv")
    assert written.exit_code == 0
    assert written.stdout == ""
    assert parsed((tmp_path / "curve.csv").read_text()) == printed_rows
    assert [row["plf"] for row in printed_rows] == ["MMSE"] * 3 + ["JD"] * 3
    source = GaussMarkov.stationary(rho=0.9, frames=2)
    rates = [[float(row["x"])] * 2 for row in printed_rows[3:]]
    found = [[float(row["distortion_1"]), float(row["distortion_2"])] for row in printed_rows[3:]]
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


def test_points_that_fail_are_null_and_the_exit_status_is_one():
    # Constant frames, almost no bits and a tiny threshold: out of reach of the solver, and the
    # frames are too many for decimal arithmetic.
    result = run(
        *("curve", "--rho", "1", "--frames", "13", "--plf", "JD", "--levels", "1e-12"),
        *("--weights", ",".join(13 * "1")),
        *("--from", "1e-9", "--to", "20", "--points", "2", "--json"),
    )
    assert result.exit_code == 1
    curve = strict_json(result.stdout)["curves"]["JD"]
    assert [status != 0 for status in curve["status"]] == [True, False]
    assert curve["distortion"][0] == 13 * [None]
    assert None not in curve["distortion"][1]
    assert result.stderr == "failed: 1 of 2 points were not solved to tolerance\n"


@pytest.fixture
def points(tmp_path):
    """Points on the curve of JD, one of another source, in a file."""
    source = GaussMarkov.stationary(rho=0.9, frames=3)
    made = []
    for label, rate in (("mine", [0.25, 1, 1]), ("mine", [0.25, 2, 2]), ("elsewhere", [1, 1, 1])):
        distortion = closed_form.zero_perception_joint(source, np.array(rate))
        ends = {"distortion": np.stack([0.9 * distortion, 1.2 * distortion], axis=-1)}
        made.append(OperatingPoint(label, "JD", rate, distortion, source=source, intervals=ends))
    save_points(tmp_path / "points.json", made)
    return tmp_path / "points.json"


@pytest.fixture
def axes(monkeypatch):
    """Axes that the command draws."""
    from solvers import plotting

    drawn = []
    panels = plotting.panels

    def kept(*args):
        drawn.extend(panels(*args))
        return drawn

    monkeypatch.setattr(plotting, "panels", kept)
    return drawn


def test_points_and_bounds_lie_over_the_curves(tmp_path, points, axes):
    (tmp_path / "bounds.csv").write_text("x,distortion,label\n0,1,mine\n4,0.1,mine\n")
    result = run(
        *("curve", "--rates", "0.25,x,x", "--points", points, "--points", "41", "--log"),
        *("--bounds", tmp_path / "bounds.csv", "--plot", tmp_path / "fig.pdf", "--size", "3x2"),
    )
    assert result.exit_code == 0, result.output
    assert "points: 1 of 3 are not drawn" in result.stderr  # another rate of frame 1
    assert "rho = 0.9, R = (0.25, x, x) bit, P = 0. Certified within" in result.stderr
    assert "Certified within rounding." in result.stderr  # closed forms
    [ax] = axes
    lines = {drawn.get_label(): drawn for drawn in ax.lines}
    own = lines["mine (PLF-JD)"].get_xydata()
    curve = lines["PLF-JD"].get_xydata()
    np.testing.assert_allclose(own, curve[np.searchsorted(curve[:, 0], [1, 2])])
    assert lines["mine"].get_xydata().tolist() == [[0, 1], [4, 0.1]]
    assert ax.get_yscale() == "log"
    assert tuple(ax.figure.get_size_inches()) == (3, 2)
    assert "elsewhere (PLF-JD)" not in lines


def test_distortions_of_zero_get_a_linear_axis(tmp_path, axes):
    words = ["curve", "--rates", "inf,x", "--rho", "1", "--plf", "MMSE,JD", "--points", "3"]
    result = run(*words, "--log", "--plot", tmp_path / "fig.png")
    assert result.exit_code == 0, result.output
    said = "log: the distortions of frame 2 are all 0: a linear axis"
    assert result.stderr.splitlines()[0] == said
    assert "warning" not in result.stderr
    assert axes[0].get_yscale() == "linear"
    first = run(*words, "--frame", "1", "--log", "--plot", tmp_path / "fig.png", "--rates", "x,x")
    assert "linear axis" not in first.stderr


def test_points_that_no_panel_has_are_counted(tmp_path, points, axes):
    result = run(
        *("curve", "--rates", "0.25,x,x", "--rho", "0.5", "--rho", "0.9", "--plf", "JD"),
        *("--points", points, "--points", "3", "--plot", tmp_path / "fig.png"),
    )
    assert "points: 1 of 3 are not drawn" in result.stderr
    other, own = ([drawn.get_label() for drawn in ax.lines] for ax in axes)
    assert "mine (PLF-JD)" not in other
    assert "mine (PLF-JD)" in own


def test_several_sources_and_rates_make_panels(tmp_path, axes):
    arguments = ["curve", "--rho", "0.5", "--rho", "0.9", "--rates", "x,x", "--rates", "1,x"]
    path = tmp_path / "fig.svg"
    result = run(*arguments, "--points", "3", "--plot", path, "--style", "slides", "--csv", "-")
    assert result.exit_code == 0, result.output
    titles = [ax.get_title() for ax in axes]
    assert [("0.5" in title, "(1, x)" in title) for title in titles] == [
        *((True, False), (True, True)),
        *((False, False), (False, True)),
    ]
    rows = parsed(result.stdout)
    assert len(rows) == 4 * 4 * 3
    assert {(row["rho"], row["sigma"], row["rates"]) for row in rows} == {
        (rho, "1", rates) for rho in ("0.5", "0.9") for rates in ("x,x", "1,x")
    }
    assert len(answer(*arguments, "--points", "3")["panels"]) == 4


def test_the_table_has_a_column_for_each_loss():
    lines = run("curve", "--rates", "0.25,x,x", "--points", "3").stdout.split("\n")
    assert lines[0].startswith("D_3, rho = 0.9, R = (0.25, x, x) bit, P = 0")
    assert lines[2].split() == ["rate", "MMSE", "FMD", "JD", "SA"]
    assert len([line for line in lines if line.strip().startswith(("0 ", "2 ", "4 "))]) == 3


def test_the_root_of_the_threshold(tmp_path, axes):
    result = run(
        *("curve", "--against", "perception", "--rates", "0.5,0.5", "--plf", "FMD", "--to", "0.04"),
        *("--root", "--points", "3", "--plot", tmp_path / "fig.png"),
    )
    assert result.exit_code == 0, result.output
    np.testing.assert_allclose(axes[0].lines[0].get_xdata(), [0, 0.1, 0.2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--root"], "root: expected --against perception; rates have no root"),
        (["--size", "3"], "size: expected WIDTHxHEIGHT, 0.5 to 50 inches each, got '3'"),
        (["--points", "1"], "points: expected one number of at least 2, got 1"),
        (["--points", "none.json"], "none.json: No such file or directory"),
        (["--bounds", "none.csv"], "none.csv: No such file or directory"),
        (["--to", "inf"], "from, to: expected finite from <= to, got 0 and inf"),
        (["--from", "3", "--to", "1"], "from, to: expected finite from <= to, got 3 and 1"),
        (["--rates", "x,x,x"], "sigma: expected shape"),
        (["--style", "poster", "--plot", "a.png"], "style: expected one of paper, screen, slides"),
    ],
)
def test_options_of_the_plot_name_bad_input(arguments, message):
    extra = ["--sigma", "1,1"] if arguments[0] == "--rates" else ["--frames", "2"]
    assert refused("curve", *extra, *arguments).startswith(message)


def test_bounds_without_their_columns_are_named(tmp_path):
    path = tmp_path / "bounds.csv"
    path.write_text("rate,distortion\n0,1\n")
    arguments = ["curve", "--frames", "2", "--bounds", path, "--plot", tmp_path / "a.png"]
    assert refused(*arguments).startswith("bounds: expected numbers in columns x and distortion")
