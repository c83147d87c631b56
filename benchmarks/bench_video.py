"""Training speed of the codec of clips, and what limits it.

Clips and frames per second of an MSE step and of an adversarial step. Beside them the shares of
two peaks that are measured in the same run: that of a large matrix product in the precision of the
step, and that of copying memory. The larger share names the resource that limits. Where both are
small, the overhead of many small operations limits.

The public code for these experiments trains 29 (MSE step) and 19 (adversarial step) clips per
second on 2 cores; `ratio` compares with that. ``--device cuda`` measures a GPU.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from benchmarks.report import report
from neural.codecs.video import VideoCodec, VideoShape
from neural.datasets.moving_digits import MovingDigits, load_digits
from neural.training.critic_networks import PictureCritic
from neural.training.loop import Run
from neural.training.stage import Stage

RATES = (12, 8)
PUBLIC = {"mse": 29.0, "adversarial": 19.0}
STEPS = {
    "mse": {"plfs": ("MMSE",), "encoder": "train"},
    "adversarial": {"plfs": ("JD",), "encoder": "train", "critic_steps": 1},
}


@dataclass
class Speed:
    """Work and cost of one kind of step."""

    clips_per_second: float
    flops_per_clip: float
    bytes_per_clip: float
    peak_gib: float | None


def measure(width: int, batch: int, name: str, precision: str, device: str, repeats: int) -> Speed:
    """Time some steps of training, and count the operations of another one."""
    torch.manual_seed(0)
    codec = VideoCodec(VideoShape(RATES, width=width))
    source = MovingDigits(load_digits("train"), device=device)
    codec.decoders.prepare(STEPS[name]["plfs"])
    stage = Stage(name, frames=(2,), batch=batch, precision=precision, **STEPS[name])
    make_critic = lambda t: PictureCritic(t, width)  # noqa: E731
    run = Run(stage, codec, make_critic, torch.device(device), channels_last=device == "cuda")
    with Count() as count:
        run.advance(source.batch)
    seconds = fastest(lambda: run.advance(source.batch), repeats, device)
    peak = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else None
    return Speed(batch / seconds, count.flops / batch, count.bytes / batch, peak)


def fastest(function: Callable[[], object], repeats: int, device: str) -> float:
    """Seconds of the fastest of some calls; the first allocates and does not count."""
    times = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        function()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return min(times[1:])


class Count(TorchDispatchMode):
    """Counts floating-point operations, second derivatives included, and bytes read and written.

    Bytes are those of the tensors that each operation is given and makes, so that what stays in a
    cache between two of them counts as if it did not.
    """

    flops, bytes = 0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func._overloadpacket in flop_registry:
            self.flops += flop_registry[func._overloadpacket](*args, **(kwargs or {}), out_val=out)
        if not func.is_view:
            leaves = tree_leaves((args, kwargs, out))
            self.bytes += sum(x.nbytes for x in leaves if isinstance(x, torch.Tensor))
        return out


def peak_flops(precision: str, device: str, repeats: int) -> float:
    """Operations per second of a plain large matrix product."""
    size = 8192 if device == "cuda" else 2048
    a, b = torch.rand(2, size, size, device=device, dtype=getattr(torch, precision))
    return 2 * size**3 / fastest(lambda: a @ b, repeats, device)


def peak_bandwidth(device: str, repeats: int) -> float:
    """Bytes per second of copying what no cache holds."""
    a = torch.zeros(1 << 27, device=device)
    b = torch.empty_like(a)
    return 2 * a.nbytes / fastest(lambda: b.copy_(a), repeats, device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.set_float32_matmul_precision("high")
    bandwidth = peak_bandwidth(given.device, given.repeats)
    product = {p: peak_flops(p, given.device, given.repeats) for p in ("float32", "bfloat16")}
    rows = []
    for width in (16, 64):
        for name, public in PUBLIC.items():
            for precision, peak in product.items():
                found = measure(width, given.batch, name, precision, given.device, given.repeats)
                speed = found.clips_per_second
                row = {
                    "width": width,
                    "step": name,
                    "precision": precision,
                    "clips/s": speed,
                    "frames/s": speed * len(RATES),
                    "ratio": speed / public,
                    "GFLOP/clip": found.flops_per_clip / 1e9,
                    "GFLOP/s": speed * found.flops_per_clip / 1e9,
                    "share of product": speed * found.flops_per_clip / peak,
                    "MB/clip": found.bytes_per_clip / 1e6,
                    "share of copy": speed * found.bytes_per_clip / bandwidth,
                    "product GFLOP/s": peak / 1e9,
                    "copy GB/s": bandwidth / 1e9,
                    "threads": given.threads,
                }
                rows.append(row if found.peak_gib is None else row | {"GiB": found.peak_gib})
    report("video" if given.device == "cpu" else f"video_{given.device}", rows, ["torch"])


if __name__ == "__main__":
    main()
