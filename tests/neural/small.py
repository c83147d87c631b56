"""A small task, and a codec trained on it in two seconds."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from neural.tasks.blocks import BlockTask
from neural.training.loop import train
from neural.training.stage import Stage

RATES = (0.7, 0.9)


def task(block=2):
    return BlockTask(
        source={"sigma": [1.0, 2.0], "rho": [0.8]},
        codec={"block": block, "latents": block, "hidden": 8},
        critic={"hidden": 8},
    )


@cache
def trained():
    """Codec with an MMSE decoder after 900 steps; do not change it."""
    made = task()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # else it depends on the tests before
        codec = made.make_codec(RATES)
    stage = Stage("mmse", steps=900, batch=128, rates=RATES, lr=1e-2, price_lr=0.05)
    with TemporaryDirectory() as folder:
        return train(stage, codec, made.batch, made.make_critic, Path(folder), progress=False)
