"""W1 from critics that are trained for the measurement alone.

W1 from a critic depends on the critic. So each decoder and loss gets one of its own. All start from
the same parameters and are trained on training clips. W1 is then read on held-out clips, together
with its values during training: a W1 that still grows has not converged.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from neural.evaluation.intervals import half_width
from neural.evaluation.reconstructions import Reconstructions
from neural.evaluation.record import FreshCritic
from neural.tasks.clips import ClipTask
from neural.training.critics import compared, critic_loss
from neural.training.graph import Captured
from neural.training.optimisers import adam, set_rate

Array = np.ndarray
Tensor = torch.Tensor


def fresh_w1(
    task: ClipTask,
    training: Reconstructions,
    heldout: Reconstructions,
    plf: str,
    loss: str,
    steps: int,
    seed: int,
    batch: int = 64,
) -> FreshCritic:
    """W1 at the last frame of decoder ``plf`` under a perception loss, from a fresh critic.

    Parameters
    ----------
    task : ClipTask
        Makes the critic.
    training, heldout : Reconstructions
        Clips to train on, and clips to read W1 on.
    plf : str
        Loss of the decoder.
    loss : {"FMD", "JD", "SA"}
        Perception loss whose distributions are compared.
    steps, batch : int
        Steps of the critic, and clips in each.
    seed : int
        Seed of the critic and of the order of the clips.
    """
    last = heldout.source.shape[1] - 1
    wanted, made = compared(loss, last, training.source, training.decoded[plf])
    held = compared(loss, last, heldout.source, heldout.decoded[plf])
    device = wanted.device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        critic = task.make_critic(wanted.shape[1]).to(device)
    optimiser = adam(critic.parameters(), 1e-3, (0.5, 0.9), device)
    generator = torch.Generator(device).manual_seed(seed)

    def step() -> None:
        chosen = torch.randint(len(wanted), (batch,), generator=generator, device=device)
        with torch.autocast(device.type, torch.bfloat16):
            value = critic_loss(critic, wanted[chosen], made[chosen], generator)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()

    make = Captured(step, generator, device) if device.type == "cuda" else step
    quarters = {round(steps * part / 4) for part in range(1, 5)}
    path: list[float] = []
    words = f"decoder of {plf}: critic of {loss}"
    for number in tqdm(range(steps), desc=words, disable=None, leave=False):
        set_rate(optimiser, 1e-3 * (1 - number / steps))
        make()
        if number + 1 in quarters:
            some = [_scores(critic, clips[:500]) for clips in held]
            path.append(float((some[0] - some[1]).mean()))
    scores = [_scores(critic, clips) for clips in held]
    gap = scores[0] - scores[1]
    return FreshCritic(float(gap.mean()), float(half_width(gap)), tuple(path))


@torch.no_grad()
def _scores(critic: nn.Module, clips: Tensor, chunk: int = 100) -> Array:
    return torch.cat([critic(part) for part in clips.split(chunk)]).double().cpu().numpy()
