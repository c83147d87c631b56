"""The record of a measurement: written and read again, and what is wrong with one."""

from dataclasses import replace
from pathlib import Path

import pytest

from neural.evaluation.record import (
    VERSION,
    BlockSamples,
    Bounds,
    Distance,
    FreshCritic,
    Mixtures,
    Permanence,
    Record,
    Training,
    UniversalGap,
    own_loss,
    record_of,
    to_provenance,
    trained,
)
from rdp.operating_point import OperatingPoint, load_points, save_points

RESULTS = Path(__file__).resolve().parents[3] / "neural" / "results"
RECORD = Record(
    encoder="own",
    training=Training("toy", "own-JD", (float("inf"), 2.0), 3, (2,), 10, 1.5, "CPU"),
    features="DCT 4 x 4",
    losses={"JD": Distance((0.1, 0.2), (0.01, 0.02))},
    coded_bits=(12.5, 2.5),
    diversity=(0.0, 0.1),
    gaussian_reference=(0.3, 0.2),
    bounds=Bounds(joint_support=(0.0, 0.1), joint_support_half=(0.0, 0.01)),
    mixtures=Mixtures((0.0, 1.0), ((0.1, 0.2), (0.3, 0.4)), ((0.4, 0.3), (0.2, 0.1))),
    universal_gap=UniversalGap((2,), (0.1,), (0.01,), True, (-0.1,), (0.02,)),
    fresh_w1={"JD": FreshCritic(0.3, 0.02, (0.1, 0.2, 0.3, 0.3))},
    digits=Permanence(0.9, 0.1, 0.0),
    shift_defect=Distance((0.0, 0.01), (0.0, 0.001)),
    blocks=BlockSamples(2, 100, {"FMD": (0.1, 0.2)}),
)


def point(provenance, plf="JD"):
    return OperatingPoint("codec", plf, [1.0, 2.0], [0.1, 0.2], provenance=provenance)


def test_a_record_is_read_as_it_was_written(tmp_path):
    save_points(tmp_path / "points.json", [point(to_provenance(RECORD))])
    (found,) = load_points(tmp_path / "points.json")
    assert record_of(found) == RECORD
    assert trained(found) == RECORD.training
    assert found.provenance["encoder"] == "own"  # where solvers.validate reads it
    assert found.provenance["record"]["version"] == VERSION
    assert "excess" not in found.provenance["record"]["bounds"]  # not measured


def test_a_point_of_another_origin_has_an_empty_record():
    other = point({"command": "x264", "config": "fast"})
    assert record_of(other) == Record()
    with pytest.raises(ValueError, match="training: missing from the record of codec, JD"):
        trained(other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 3}, f"record: version: expected {VERSION}, got 3"),
        ({"colour": "red"}, "record: colour: unknown field"),
        ({"digits": {"accuracy": 1.0}}, "record: digits: .*wrong_before"),
        ({"bounds": {"least": [1.0]}}, "record: bounds: .*least"),
        ({"mixtures": 7}, "record: mixtures: "),
    ],
)
def test_a_wrong_field_is_named(change, message):
    provenance = to_provenance(RECORD)
    provenance["record"] |= change
    with pytest.raises(ValueError, match=message):
        record_of(point(provenance))


def test_a_record_without_training_can_be_written():
    record = replace(RECORD, training=None)
    assert record_of(point(to_provenance(record))) == record


def test_perception_of_mmse_is_that_of_single_frames():
    assert [own_loss(point({}, plf)) for plf in ("MMSE", "SA")] == ["FMD", "SA"]


def test_files_of_version_1_are_read():
    old = {
        "encoder": "shared", "experiment": "toy", "stage": "universal", "rates": ["inf", 2.0],
        "frames": [2], "training_seed": 1, "steps": 5, "training_seconds": 2.5, "device": "CPU",
        "losses": {"JD": [[0.1, 0.01], [0.2, 0.02]]}, "gaussian_reference": None,
        "bounds": {"reference": [0.3, 0.4]},
        "digits": {"accuracy": 0.9, "wrong_before": 0.1, "wrong_now": 0.1, "stay_wrong": 1.0,
                   "stay_wrong_half": 0.0},
        "fresh_w1": {"JD": {"value": [0.5], "interval": [0.1], "path": [0.4, 0.5]}},
    }  # fmt: skip
    assert record_of(point(old)) == Record(
        encoder="shared",
        training=Training("toy", "universal", (float("inf"), 2.0), 1, (2,), 5, 2.5, "CPU"),
        losses={"JD": Distance((0.1, 0.2), (0.01, 0.02))},
        bounds=Bounds(repeated_frame=(0.3, 0.4)),
        digits=Permanence(0.9, 0.1, 0.1, 1.0),
        fresh_w1={"JD": FreshCritic(0.5, 0.1, (0.4, 0.5))},
    )


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_committed_files_are_read_and_written_in_the_new_version(path):
    for found in load_points(path):
        record = record_of(found)
        assert (record.training is None) == (found.kind == "computed")
        assert record_of(replace(found, provenance=to_provenance(record))) == record
