"""Comparison of measured clips with bounds, by the command."""

import csv
import json

import pytest

pytest.importorskip("torch")

from neural.__main__ import main
from neural.evaluation.record import Distance, Record, to_provenance
from neural.evaluation.validation import validate_codecs
from rdp.operating_point import OperatingPoint


def test_validate_fails_where_a_bound_does(trained, capsys, tmp_path):
    content = json.loads(trained[3].read_text())
    for point in content["points"]:
        if point["plf"] == "JD":
            point["provenance"]["record"]["bounds"]["joint_support"][1] = 9.0
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(content))
    assert main(["validate", str(broken), "--csv", str(tmp_path / "checks.csv")]) == 1
    assert "fail" in capsys.readouterr().out
    assert "joint support" in (tmp_path / "checks.csv").read_text()


@pytest.mark.parametrize(("value", "verdict"), [(0.001, "pass"), (0.003, "fail")])
def test_joint_realism_is_a_small_shift_defect(value, verdict):
    record = Record(shift_defect=Distance((0.0, value), (0.0, 0.0005)))
    points = [
        OperatingPoint("codec", plf, [1, 1], [1, 1], provenance=to_provenance(record))
        for plf in ("JD", "SA")
    ]
    checks = [check for check in validate_codecs(points).checks if check.bound == "joint realism"]
    assert [(c.plf, c.frame, c.relation, c.verdict) for c in checks] == [("JD", 2, "<=", verdict)]


def test_each_file_is_compared_with_bounds_by_itself(trained, capsys, tmp_path):
    """A run with another seed has the same labels and rates; its MMSE decoder is no sibling."""
    content = json.loads(trained[3].read_text())
    for point in content["points"]:
        point["provenance"]["record"]["training"]["seed"] = 2
        if point["plf"] == "MMSE":
            point["distortion"] = [1e-6, 1e-6]
            del point["intervals"]["distortion"]
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content))
    verdicts = {}
    for number, paths in enumerate(([trained[3]], [trained[3], other], [other, trained[3]])):
        table = tmp_path / f"{number}.csv"
        main(["validate", *map(str, paths), "--csv", str(table)])
        with table.open() as file:
            rows = [row for row in csv.DictReader(file) if row["bound"] == "factor two"]
        for row in rows:
            assert row["rates"] == "12-2"
            key = row["seed"], row["plf"], row["frame"]
            assert verdicts.setdefault(key, row["verdict"]) == row["verdict"]
    assert {key[0]: value for key, value in verdicts.items()} == {"1": "pass", "2": "fail"}
    assert "fail" in capsys.readouterr().out
