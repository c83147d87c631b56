r"""The training loop, one for every stage.

At each step, for the perception losses of the stage, minimise over the trained networks

.. math:: \sum_t D_t + \mu\, W_1(P_t, Q_t) + \beta_t R_t

:math:`W_1` is the estimate of critics (`neural.training.critics`), which are trained at the same
time. The price :math:`\beta_t` of a bit moves until the rate :math:`R_t` is the prescribed one.
W1 is an exact penalty: the distributions agree where :math:`\mu` exceeds the cost in distortion.
Stages:

- MMSE: encoder and decoder, end to end;
- universal: the encoder is frozen, one decoder for each loss;
- end to end: encoder and decoder for one loss.

All randomness of a step comes from the seed and the number of the step. A run that is killed and
started again from its last checkpoint therefore ends in the same numbers, on a CPU to the last bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from neural.codecs.networks import freeze
from neural.interfaces import Batch, Codec, CountingCodec, DensityCodec, MakeCritic
from neural.training.checkpoint import State, load, not_finite, one_line, save
from neural.training.critics import adversarial_loss, compared, critic_loss, distance
from neural.training.distributed import (
    average_over_processes,
    is_first_process,
    process,
    processes,
)
from neural.training.log import ADVICE, Log
from neural.training.stage import Stage
from rdp._files import locked, naming, remove_partial

Tensor = torch.Tensor

CHECKPOINT = "checkpoint.pt"
LOCK = "lock"  # held by the process that trains in a folder


def train(
    stage: Stage,
    codec: Codec,
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
) -> Codec:
    """Run one stage, or the rest of it if the folder holds a checkpoint of it.

    Parameters
    ----------
    stage : Stage
    codec : Codec
        It is trained in place.
    batch : callable, (generator, n) -> (n, T, ...) tensor
        Draws source frames; all its randomness must come from the generator.
    make_critic : callable, (frames) -> torch.nn.Module
        Returns an untrained critic, (n, frames, ...) -> (n,).
    folder : path
        Where the checkpoint and the log go.
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
        Store weights of convolutions in the layout that tensor cores prefer.
    compiled : bool
        Compile the networks of the codec. Critics are not compiled: the gradient penalty needs
        second derivatives, which compiled code does not have.

    Returns
    -------
    Codec
        The codec, with averaged parameters and tables for coding.

    Raises
    ------
    ValueError
        The folder holds a checkpoint of another stage or a damaged one, another process trains in
        it, or training diverges: then the last checkpoint before is kept.
    OSError
        The checkpoint or the log cannot be written. The last checkpoint is kept, and the message
        says how to go on.
    """
    run = Run(stage, codec, make_critic, torch.device(device), channels_last)
    if compiled:
        for module in codec.networks():
            module.compile()
    first = is_first_process()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / LOCK) if first else nullcontext():
        path = folder / CHECKPOINT
        if first:
            remove_partial(path)
        if path.exists():
            run.resume(path)
        log = Log(folder, run.step) if first else None
        saved, began = time.monotonic(), time.monotonic()
        with tqdm(
            total=stage.steps,
            initial=run.step,
            desc=stage.name,
            position=position,
            disable=not (progress and first),
        ) as bar:
            while run.step < stage.steps:
                seen = run.advance(batch)
                bar.update()
                if log is None:
                    continue
                if run.step % log_every == 0 or run.step == stage.steps:
                    log.write({"step": run.step, "seconds": time.monotonic() - began, **seen()})
                if run.step == stage.steps or time.monotonic() - saved >= checkpoint_seconds:
                    run.save(path)
                    saved = time.monotonic()
        run.finish(batch)
    return codec


class Run:
    """State of a stage in training: networks, optimisers, prices, and the number of the step."""

    def __init__(
        self,
        stage: Stage,
        codec: Codec,
        make_critic: MakeCritic,
        device: torch.device,
        channels_last: bool = False,
    ) -> None:
        self.stage, self.codec, self.device, self.step = stage, codec.to(device), device, 0
        count = codec.frames
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
        trained = [codec.decoders.of(plf)[t] for plf in stage.plfs for t in self.frames]
        if stage.trains_encoder:
            trained += codec.encoder_modules(self.frames)
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

    def advance(self, batch: Batch) -> Callable[[], State]:
        """Make one step; returns a function that gives the numbers of the step for the log."""
        stage, codec = self.stage, self.codec
        generator, data = self._generators()
        self._set_learning_rates()
        last = max(self.frames) + 1
        x = batch(data, self.batch)[:, :last].to(self.device)
        noise = torch.randn(codec.noise_shape(self.batch), generator=generator, device=self.device)[
            :, :last
        ]
        with self._autocast():
            with torch.set_grad_enabled(stage.trains_encoder):
                sent = codec.represent(x, lambda k, y: codec.quantisers[k].noisy(y, generator))
                rate = codec.bits(sent).mean(0)
            made = {plf: codec.reconstruct(plf, sent, noise).float() for plf in stage.plfs}
        w1 = self._train_critics(x, made, generator)
        errors = {plf: (x - frames).square().flatten(2) for plf, frames in made.items()}
        distortion = {plf: error.mean((0, 2)) for plf, error in errors.items()}
        loss = cast(Tensor, sum(value[self.frames].sum() for value in distortion.values()))
        with self._autocast():
            for plf, t, critic in self._critics():
                loss = loss + stage.realism * adversarial_loss(
                    critic, compared(plf, t, x, made[plf])[1]
                )
        log_price = codec.log_price
        if stage.trains_encoder and stage.rates is not None and log_price is not None:
            # the price is the sum of the misses; the miss beside it damps its oscillation
            miss = (rate.detach() - rate.new_tensor(stage.rates)).clamp(-1, 1)
            average_over_processes([miss])
            loss = loss + ((log_price + miss).exp() * rate).sum()
            log_price += stage.price_lr * miss
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
            "w1": {name: value.item() for name, value in w1.items()},
        }

    def _train_critics(
        self, x: Tensor, made: dict[str, Tensor], generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Take the critics' steps; return their estimates of W1 after them."""
        if self.critic_optimiser is None:
            return {}
        for _ in range(self.stage.critic_steps):
            with self._autocast():
                losses = [
                    critic_loss(critic, *compared(plf, t, x, made[plf]), generator)
                    for plf, t, critic in self._critics()
                ]
            self.critic_optimiser.zero_grad()
            torch.stack(losses).sum().backward()
            average_over_processes(p.grad for p in self.critics.parameters())
            self.critic_optimiser.step()
        with torch.no_grad():
            return {
                f"{plf} {t + 1}": distance(critic, *compared(plf, t, x, made[plf]))
                for plf, t, critic in self._critics()
            }

    def _critics(self) -> Iterator[tuple[str, int, nn.Module]]:
        for plf in self.critics:
            for t, critic in zip(self.frames, cast(Any, self.critics[plf]), strict=True):
                yield plf, t, critic

    def _generators(self) -> tuple[torch.Generator, torch.Generator]:
        """Randomness of a step: for the device, and for the data, which no device changes."""
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
            "stage": self.stage.to_json(),
            "step": self.step,
            "codec": self.codec.state_dict(),
            "critics": self.critics.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "critic_optimiser": self.critic_optimiser and self.critic_optimiser.state_dict(),
        }

    def save(self, path: Path) -> None:
        """Write a checkpoint; the last one is kept if it cannot be written, or if this diverged."""
        state = self.state()
        if (name := not_finite(state["average"])) is not None:
            raise ValueError(
                f"{path}: training diverged before step {self.step} (NaN or inf in parameter "
                f"{name}); the checkpoint from before is kept: lower lr, and begin anew"
            )
        try:
            save(path, state)
        except OSError as error:
            raise naming(error, path, ADVICE) from error

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint; ValueError names one that is damaged or of another stage."""
        advice = f"delete {path.name} to train the stage from its beginning"
        state = load(path, str(self.device), "a checkpoint of this stage", advice)
        try:
            self.load_state(state)
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError) as error:
            raise ValueError(
                f"{path}: expected a checkpoint of this stage, got {one_line(error)}; {advice}"
            ) from None
        except ValueError as error:
            raise ValueError(f"{path}: {one_line(error)}; {advice}") from None

    def load_state(self, state: State) -> None:
        """Go on from what `state` returned."""
        if state["stage"] != self.stage.to_json():
            differing = [k for k, v in self.stage.to_json().items() if state["stage"].get(k) != v]
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
        """Put the averaged parameters into the codec, and fix the tables of a trained encoder."""
        for now, kept in zip(self.parameters, self.average, strict=True):
            now.copy_(kept)
        freeze(self.codec)
        if self.stage.trains_encoder:
            self._fix_tables(batch)

    def _fix_tables(self, batch: Batch) -> None:
        if isinstance(self.codec, DensityCodec):
            self.codec.tabulate()
        if isinstance(self.codec, CountingCodec):
            seed = _step_seed(self.stage.seed, self.stage.steps)
            data = torch.Generator().manual_seed(seed)
            last = max(self.frames) + 1
            self.codec.count_tables(
                lambda n: batch(data, n)[:, :last].to(self.device), self.frames
            )


def _seeded(make: MakeCritic, frames: int, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make(frames)


def _step_seed(seed: int, step: int, process: int = 0) -> int:
    """32 bits, all that torch's generator on a CPU takes."""
    entropy = [seed, step, process] if process else [seed, step]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])
