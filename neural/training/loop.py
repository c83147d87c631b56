r"""The training loop, one for every stage.

At each step, for the perception losses of the stage, minimise over the trained networks

.. math:: \sum_t D_t + \mu\, W_1(P_t, Q_t) + \beta_t R_t

with :math:`W_1` estimated by critics (`neural.training.critics`) trained beside, and the price
:math:`\beta_t` of a bit moved until the rate :math:`R_t` is the one prescribed. W1 is an exact
penalty: where :math:`\mu` exceeds what it costs in distortion, the laws agree. Stages:

- MMSE: encoder and decoder, end to end;
- universal: the encoder is frozen, one decoder for each loss;
- end to end: encoder and decoder for one loss.

All randomness of a step comes from the seed and the number of the step. So a run that is killed
and started again from its last checkpoint ends, on a CPU, in the same numbers to the last bit.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import distributed, nn
from tqdm import tqdm

from neural.training.critics import adversarial_loss, compared, critic_loss, distance
from rdp.perception import LOSSES

Tensor = torch.Tensor
State = dict[str, Any]
Batch = Callable[[torch.Generator, int], Tensor]
MakeCritic = Callable[[int], nn.Module]


@dataclass(frozen=True)
class Stage:
    """What one run of the loop trains, and how.

    Parameters
    ----------
    name : str
        Name of the stage.
    plfs : tuple of {"MMSE", "FMD", "JD", "SA"}
        Decoders to train, side by side on the same representation.
    encoder : {"train", "frozen"}
        Whether the encoder and its entropy model take part.
    steps, batch : int
        Steps, and samples in each.
    rates : tuple of float, or None
        Rate of each frame to reach, bits; None leaves it as it is. A codec whose rate is fixed by
        its quantiser has nothing to reach.
    frames : tuple of int, or None
        Frames to train, from 1; None is all. Frames after the last of them are left out.
    lr, critic_lr : float
        Learning rates at the start; they fall along a half cosine.
    critic_steps : int
        Steps of the critics for each step of the codec.
    realism : float
        Weight of W1.
    average : float, in [0, 1)
        The result is an exponential average of the parameters with this memory.
    price_lr : float
        Speed of the price of a bit.
    precision : {"float32", "bfloat16"}
        Arithmetic of the networks.
    seed : int
        Seed of everything random.
    start : str or None
        Stage whose result this one starts from.
    cell : tuple of float, or None
        Rates of the frames, bits, that it is trained at whatever the cell: all cells then share it.
        In a stage that starts from it, parameters whose shape depends on the rates begin anew.

    Raises
    ------
    ValueError
        A malformed field; the message names it.
    """

    name: str
    plfs: tuple[str, ...] = ("MMSE",)
    encoder: str = "train"
    steps: int = 1000
    batch: int = 512
    rates: tuple[float, ...] | None = None
    lr: float = 3e-3
    critic_lr: float = 3e-3
    critic_steps: int = 2
    realism: float = 2.0
    average: float = 0.99
    price_lr: float = 0.02
    precision: str = "float32"
    frames: tuple[int, ...] | None = None
    seed: int = 0
    start: str | None = None
    cell: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        """Validate every field."""
        object.__setattr__(self, "plfs", tuple(self.plfs))
        if not self.plfs or not set(self.plfs) <= set(LOSSES):
            raise ValueError(f"plfs: expected some of {', '.join(LOSSES)}, got {self.plfs}")
        if self.encoder not in ("train", "frozen"):
            raise ValueError(f"encoder: expected 'train' or 'frozen', got {self.encoder!r}")
        if self.precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision: expected float32 or bfloat16, got {self.precision!r}")
        for name in ("steps", "batch", "critic_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if not 0 <= self.average < 1:
            raise ValueError(f"average: expected a value in [0, 1), got {self.average}")
        if self.frames is not None:
            object.__setattr__(self, "frames", tuple(self.frames))
            if not self.frames or min(self.frames) < 1:
                raise ValueError(f"frames: expected numbers from 1, got {self.frames}")
        if self.cell is not None:
            object.__setattr__(self, "cell", tuple(float(rate) for rate in self.cell))
        if self.rates is not None:
            object.__setattr__(self, "rates", tuple(float(rate) for rate in self.rates))
            if not all(math.isfinite(rate) and rate > 0 for rate in self.rates):
                raise ValueError(f"rates: expected finite values > 0, got {self.rates}")

    @property
    def trained(self) -> tuple[int, ...] | None:
        """Frames to train, from 0; None is all."""
        return None if self.frames is None else tuple(t - 1 for t in self.frames)


def train(
    stage: Stage,
    codec: nn.Module,
    batch: Batch,
    make_critic: MakeCritic,
    folder: Path | str,
    *,
    device: str = "cpu",
    checkpoint_seconds: float = 60.0,
    log_every: int = 50,
    progress: bool = True,
    position: int = 0,
    channels_last: bool = False,
    compiled: bool = False,
) -> nn.Module:
    """Run one stage, or the rest of it if the folder holds a checkpoint of it.

    Parameters
    ----------
    stage : Stage
        What to train.
    codec : torch.nn.Module
        Codec with the methods of `neural.codecs.block.BlockCodec`; it is trained in place.
    batch : callable, (generator, n) -> (n, T, ...) tensor
        Draws source frames; all its randomness must come from the generator.
    make_critic : callable, (frames) -> torch.nn.Module
        Network of a critic of that many frames, (n, frames, ...) -> (n,).
    folder : path
        Where `checkpoint.pt` and `log.jsonl` go.
    device : str
        Where to compute.
    checkpoint_seconds : float
        Time between checkpoints.
    log_every : int
        Steps between lines of the log.
    progress : bool
        Show a progress bar.
    position : int
        Line of the progress bar, for runs side by side.
    channels_last : bool
        Store weights of convolutions in the layout that tensor cores like.
    compiled : bool
        Compile the networks of the codec (not the critics: the gradient penalty needs second
        derivatives, which compiled code has none of).

    Returns
    -------
    torch.nn.Module
        The codec, with averaged parameters and tables for coding.

    Raises
    ------
    ValueError
        The folder holds a checkpoint of another stage.
    """
    run = Run(stage, codec, make_critic, torch.device(device), channels_last)
    if compiled:
        for module in codec.networks():  # type: ignore[operator]
            module.compile()
    first = is_first_process()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "checkpoint.pt"
    if path.exists():
        run.load_state(torch.load(path, map_location=device, weights_only=True))
    saved, began = time.monotonic(), time.monotonic()
    with (
        _log(folder / "log.jsonl", run.step) as log,
        tqdm(
            total=stage.steps,
            initial=run.step,
            desc=stage.name,
            position=position,
            disable=not (progress and first),
        ) as bar,  # fmt: skip
    ):
        while run.step < stage.steps:
            seen = run.advance(batch)
            bar.update()
            if not first:
                continue
            if run.step % log_every == 0 or run.step == stage.steps:
                line = {"step": run.step, "seconds": time.monotonic() - began, **seen()}
                log.write(json.dumps(line) + "\n")
            if run.step == stage.steps or time.monotonic() - saved >= checkpoint_seconds:
                log.flush()
                save(path, run.state())
                saved = time.monotonic()
    run.finish(batch)
    return codec


class Run:
    """State of a stage under way: networks, optimisers, prices, and the number of the step.

    Parameters
    ----------
    stage : Stage
        What to train.
    codec : torch.nn.Module
        The codec.
    make_critic : callable
        Network of a critic of a number of frames.
    device : torch.device
        Where to compute.
    channels_last : bool
        Store weights of convolutions in the layout that tensor cores like.
    """

    def __init__(
        self,
        stage: Stage,
        codec: Any,
        make_critic: MakeCritic,
        device: torch.device,
        channels_last: bool = False,
    ) -> None:
        self.stage, self.codec, self.device, self.step = stage, codec.to(device), device, 0
        count = codec.noise_shape(1)[1]
        if stage.rates is not None and len(stage.rates) != count:
            raise ValueError(f"rates: expected {count} values, got {len(stage.rates)}")
        self.frames = [t - 1 for t in stage.frames or range(1, count + 1)]
        if max(self.frames) >= count:
            raise ValueError(f"frames: expected at most {count}, got {max(self.frames) + 1}")
        self.critics = nn.ModuleDict(
            {
                plf: nn.ModuleList(
                    _seeded(make_critic, 1 if plf == "FMD" else t + 1, stage.seed)
                    for t in self.frames
                )
                for plf in stage.plfs
                if plf != "MMSE"
            }
        ).to(device)
        if channels_last:
            codec.to(memory_format=torch.channels_last)
            self.critics.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if stage.batch % processes():
            raise ValueError(f"batch: expected a multiple of {processes()}, got {stage.batch}")
        self.batch = stage.batch // processes()
        trained = [codec.decoders[plf][t] for plf in stage.plfs for t in self.frames]
        if self.trains_encoder:
            trained += codec.encoding_modules(self.frames)
        freeze(codec)
        for module in trained:
            module.train().requires_grad_(True)
        self.parameters = [p for module in trained for p in module.parameters()]
        self.average = [p.detach().clone() for p in self.parameters]
        fused = {"fused": True, "betas": (0.5, 0.99)} if self.critics else {"fused": True}
        self.optimiser = torch.optim.Adam(self.parameters, stage.lr, **fused)
        self.critic_optimiser = (
            torch.optim.Adam(self.critics.parameters(), stage.critic_lr, **fused)
            if self.critics
            else None
        )

    @property
    def trains_encoder(self) -> bool:
        """Whether the encoder takes part."""
        return self.stage.encoder == "train"

    def advance(self, batch: Batch) -> Callable[[], State]:
        """Make one step.

        Parameters
        ----------
        batch : callable, (generator, n) -> (n, T, ...) tensor
            Draws source frames.

        Returns
        -------
        callable
            Gives what the step saw, as numbers for the log.
        """
        stage, codec = self.stage, self.codec
        generator, data = self._generators()
        self._set_learning_rates()
        last = max(self.frames) + 1
        x = batch(data, self.batch)[:, :last].to(self.device)
        noise = torch.randn(codec.noise_shape(self.batch), generator=generator, device=self.device)[
            :, :last
        ]
        with self._autocast():
            with torch.set_grad_enabled(self.trains_encoder):
                latents = codec.represent(x, lambda k, y: codec.quantisers[k].noisy(y, generator))
                rate = codec.bits(latents).mean(0)
            shown = {plf: codec.show(plf, latents, noise).float() for plf in stage.plfs}
        gap = self._train_critics(x, shown, generator)
        errors = {plf: (x - frames).square().flatten(2) for plf, frames in shown.items()}
        distortion = {plf: error.mean((0, 2)) for plf, error in errors.items()}
        loss = sum(value[self.frames].sum() for value in distortion.values())
        with self._autocast():
            for plf, t, critic in self._critics():
                loss = loss + stage.realism * adversarial_loss(
                    critic, compared(plf, t, x, shown[plf])[1]
                )
        if self.trains_encoder and stage.rates is not None and rate.requires_grad:
            # the miss itself damps what its sum, the price, would make swing
            miss = (rate.detach() - rate.new_tensor(stage.rates)).clamp(-1, 1)
            average_over_processes([miss])
            loss = loss + ((codec.log_price + miss).exp() * rate).sum()
            codec.log_price += stage.price_lr * miss
        self.optimiser.zero_grad()
        loss.backward(inputs=self.parameters)
        average_over_processes(p.grad for p in self.parameters)
        self.optimiser.step()
        for kept, now in zip(self.average, self.parameters, strict=True):
            kept.lerp_(now.detach(), 1 - stage.average)
        self.step += 1
        return lambda: {
            "rate": rate.tolist(),
            "distortion": {plf: value.tolist() for plf, value in distortion.items()},
            "w1": {name: value.item() for name, value in gap.items()},
        }

    def _train_critics(
        self, x: Tensor, shown: dict[str, Tensor], generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Take the critics' steps; return their estimates of W1 after them."""
        if self.critic_optimiser is None:
            return {}
        for _ in range(self.stage.critic_steps):
            with self._autocast():
                losses = [
                    critic_loss(critic, *compared(plf, t, x, shown[plf]), generator)
                    for plf, t, critic in self._critics()
                ]
            self.critic_optimiser.zero_grad()
            torch.stack(losses).sum().backward()
            average_over_processes(p.grad for p in self.critics.parameters())
            self.critic_optimiser.step()
        with torch.no_grad():
            return {
                f"{plf} {t + 1}": distance(critic, *compared(plf, t, x, shown[plf]))
                for plf, t, critic in self._critics()
            }

    def _critics(self) -> Iterator[tuple[str, int, nn.Module]]:
        for plf in self.critics:
            for t, critic in zip(self.frames, cast(Any, self.critics[plf]), strict=True):
                yield plf, t, critic

    def _generators(self) -> tuple[torch.Generator, torch.Generator]:
        """Randomness of a step for the device, and for the data: those are the same everywhere."""
        seed = _step_seed(self.stage.seed, self.step, process())
        data = torch.Generator().manual_seed(seed)
        if self.device.type == "cpu":
            return data, data
        return torch.Generator(self.device).manual_seed(seed), data

    def _autocast(self) -> torch.autocast:
        half = self.stage.precision == "bfloat16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=half)

    def _fall(self) -> float:
        """Half cosine from 1 to 0 over the stage."""
        return 0.5 * (1 + math.cos(math.pi * self.step / self.stage.steps))

    def _set_learning_rates(self) -> None:
        pairs = [(self.optimiser, self.stage.lr), (self.critic_optimiser, self.stage.critic_lr)]
        for optimiser, lr in pairs:
            for group in optimiser.param_groups if optimiser else ():
                group["lr"] = lr * self._fall()

    def state(self) -> State:
        """Return all that is needed to go on."""
        return {
            "stage": _plain(self.stage),
            "step": self.step,
            "codec": self.codec.state_dict(),
            "critics": self.critics.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "critic_optimiser": self.critic_optimiser and self.critic_optimiser.state_dict(),
        }

    def load_state(self, state: State) -> None:
        """Go on from what `state` returned.

        Parameters
        ----------
        state : dict
            From a checkpoint.
        """
        if state["stage"] != _plain(self.stage):
            differing = [k for k, v in _plain(self.stage).items() if state["stage"].get(k) != v]
            raise ValueError(f"stage: the checkpoint was made with another {', '.join(differing)}")
        self.step = state["step"]
        self.codec.load_state_dict(state["codec"])
        self.critics.load_state_dict(state["critics"])
        for kept, saved in zip(self.average, state["average"], strict=True):
            kept.copy_(saved)
        self.optimiser.load_state_dict(state["optimiser"])
        if self.critic_optimiser is not None:
            self.critic_optimiser.load_state_dict(state["critic_optimiser"])

    @torch.no_grad()
    def finish(self, batch: Batch) -> None:
        """Put the averaged parameters into the codec, and fix the tables of a trained encoder.

        Parameters
        ----------
        batch : callable, (generator, n) -> (n, T, ...) tensor
            Draws source frames.
        """
        for now, kept in zip(self.parameters, self.average, strict=True):
            now.copy_(kept)
        freeze(self.codec)
        if self.trains_encoder:
            seed = _step_seed(self.stage.seed, self.stage.steps)
            data = torch.Generator().manual_seed(seed)
            last = max(self.frames) + 1
            self.codec.tabulate(lambda n: batch(data, n)[:, :last].to(self.device), self.frames)


def freeze(module: nn.Module) -> nn.Module:
    """Stop gradients and the statistics of normalisation layers; returns the module.

    Parameters
    ----------
    module : torch.nn.Module
        What should not change any more.
    """
    return module.eval().requires_grad_(False)


def save(path: Path, state: State) -> None:
    """Write a file for `torch.load(weights_only=True)`, replacing it as a whole.

    Parameters
    ----------
    path : Path
        File to write.
    state : dict
        Tensors, numbers, texts, lists and dicts.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    torch.save(state, partial)
    partial.replace(path)


def _plain(stage: Stage) -> State:
    """Fields of a stage as JSON would give them back."""
    return json.loads(json.dumps(asdict(stage)))


def _seeded(make: MakeCritic, frames: int, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make(frames)


def _step_seed(seed: int, step: int, process: int = 0) -> int:
    """32 bits, all that torch's generator on a CPU takes."""
    entropy = [seed, step, process] if process else [seed, step]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


def processes() -> int:
    """Return how many processes train together, each on its share of every batch."""
    return distributed.get_world_size() if _together() else 1


def process() -> int:
    """Return the number of this process among those that train together."""
    return distributed.get_rank() if _together() else 0


def is_first_process() -> bool:
    """Return whether this process writes the files."""
    return process() == 0


def barrier() -> None:
    """Wait for the processes that train together."""
    if _together():
        distributed.barrier()


def average_over_processes(tensors: Iterable[Tensor | None]) -> None:
    """Replace tensors by their means over the processes that train together.

    Parameters
    ----------
    tensors : iterable of tensor or None
        The same in number and shape in every process.
    """
    if _together():
        for tensor in tensors:
            if tensor is not None:
                distributed.all_reduce(tensor)
                tensor /= processes()


def _together() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _log(path: Path, step: int) -> Any:
    """Open the log for appending, without the lines after the checkpoint."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    path.write_text("".join(line for line in lines if json.loads(line)["step"] <= step))
    return path.open("a")
