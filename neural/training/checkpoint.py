"""Files of tensors that are there as a whole or not at all, and run no code when they are read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

State = dict[str, Any]  # tensors, numbers, texts, lists and dicts


def save(path: Path, state: State) -> None:
    """Write a file that `load` reads, replacing an older one as a whole."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    with partial.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())  # a crash of the machine leaves the old file or the new one
    partial.replace(path)


def load(path: Path | str, device: str = "cpu") -> State:
    """Read a file that `save` wrote, onto a device."""
    return torch.load(path, map_location=device, weights_only=True)
