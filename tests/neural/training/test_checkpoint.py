"""Files of tensors are there as a whole or not at all."""

import pickle

import pytest

torch = pytest.importorskip("torch")

from neural.training.checkpoint import load, save  # noqa: E402


def test_a_file_comes_back_and_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "state.pt"
    save(path, {"x": torch.arange(3), "step": 1})
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        save(path, {"x": lambda: None})
    found = load(path)
    assert torch.equal(found["x"], torch.arange(3))
    assert found["step"] == 1
