"""Files of tensors: there as a whole or not at all, undamaged, and reading one runs no code.

A file is what `torch.save` writes, sealed (:mod:`neural.training.seal`).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from neural.training.seal import check_size, sealed, unsealed
from rdp._check import one_line
from rdp._files import replacing

State = dict[str, Any]  # tensors, numbers, texts, lists and dicts


def save(path: Path, state: State) -> None:
    """Write a file that `load` reads; the old one is kept until the new one is on disk."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    with replacing(path) as file:
        file.write(sealed(buffer.getvalue()))


def load(
    path: Path | str, device: str = "cpu", what: str = "tensors", advice: str = "delete it"
) -> State:
    """Read a file that `save` wrote, onto a device.

    Raises
    ------
    ValueError
        The file is damaged or of another kind. The message names it, says what it should be, and
        gives the advice.
    OSError
        The file cannot be read.
    """
    content = Path(path).read_bytes()
    body = unsealed(content)
    if body is None:
        got = "a file that is damaged or of another version (its digest does not fit)"
        raise ValueError(f"{path}: expected {what}, got {got if content else 'nothing'}; {advice}")
    try:
        check_size(body)
        state = torch.load(io.BytesIO(body), map_location=device, weights_only=True)
        if not isinstance(state, dict):
            raise ValueError(f"expected a dict, got {type(state).__name__}")
        for name, tensor in tensors(state):
            if tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size():
                raise ValueError(f"{name}: expected all numbers of the tensor in the file")
    except UnpicklingError:  # torch would say how to run the code
        got = "content that is more than tensors, numbers and texts"
        raise ValueError(f"{path}: expected {what}, got {got}; {advice}") from None
    # A digest that fits says nothing about who made the file, and unpickling raises any error.
    except Exception as error:
        raise ValueError(f"{path}: expected {what}, got {one_line(error)}; {advice}") from None
    return state


def tensors(state: object, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the tensors in nested dicts and lists, with their names."""
    if isinstance(state, torch.Tensor):
        yield name, state
    elif isinstance(state, Mapping):
        for key, value in state.items():
            yield from tensors(value, f"{name}.{key}" if name else str(key))
    elif isinstance(state, (list, tuple)):
        for number, value in enumerate(state):
            yield from tensors(value, f"{name}[{number}]")


def not_finite(state: object) -> str | None:
    """Return the name of the first tensor with NaN or inf; None if there is none."""
    for name, tensor in tensors(state):
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            return name
    return None
