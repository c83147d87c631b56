"""The task of coding clips, from a configuration file."""

import pytest

pytest.importorskip("torch")

from neural.experiment import Experiment
from neural.tasks.clips import ClipTask
from tests.neural.small_clips import CONFIG


def test_a_config_may_name_a_base_and_a_seed_is_part_of_the_name(tmp_path):
    (tmp_path / "all.toml").write_text(CONFIG)
    (tmp_path / "one.toml").write_text('base = "all.toml"\nrates = [[12, 8], [12, 16]]\n')
    experiment = Experiment.load(tmp_path / "one.toml", seed=4)
    assert experiment.name == "one-seed4"
    assert experiment.cells == ((12, 8), (12, 16))
    assert len(experiment.stages) == 4
    with pytest.raises(ValueError, match="kind"):
        ClipTask({"kind": "cats"}, {}, {})


def test_data_folders_may_be_environment_variables(monkeypatch, tmp_path):
    task = ClipTask({"kind": "digits", "folder": "$SOME_DIGITS"}, {}, {})
    monkeypatch.delenv("SOME_DIGITS", raising=False)
    with pytest.raises(ValueError, match="SOME_DIGITS"):
        task.source("train")
    monkeypatch.setenv("SOME_DIGITS", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="train-images"):
        task.source("train")
