"""Classifier of digits, and how often a wrong digit stays wrong."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import nn

from neural.codecs.networks import freeze, halve
from neural.datasets.moving_digits import DIGIT, FIELD, MovingDigits
from neural.evaluation.reconstructions import Reconstructions
from neural.evaluation.record import Permanence

Tensor = torch.Tensor


class Classifier(nn.Module):
    """Network that reads the digit in 32 x 32 pixels around the centre of brightness."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.net = nn.Sequential(
            halve(1, width), halve(width, 2 * width), halve(2 * width, 4 * width), nn.Flatten(),
            nn.Linear(4 * width * 16, 10),
        )  # fmt: skip

    def forward(self, frames: Tensor) -> Tensor:
        """Return logits (n, 10) for (n, 1, 64, 64)."""
        return self.net(centred(frames))


def centred(frames: Tensor) -> Tensor:
    """Cut 32 x 32 pixels around the centre of brightness of each frame (n, 1, 64, 64).

    Pixels outside the frame are black.
    """
    half = DIGIT // 2
    place = torch.arange(FIELD, device=frames.device) + 0.5
    mass = frames.sum((2, 3)).clamp(min=1e-6)
    row = ((frames.sum(3) * place).sum(2) / mass).round().long()
    column = ((frames.sum(2) * place).sum(2) / mass).round().long()
    padded = nn.functional.pad(frames, (half,) * 4)
    along = torch.arange(DIGIT, device=frames.device)
    rows, columns = (row + along)[:, :, None], (column + along)[:, None, :]
    which = torch.arange(len(frames), device=frames.device)[:, None, None]
    return padded[which, 0, rows, columns].unsqueeze(1)


@lru_cache(maxsize=2)  # all codecs of an experiment use the same classifier
def train_classifier(source: MovingDigits, steps: int, seed: int, batch: int = 64) -> Classifier:
    """Train a classifier on first frames of training clips; it is returned frozen."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Classifier().to(source.device)
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * (1 - step / steps)
        drawn = source.draw(generator, batch)
        assert drawn.labels is not None
        logits = network(drawn.frames[:, :1])
        loss = nn.functional.cross_entropy(logits, drawn.labels.to(logits.device))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    freeze(network)
    return network


@torch.no_grad()
def permanence(classifier: nn.Module, clips: Reconstructions, plf: str) -> Permanence:
    """How often a digit that is wrong in the last frame but one of a decoder stays wrong.

    Raises
    ------
    ValueError
        The clips have no labels.
    """
    if clips.labels is None:
        raise ValueError("clips: expected labels of the digits, got none")

    def digits(frames: Tensor) -> Tensor:
        parts = [classifier(part).argmax(1) for part in frames[:, None].split(500)]
        return torch.cat(parts).cpu()

    labels = clips.labels
    before, now = digits(clips.decoded[plf][:, -2]), digits(clips.decoded[plf][:, -1])
    wrong = before != labels
    return Permanence(
        accuracy=float((digits(clips.source[:, -1]) == labels).double().mean()),
        wrong_before=float(wrong.double().mean()),
        wrong_now=float((now != labels).double().mean()),
        stay_wrong=_share((now != labels)[wrong]),
        same_digit=_share((now == before)[wrong]),
    )


def _share(event: Tensor) -> float | None:
    """Share of clips with an event; None without clips."""
    return float(event.double().mean()) if len(event) else None
