"""Experiments from the command line: train, evaluate, resume."""

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from neural.__main__ import OVERLAY, main  # noqa: E402
from neural.evaluation.record import record_of  # noqa: E402
from neural.evaluation.record import trained as training_of  # noqa: E402
from neural.experiment import Experiment  # noqa: E402
from neural.training.checkpoint import save  # noqa: E402
from rdp.operating_point import load_points  # noqa: E402
from tests.neural.small_clips import NETWORKS  # noqa: E402

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


def run_plain(command, config, folder):
    return main([command, str(config), "--runs", str(folder / "runs")])


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
    found = [(point.plf, record_of(point).encoder) for point in points]
    assert found == [("MMSE", "shared"), ("FMD", "shared"), ("JD", "shared"), ("JD", "own")]
    for point in points[1:3]:
        assert (point.rate == points[0].rate).all()  # the same bytes
    for point in points:
        assert point.versions["torch"] == torch.__version__
        assert training_of(point).seed == 1


def test_status_says_what_is_done(config, tmp_path, capsys):
    def status():
        code = run_plain("status", config, tmp_path)
        lines = capsys.readouterr().out.splitlines()
        return code, {line.split()[1]: " ".join(line.split()[2:]) for line in lines[:-1]}

    code, found = status()
    assert code == 1
    assert found["mmse"].startswith("missing 0 of 20 steps, 0.0 min")
    experiment = Experiment.load(config)
    experiment.train(tmp_path / "runs", 0, 0, progress=False)
    folder = tmp_path / "runs" / "tiny" / "0.7-0.9"
    (folder / "own").mkdir()
    lines = [{"step": 3, "seconds": 60.0}, {"step": 5, "seconds": 90.0}, {"step": 7, "seconds": 30}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "own" / "log.jsonl").write_text(text + '{"step": 9, "sec')  # a line on its way
    assert status()[1]["own"].startswith("missing 0 of")  # a log alone is no use to a restart
    checkpoint = folder / "own" / "checkpoint.pt"
    save(checkpoint, {"step": 5})
    assert status()[1]["own"] == "under way 5 of 10 steps, 1.5 min"  # behind the log
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1])
    assert status()[1]["own"].startswith("damaged 0 of")
    save(checkpoint, {"step": 7})
    code, found = status()
    assert code == 1
    assert found["mmse"].startswith("done 20 of 20 steps")
    assert found["universal"].startswith("missing")
    assert found["own"] == "under way 7 of 10 steps, 2.0 min"  # 90 s, interrupted, 30 s
    shutil.rmtree(folder / "own")
    assert run("train", config, tmp_path) == 0
    assert status()[0] == 0
    longer = config.read_text().replace("steps = 20", "steps = 30")
    assert longer != config.read_text()
    config.write_text(longer)
    assert status()[1]["mmse"].startswith("changed 20 of 30 steps")  # training refuses it
    assert run("train", config, tmp_path) == 2


def test_the_same_seed_gives_the_same_model(config, tmp_path):
    states = []
    for name in ("a", "b"):
        assert run("train", config, tmp_path / name) == 0
        path = next((tmp_path / name).rglob("own/model.pt"))
        states.append(torch.load(path, weights_only=True)["state"])
    for key, value in states[0].items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, states[1][key]), key


def test_learning_is_averaged_over_octaves_of_steps(config, tmp_path, capsys):
    folder = tmp_path / "runs" / "tiny" / "0.7-0.9" / "own"
    folder.mkdir(parents=True)
    lines = [
        {"step": k, "distortion": {"JD": [1 / k, 2.0]}, "w1": {"JD 1": 0.5, "JD 2": k}}
        for k in range(1, 11)
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    table = tmp_path / "learning.csv"
    runs = ["--runs", str(tmp_path / "runs")]
    assert main(["learning", str(config), *runs, "--csv", str(table)]) == 0
    assert "2 rows" in capsys.readouterr().out  # two frames; steps 3 to 5 are too few lines
    first, second = csv.DictReader(table.read_text().splitlines())
    assert (first["after_steps"], first["to_steps"], first["clips"]) == ("5", "10", "160")
    assert float(first["distortion"]) == pytest.approx(sum(1 / k for k in range(6, 11)) / 5)
    assert (second["frame"], second["distortion"], second["distortion_half"]) == ("2", "2.0", "0.0")
    assert (first["w1"], second["w1"]) == ("0.5", "8.0")
    unfinished = "".join(json.dumps(line) + "\n" for line in lines[:8])
    (folder / "log.jsonl").write_text(unfinished)
    assert main(["learning", str(config), *runs, "--csv", str(table)]) == 0
    first, _ = csv.DictReader(table.read_text().splitlines())
    assert (first["after_steps"], first["to_steps"]) == ("4", "8")
    folder.rename(tmp_path / "elsewhere")
    assert main(["learning", str(config), *runs, "--csv", str(tmp_path / "none.csv")]) == 2
    assert "expected at least one row" in capsys.readouterr().err
    assert not (tmp_path / "none.csv").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('task = "blocks"', 'task = "speech"', "task: expected one of"),
        ("seed = 1", "", "seed: missing"),
        ("steps = 20", "step = 20", "unexpected keyword argument 'step'"),
        ("rho = [0.8]", "rho = [1.8]", "rho: expected"),
        ("block = 2", "block = ", "tiny.toml: "),
        ('name = "own"', 'name = "mmse"', "name: expected stages of different names, got 'mmse'"),
        ('start = "mmse"', 'start = "other"', "stage: expected one of mmse"),
        ('name = "mmse"', 'name = "mmse"\nframes = [1]', "encoder: expected 'train' in stage"),
        ("steps = 20", "steps = 20\n[[then]]", "then: expected only together with a base"),
        ("seed = 1", 'seed = 1\nafter = "mmse"', "after: expected only together with a base"),
    ],
)
def test_a_malformed_file_is_explained(old, new, message, tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(TINY.replace(old, new, 1))
    with pytest.raises(ValueError, match=re.escape(message)):
        Experiment.load(path)


def test_a_file_may_go_on_where_another_ends(config):
    more = config.with_name("more.toml")
    more.write_text(
        'base = "tiny.toml"\nseed = 4\n[[then]]\nname = "longer"\nstart = "own"\nsteps = 7\n'
    )
    base, found = Experiment.load(config), Experiment.load(more)
    assert found.stages[:-1] == base.stages
    assert (found.name, found.seed, found.cells) == ("more", 4, base.cells)
    assert (found.stages[-1].name, found.stages[-1].steps) == ("longer", 7)


def test_a_file_may_keep_the_first_stages_of_another(config):
    more = config.with_name("more.toml")
    kept = (
        'base = "tiny.toml"\nafter = "{}"\n[[then]]\nname = "longer"\nstart = "mmse"\nsteps = 7\n'
    )
    more.write_text(kept.format("universal"))
    base, found = Experiment.load(config), Experiment.load(more)
    names = [stage.name for stage in base.stages]
    until = names.index("universal") + 1
    assert until < len(names)
    assert [stage.name for stage in found.stages] == [*names[:until], "longer"]
    more.write_text(kept.format("speech"))
    with pytest.raises(ValueError, match=re.escape(f"after: expected one of {', '.join(names)}")):
        Experiment.load(more)


GRID = Path(OVERLAY).with_name("digits-full.toml")
CONFIGURATIONS = sorted(set(Path(OVERLAY).parent.glob("*.toml")) - {GRID})


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.stem)
def test_configurations_that_come_along_load(path):
    experiment = Experiment.load(path)
    assert experiment.name == path.stem
    for cell in range(len(experiment.cells)):
        for stage in experiment.stages:  # every stage has a codec, and something to start from
            experiment.task.make_codec(experiment.rates(stage, cell))
            assert stage.start is None or experiment.stage(stage.start)


KILLABLE = """
import sys
from pathlib import Path
from neural.experiment import Experiment
Experiment.load(sys.argv[1]).train(
    Path(sys.argv[2]), 0, 0, checkpoint_seconds=0, log_every=1, progress=False
)
"""


def test_a_process_that_is_killed_loses_nothing(config, tmp_path):
    """SIGKILL at any moment, then the same command: the model of an uninterrupted run."""
    config.write_text(TINY.replace("steps = 20", "steps = 150", 1))
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    Experiment.load(config).train(whole, 0, 0, progress=False)
    log = cut / "tiny" / "0.7-0.9" / "mmse" / "log.jsonl"
    command = [sys.executable, "-c", KILLABLE, str(config), str(cut)]
    steps = []
    for lines in (20, 60):
        process = subprocess.Popen(command, cwd=Path(__file__).parents[2])
        deadline = time.monotonic() + 120
        while not log.exists() or len(log.read_text().splitlines()) < lines:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        steps.append(len(log.read_text().splitlines()))
    assert 20 <= steps[0] < steps[1] < 150
    Experiment.load(config).train(cut, 0, 0, progress=False, log_every=1)
    one, other = (
        torch.load(root / "tiny" / "0.7-0.9" / "mmse" / "model.pt", weights_only=True)["state"]
        for root in (whole, cut)
    )
    for key, value in one.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, other[key]), key
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == [*range(1, 151)]


def test_one_cell_of_several_is_the_same_alone(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(TINY.replace("[[0.7, 0.9]]", "[[0.7, 0.9], [0.7, 1.2]]"))
    commands = ["--workers", "1", "--cell", "1"]
    assert main(["train", str(path), "--runs", str(tmp_path / "one"), *commands]) == 0
    assert [folder.name for folder in (tmp_path / "one/tiny").iterdir()] == ["0.7-1.2"]
    assert main(["train", str(path), "--runs", str(tmp_path / "all"), "--workers", "1"]) == 0
    alone, among = (
        torch.load(tmp_path / name / "tiny/0.7-1.2/own/model.pt", weights_only=True)["state"]
        for name in ("one", "all")
    )
    assert all(torch.equal(value, among[key]) for key, value in alone.items() if "extra" not in key)


def test_training_and_measuring_may_stop_after_a_stage(config, tmp_path, capsys):
    runs, target = ["--runs", str(tmp_path), "--workers", "1"], tmp_path / "points.json"
    last = ["--last", "universal"]
    assert main(["train", str(config), *runs, *last]) == 0
    folders = {folder.name for folder in (tmp_path / "tiny/0.7-0.9").iterdir()}
    assert folders == {"mmse", "universal"}
    assert main(["status", str(config), *runs, *last]) == 0
    assert main(["evaluate", str(config), *runs, *last, "--results", str(target)]) == 0
    points = load_points(target)
    assert {training_of(point).stage for point in points} == {"universal"}
    assert main(["train", str(config), *runs, "--last", "speech"]) == 2
    assert "stage: expected one of mmse, universal" in capsys.readouterr().err


CLIPS = f"""
task = "clips"
seed = 1
rates = [[12, 2], [12, 4]]
{NETWORKS}
[options.evaluation]
clips = 20
draws = 1
frequencies = 4
[[stage]]
name = "first"
frames = [1]
steps = 2
batch = 4
[[stage]]
name = "trunk"
start = "first"
cell = [12, 4]
frames = [2]
steps = 2
batch = 4
[[stage]]
name = "mmse"
start = "trunk"
frames = [2]
steps = 1
lr = 0
batch = 4
"""


def test_all_cells_begin_from_a_stage_of_one_cell(tmp_path, monkeypatch):
    """What has no latents in its shape is taken over; the rest begins anew."""
    monkeypatch.setattr("neural.codecs.video.COUNTED", 32)
    monkeypatch.setattr("neural.codecs.video.CHUNK", 32)
    path, points = tmp_path / "clips.toml", tmp_path / "points.json"
    path.write_text(CLIPS)
    runs = ["--runs", str(tmp_path), "--workers", "1"]
    assert main(["train", str(path), *runs]) == 0
    assert main(["evaluate", str(path), *runs, "--results", str(points)]) == 0
    assert [training_of(p).stage for p in load_points(points)] == ["mmse", "mmse"]
    experiment = Experiment.load(path)
    trunk = experiment.model(tmp_path, experiment.stage("trunk"), 0).state_dict()
    two, four = (experiment.model(tmp_path, experiment.stage("mmse"), k) for k in (0, 1))
    for name, value in trunk.items():
        if isinstance(value, torch.Tensor) and "scale" not in name:  # those are counted anew
            assert torch.equal(four.state_dict()[name], value), name
            if two.state_dict()[name].shape == value.shape:
                assert torch.equal(two.state_dict()[name], value), name
    kept = {
        name for name, value in two.state_dict().items() if _shape(value) == _shape(trunk[name])
    }
    assert {"later.0.motion.features.0.0.weight", "decoders.MMSE.1.maps.weight"} <= kept
    assert "later.0.motion.latents.weight" not in kept


def _shape(value):
    return getattr(value, "shape", None)


def test_an_encoder_of_other_rates_cannot_be_frozen(tmp_path, capsys):
    path = tmp_path / "clips.toml"
    path.write_text(CLIPS.replace("lr = 0", 'encoder = "frozen"'))
    assert main(["train", str(path), "--runs", str(tmp_path), "--workers", "1"]) == 2
    assert "encoder: expected 'train' in stage 'mmse'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('start = "first"\ncell', 'start = "mmse"\ncell', "start: expected a stage that all cells"),
        (
            'start = "trunk"\nframes = [2]',
            'start = "trunk"\nframes = [1]',
            "start: expected a stage",
        ),
    ],
)
def test_stages_that_cannot_follow_each_other_are_refused_before_training(
    old, new, message, tmp_path
):
    path = tmp_path / "clips.toml"
    path.write_text(CLIPS.replace(old, new))
    with pytest.raises(ValueError, match=message):
        Experiment.load(path)


def test_a_cell_that_is_not_there_is_named(config, tmp_path, capsys):
    assert main(["train", str(config), "--runs", str(tmp_path), "--cell", "4"]) == 2
    assert "cell: expected 0..0, got 4" in capsys.readouterr().err


def test_measuring_one_cell_keeps_the_points_of_others(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(TINY.replace("[[0.7, 0.9]]", "[[0.7, 0.9], [0.7, 1.2]]"))
    runs, target = ["--runs", str(tmp_path), "--workers", "1"], tmp_path / "points.json"
    assert main(["train", str(path), *runs]) == 0
    assert main(["evaluate", str(path), *runs, "--results", str(target)]) == 0
    whole = [(training_of(p).rates, p.plf) for p in load_points(target)]
    assert main(["evaluate", str(path), *runs, "--results", str(target), "--cell", "0"]) == 0
    again = [(training_of(p).rates, p.plf) for p in load_points(target)]
    assert sorted(again) == sorted(whole)


def test_errors_of_files_and_devices_take_one_line(tmp_path, config, capsys):
    assert main(["train", str(tmp_path / "nothing.toml")]) == 2
    assert "nothing.toml" in capsys.readouterr().err
    if not torch.cuda.is_available():
        assert main(["train", str(config), "--runs", str(tmp_path), "--device", "cuda"]) == 2
        assert "no CUDA device" in capsys.readouterr().err


def test_a_changed_configuration_does_not_pass_for_what_was_trained(config, tmp_path, capsys):
    assert run("train", config, tmp_path) == 0
    config.write_text(TINY.replace("steps = 20", "steps = 30"))
    assert run("train", config, tmp_path) == 2
    assert "steps: expected 30, got a model after 20" in capsys.readouterr().err
