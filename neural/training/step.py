"""What one step of training is, the same for the plain loop and for a captured graph.

A step draws samples, lets the critics take their steps, and then moves the codec. It works on
tensors that stay where they are. It makes no tensor from numbers of Python, creates no generator,
and does not wait for the device: so CUDA can record it once and replay it
(`neural.training.graph`). What differs from step to step (learning rates, weight of realism, seed)
is set before each step by `Step.schedule`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import nn

from neural.codecs.networks import freeze
from neural.interfaces import Batch, Codec, MakeCritic
from neural.training.critics import (
    adversarial_loss,
    compared,
    critic_loss,
    distance,
    first_compared,
    mismatched,
)
from neural.training.distributed import average_over_processes, process, processes
from neural.training.optimisers import adam, load_optimiser, set_rate
from neural.training.stage import Stage

Tensor = torch.Tensor


class Seen(NamedTuple):
    """What a step has seen; the next step of a captured graph writes into the same tensors.

    Parameters
    ----------
    x : (n, t, ...) tensor
        Source frames.
    made : dict of (n, t, ...) tensors
        Reconstructions by loss, before the codec moved.
    rate : (t,) tensor
        Bits of each frame.
    distortion : dict of (t,) tensors
        Mean squared error of each frame, by loss.
    """

    x: Tensor
    made: dict[str, Tensor]
    rate: Tensor
    distortion: dict[str, Tensor]


class Step:
    """One step of a stage: critics, optimisers and averages, and what is done with them.

    Parameters
    ----------
    stage : Stage
    codec : Codec
        Moved to the device, and trained in place.
    make_critic : callable
        See `neural.interfaces.MakeCritic`.
    device : torch.device
    channels_last : bool
        Store weights of convolutions with the channels last.

    Raises
    ------
    ValueError
        Stage and codec do not fit together; the message names the field.
    """

    def __init__(
        self,
        stage: Stage,
        codec: Codec,
        make_critic: MakeCritic,
        device: torch.device,
        channels_last: bool = False,
    ) -> None:
        self.stage, self.codec, self.device = stage, codec.to(device), device
        self.frames = _frames(stage, codec)
        if stage.batch % processes():
            raise ValueError(f"batch: expected a multiple of {processes()}, got {stage.batch}")
        self.batch = stage.batch // processes()
        self.critics = nn.ModuleDict(
            {
                plf: nn.ModuleList(
                    _seeded(
                        make_critic, t + 1 - first_compared(plf, t, stage.window), stage.seed
                    )
                    for t in self.frames
                )
                for plf in stage.plfs
                if plf != "MMSE"
            }
        ).to(device)
        if channels_last:
            codec.to(memory_format=torch.channels_last)
            self.critics.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        trained = [codec.decoders.of(plf)[t] for plf in stage.plfs for t in self.frames]
        if stage.trains_encoder:
            trained += codec.encoder_modules(self.frames)
        freeze(codec)
        for module in trained:
            module.train().requires_grad_(True)
        self.parameters: list[Tensor] = [p for m in trained for p in m.parameters()]
        self.average = [p.detach().clone() for p in self.parameters]
        betas = (0.5, 0.99) if self.critics else (0.9, 0.999)
        self.optimiser = adam(self.parameters, stage.lr, betas, device)
        self.critic_optimiser = (
            adam(self.critics.parameters(), stage.critic_lr, stage.critic_betas, device)
            if self.critics
            else None
        )
        self.generator = torch.Generator(device)
        self.realism = torch.full((), stage.realism, device=device)
        self.rates = None if stage.rates is None else torch.tensor(stage.rates, device=device)

    def schedule(self, number: int) -> None:
        """Set what differs from step to step, for the step of this number, from 0."""
        stage = self.stage
        fall = 0.5 * (1 + math.cos(math.pi * number / stage.steps))  # half cosine from 1 to 0
        set_rate(self.optimiser, stage.lr * fall)
        if self.critic_optimiser is not None:
            set_rate(self.critic_optimiser, stage.critic_lr * fall)
        self.realism.fill_(stage.realism_at(number))
        self.generator.manual_seed(step_seed(stage.seed, number, process()))

    def moves(self, number: int) -> bool:
        """Return whether the codec moves in the step of this number; else only critics do."""
        return number >= self.stage.critic_warmup

    def __call__(self, batch: Batch, moves: bool = True) -> Seen:
        """Make one step."""
        stage, codec = self.stage, self.codec
        last = max(self.frames) + 1
        x = batch(self.generator, self.batch)[:, :last].to(self.device)
        shape = codec.noise_shape(self.batch)
        noise = torch.randn(shape, generator=self.generator, device=self.device)[:, :last]
        with self.autocast():
            with torch.set_grad_enabled(stage.trains_encoder and moves):
                sent = codec.represent(x, self._channel)
                rate = codec.bits(sent).mean(0)
            with torch.set_grad_enabled(moves):
                made = {plf: codec.reconstruct(plf, sent, noise).float() for plf in stage.plfs}
        self._train_critics(x, made)
        errors = {plf: (x - frames).square().flatten(2) for plf, frames in made.items()}
        distortion = {plf: error.mean((0, 2)) for plf, error in errors.items()}
        if moves:
            self._train_codec(made, rate, distortion)
        return Seen(
            x,
            {plf: frames.detach() for plf, frames in made.items()},
            rate.detach(),
            {plf: value.detach() for plf, value in distortion.items()},
        )

    def _channel(self, k: int, y: Any) -> Tensor:
        return self.codec.quantisers[k].noisy(y, self.generator)

    def _train_critics(self, x: Tensor, made: dict[str, Tensor]) -> None:
        """Take the critics' steps."""
        if self.critic_optimiser is None:
            return
        for _ in range(self.stage.critic_steps):
            with self.autocast():
                losses = self._critic_losses(x, made)
            self.critic_optimiser.zero_grad()
            torch.stack(losses).sum().backward()
            average_over_processes(p.grad for p in self.critics.parameters())
            self.critic_optimiser.step()

    def _critic_losses(self, x: Tensor, made: dict[str, Tensor]) -> list[Tensor]:
        """What the critics minimise, one loss for each."""
        losses = []
        for plf, t, critic in self._each_critic():
            target, reconstruction = compared(plf, t, x, made[plf], self.stage.window)
            loss = critic_loss(critic, target, reconstruction, self.generator)
            if self.stage.mismatched and plf == "JD" and len(target[0]) > 1:
                wrong = mismatched(t, x, made[plf], self.stage.window)
                loss = loss + self.stage.mismatched * critic_loss(
                    critic, target, wrong, self.generator
                )
            losses.append(loss)
        return losses

    def _train_codec(
        self, made: dict[str, Tensor], rate: Tensor, distortion: dict[str, Tensor]
    ) -> None:
        """Take the codec's step, and let the averages and the price of a bit follow."""
        sums = [torch.stack([value[t] for t in self.frames]).sum() for value in distortion.values()]
        loss = cast(Tensor, sum(sums)) + self._price(rate)
        with self.autocast():
            for plf, t, critic in self._each_critic():
                seen = compared(plf, t, made[plf], made[plf], self.stage.window)[1]
                loss = loss + self.realism * adversarial_loss(critic, seen)
        self.optimiser.zero_grad()
        loss.backward(inputs=self.parameters)
        average_over_processes(p.grad for p in self.parameters)
        self.optimiser.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.average, self.parameters, 1 - self.stage.average)

    def _price(self, rate: Tensor) -> Tensor | float:
        """Price of the bits. It rises where the rate is above the one asked for."""
        log_price = self.codec.log_price
        if self.rates is None or log_price is None or not self.stage.trains_encoder:
            return 0.0
        # the price is the sum of the misses; the miss beside it damps its oscillation
        miss = (rate.detach() - self.rates).clamp(-1, 1)
        average_over_processes([miss])
        price = ((log_price + miss).exp() * rate).sum()
        log_price += self.stage.price_lr * miss
        return price

    def _each_critic(self) -> Iterator[tuple[str, int, nn.Module]]:
        """Loss, frame from 0, and critic."""
        for plf in self.critics:
            for t, critic in zip(self.frames, cast(Any, self.critics[plf]), strict=True):
                yield plf, t, critic

    def autocast(self) -> torch.autocast:
        """Return the context of the arithmetic that the stage asks for."""
        half = self.stage.precision == "bfloat16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=half)

    @torch.no_grad()
    def numbers(self, seen: Seen) -> dict[str, Any]:
        """Return the numbers of the last step for the log; this waits for the device."""
        w1 = {
            f"{plf} {t + 1}": distance(
                critic, *compared(plf, t, seen.x, seen.made[plf], self.stage.window)
            ).item()
            for plf, t, critic in self._each_critic()
        }
        return {
            "rate": seen.rate.tolist(),
            "distortion": {plf: value.tolist() for plf, value in seen.distortion.items()},
            "w1": w1,
        }

    def state(self) -> dict[str, Any]:
        """Return all that later steps depend on."""
        return {
            "codec": self.codec.state_dict(),
            "critics": self.critics.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "critic_optimiser": self.critic_optimiser and self.critic_optimiser.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned, on any device."""
        self.codec.load_state_dict(state["codec"])
        self.critics.load_state_dict(state["critics"])
        for kept, saved in zip(self.average, state["average"], strict=True):
            kept.copy_(saved)
        load_optimiser(self.optimiser, state["optimiser"])
        if self.critic_optimiser is not None:
            load_optimiser(self.critic_optimiser, state["critic_optimiser"])

    @torch.no_grad()
    def finish(self) -> None:
        """Put the averaged parameters into the codec, which ends the training."""
        for now, kept in zip(self.parameters, self.average, strict=True):
            now.copy_(kept)
        freeze(self.codec)


def step_seed(seed: int, step: int, process: int = 0) -> int:
    """Return the seed of a step: 32 bits, all that torch's generator on a CPU takes."""
    entropy = [seed, step, process] if process else [seed, step]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


def _frames(stage: Stage, codec: Codec) -> list[int]:
    """Frames that the stage trains, from 0."""
    count = codec.frames
    if stage.rates is not None and len(stage.rates) != count:
        raise ValueError(f"rates: expected {count} values, got {len(stage.rates)}")
    frames = [t - 1 for t in stage.frames or range(1, count + 1)]
    if max(frames) >= count:
        raise ValueError(f"frames: expected at most {count}, got {max(frames) + 1}")
    return frames


def _seeded(make: MakeCritic, frames: int, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make(frames)
