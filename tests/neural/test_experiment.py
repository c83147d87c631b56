"""Experiments from the command line: train, evaluate, resume."""

import re
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from neural.__main__ import OVERLAY, main  # noqa: E402
from neural.experiment import Experiment  # noqa: E402
from rdp.operating_point import load_points  # noqa: E402

TINY = """
task = "blocks"
seed = 1
rates = [[0.7, 0.9]]
[options.source]
sigma = [1.0, 2.0]
rho = [0.8]
[options.codec]
block = 2
latents = 2
hidden = 8
[options.critic]
hidden = 8
[options.evaluation]
n = 400
repeats = 2
seed = 5
[[stage]]
name = "mmse"
steps = 20
batch = 16
[[stage]]
name = "universal"
start = "mmse"
plfs = ["FMD", "JD"]
encoder = "frozen"
steps = 10
batch = 16
[[stage]]
name = "own"
start = "mmse"
plfs = ["JD"]
steps = 10
batch = 16
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


def run(command, config, folder):
    runs, results = str(folder / "runs"), str(folder / "points.json")
    return main([command, str(config), "--runs", runs, "--results", results, "--workers", "1"])


def test_train_and_evaluate(config, tmp_path, capsys):
    assert run("evaluate", config, tmp_path) == 2
    assert "not trained yet" in capsys.readouterr().err
    assert run("train", config, tmp_path) == 0
    models = sorted((tmp_path / "runs").rglob("model.pt"))
    assert [path.parent.name for path in models] == ["mmse", "own", "universal"]
    before = [path.stat().st_mtime_ns for path in models]
    assert run("train", config, tmp_path) == 0  # nothing is left to do
    assert [path.stat().st_mtime_ns for path in models] == before
    assert run("evaluate", config, tmp_path) == 0
    points = load_points(tmp_path / "points.json")
    found = [(point.plf, point.provenance["encoder"]) for point in points]
    assert found == [("MMSE", "shared"), ("FMD", "shared"), ("JD", "shared"), ("JD", "own")]
    for point in points[1:3]:
        assert (point.rate == points[0].rate).all()  # the same bytes
    for point in points:
        assert point.versions["torch"] == torch.__version__
        assert point.provenance["training_seed"] == 1


def test_the_same_seed_gives_the_same_model(config, tmp_path):
    states = []
    for name in ("a", "b"):
        assert run("train", config, tmp_path / name) == 0
        path = next((tmp_path / name).rglob("own/model.pt"))
        states.append(torch.load(path, weights_only=True)["state"])
    for key, value in states[0].items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, states[1][key]), key


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('task = "blocks"', 'task = "speech"', "task: expected one of"),
        ("seed = 1", "", "seed: missing"),
        ("steps = 20", "step = 20", "unexpected keyword argument 'step'"),
        ("rho = [0.8]", "rho = [1.8]", "rho: expected"),
        ("block = 2", "block = ", "tiny.toml: "),
    ],
)
def test_a_malformed_file_is_explained(old, new, message, tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(TINY.replace(old, new, 1))
    with pytest.raises(ValueError, match=re.escape(message)):
        Experiment.load(path)


def test_configurations_that_come_along_load():
    folder = Path(OVERLAY).parent
    assert OVERLAY in list(folder.glob("*.toml"))
    assert len(Experiment.load(OVERLAY).cells) >= 4
