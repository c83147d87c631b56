"""What is measured on clips: against other routes, and on clips whose answer is known."""

import ast
import csv
import io
import json
import pickle
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scipy.fft import dctn  # noqa: E402

from neural.__main__ import RESULTS, main  # noqa: E402
from neural.datasets.moving_digits import MovingDigits, load_digits  # noqa: E402
from neural.evaluation import clips as realism  # noqa: E402
from neural.evaluation.clips import bounds_of  # noqa: E402
from neural.evaluation.fresh_critics import centred, fresh_w1, permanence, train_classifier  # noqa: E402
from neural.evaluation.gelbrich import dct_features, gelbrich_interval  # noqa: E402
from neural.evaluation.reconstructions import Shown, training_clips  # noqa: E402
from neural.evaluation.validation import hold  # noqa: E402
from neural.experiment import Experiment, load_codec  # noqa: E402
from neural.tasks.clips import ClipTask  # noqa: E402
from rdp.gaussian import gelbrich  # noqa: E402
from rdp.operating_point import load_points  # noqa: E402

CONFIG = """
task = "clips"
seed = 1
rates = [[12, 2]]

[options.data]
kind = "digits"

[options.codec]
width = 4
noise = 2

[options.critic]
width = 4

[options.evaluation]
clips = 40
critic_steps = 4
critic_batch = 8
critic_clips = 40
classifier_steps = 4
draws = 2
frequencies = 4
reference_clips = 20
kind = "reduced"

[[stage]]
name = "first"
frames = [1]
steps = 2
batch = 4

[[stage]]
name = "mmse"
start = "first"
frames = [2]
steps = 2
batch = 4

[[stage]]
name = "universal"
start = "mmse"
frames = [2]
plfs = ["FMD", "JD", "SA"]
encoder = "frozen"
steps = 2
batch = 4

[[stage]]
name = "own-JD"
start = "universal"
frames = [2]
plfs = ["JD"]
steps = 2
batch = 4
"""


@pytest.fixture(autouse=True)
def _few_clips(monkeypatch):
    monkeypatch.setattr("neural.codecs.video.COUNTED", 32)
    monkeypatch.setattr("neural.codecs.video.CHUNK", 32)


@cache
def source():
    return MovingDigits(load_digits("heldout"))


def clips(n, seed=0):
    return source().draw(torch.Generator().manual_seed(seed), n)


def shown(x, labels=None, **frames):
    return Shown(x, labels, frames, np.zeros(x.shape[1]))


def test_features_are_the_dct():
    x = clips(3).frames
    wanted = dctn(x.double().numpy(), axes=(2, 3), norm="ortho")[:, :, :12, :12] / 64
    np.testing.assert_allclose(dct_features(x), wanted.reshape(3, 2, 144), atol=1e-12)
    energy = (dct_features(x, 64) ** 2).sum(axis=2)
    np.testing.assert_allclose(energy, x.double().square().mean((2, 3)), rtol=1e-10)


def test_interval_of_the_gelbrich_distance():
    rng = np.random.default_rng(0)
    mix = rng.standard_normal((6, 6))
    truth = gelbrich(np.zeros(6), mix @ mix.T, np.ones(6), np.eye(6))
    hits = 0
    for _ in range(100):
        a = rng.standard_normal((600, 6)) @ mix.T
        value, half = gelbrich_interval(a, 1 + rng.standard_normal((600, 6)))
        hits += abs(value - truth) <= half
    assert hits >= 85  # of 100 at nominal 95 %: fewer has p = 0.00004
    value, half = gelbrich_interval(a, a)
    assert value <= 1e-12


def test_the_bias_of_two_samples_of_one_law_is_taken_out():
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, 500, 40))
    plain = float(gelbrich(a.mean(0), np.cov(a.T, ddof=0), b.mean(0), np.cov(b.T, ddof=0)))
    value, half = gelbrich_interval(a, b)
    assert value < 0.35 * plain
    assert value <= half


def test_joint_support_bound_on_shifts():
    """If the second frame is a shift of the first one shown, the bound is zero; else it is not."""
    drawn = clips(30)
    x = drawn.frames
    out = shown(x, drawn.labels, MMSE=x, JD=x)
    features = {"MMSE": dct_features(x), "JD": dct_features(x)}
    assert bounds_of(out, features, "JD")["joint_support"] == [0.0, 0.0]
    far = torch.cat([clips(30, seed=9).frames[:, :1], x[:, 1:]], 1)
    out = shown(x, drawn.labels, MMSE=x, JD=far)
    found = bounds_of(out, features, "JD")["joint_support"][1]
    frame = torch.nn.functional.pad(far[:, 0], (4, 4, 4, 4))
    shifts = [
        (x[:, 1] - frame[:, 4 + dy : 68 + dy, 4 + dx : 68 + dx]).square().mean((1, 2))
        for dy in range(-4, 5)
        for dx in range(-4, 5)
    ]
    assert found == pytest.approx(float(torch.stack(shifts).amin(0).mean()), rel=1e-5)
    assert 0 < found <= float((x[:, 1] - far[:, 0]).square().mean())


def test_shared_encoder_gap_is_no_more_than_the_excess():
    x = clips(100).frames
    estimate, other = 0.5 * x, 0.8 * x + 0.05
    features = {"MMSE": dct_features(estimate), "FMD": dct_features(other)}
    found = bounds_of(shown(x, None, MMSE=estimate, FMD=other), features, "FMD")
    distance = (estimate - other).square().mean((0, 2, 3))
    assert (np.array(found["shared_encoder_gap"]) <= distance.numpy() + 1e-9).all()
    held = (x[:, 1] - 0.5 * x[:, 0]).square().mean()
    assert found["reference"] == pytest.approx([float(x[:, 0].square().mean()), float(held)])


def test_permanence_of_known_mistakes():
    class Oracle(torch.nn.Module):
        """Reads the digit from the brightness of the frame."""

        def __init__(self):
            super().__init__()
            self.none = torch.nn.Parameter(torch.zeros(()))

        def forward(self, frames):
            level = (10 * frames.mean((1, 2, 3))).round().long()
            return torch.nn.functional.one_hot(level, 10).float()

    def frame(*levels):
        return torch.stack([torch.full((1, 64, 64), k / 10) for k in levels])

    labels = torch.tensor([1, 1, 1, 1])
    x = torch.cat([frame(1, 1, 1, 1), frame(1, 1, 1, 1)], 1)
    made = torch.cat([frame(1, 2, 3, 4), frame(1, 2, 1, 5)], 1)
    found = permanence(Oracle(), shown(x, labels, FMD=made), "FMD")
    assert found["accuracy"] == 1
    assert found["wrong_before"] == 0.75
    assert found["wrong_now"] == 0.5
    assert found["stay_wrong"] == pytest.approx(2 / 3)
    assert found["same_digit"] == pytest.approx(1 / 3)


def test_a_digit_is_found_wherever_it_is():
    spots = torch.zeros(2, 1, 64, 64)
    spots[0, 0, 10:14, 20:24] = 1
    spots[1, 0, 60:64, 0:4] = 0.3
    cut = centred(spots)
    for k, level in enumerate((1, 0.3)):
        wanted = torch.zeros(32, 32)
        wanted[14:18, 14:18] = level
        assert torch.equal(cut[k, 0], wanted)


def test_the_classifier_learns():
    drawn = clips(500)
    judge = train_classifier(MovingDigits(load_digits("train")), 60, seed=0, batch=32)
    found = permanence(judge, shown(drawn.frames, drawn.labels, MMSE=drawn.frames), "MMSE")
    assert found["accuracy"] > 0.6


def test_a_fresh_critic_tells_dark_frames_from_digits():
    made = ClipTask({"kind": "digits"}, {"width": 4}, {"width": 4}, {})
    seen, held = (
        shown(x, None, FMD=torch.zeros_like(x), SA=x)
        for x in (clips(200).frames, clips(100, 1).frames)
    )
    dark = fresh_w1(made, seen, held, "FMD", "FMD", 40, 0, batch=16)
    same = fresh_w1(made, seen, held, "SA", "SA", 40, 0, batch=16)
    assert dark["value"][0] - dark["interval"][0] > 0.5
    assert len(dark["path"]) == 4
    assert dark["path"][0] < dark["path"][-1] == pytest.approx(dark["value"][0], rel=1e-4)
    assert abs(same["value"][0]) <= same["interval"][0] + 1e-6


def test_training_clips_are_what_the_decoders_make_of_them():
    class Codec:
        """Shows what it was given plus the noise of its quantiser, or darkness."""

        class shape:
            frames = 2

        class Noisy:
            def noisy(self, y, generator):
                return y + torch.rand(y.shape, generator=generator)

        quantisers = (Noisy(),)

        def represent(self, x, channel):
            return channel(0, x)

        def noise_shape(self, n):
            return n, 2, 1

        def show(self, plf, sent, noise):
            return sent if plf == "JD" else noise[:, :, :, None].expand(-1, -1, 64, 64)

    made = ClipTask({"kind": "digits"}, {"width": 4}, {"width": 4}, {})
    seen = training_clips(Codec(), made, ("JD", "SA"), 7, seed=3, chunk=3)
    assert seen.x.shape == seen.frames["JD"].shape == seen.frames["SA"].shape == (7, 2, 64, 64)
    rest = seen.frames["JD"] - seen.x
    assert 0 <= rest.min() < 0.01 < 0.99 < rest.max() <= 1
    assert len(seen.x.flatten(1).unique(dim=0)) == 7
    again = training_clips(Codec(), made, ("JD", "SA"), 7, seed=3, chunk=3)
    assert torch.equal(again.frames["SA"], seen.frames["SA"])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """An experiment trained by the command, with its points."""
    folder = tmp_path_factory.mktemp("experiment")
    config = folder / "tiny.toml"
    config.write_text(CONFIG)
    runs, points = folder / "runs", folder / "points.json"
    patch = pytest.MonkeyPatch()
    patch.setattr("neural.codecs.video.COUNTED", 32)
    patch.setattr("neural.codecs.video.CHUNK", 32)
    patch.setattr("sys.stderr", io.StringIO())  # progress bars
    for command in (["train"], ["evaluate", "--results", str(points)]):
        name, *rest = command
        arguments = [name, str(config), "--runs", str(runs), "--workers", "1", *rest]
        assert main(arguments) == 0
    patch.undo()
    return folder, config, runs, points


def test_the_commands_leave_points_that_say_what_they_are(trained):
    points = load_points(trained[3])
    assert [(p.plf, p.provenance["encoder"]) for p in points] == [
        ("MMSE", "shared"), ("FMD", "shared"), ("JD", "shared"), ("SA", "shared"), ("JD", "own"),
    ]  # fmt: skip
    for point in points:
        assert point.rate.tolist() == [12, 2]
        assert point.kind == "reduced"
        assert len(point.provenance["gaussian_reference"]) == 2
        assert point.intervals["distortion"].shape == (2, 2)
        about = point.provenance
        assert ("excess" in about["bounds"]) == (about["encoder"] == "shared")
        assert ("joint_support" in about["bounds"]) == (point.plf == "JD")
        assert ("mixtures" in about) == (about["encoder"] == "shared" and point.plf != "MMSE")
        assert ("universal_gap" in about) == (about["encoder"] == "own")
        assert about["frames"] == [2]
        assert about["device"].startswith("CPU")
        assert json.loads(trained[3].read_text())["version"] == 1
    bounds = {check.bound for check in hold(points)}
    assert bounds == {"split", "factor two", "shared encoder", "joint support"}


def test_validate_fails_where_a_bound_does(trained, capsys, tmp_path):
    content = json.loads(trained[3].read_text())
    for point in content["points"]:
        if point["plf"] == "JD":
            point["provenance"]["bounds"]["joint_support"][1] = 9.0
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(content))
    assert main(["validate", str(broken), "--csv", str(tmp_path / "checks.csv")]) == 1
    assert "fail" in capsys.readouterr().out
    assert "joint support" in (tmp_path / "checks.csv").read_text()


def test_files_are_held_against_the_bounds_one_by_one(trained, capsys, tmp_path):
    """A run with another seed has the same labels and rates; its MMSE decoder is no sibling."""
    content = json.loads(trained[3].read_text())
    for point in content["points"]:
        point["provenance"]["training_seed"] = 2
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


def test_the_table_of_points_has_a_row_for_each_frame(trained, tmp_path):
    table = tmp_path / "points.csv"
    assert main(["table", str(trained[3]), "--csv", str(table)]) == 0
    with table.open() as file:
        rows = list(csv.DictReader(file))
    points = load_points(trained[3])
    assert len(rows) == 2 * len(points)
    for number, row in enumerate(rows):
        point, t = points[number // 2], number % 2
        about = point.provenance
        assert (row["experiment"], row["rates"]) == ("tiny", "12-2")
        assert (row["plf"], row["encoder"], row["seed"]) == (point.plf, about["encoder"], "1")
        assert float(row["distortion"]) == point.distortion[t]
        assert float(row["perception_high"]) == point.intervals["perception"][t, 1]
        assert float(row["coded_bits"]) == about["coded_bits"][t]
        assert row["torch"] == torch.__version__
        assert (row["fresh_w1"] == "") == (t == 0)
        if t == 1:
            assert float(row["fresh_w1"]) == about["fresh_w1"][row["loss"]]["value"][0]
            stay = about["digits"]["stay_wrong"]
            assert row["stay_wrong"] == ("" if stay is None else str(stay))
        gap = about.get("universal_gap")
        assert row["universal_gap"] == ("" if gap is None or t == 0 else str(gap["gap"][0]))


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


def test_samples_are_the_first_clips_and_small(trained):
    with np.load(trained[3].with_name("points-samples.npz")) as stored:
        pictures = dict(stored)
    shared = {f"12-2/{name}" for name in ("source", "MMSE", "FMD", "JD", "SA")}
    assert set(pictures) == shared | {"12-2/own-JD"}
    for clip in pictures.values():
        assert clip.shape == (8, 2, 64, 64)
        assert clip.dtype == np.uint8
    source = clips(40, seed=7).frames[:8]  # as many as are measured, with their seed
    assert np.abs(pictures["12-2/source"] - 255 * source.numpy()).max() <= 2.51


def test_no_pictures_of_recordings_are_kept():
    people = ClipTask({"kind": "people"}, {}, {}, {})
    assert not people.may_be_published
    assert ClipTask({"kind": "digits"}, {}, {}, {}).may_be_published


def test_an_exported_codec_reads_the_same_bytes(trained, tmp_path):
    from neural.codecs.bitstream import encode, read

    _, config, runs, _ = trained
    out = tmp_path / "codec.pt"
    arguments = ["export", str(config), "--runs", str(runs), "--stage", "universal"]
    assert main([*arguments, "--out", str(out)]) == 0
    experiment = Experiment.load(config)
    own = experiment.model(runs, experiment.stage("universal"), 0)
    other = load_codec(out)
    x = clips(3).frames
    stream = encode(own, x, 5)
    assert stream == encode(other, x, 5)
    assert torch.equal(read(own, stream).show("SA"), read(other, stream).show("SA"))


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("pwned"),)


def test_a_codec_from_elsewhere_cannot_run_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, content in (("evil.pt", {"task": "clips", "state": Evil()}), ("evil2.pt", Evil())):
        torch.save(content, tmp_path / name)
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Evil(), protocol=2))
    (tmp_path / "noise.pt").write_bytes(b"nothing of the kind")
    torch.save({"task": "clips"}, tmp_path / "short.pt")
    for name in ("evil.pt", "evil2.pt", "plain.pt", "noise.pt", "short.pt"):
        with pytest.raises(ValueError, match=name):
            load_codec(tmp_path / name)
    assert not (tmp_path / "pwned").exists()


def test_a_trained_model_from_elsewhere_cannot_run_code(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runs = tmp_path / "runs"
    shutil.copytree(trained[2], runs)
    arguments = [str(trained[1]), "--runs", str(runs)]
    for content in (pickle.dumps(Evil(), protocol=2), b"", b"nothing of the kind"):
        (runs / "tiny" / "12-2" / "universal" / "model.pt").write_bytes(content)
        assert main(["export", *arguments, "--stage", "universal"]) == 2
        assert "model.pt: expected a trained model" in capsys.readouterr().err
    torch.save(Evil(), runs / "tiny" / "12-2" / "universal" / "model.pt")
    assert main(["export", *arguments, "--stage", "universal"]) == 2
    assert not (tmp_path / "pwned").exists()


def test_every_file_is_read_without_running_code():
    """Every call of torch.load and np.load in the package says so, and nothing unpickles."""
    safe = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False)}
    calls = []
    for path in sorted(Path(realism.__file__).parents[1].rglob("*.py")):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and (name := ast.unparse(node.func)) in safe:
                given = {word.arg: ast.literal_eval(word.value) for word in node.keywords
                         if word.arg == safe[name][0]}  # fmt: skip
                calls.append((path.name, name, given == dict([safe[name]])))
            if isinstance(node, ast.Import):
                assert "pickle" not in [alias.name for alias in node.names], path
            assert ast.unparse(node) not in ("torch.jit.load", "eval", "exec"), path
    assert {name for _, name, _ in calls} == set(safe)
    assert all(ok for *_, ok in calls), calls


def test_a_config_may_name_a_base_and_a_seed_is_part_of_the_name(tmp_path):
    (tmp_path / "all.toml").write_text(CONFIG)
    (tmp_path / "one.toml").write_text('base = "all.toml"\nrates = [[12, 8], [12, 16]]\n')
    experiment = Experiment.load(tmp_path / "one.toml", seed=4)
    assert experiment.name == "one-seed4"
    assert experiment.cells == ((12, 8), (12, 16))
    assert len(experiment.stages) == 4
    with pytest.raises(ValueError, match="kind"):
        ClipTask({"kind": "cats"}, {}, {}, {})


def test_data_folders_may_be_environment_variables(monkeypatch, tmp_path):
    task = ClipTask({"kind": "digits", "folder": "$SOME_DIGITS"}, {}, {}, {})
    monkeypatch.delenv("SOME_DIGITS", raising=False)
    with pytest.raises(ValueError, match="SOME_DIGITS"):
        task.source("train")
    monkeypatch.setenv("SOME_DIGITS", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="train-images"):
        task.source("train")


def test_gaussian_reference_is_below_the_variance_and_falls_with_rate():
    pytest.importorskip("numba")
    task = ClipTask({"kind": "digits"}, {}, {}, {})
    low, high = (realism.gaussian_reference(task, (12, r), 400, 0) for r in (2, 16))
    x = task.batch(torch.Generator().manual_seed(0), 400)
    variance = float((x - x.mean(0)).square().mean())
    assert low[0] == pytest.approx(high[0])
    assert high[1] < low[1] < variance


def test_frames_sent_as_they_are_fail_no_bound_by_rounding():
    points = load_points(RESULTS / "digits-reduced-recovery.json")
    checks = [check for check in hold(points).checks if check.frame == 1]
    assert checks
    assert not [check for check in checks if check.verdict == "fail"]
