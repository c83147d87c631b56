"""Measurement of clips, by the commands."""

import json

import pytest

pytest.importorskip("torch")

from neural.evaluation.record import own_loss, record_of
from neural.evaluation.validation import validate_codecs
from rdp.operating_point import load_points


def test_points_say_how_they_were_measured(trained):
    points = load_points(trained[3])
    assert [(p.plf, record_of(p).encoder) for p in points] == [
        ("MMSE", "shared"), ("FMD", "shared"), ("JD", "shared"), ("SA", "shared"), ("JD", "own"),
    ]  # fmt: skip
    for point in points:
        assert point.rate.tolist() == [12, 2]
        assert point.kind == "reduced"
        assert point.intervals["distortion"].shape == (2, 2)
        record = record_of(point)
        shared = record.encoder == "shared"
        assert len(record.gaussian_reference) == 2
        assert (record.bounds.excess is not None) == shared
        assert (record.bounds.joint_support is not None) == (point.plf == "JD")
        assert record.shift_defect.value[0] == 0 < record.shift_defect.half[1]
        assert (record.mixtures is not None) == (shared and point.plf != "MMSE")
        assert (record.universal_gap is not None) == (record.encoder == "own")
        assert record.training.frames == (2,)
        assert record.training.device.startswith("CPU")
        assert record.losses[own_loss(point)].value == tuple(point.perception)
        assert json.loads(trained[3].read_text())["version"] == 1
    bounds = {check.bound for check in validate_codecs(points)}
    assert bounds == {"split", "factor two", "shared encoder", "joint support", "joint realism"}
