"""`rdp validate`."""

import numpy as np
import pytest

from rdp import GaussMarkov, closed_form
from rdp.operating_point import OperatingPoint, load_points, save_points
from solvers.validation import validate
from solvers.verdicts import verdicts, worst_first
from tests.solvers.cli.commands import parsed, refused, run, strict_json


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
    in_file = run("validate", points(1.1, source))
    by_option = run("validate", points(1.1), "--rho", "0.9")
    for result in (in_file, by_option):
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


def test_validate_without_a_source_checks_nothing(points):
    path = points(1.0)
    message = refused("validate", path)
    assert message.startswith(f"{path}: nothing could be checked; give a source by --rho")
    assert refused("validate", path, "--json") == message


def test_validate_names_the_points_that_were_not_checked(points):
    path = points(1.1, GaussMarkov.stationary(rho=0.9, frames=2))
    save_points(path, [*load_points(path), OperatingPoint("other", "JD", [1], [1])])
    result = run("validate", path)
    assert result.exit_code == 0
    assert "points: 2; checks: 4 pass" in result.stdout
    assert "not checked: points 1; give a source by --rho" in result.stdout


def test_validate_says_which_point_keeps_split_from_being_checked(tmp_path):
    mean = OperatingPoint("mine", "MMSE", [1, 1], [0.4, 0.3])
    joint = OperatingPoint("mine", "JD", [1, 1], [0.6, 0.5], perception=[0, 0])
    unknown = OperatingPoint("mine", "FMD", [1, 1], [0.6, 0.5])
    save_points(tmp_path / "points.json", [mean, joint, unknown])
    printed = run("validate", tmp_path / "points.json").stdout
    assert "left out at points 1: split: its MMSE point has no perception loss" in printed
    assert "left out at points 2: split: the point has no perception loss" in printed
    assert "no MMSE point" not in printed


def test_points_of_a_clip_are_not_asked_for_a_source(tmp_path):
    losses = (("MMSE", [0.4], [0.1]), ("JD", [0.6], [0]))
    points = [
        OperatingPoint("mine", plf, [1], error, perception=distance, source="clip a.mp4")
        for plf, error, distance in losses
    ]
    save_points(tmp_path / "points.json", points)
    printed = run("validate", tmp_path / "points.json").stdout
    assert "curves: the point names no Gauss-Markov source, but 'clip a.mp4'" in printed
    assert "not checked: points 0\n" in printed
    assert "--rho" not in printed


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
    ("content", "message"),
    [
        (b"", "expected a JSON file, got 'Expecting value' at line 1, column 1"),
        (b'{\n"a": x', "expected a JSON file, got 'Expecting value' at line 2, column 6"),
        (b"\x7fELF\xff\x00", "expected a JSON file, got bytes that are no text"),
        (b"[" * 100_000, "expected a JSON file, got one nested too deeply"),
        (b"{}", "schema: expected 'gauss-markov-rdp/operating-points', as save_points writes it"),
    ],
)
def test_validate_names_a_malformed_file(tmp_path, content, message):
    (tmp_path / "points.json").write_bytes(content)
    assert refused("validate", tmp_path / "points.json") == f"{tmp_path / 'points.json'}: {message}"


def test_a_row_for_each_point_says_how_far_it_is_above_the_curve(tmp_path):
    source = GaussMarkov.stationary(rho=0.9, frames=2)
    rate = np.array([1.0, 1.0])
    exact = OperatingPoint("exact", "MMSE", rate, closed_form.mmse(source, rate), source=source)
    wasteful = OperatingPoint("wasteful", "MMSE", rate + 0.25, exact.distortion, source=source)
    joint = OperatingPoint("joint", "JD", rate, [1, 1], source=source)
    save_points(tmp_path / "points.json", [exact, wasteful, joint])
    result = run("validate", tmp_path / "points.json", "--plot", tmp_path / "points.png")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.split("\n")]
    rows = {cells[1]: cells for cells in lines[:7] if len(cells) == 7}
    assert rows["wasteful"][3:] == ["1.25", "0.25", "4", "pass"]
    assert abs(float(rows["exact"][4])) < 1e-6
    assert rows["joint"][4] == "-"
    left = [line for line in result.stdout.split("\n") if line.startswith("left out at points 2: ")]
    assert "curve of PLF-JD: the point has no perception loss" in left[0]
    assert "no perception loss, measured or estimated" in left[0]  # it may be 0 all the same
    assert "split, factor two: no MMSE point with the same" in left[1]
    assert (tmp_path / "points.png").stat().st_size > 2000
    found = strict_json(run("validate", tmp_path / "points.json", "--json").stdout)
    assert [point["verdict"] for point in found["points"]] == ["pass"] * 3


def test_the_plot_fills_what_is_impossible_and_covers_nothing():
    from solvers import validate
    from solvers.plotting import new_figure
    from solvers.verdicts import draw

    source = GaussMarkov.stationary(rho=0.9, frames=2)
    points = [
        OperatingPoint("good", "MMSE", [1, 1], [0.4, 0.3], source=source),
        OperatingPoint("wrong", "MMSE", [1, 1], [0.1, 0.1], source=source),
    ]
    figure = new_figure()
    draw(validate(points, source), figure)
    [ax] = figure.axes
    faces = {
        line.get_marker(): line.get_markerfacecolor()
        for line in ax.lines
        if line.get_marker() in "os"
    }
    assert faces["o"] == "white"
    assert faces["s"] != "white"
    low, high = ax.get_xlim()
    assert high - low >= 1
    assert ax.get_legend() is None
    [legend] = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["good", "wrong", "lower bound", "filled: impossible"]


def test_points_of_one_frame_may_be_numbers(tmp_path):
    source = GaussMarkov.stationary(rho=0.9, frames=1)
    point = OperatingPoint("mine", "MMSE", rate=1, distortion=0.3, source=source)
    save_points(tmp_path / "points.json", [point])
    text = (tmp_path / "points.json").read_text()
    (tmp_path / "points.json").write_text(text.replace("[\n    1.0\n   ]", "1.0"))
    assert load_points(tmp_path / "points.json")[0].rate.tolist() == [1]
    assert run("validate", tmp_path / "points.json").exit_code == 0


def test_a_plot_without_a_source_is_refused(points, tmp_path):
    found = [OperatingPoint("a", plf, [1], [d]) for plf, d in (("MMSE", 0.3), ("FMD", 0.5))]
    save_points(tmp_path / "points.json", found)
    arguments = ["validate", tmp_path / "points.json", "--plot", tmp_path / "a.png"]
    assert refused(*arguments) == "plot: expected points of a known source, got none"


def test_many_points_show_the_worst_rows_and_say_how_many_more(tmp_path):
    source = GaussMarkov.stationary(rho=0.9, frames=2)
    least = closed_form.mmse(source, [1, 1])
    factors = np.full(300, 1.1)
    factors[[150, 299]] = 0.9
    many = [
        OperatingPoint(f"codec {n}", "MMSE", [1, 1], factor * least, source=source)
        for n, factor in enumerate(factors)
    ]
    many += [OperatingPoint("other", "JD", [1], [1]) for _ in range(30)]
    path = tmp_path / "points.json"
    save_points(path, many)
    result = run("validate", path)
    assert result.exit_code == 1
    points, checks = result.stdout.split("Checks", 1)
    rows = [line.split() for line in points.splitlines() if line.strip()]
    assert [(row[0], row[-1]) for row in rows[3:5]] == [("150", "fail"), ("299", "fail")]
    assert sum(row[-1] in ("pass", "fail", "checked") for row in rows) == 100
    assert "230 more points are not shown, the worst verdicts come first; --json has all" in points
    rows = [line.split() for line in checks.splitlines() if line.strip()]
    assert [(row[0], row[-1]) for row in rows[2:6]] == [
        ("150", "fail"), ("150", "fail"), ("299", "fail"), ("299", "fail"),
    ]  # fmt: skip
    assert sum(row[-1] in ("pass", "fail") for row in rows) == 100
    assert "1100 more checks are not shown" in checks
    assert "; --csv FILE or --json has all" in checks
    assert "points: 330; checks: 1196 pass, 4 fail, 0 inconclusive" in checks
    named = ", ".join(map(str, range(300, 320)))
    assert f"not checked: points {named} and 10 more; give a source" in checks
    run("validate", path, "--csv", tmp_path / "checks.csv")
    assert len(parsed((tmp_path / "checks.csv").read_text())) == 1200


def test_bits_above_the_curve_are_computed_for_the_points_that_are_shown():
    source = GaussMarkov.stationary(rho=0.9, frames=1)
    least = closed_form.mmse(source, [1])
    points = [OperatingPoint("a", "MMSE", [1], f * least) for f in (1.1, 0.9, 1.2, 0.8, 1.3)]
    found = validate(points, source)
    whole = verdicts(found, source)
    assert all(np.isfinite(item.bits_above) for item in whole)
    for most, shown in ((2, {1, 3}), (3, {0, 1, 3}), (5, set(range(5)))):
        cut = verdicts(found, source, most)
        assert [item.verdict for item in cut] == [item.verdict for item in whole]
        assert {item.point for item in cut if np.isfinite(item.bits_above)} == shown
        assert {item.point for item in worst_first(cut, most)} == shown
        assert all(cut[n].bits_above == whole[n].bits_above for n in shown)
