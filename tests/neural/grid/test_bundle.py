"""Files that are carried: whole models in few files of half precision, archives of results."""

import pytest

torch = pytest.importorskip("torch")

from neural.grid.bundle import (  # noqa: E402
    FILES,
    pack_files,
    pack_models,
    unpack_files,
    unpack_models,
)
from neural.training.checkpoint import save  # noqa: E402


def model(folder, name, size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    state = {f"layer{k}": torch.randn(size, generator=generator) for k in range(3)}
    state |= {"bias": torch.randn(5, generator=generator), "_extra_state": {"0": {"low": -1}}}
    save(folder / f"{name}.pt", {"decoders": ["MMSE", "JD"], "state": state})
    return folder / f"{name}.pt", state


def test_models_come_back_in_half_precision_from_several_files(tmp_path):
    paths, states = zip(*(model(tmp_path, f"m{k}", 4000, k) for k in range(2)), strict=True)
    target = tmp_path / "carried"
    target.mkdir()
    kept = pack_models(target, {"a": paths[0], "b/c": paths[1]}, limit=20_000)
    assert kept == ["a", "b/c"]
    files = sorted(target.glob("models-*.pt"))
    assert 1 < len(files) <= FILES
    found = unpack_models(target)
    for name, state in zip(kept, states, strict=True):
        assert found[name]["decoders"] == ["MMSE", "JD"]
        assert found[name]["state"].keys() == state.keys()
        for key in ("layer0", "layer2"):
            back = found[name]["state"][key]
            assert back.dtype == torch.half
            torch.testing.assert_close(back.float(), state[key], rtol=1e-3, atol=1e-3)
        assert torch.equal(found[name]["state"]["bias"], state["bias"])
        assert found[name]["state"]["_extra_state"] == {"0": {"low": -1}}


def test_models_that_do_not_fit_are_left_out_whole_and_old_files_go(tmp_path):
    small, large = model(tmp_path, "small", 2000)[0], model(tmp_path, "large", 40_000)[0]
    target = tmp_path / "carried"
    target.mkdir()
    assert pack_models(target, {"large": large, "small": small}, limit=20_000) == ["small"]
    assert list(unpack_models(target)) == ["small"]
    assert pack_models(target, {}) == []
    assert not list(target.iterdir())


def test_archives_keep_names_and_do_not_replace_what_is_there(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    for name in ("a.json", "deep/b.txt"):
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    pack_files(tmp_path / "all.zip", [source / "deep/b.txt", source / "a.json"], source)
    target.mkdir()
    (target / "a.json").write_text("mine")
    unpack_files(tmp_path / "all.zip", target)
    assert (target / "a.json").read_text() == "mine"
    assert (target / "deep/b.txt").read_text() == "deep/b.txt"
    unpack_files(tmp_path / "nothing.zip", target)  # no archive, nothing to do
