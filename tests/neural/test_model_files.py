"""Exported codecs: the same bytes, and no code from elsewhere."""

import ast
import io
import json
import pickle
import shutil
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import neural  # noqa: E402
from neural.__main__ import main  # noqa: E402
from neural.experiment import Experiment  # noqa: E402
from neural.model_files import save_model  # noqa: E402
from neural.training.checkpoint import load, save  # noqa: E402
from neural.training.seal import sealed, step_of  # noqa: E402
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


def tensors(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("pwned"),)


def test_a_codec_from_elsewhere_cannot_run_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    contents = {
        "evil.pt": tensors({"task": "clips", "state": Evil()}),
        "evil2.pt": tensors(Evil()),
        "plain.pt": pickle.dumps(Evil(), protocol=2),
        "noise.pt": b"nothing of the kind",
        "short.pt": tensors({"task": "clips"}),
    }
    for name, content in contents.items():
        for written in (content, sealed(content)):  # the right digest is no trust
            (tmp_path / name).write_bytes(written)
            with pytest.raises(ValueError, match=f"{name}: expected an exported codec"):
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
    for written in (tensors(Evil()), sealed(tensors(Evil()))):
        (runs / "tiny" / "12-2" / "universal" / "model.pt").write_bytes(written)
        assert main(["export", *arguments, "--stage", "universal"]) == 2
        assert "model.pt: expected a trained model" in capsys.readouterr().err
    assert not (tmp_path / "pwned").exists()


@pytest.fixture
def exported(trained, tmp_path):
    _, config, runs, _ = trained
    out = tmp_path / "codec.pt"
    arguments = ["export", str(config), "--runs", str(runs), "--stage", "universal"]
    assert main([*arguments, "--out", str(out)]) == 0
    return out


def test_no_flipped_bit_gives_other_weights(exported):
    content = exported.read_bytes()
    places = torch.randint(len(content), (60,), generator=torch.Generator().manual_seed(0))
    for place in places.tolist():
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        exported.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"codec\.pt: .* digest .*; export the codec again$"):
            neural.load_codec(exported)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_parameters_that_are_no_numbers_are_refused(exported, value, tmp_path):
    codec, saved = neural.load_codec(exported), load(exported)
    name = next(k for k, v in saved["state"].items() if isinstance(v, torch.Tensor) and v.dim() > 1)
    saved["state"][name].view(-1)[0] = value
    save(exported, saved)
    with pytest.raises(ValueError, match=rf"codec\.pt: .* NaN or inf in {name}"):
        neural.load_codec(exported)
    codec.load_state_dict(saved["state"])
    with pytest.raises(ValueError, match=rf"other\.pt: .* NaN or inf in {name}"):
        save_model(tmp_path / "other.pt", codec)
    assert not (tmp_path / "other.pt").exists()


def hostile(saved):
    """What a file may claim: codecs of terabytes, of millions of frames, or of another kind."""
    options = json.loads(saved["options"])
    large = options | {"codec": options["codec"] | {"width": 1 << 20}}
    block = {
        "source": {"sigma": [1.0] * 20_000, "rho": 0.5},
        "codec": {"block": 2, "latents": 2, "hidden": 1 << 24},
        "critic": {},
    }
    return {
        "wide": {"options": json.dumps(large)},
        "rates": {"rates": [12.0, 1e12]},
        "rates that are none": {"rates": [12.0, float("nan")]},
        "frames": {"rates": [12.0] + [2.0] * 1_000_000},
        "levels": {"options": json.dumps(options | {"codec": {"levels": 1 << 62}})},
        "long": {"options": json.dumps(options | {"more": "x" * 1_000_000})},
        "deep": {"options": "[" * 60_000},
        "blocks": {"task": "blocks", "rates": [1.0] * 2, "options": json.dumps(block)},
        "many blocks": {"task": "blocks", "rates": [1.0] * 200, "options": json.dumps(block)},
        "decoders": {"decoders": ["MMSE", "a.b"]},
        "many decoders": {"decoders": [f"d{k}" for k in range(100_000)]},
        "task": {"task": ["clips"]},
        "no task": {"task": "speech"},
        "options": {"options": "[]"},
        "state": {"state": {}},
        "state that is none": {"state": [1] * 9},
        "names": {"state": {"x": torch.zeros(1)} | saved["state"]},
    }


def test_a_file_that_claims_what_it_does_not_hold_costs_nothing(exported, tmp_path):
    saved = load(exported)
    for name, change in hostile(saved).items():
        save(tmp_path / "hostile.pt", saved | change)
        before, most = time.monotonic(), peak()
        with pytest.raises(ValueError, match=r"hostile\.pt: expected an exported codec") as caught:
            neural.load_codec(tmp_path / "hostile.pt")
        assert "\n" not in str(caught.value), name
        assert len(str(caught.value)) < 600, name
        assert time.monotonic() - before < 10, name
        assert peak() - most < 200 << 20, name


def peak():
    """Most memory that the process has had, bytes."""
    import resource

    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_the_step_of_a_checkpoint_from_elsewhere_runs_no_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for content in (tensors(Evil()), tensors({"step": Evil()})):
        (tmp_path / "checkpoint.pt").write_bytes(sealed(content))
        with pytest.raises(ValueError, match=r"no checkpoint \(UnpicklingError\)"):
            step_of(tmp_path / "checkpoint.pt")
    assert not (tmp_path / "pwned").exists()


def test_every_file_is_read_without_running_code():
    """Every call of torch.load and np.load says so; the one unpickler makes nothing but texts."""
    safe = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False)}
    calls = []
    for path in sorted(Path(neural.__file__).parent.rglob("*.py")):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and (name := ast.unparse(node.func)) in safe:
                given = {word.arg: ast.literal_eval(word.value) for word in node.keywords
                         if word.arg == safe[name][0]}  # fmt: skip
                calls.append((path.name, name, given == dict([safe[name]])))
            if isinstance(node, ast.Import) and path.name != "seal.py":
                assert "pickle" not in [alias.name for alias in node.names], path
            assert not ast.unparse(node).startswith(("pickle.load", "pickle.Unpickler(")), path
            assert ast.unparse(node) not in ("torch.jit.load", "eval", "exec"), path
    assert {name for _, name, _ in calls} == set(safe)
    assert all(ok for *_, ok in calls), calls
