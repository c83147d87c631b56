"""Stages: malformed fields are named, and a checkpoint knows a stage again."""

import json

import pytest

pytest.importorskip("torch")  # which neural needs

from neural.training.stage import Stage


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"plfs": ()}, "plfs: expected some of MMSE, FMD, JD, SA"),
        ({"plfs": ("WGAN",)}, "plfs: expected some of"),
        ({"encoder": "maybe"}, "encoder: expected 'train' or 'frozen'"),
        ({"steps": 0}, "steps: expected at least 1"),
        ({"average": 1.0}, "average: expected a value"),
        ({"rates": (0.0, 1.0)}, "rates: expected finite values > 0"),
        ({"precision": "int8"}, "precision: expected"),
    ],
)
def test_wrong_stages_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Stage("s", **fields)


def test_fields_survive_json():
    stage = Stage("s", plfs=["FMD", "JD"], frames=[2], cell=[12, 4], rates=[1, 2])
    fields = stage.to_json()
    assert fields == json.loads(json.dumps(fields))
    assert Stage(**fields) == stage
    assert stage.trained_frames == (1,)
