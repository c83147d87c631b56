"""Exported codecs: the same bytes, and no code from elsewhere."""

import ast
import pickle
import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import neural  # noqa: E402
from neural.__main__ import main  # noqa: E402
from neural.experiment import Experiment  # noqa: E402
from tests.neural.small_clips import draw  # noqa: E402


def test_an_exported_codec_reads_the_same_bytes(trained, tmp_path):
    _, config, runs, _ = trained
    out = tmp_path / "codec.pt"
    arguments = ["export", str(config), "--runs", str(runs), "--stage", "universal"]
    assert main([*arguments, "--out", str(out)]) == 0
    experiment = Experiment.load(config)
    own = experiment.model(runs, experiment.stage("universal"), 0)
    other = neural.load_codec(out)
    x = draw(3).frames
    stream = neural.encode(own, x, 5)
    assert stream == neural.encode(other, x, 5)
    assert torch.equal(neural.decode(own, stream, "SA"), neural.decode(other, stream, "SA"))


def test_half_precision_halves_the_file_and_little_else(trained, tmp_path):
    _, config, runs, _ = trained
    experiment = Experiment.load(config)
    for name in ("whole", "half"):
        experiment.export(runs, 0, "universal", tmp_path / f"{name}.pt", half=name == "half")
    whole, half = (neural.load_codec(tmp_path / f"{name}.pt") for name in ("whole", "half"))
    sizes = [(tmp_path / f"{name}.pt").stat().st_size for name in ("whole", "half")]
    assert sizes[1] < 0.75 * sizes[0]  # of networks this small, half is names and tables
    assert all(p.dtype == torch.float32 for p in half.parameters())
    x = draw(3).frames
    seen = [neural.decode(codec, neural.encode(codec, x, 5), "JD") for codec in (whole, half)]
    torch.testing.assert_close(*seen, rtol=0, atol=0.02)
    again = neural.load_codec(tmp_path / "half.pt")
    assert neural.encode(half, x, 5) == neural.encode(again, x, 5)


def test_codecs_that_ship_with_the_package_are_loaded_by_name(trained, tmp_path, monkeypatch):
    _, config, runs, _ = trained
    codecs = tmp_path / "codecs"
    codecs.mkdir()
    Experiment.load(config).export(runs, 0, "universal", codecs / "tiny-12-2.pt", half=True)
    monkeypatch.setattr("neural.model_files.CODECS", codecs)
    monkeypatch.delenv("MNIST_FOLDER", raising=False)
    assert neural.codec_names() == ["tiny-12-2"]
    assert sorted(neural.load_codec("tiny-12-2").decoders) == ["FMD", "JD", "MMSE", "SA"]
    with pytest.raises(FileNotFoundError, match=r"tiny-12-4: .* name of a codec \(tiny-12-2\)"):
        neural.load_codec("tiny-12-4")


def test_all_codecs_that_ship_with_the_package_are_small_and_work():
    for name in neural.codec_names():
        codec = neural.load_codec(name)
        x = draw(4).frames
        stream = neural.encode(codec, x, 0)
        for plf in codec.decoders:
            assert neural.decode(codec, stream, plf).shape == x.shape
        assert (neural.model_files.CODECS / f"{name}.pt").stat().st_size < 4 << 20


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
            neural.load_codec(tmp_path / name)
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
    for path in sorted(Path(neural.__file__).parent.rglob("*.py")):
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
