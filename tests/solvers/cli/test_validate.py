"""`rdp validate`."""

import pytest

from rdp import GaussMarkov, closed_form
from rdp.operating_point import OperatingPoint, load_points, save_points
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
