"""A tiny experiment with clips of moving digits, and clips for tests."""

from functools import cache

import numpy as np
import torch

from neural.datasets.moving_digits import MovingDigits, load_digits
from neural.evaluation.reconstructions import Reconstructions

NETWORKS = """
[options.data]
kind = "digits"

[options.codec]
width = 4
noise = 2

[options.critic]
width = 4
"""

CONFIG = f"""
task = "clips"
seed = 1
rates = [[12, 2]]
{NETWORKS}
[options.evaluation]
clips = 40
critic_steps = 4
critic_batch = 8
critic_clips = 40
classifier_steps = 4
draws = 2
frequencies = 4
reference_clips = 20
kind = "reduced"

[[stage]]
name = "first"
frames = [1]
steps = 2
batch = 4

[[stage]]
name = "mmse"
start = "first"
frames = [2]
steps = 2
batch = 4

[[stage]]
name = "universal"
start = "mmse"
frames = [2]
plfs = ["FMD", "JD", "SA"]
encoder = "frozen"
steps = 2
batch = 4

[[stage]]
name = "own-JD"
start = "universal"
frames = [2]
plfs = ["JD"]
steps = 2
batch = 4
"""


@cache
def heldout():
    return MovingDigits(load_digits("heldout"))


def draw(n, seed=0):
    """Clips of held-out digits, with their labels."""
    return heldout().draw(torch.Generator().manual_seed(seed), n)


def clips_of(source, labels=None, **decoded):
    """Clips and their reconstructions by loss, without bytes."""
    return Reconstructions(source, labels, decoded, np.zeros(source.shape[1]))
