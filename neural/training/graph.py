"""A function that CUDA records once and replays, so that a step of training is one launch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import torch

from neural.interfaces import Batch
from neural.training.step import Seen, Step

WARM = 3  # calls before the recording: they allocate, choose algorithms and compile
T = TypeVar("T")


class Captured(Generic[T]):
    """A function of fixed tensors; call it as the function that it records.

    The first calls run as they are, on a stream of their own. Then the function is recorded, and
    replayed from there on. Its result is overwritten by each call. What changes from call to call
    are tensors that it reads and the seed of its generator, which a replay takes as it is then.
    """

    def __init__(
        self, function: Callable[[], T], generator: torch.Generator, device: torch.device
    ) -> None:
        self.function, self.generator, self.device = function, generator, device
        self._calls = 0
        self._recorded: tuple[torch.cuda.CUDAGraph, T] | None = None

    def __call__(self) -> T:
        """Make one call."""
        if self._recorded is None:
            self._calls += 1
            if self._calls <= WARM:
                return self._directly()
            self._recorded = self._record()
        graph, result = self._recorded
        graph.replay()
        return result

    def _directly(self) -> T:
        side, main = torch.cuda.Stream(self.device), torch.cuda.current_stream()
        side.wait_stream(main)
        with torch.cuda.stream(side):
            result = self.function()
        main.wait_stream(side)
        return result

    def _record(self) -> tuple[torch.cuda.CUDAGraph, T]:
        torch.cuda.synchronize(self.device)
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.generator)
        with torch.cuda.graph(graph):
            result = self.function()
        return graph, result


class CapturedStep:
    """A step on CUDA: one recording for steps in which the codec moves, one for the others."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self._recordings: dict[bool, Captured[Seen]] = {}

    def __call__(self, batch: Batch, moves: bool = True) -> Seen:
        """Make one step; the result is overwritten by the next one."""
        if moves not in self._recordings:
            self._recordings[moves] = Captured(
                lambda: self.step(batch, moves), self.step.generator, self.step.device
            )
        return self._recordings[moves]()
