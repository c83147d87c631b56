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
        ({"steps": 0}, "steps: expected an integer >= 1"),
        ({"steps": 2.5}, "steps: expected an integer >= 1"),
        ({"batch": True}, "batch: expected an integer >= 1"),
        ({"lr": -1.0}, "lr: expected values >= 0"),
        ({"lr": float("nan")}, "lr: expected numbers, got NaN"),
        ({"realism": float("inf")}, "realism: expected finite"),
        ({"critic_lr": "fast"}, "critic_lr: expected numbers"),
        ({"seed": -1}, "seed: expected an integer >= 0"),
        ({"frames": (1, "2")}, "frames: expected numbers from 1"),
        ({"average": 1.0}, "average: expected a value"),
        ({"rates": (0.0, 1.0)}, "rates: expected finite values > 0"),
        ({"precision": "int8"}, "precision: expected"),
        ({"critic_betas": (0.5, 1.0)}, "critic_betas: expected two in"),
        ({"critic_warmup": 1000}, "critic_warmup: expected 0..999, got 1000"),
        ({"mismatched": -1.0}, "mismatched: expected a weight >= 0"),
        ({"plfs": ("JD",), "window": 0}, "window: expected an integer >= 1, got 0"),
        ({"plfs": ("FMD", "SA"), "window": 2}, "window: expected JD among plfs"),
        ({"plfs": ("JD",), "window": 3, "rates": (1.0, 2.0)}, "window: expected at most 2"),
        ({"realism_end": 0.0}, "realism_end: expected weights > 0, got 2.0 and 0.0"),
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


def test_the_weight_of_realism_reaches_its_end_halfway():
    stage = Stage("s", steps=100, realism=0.08, realism_end=0.02)
    assert [stage.realism_at(step) for step in (0, 25, 50, 99)] == pytest.approx(
        [0.08, 0.04, 0.02, 0.02]
    )
    assert Stage("s", realism=0.01).realism_at(700) == 0.01


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "/a", "../a", "a/b", "a\\b", ".a", "a.", "a ", "a\0b", "a\n", "x" * 101, 3],
    ids=ascii,
)
def test_a_name_that_leaves_the_folder_of_the_runs_is_refused(name):
    with pytest.raises(ValueError, match="name: expected letters, digits, spaces and"):
        Stage(name)


@pytest.mark.parametrize("name", ["mmse", "end to end", "first-realism", "v1.5_b", "é"])
def test_names_of_folders_are_taken(name):
    assert Stage(name).name == name
