"""A step of training that CUDA records once and replays, so that a step is one launch."""

from __future__ import annotations

import torch

from neural.interfaces import Batch
from neural.training.step import Seen, Step

WARM = 3  # steps before the recording: they allocate, choose algorithms and compile


class CapturedStep:
    """A step on CUDA; call it as the step that it records.

    The first steps run one by one on a stream of their own, and count. Then the step is recorded,
    once with a codec that moves and once without where both occur, and replayed from there on.
    `Step.schedule` works between replays: learning rates and weights are tensors that the graph
    reads, and the graph takes the seed that its generator has at each replay.
    """

    def __init__(self, step: Step) -> None:
        self.step = step
        self._warm: dict[bool, int] = {}
        self._graphs: dict[bool, tuple[torch.cuda.CUDAGraph, Seen]] = {}

    def __call__(self, batch: Batch, moves: bool = True) -> Seen:
        """Make one step; the result is overwritten by the next one."""
        if moves not in self._graphs:
            taken = self._warm[moves] = self._warm.get(moves, 0) + 1
            if taken <= WARM:
                return self._directly(batch, moves)
            self._graphs[moves] = self._record(batch, moves)
        graph, seen = self._graphs[moves]
        graph.replay()
        return seen

    def _directly(self, batch: Batch, moves: bool) -> Seen:
        side, main = torch.cuda.Stream(self.step.device), torch.cuda.current_stream()
        side.wait_stream(main)
        with torch.cuda.stream(side):
            seen = self.step(batch, moves)
        main.wait_stream(side)
        return seen

    def _record(self, batch: Batch, moves: bool) -> tuple[torch.cuda.CUDAGraph, Seen]:
        torch.cuda.synchronize(self.step.device)
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.step.generator)
        with torch.cuda.graph(graph):
            seen = self.step(batch, moves)
        return graph, seen
