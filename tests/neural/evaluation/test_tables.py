"""Tables of measured points, by the command."""

import csv
import json

import pytest

torch = pytest.importorskip("torch")

from neural.__main__ import main  # noqa: E402
from neural.evaluation.record import record_of  # noqa: E402
from rdp.operating_point import load_points  # noqa: E402


def test_the_table_of_points_has_a_row_for_each_frame(trained, tmp_path):
    table = tmp_path / "points.csv"
    assert main(["table", str(trained[3]), "--csv", str(table)]) == 0
    with table.open() as file:
        rows = list(csv.DictReader(file))
    points = load_points(trained[3])
    assert len(rows) == 2 * len(points)
    for number, row in enumerate(rows):
        point, t = points[number // 2], number % 2
        record = record_of(point)
        assert (row["experiment"], row["rates"]) == ("tiny", "12-2")
        assert (row["plf"], row["encoder"], row["seed"]) == (point.plf, record.encoder, "1")
        assert float(row["distortion"]) == point.distortion[t]
        assert float(row["perception_high"]) == point.intervals["perception"][t, 1]
        assert float(row["coded_bits"]) == record.coded_bits[t]
        assert row["torch"] == torch.__version__
        assert (row["fresh_w1"] == "") == (t == 0)
        if t == 1:
            assert float(row["fresh_w1"]) == record.fresh_w1[row["loss"]].value
            stay = record.digits.stay_wrong
            assert row["stay_wrong"] == ("" if stay is None else str(stay))
        gap = record.universal_gap
        assert row["universal_gap"] == ("" if gap is None or t == 0 else str(gap.gap[0]))


def test_curves_are_no_points_of_codecs(trained, tmp_path, capsys):
    content = json.loads(trained[3].read_text())
    for point in content["points"]:
        point["kind"] = "computed"
    curves = tmp_path / "curves.json"
    curves.write_text(json.dumps(content))
    assert main(["table", str(curves), "--csv", str(tmp_path / "points.csv")]) == 2
    assert "expected at least one row" in capsys.readouterr().err
    assert main(["table", str(curves), str(trained[3]), "--csv", str(tmp_path / "all.csv")]) == 0
    assert main(["validate", str(curves), "--csv", str(tmp_path / "checks.csv")]) == 2
