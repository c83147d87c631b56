"""Optimisers whose options can change between the replays of a recorded step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

Tensor = torch.Tensor


def adam(
    parameters: Iterable[Tensor], lr: float, betas: tuple[float, float], device: torch.device
) -> torch.optim.Adam:
    """Return Adam; on CUDA its learning rate is a tensor, which a recorded step reads anew."""
    if device.type != "cuda":
        return torch.optim.Adam(parameters, lr, betas, fused=True)
    rate = torch.tensor(lr, device=device)
    return torch.optim.Adam(parameters, rate, betas, fused=True, capturable=True)


def set_rate(optimiser: torch.optim.Optimizer, value: float) -> None:
    """Set the learning rate; a tensor keeps its place in memory."""
    for group in optimiser.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(value)
        else:
            group["lr"] = value


def load_optimiser(optimiser: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Take the moments of the state, and keep the options: they depend on the device."""
    own = [{k: v for k, v in group.items() if k != "params"} for group in optimiser.param_groups]
    optimiser.load_state_dict(state)
    for group, options in zip(optimiser.param_groups, own, strict=True):
        group.update(options)
