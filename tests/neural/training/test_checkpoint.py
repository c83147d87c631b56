"""Files of tensors are there as a whole or not at all, and damage is noticed."""

import errno
import io
import os
import pickle
import zipfile
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from neural.training.checkpoint import load, not_finite, save  # noqa: E402
from neural.training.seal import sealed  # noqa: E402


def test_a_file_comes_back_and_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "state.pt"
    save(path, {"x": torch.arange(3), "step": 1})
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        save(path, {"x": lambda: None})
    found = load(path)
    assert torch.equal(found["x"], torch.arange(3))
    assert found["step"] == 1
    assert torch.load(path, weights_only=True)["step"] == 1  # torch reads it too


def test_every_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "state.pt"
    save(path, {"x": torch.arange(3.0)})
    content = path.read_bytes()
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"state\.pt: expected tensors, got .*digest.*do it$"):
            load(path, advice="do it")


@pytest.mark.parametrize("size", [0, 1, 40, 500, -1])
def test_a_cut_file_is_noticed(tmp_path, size):
    path = tmp_path / "state.pt"
    save(path, {"x": torch.arange(3.0)})
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=r"state\.pt: expected tensors, got .*; delete it$"):
        load(path)


class Harmful:
    def __reduce__(self):
        return Path.touch, (Path("pwned"),)


def saved(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def bomb():
    """A file whose tensor is compressed a thousandfold."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(saved({"x": torch.zeros(1 << 22)}))) as plain,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for item in plain.infolist():
            packed.writestr(item.filename, plain.read(item))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nothing of the kind",
        pickle.dumps(Harmful(), protocol=2),
        saved(Harmful()),
        saved({"x": Harmful()}),
        saved([1, 2]),
        saved({"x": torch.zeros(1).expand(1 << 40)}),
        bomb(),
    ],
    ids=["empty", "text", "pickle", "code", "code inside", "list", "expanded", "compressed"],
)
def test_the_right_digest_is_no_trust(tmp_path, content, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "state.pt"
    path.write_bytes(sealed(content))
    assert path.stat().st_size < 1 << 16
    with pytest.raises(ValueError, match=r"state\.pt: expected tensors, got .*; delete it$"):
        load(path)
    assert not (tmp_path / "pwned").exists()


def test_a_full_disk_keeps_the_last_file(tmp_path, monkeypatch):
    path = tmp_path / "state.pt"
    save(path, {"step": 1})

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=r"No space left on device: '.*state\.pt'"):
            save(path, {"step": 2})
    assert load(path)["step"] == 1
    assert [item.name for item in tmp_path.iterdir()] == ["state.pt"]


def test_numbers_that_are_not_finite_are_named():
    assert not_finite({"a": torch.ones(2), "n": 3, "k": torch.arange(2)}) is None
    assert not_finite({"a": [torch.ones(2), torch.tensor([1.0, float("nan")])]}) == "a[1]"
    assert not_finite({"a": {"b": torch.tensor(float("inf"))}}) == "a.b"
