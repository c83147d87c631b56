"""Processes that train together, as torchrun starts them, on the CPU."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

SCRIPT = """
import sys, torch
from torch import distributed
from neural.tasks.clips import ClipTask
from neural.training.loop import train
from neural.training.stage import Stage

distributed.init_process_group("gloo")
task = ClipTask({"kind": "digits"}, {"width": 4, "noise": 2}, {"width": 4})
torch.manual_seed(0)
codec = task.make_codec((12, 2))
codec.decoders.prepare(["JD"])
seen = []

def batch(generator, n):
    seen.append(task.batch(generator, n))
    return seen[-1]

stage = Stage("s", plfs=("JD",), frames=(2,), steps=3, batch=8, critic_steps=1)
train(stage, codec, batch, task.make_critic, sys.argv[1], progress=False)
rank = distributed.get_rank()
torch.save(
    {"parameters": [p.detach() for p in codec.parameters()], "x": seen[0]},
    f"{sys.argv[1]}/rank{rank}.pt",
)
distributed.destroy_process_group()
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.slow
def test_two_processes_share_a_batch_and_stay_in_step(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    root = Path(__file__).parents[3]
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2",
        "--master_port", str(free_port()), str(script), str(tmp_path),
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, capture_output=True, timeout=300, env=environment)
    one, other = (torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    assert len(one["x"]) == len(other["x"]) == 4
    assert not torch.equal(one["x"], other["x"])
    for first, second in zip(one["parameters"], other["parameters"], strict=True):
        assert torch.equal(first, second)
    assert (tmp_path / "checkpoint.pt").exists()
