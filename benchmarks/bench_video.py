"""Training speed of the codec of clips, and what limits it.

Clips per second of each kind of step, made in several ways: operation by operation ("loop"), with
critics that write their slope out ("slope"), replayed as a CUDA graph ("graph"), and both together
with compiled networks ("compiled"). Beside them the shares of two peaks that are measured in the
same run: that of a large matrix product in the precision of the step, and that of copying memory.
The larger share names the resource that limits. Where both are small, the overhead of many small
operations limits.

The public code for these experiments trains 29 (MSE step) and 19 (adversarial step) clips per
second on 2 cores; `ratio` compares with that. ``--device cuda`` measures a GPU.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from benchmarks.report import report
from neural.codecs.video import VideoCodec, VideoShape
from neural.datasets.moving_digits import MovingDigits, load_digits
from neural.training.critic_networks import PictureCritic, SlopedPictureCritic
from neural.training.graph import WARM
from neural.training.loop import Run
from neural.training.stage import Stage

RATES = (12, 8)
PUBLIC = {"mse": 29.0, "adversarial": 19.0}
STEPS = {
    "mse": {"plfs": ("MMSE",)},
    "adversarial": {"plfs": ("JD",), "critic_steps": 1},
    "universal": {"plfs": ("FMD", "JD", "SA"), "encoder": "frozen", "realism": 0.01},
    "own JD": {"plfs": ("JD",), "realism": 0.01},
}
WAYS = {
    "loop": {"captured": False},
    "slope": {"captured": False, "slope": True},
    "graph": {"captured": True},
    "graph, slope": {"captured": True, "slope": True},
    "compiled": {"captured": True, "slope": True, "compiled": True},
}


@dataclass
class Speed:
    """Cost of one kind of step."""

    clips_per_second: float
    setup: float
    peak_gib: float | None


@dataclass
class Case:
    """A kind of step at some size."""

    width: int
    batch: int
    name: str
    precision: str
    device: str

    def run(self, captured: bool, slope: bool = False, compiled: bool = False) -> Callable:
        """Return a function that makes one step."""
        torch.manual_seed(0)
        codec = VideoCodec(VideoShape(RATES, width=self.width))
        source = MovingDigits(load_digits("train"), device=self.device)
        options = STEPS[self.name]
        codec.decoders.prepare(options["plfs"])
        stage = Stage(
            self.name, frames=(2,), batch=self.batch, precision=self.precision, **options
        )
        critic = SlopedPictureCritic if slope else PictureCritic
        run = Run(
            stage, codec, lambda t: critic(t, self.width), torch.device(self.device),
            captured=captured,
        )  # fmt: skip
        if compiled:
            run.compile()
        return partial(run.advance, source.batch)

    def work(self) -> tuple[float, float]:
        """Return floating-point operations and bytes for a clip."""
        step = self.run(captured=False)
        step()
        with Count() as count:
            step()
        return count.flops / self.batch, count.bytes / self.batch

    def speed(self, repeats: int, **way: bool) -> Speed:
        """Time steps made in one way."""
        began = time.perf_counter()
        if self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        step = self.run(**way)
        for _ in range(WARM + 1 if way["captured"] else 1):
            step()
        wait(self.device)
        setup = time.perf_counter() - began
        seconds = fastest(step, repeats, self.device)
        peak = torch.cuda.max_memory_allocated() / 2**30 if self.device == "cuda" else None
        return Speed(self.batch / seconds, setup, peak)


def fastest(function: Callable[[], object], repeats: int, device: str) -> float:
    """Seconds of the fastest of some calls; the first allocates and does not count."""
    times = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        function()
        wait(device)
        times.append(time.perf_counter() - began)
    return min(times[1:])


def wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


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
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch", type=int, help="clips in a step; default: 64, on cuda 256")
    parser.add_argument("--width", type=int, action="append", help="default: 16 and 64, on cuda 64")
    parser.add_argument("--step", choices=STEPS, action="append", help="kinds of steps")
    parser.add_argument("--way", choices=WAYS, action="append", help="ways to make them")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device: expected cpu, got 'cuda', and torch finds no CUDA device")
    torch.set_num_threads(given.threads)
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    cuda = given.device == "cuda"
    precisions = ("bfloat16",) if cuda else ("float32", "bfloat16")
    ways = given.way or [name for name, way in WAYS.items() if cuda or not way["captured"]]
    bandwidth = peak_bandwidth(given.device, given.repeats)
    rows = []
    for precision in precisions:
        peak = peak_flops(precision, given.device, given.repeats)
        for width in given.width or ((64,) if cuda else (16, 64)):
            for name in given.step or STEPS:
                batch = given.batch or (256 if cuda else 64)
                case = Case(width, batch, name, precision, given.device)
                flops, size = case.work()
                for way in ways:
                    if name == "mse" and way.endswith("slope"):
                        continue  # no critics
                    found = case.speed(given.repeats, **WAYS[way])
                    speed = found.clips_per_second
                    row = {
                        "step": name,
                        "way": way,
                        "width": width,
                        "batch": case.batch,
                        "precision": precision,
                        "clips/s": speed,
                        "ms": 1e3 * case.batch / speed,
                        "setup s": found.setup,
                        "ratio": speed / PUBLIC[name] if name in PUBLIC else None,
                        "GFLOP/clip": flops / 1e9,
                        "share of product": speed * flops / peak,
                        "MB/clip": size / 1e6,
                        "share of copy": speed * size / bandwidth,
                        "product GFLOP/s": peak / 1e9,
                        "copy GB/s": bandwidth / 1e9,
                        "threads": given.threads,
                    }
                    rows.append(row if found.peak_gib is None else row | {"GiB": found.peak_gib})
                    print(f"{name}, {way}: {row['ms']:.2f} ms, {speed:.0f} clips/s", flush=True)
                    if cuda:
                        torch.cuda.empty_cache()
    report("video" if given.device == "cpu" else f"video_{given.device}", rows, ["torch"])


if __name__ == "__main__":
    main()
