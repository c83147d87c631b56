"""Judges of what a codec shows that are trained themselves: fresh critics, a classifier of digits.

W1 by a critic depends on the critic. So each decoder and law gets one of its own, trained from the
same start on training clips, and what it finds on held-out clips is reported together with what it
found there on its way: a W1 that still grows is not yet one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from neural.codecs.bitstream import encode, read
from neural.codecs.networks import PictureCritic, halve
from neural.codecs.video import VideoCodec
from neural.datasets.moving_digits import DIGIT, FIELD, MovingDigits
from neural.training.critics import compared, critic_loss
from neural.training.loop import freeze

if TYPE_CHECKING:
    from neural.evaluation.reconstructions import Shown
    from neural.tasks.clips import ClipTask

Array = np.ndarray
Tensor = torch.Tensor


def half_width(samples: Array) -> Array:
    """Half the width of the 95% interval of a mean over the first axis.

    Parameters
    ----------
    samples : (n, ...) array
        Independent samples.
    """
    return 1.96 * samples.std(axis=0, ddof=1) / math.sqrt(len(samples))


def fresh_w1(
    task: ClipTask,
    seen: Shown,
    shown: Shown,
    plf: str,
    loss: str,
    steps: int,
    seed: int,
    batch: int = 64,
) -> dict[str, list[float]]:
    """W1 at the last frame by a fresh critic: trained on training clips, read off on held-out ones.

    Parameters
    ----------
    task : ClipTask
        Has the size of the critic.
    seen : Shown
        Training clips and reconstructions.
    shown : Shown
        Held-out ones.
    plf : str
        Which decoder.
    loss : {"FMD", "JD", "SA"}
        Which laws to compare.
    steps, batch : int
        Steps of the critic, and clips in each.
    seed : int
        Seed of the critic and of the order of the clips.

    Returns
    -------
    dict
        "value" and half the width of its "interval", and what the critic found on some of the
        clips on its way, four times: "path". Whether it has converged is seen there.
    """
    last = shown.x.shape[1] - 1
    wanted, made = compared(loss, last, seen.x, seen.frames[plf])
    held = compared(loss, last, shown.x, shown.frames[plf])
    device = wanted.device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        critic = PictureCritic(wanted.shape[1], task.critic_width).to(device)
    optimiser = torch.optim.Adam(critic.parameters(), 1e-3, betas=(0.5, 0.9), fused=True)
    generator = torch.Generator(device).manual_seed(seed)
    quarters = {round(steps * part / 4) for part in range(1, 5)}
    path: list[float] = []
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 1e-3 * (1 - step / steps)
        chosen = torch.randint(len(wanted), (batch,), generator=generator, device=device)
        with torch.autocast(device.type, torch.bfloat16):
            value = critic_loss(critic, wanted[chosen], made[chosen], generator)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        if step + 1 in quarters:
            some = [_scores(critic, clips[:500]) for clips in held]
            path.append(float((some[0] - some[1]).mean()))
    scores = [_scores(critic, clips) for clips in held]
    gap = scores[0] - scores[1]
    return {"value": [float(gap.mean())], "interval": [float(half_width(gap))], "path": path}


@torch.no_grad()
def _scores(critic: nn.Module, clips: Tensor, chunk: int = 100) -> Array:
    device = next(critic.parameters()).device
    parts = [critic(part.to(device)).cpu() for part in clips.split(chunk)]
    return torch.cat(parts).double().numpy()


@torch.no_grad()
def diversity(
    codec: VideoCodec, task: ClipTask, plfs: Sequence[str], draws: int, seed: int, clips: int = 100
) -> dict[str, list[float]]:
    """Variance of each decoder's frames over the common randomness, for given source clips.

    Parameters
    ----------
    codec : VideoCodec
        Trained codec.
    task : ClipTask
        Where the clips come from.
    plfs : sequence of str
        Decoders.
    draws : int
        Draws of the common randomness.
    seed : int
        Which clips.
    clips : int
        How many.

    Returns
    -------
    dict of (T,) lists
        Mean variance of a pixel; zero if a decoder repeats itself.
    """
    x = task.source("heldout").batch(torch.Generator().manual_seed(seed), clips)
    messages = [read(codec, encode(codec, x, seed + draw)) for draw in range(draws)]
    out = {}
    for plf in plfs:
        made = torch.stack([message.show(plf) for message in messages])
        out[plf] = made.var(dim=0).mean((0, 2, 3)).tolist()
    return out


class Classifier(nn.Module):
    """What digit a frame shows. It looks at 32 x 32 pixels around the centre of brightness.

    Parameters
    ----------
    width : int
        Width of the network.
    """

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
    """Cut 32 x 32 pixels around the centre of brightness of each frame.

    Parameters
    ----------
    frames : (n, 1, 64, 64) tensor
        Bright on black; outside is black.
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


@lru_cache(maxsize=2)  # all codecs of an experiment have the same judge
def train_classifier(source: MovingDigits, steps: int, seed: int, batch: int = 64) -> Classifier:
    """Train a classifier of digits on frames of training clips.

    Parameters
    ----------
    source : MovingDigits
        Training clips.
    steps, batch : int
        Steps, and clips in each.
    seed : int
        Seed of network and clips.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Classifier().to(source.device)
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * (1 - step / steps)
        drawn = source.draw(generator, batch)
        logits = network(drawn.frames[:, :1])
        loss = nn.functional.cross_entropy(logits, drawn.labels.to(logits.device))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    freeze(network)
    return network


@torch.no_grad()
def permanence(judge: Classifier, shown: Shown, plf: str) -> dict[str, float | None]:
    """How often a digit that is wrong in the last frame but one stays wrong, by a classifier.

    Parameters
    ----------
    judge : Classifier
        Tells digits apart.
    shown : Shown
        Clips.
    plf : str
        Which decoder.

    Returns
    -------
    dict
        "accuracy" of the classifier on source frames, shares of "wrong_before" and "wrong_now",
        and of those wrong before the shares that "stay_wrong" and that show the "same_digit"
        again, with half the width of the intervals; None if none was wrong.
    """
    assert shown.labels is not None
    device = next(judge.parameters()).device

    def seen(frames: Tensor) -> Tensor:
        parts = [judge(part.to(device)).argmax(1).cpu() for part in frames[:, None].split(500)]
        return torch.cat(parts)

    labels = shown.labels
    before, now = seen(shown.frames[plf][:, -2]), seen(shown.frames[plf][:, -1])
    wrong = before != labels
    out: dict[str, float | None] = {
        "accuracy": float((seen(shown.x[:, -1]) == labels).double().mean()),
        "wrong_before": float(wrong.double().mean()),
        "wrong_now": float((now != labels).double().mean()),
    }
    for name, event in (("stay_wrong", now != labels), ("same_digit", now == before)):
        share = event[wrong].double()
        count = len(share)
        mean = float(share.mean()) if count else None
        out[name] = mean
        out[f"{name}_half"] = None if mean is None else 1.96 * math.sqrt(mean * (1 - mean) / count)
    return out
