"""Experiments on full disks, with damaged files and with hostile configurations: one line each."""

import errno
import os
import shutil

import pytest

torch = pytest.importorskip("torch")

from neural.__main__ import main  # noqa: E402
from neural.experiment import Experiment  # noqa: E402
from neural.training.checkpoint import load, tensors  # noqa: E402
from rdp._files import locked  # noqa: E402
from tests.neural.test_experiment import TINY, config, run  # noqa: E402, F401


def outcome(arguments, capsys):
    """Exit status and the one line of an error."""
    capsys.readouterr()
    status = main(arguments)
    return status, capsys.readouterr().err.rstrip("\n")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "mmse"', 'name = "../../x"', "name: expected letters, digits"),
        ('name = "mmse"', 'name = "/tmp/x"', "name: expected letters, digits"),
        ('name = "mmse"', "name = 3", "name: expected letters, digits"),
        ("steps = 20", "steps = 1e9", "steps: expected an integer >= 1"),
        ("steps = 20", 'lr = "fast"', "lr: expected numbers, got 'fast'"),
        ("seed = 1", "seed = inf", "seed: expected an integer >= 0, got inf"),
        ("seed = 1", 'base = "tiny.toml"', "base: expected files that do not extend themselves"),
        ("seed = 1", 'base = "../tiny.toml"', "base: expected the name of a file in the same"),
        ("seed = 1", 'base = "/etc/tiny.toml"', "base: expected the name of a file in the same"),
        ("seed = 1", "base = 3", "base: expected the name of a file in the same folder, got 3"),
        ("seed = 1", f"seed = {'[' * 9000}", "expected TOML, got values nested too deep"),
        ("sigma = [1.0, 2.0]", "sigma = [2020-01-01, 2020-01-02]", "sigma: expected numbers"),
        ("[options.codec]", "[options.other]", "unexpected keyword argument 'other'"),
        ("[options.source]", "[options]\nsource = 3\n[options.more]", "tiny.toml: "),
    ],
)
def test_a_hostile_file_is_one_line(old, new, message, tmp_path, capsys):
    path = tmp_path / "tiny.toml"
    path.write_text(TINY.replace(old, new, 1))
    status, error = outcome(["train", str(path), "--runs", str(tmp_path / "runs")], capsys)
    assert status == 2
    assert message in error
    assert error.startswith(f"{path}: ")
    assert "\n" not in error
    assert not (tmp_path / "runs").exists()


def test_files_that_extend_each_other_in_a_circle_are_refused(tmp_path):
    for name, base in (("a", "b"), ("b", "c"), ("c", "b")):
        (tmp_path / f"{name}.toml").write_text(f'base = "{base}.toml"\n')
    with pytest.raises(ValueError, match=r"a\.toml: base: expected files that do not extend"):
        Experiment.load(tmp_path / "a.toml")


def test_the_name_of_a_file_does_not_leave_the_folder_of_the_runs(tmp_path):
    path = tmp_path / "...toml"  # its stem is ".."
    path.write_text(TINY)
    with pytest.raises(ValueError, match="name: expected letters, digits"):
        Experiment.load(path)


@pytest.mark.parametrize("content", [None, "", "torn"])
def test_a_finished_stage_whose_log_is_lost_is_one_line(config, tmp_path, capsys, content):  # noqa: F811
    assert run("train", config, tmp_path) == 0
    log = tmp_path / "runs" / "tiny" / "0.7-0.9" / "mmse" / "log.jsonl"
    log.unlink()
    if content is not None:
        log.write_text(content)
    for command in ("train", "evaluate"):
        runs, results = str(tmp_path / "runs"), str(tmp_path / "points.json")
        arguments = [command, str(config), "--runs", runs, "--results", results]
        if command == "evaluate":  # the stage whose codec is measured
            log = log.parents[1] / "own" / "log.jsonl"
            log.write_text("")
        status, error = outcome([*arguments, "--workers", "1"], capsys)
        assert status == 2
        assert error.startswith(f"{log}: expected the log of a finished stage, got none; delete")
        assert "\n" not in error


def test_a_full_disk_and_then_room_is_the_same_as_room(config, tmp_path, capsys, monkeypatch):  # noqa: F811
    """Each command ends with one line that names a file, and the next goes on from there."""
    assert run("train", config, tmp_path / "whole") == 0
    sync, errors = os.fsync, []
    for room in range(0, 30, 3):
        calls = []

        def full(handle, calls=calls, room=room):
            calls.append(handle)
            if len(calls) > room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            sync(handle)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            runs = ["--runs", str(tmp_path / "cut" / "runs"), "--workers", "1"]
            status, error = outcome(["train", str(config), *runs], capsys)
        if status == 0:
            break
        errors.append(error.splitlines()[-1])
        assert "No space left on device" in errors[-1]
        assert str(tmp_path / "cut" / "runs") in errors[-1]
    assert len(errors) >= 3
    assert run("train", config, tmp_path / "cut") == 0
    for path in (tmp_path / "whole").rglob("model.pt"):
        one, other = load(path), load(tmp_path / "cut" / path.relative_to(tmp_path / "whole"))
        for (name, value), (_, again) in zip(tensors(one), tensors(other), strict=True):
            assert torch.equal(value, again), name
    assert not list((tmp_path / "cut").rglob("*.part"))


@pytest.mark.parametrize("name", ["points.json", "points-samples.npz"])
def test_damaged_results_are_one_line(trained, tmp_path, capsys, name):
    _, settings, runs, points = trained
    for path in (points, points.with_name("points-samples.npz")):
        shutil.copy(path, tmp_path / path.name)
    content = (tmp_path / name).read_bytes()
    for damaged in (b"", content[: len(content) // 2], b"PK\x03\x04", b"\x93NUMPY\x01\x00"):
        (tmp_path / name).write_bytes(damaged)
        arguments = ["evaluate", str(settings), "--runs", str(runs)]
        results = str(tmp_path / "points.json")
        status, error = outcome([*arguments, "--results", results], capsys)
        assert status == 2
        assert error.startswith(f"{tmp_path / name}: expected")
        assert "\n" not in error


def test_a_log_without_its_numbers_is_one_line(config, tmp_path, capsys):  # noqa: F811
    folder = tmp_path / "runs" / "tiny" / "0.7-0.9" / "own"
    folder.mkdir(parents=True)
    (folder / "log.jsonl").write_text("".join(f'{{"step": {k}}}\n' for k in range(1, 11)))
    arguments = ["learning", str(config), "--runs", str(tmp_path / "runs")]
    status, error = outcome([*arguments, "--csv", str(tmp_path / "learning.csv")], capsys)
    assert status == 2
    assert error.startswith("own: expected a log with the distortion under JD in every line")
    assert not (tmp_path / "learning.csv").exists()


def test_a_new_run_does_not_delete_the_folder_of_another_trainer(tmp_path, capsys, monkeypatch):
    """`overlay` begins anew: it deletes what an earlier run left, unless that run goes on."""
    folder = tmp_path / "overlay" / "1" / "mmse"
    folder.mkdir(parents=True)
    (folder / "model.pt").write_text("of an earlier run")
    with locked(folder / "lock"):
        status, error = outcome(["overlay", "--runs", str(tmp_path)], capsys)
        assert status == 2
        assert error.startswith(f"{folder / 'lock'}: expected a folder that no other process")
        assert (folder / "model.pt").exists()
    monkeypatch.setattr("neural.__main__._train", lambda *given: None)
    monkeypatch.setattr("neural.__main__._evaluate", lambda *given: None)
    assert main(["overlay", "--runs", str(tmp_path), "--results", "x"]) == 0
    assert not folder.exists()
