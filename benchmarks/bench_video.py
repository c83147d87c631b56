"""Training speed of the codec of clips: clips per second of an MSE step and an adversarial step.

The public code for these experiments trains 29 (MSE step) and 19 (adversarial step) clips per
second on 2 cores; `ratio` compares with that. ``--device cuda`` measures a GPU.
"""

import argparse
import time

import torch
from report import report
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from neural.digits import MovingDigits, load_digits
from neural.pictures import PictureCritic
from neural.train import Run, Stage
from neural.video import VideoCodec, VideoShape

PUBLIC = {"mse": 29.0, "adversarial": 19.0}
STEPS = {
    "mse": {"plfs": ("MMSE",), "encoder": "train"},
    "adversarial": {"plfs": ("JD",), "encoder": "train", "critic_steps": 1},
}


def clips_per_second(width: int, batch: int, name: str, precision: str, device: str, repeats: int):
    torch.manual_seed(0)
    codec = VideoCodec(VideoShape((12, 8), width=width))
    source = MovingDigits(load_digits("train"), device=device)
    codec.prepare(STEPS[name]["plfs"])
    stage = Stage(name, frames=(2,), batch=batch, precision=precision, **STEPS[name])
    make_critic = lambda t: PictureCritic(t, width)  # noqa: E731
    run = Run(stage, codec, make_critic, torch.device(device), channels_last=device == "cuda")
    times = []
    for _ in range(repeats + 2):  # the first steps allocate
        began = time.perf_counter()
        run.advance(source.batch)
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    peak = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else None
    return batch / min(times[2:]), peak


class Count(TorchDispatchMode):
    """Counts floating-point operations, second derivatives included."""

    total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func._overloadpacket in flop_registry:
            self.total += flop_registry[func._overloadpacket](*args, **(kwargs or {}), out_val=out)
        return out


def flops(width: int, name: str) -> float:
    """Floating-point operations of one step for one clip."""
    codec = VideoCodec(VideoShape((12, 8), width=width))
    source = MovingDigits(load_digits("train"))
    codec.prepare(STEPS[name]["plfs"])
    stage = Stage(name, frames=(2,), batch=2, **STEPS[name])
    run = Run(stage, codec, lambda t: PictureCritic(t, width), torch.device("cpu"))
    with Count() as count:
        run.advance(source.batch)
    return count.total / 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.set_float32_matmul_precision("high")
    rows = []
    for width in (16, 64):
        for name, public in PUBLIC.items():
            work = flops(width, name)
            for precision in ("float32", "bfloat16"):
                speed, peak = clips_per_second(
                    width, given.batch, name, precision, given.device, given.repeats
                )
                rows.append(
                    {
                        "width": width,
                        "step": name,
                        "precision": precision,
                        "clips/s": speed,
                        "GFLOP/clip": work / 1e9,
                        "GFLOP/s": speed * work / 1e9,
                        "ratio": speed / public,
                        "threads": given.threads,
                    }
                    | ({} if peak is None else {"GiB": peak})
                )
    report("video" if given.device == "cpu" else f"video_{given.device}", rows, ["torch"])


if __name__ == "__main__":
    main()
