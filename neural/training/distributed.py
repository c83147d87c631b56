"""Processes that train together, each on its share of every batch; alone without torchrun."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import distributed

Tensor = torch.Tensor


@contextmanager
def process_group(device: str) -> Iterator[None]:
    """Join the processes that torchrun started, each on its own device."""
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def processes() -> int:
    """Return how many processes train together."""
    return distributed.get_world_size() if _together() else 1


def process() -> int:
    """Return the number of this process among those that train together, from 0."""
    return distributed.get_rank() if _together() else 0


def is_first_process() -> bool:
    """Return whether this process writes the files."""
    return process() == 0


def barrier() -> None:
    """Wait for the processes that train together."""
    if _together():
        distributed.barrier()


def average_over_processes(tensors: Iterable[Tensor | None]) -> None:
    """Replace tensors by their means over the processes that train together.

    Every process gives the same number of tensors, of the same shapes.
    """
    if _together():
        for tensor in tensors:
            if tensor is not None:
                distributed.all_reduce(tensor)
                tensor /= processes()


def _together() -> bool:
    return distributed.is_available() and distributed.is_initialized()
