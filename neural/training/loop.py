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
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from tqdm import tqdm

from neural.interfaces import (
    Batch,
    Codec,
    CountingCodec,
    DensityCodec,
    MakeCritic,
    SlopedCritic,
)
from neural.training.checkpoint import State, load, not_finite, save
from neural.training.distributed import is_first_process, processes
from neural.training.graph import CapturedStep
from neural.training.interrupt import asked, between_steps
from neural.training.log import ADVICE, Line, Log
from neural.training.seal import CHECKPOINT
from neural.training.stage import Stage
from neural.training.step import Seen, Step, step_seed
from rdp._check import one_line
from rdp._files import locked, naming, remove_partial

LOCK = "lock"  # held by the process that trains in a folder
VERSIONS = 1024  # of compiled networks


class OutOfTime(Exception):
    """A stage did not end in the time that it had; its checkpoint is there."""


def train(
    stage: Stage,
    codec: Codec,
    batch: Batch,
    make_critic: MakeCritic,
    folder: Path | str,
    *,
    device: str = "cpu",
    checkpoint_seconds: float = 60.0,
    until: float = math.inf,
    log_every: int = 50,
    progress: bool = True,
    position: int = 0,
    title: str | None = None,
    ahead: int = 0,
    channels_last: bool = False,
    compiled: bool = False,
    captured: bool = True,
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
        Time between checkpoints; inf writes one only where training runs out of time.
    until : float
        Time by `time.monotonic` after which training stops with a checkpoint.
    log_every : int
        Steps between lines of the log.
    progress : bool
        Show a progress bar.
    position : int
        Line of the progress bar, for runs side by side.
    title : str or None
        Words before the progress bar; None is the name of the stage.
    ahead : int
        Steps that this process makes after the stage, for the total time left.
    channels_last : bool
        Store weights of convolutions in the layout that tensor cores prefer.
    compiled : bool
        Compile the networks of the codec, and the critics that write their slope out
        (`neural.interfaces.SlopedCritic`). For others the gradient penalty needs second
        derivatives, which compiled code does not have.
    captured : bool
        On CUDA, record the step as a graph and replay it. Processes that train together do not.

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
    OutOfTime
        It did not end before ``until``.
    KeyboardInterrupt
        Somebody pressed Ctrl-C; the step under way was ended, and there is a checkpoint of it.
    """
    run = Run(stage, codec, make_critic, torch.device(device), channels_last, captured)
    if compiled:
        run.compile()
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
        saved, began, resumed = time.monotonic(), time.monotonic(), run.step
        with (
            tqdm(
                total=stage.steps,
                initial=run.step,
                desc=title or stage.name,
                position=position,
                disable=not (progress and first),
            ) as bar,
            between_steps(),
        ):
            while run.step < stage.steps:
                if asked():
                    if first:
                        run.save(path)
                    raise KeyboardInterrupt
                seen = run.advance(batch)
                bar.update()
                if log is None:
                    continue
                if run.step % log_every == 0 or run.step == stage.steps:
                    line = {"step": run.step, "seconds": time.monotonic() - began, **seen()}
                    log.write(line)
                    if not bar.disable:
                        speed = (run.step - resumed) / line["seconds"]
                        left = stage.steps - run.step + ahead
                        bar.set_postfix_str(_summary(line, speed, left), refresh=False)
                late = time.monotonic() >= until and run.step < stage.steps
                ended = run.step == stage.steps and math.isfinite(checkpoint_seconds)
                if late or ended or time.monotonic() - saved >= checkpoint_seconds:
                    run.save(path)
                    saved = time.monotonic()
                if late:
                    raise OutOfTime(f"{folder}: {run.step} of {stage.steps} steps")
        run.finish(batch)
    return codec


def _summary(line: Line, speed: float, left: int) -> str:
    """Return the mean distortion of each decoder, and the time that so many steps take."""
    words = [f"D({plf}) {sum(d) / len(d):.4g}" for plf, d in line["distortion"].items()]
    if left and speed > 0:
        words.append(f"in all {tqdm.format_interval(left / speed)} left")
    return ", ".join(words)


class Run:
    """State of a stage in training: its step, and how many were made."""

    def __init__(
        self,
        stage: Stage,
        codec: Codec,
        make_critic: MakeCritic,
        device: torch.device,
        channels_last: bool = False,
        captured: bool = True,
    ) -> None:
        self.stage, self.codec, self.device, self.step = stage, codec, device, 0
        self.one = Step(stage, codec, make_critic, device, channels_last)
        graph = captured and device.type == "cuda" and processes() == 1
        self._make: Callable[[Batch, bool], Seen] = CapturedStep(self.one) if graph else self.one

    def advance(self, batch: Batch) -> Callable[[], State]:
        """Make one step; returns a function that gives its numbers, until the next step."""
        self.one.schedule(self.step)
        seen = self._make(batch, self.one.moves(self.step))
        self.step += 1
        return lambda: self.one.numbers(seen)

    def compile(self) -> None:
        """Compile the networks before the first step; those of the same shapes share the code."""
        # all networks count as versions of one function, and each batch size is one more
        torch._dynamo.config.recompile_limit = VERSIONS
        torch._dynamo.config.accumulated_recompile_limit = VERSIONS
        for module in self.codec.networks():
            module.compile(dynamic=False)
        for critic in self.one.critics.modules():
            if isinstance(critic, SlopedCritic):
                critic.compile(dynamic=False)
                critic.slope = torch.compile(critic.slope, dynamic=False)

    def state(self) -> State:
        """Return all that is needed to go on."""
        return {"stage": self.stage.to_json(), "step": self.step, **self.one.state()}

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
        saved = Stage(**state["stage"]).to_json()  # fields that came later have their defaults
        if saved != self.stage.to_json():
            differing = [k for k, v in self.stage.to_json().items() if saved[k] != v]
            raise ValueError(f"stage: the checkpoint was made with another {', '.join(differing)}")
        step = state["step"]
        if type(step) is not int or not 0 <= step <= self.stage.steps:
            raise ValueError(f"step: expected 0..{self.stage.steps}, got {step!r}")
        self.step = step
        self.one.load_state(state)

    def finish(self, batch: Batch) -> None:
        """Put the averaged parameters into the codec, and fix the tables of a trained encoder."""
        self.one.finish()
        if self.stage.trains_encoder:
            self._fix_tables(batch)

    def _fix_tables(self, batch: Batch) -> None:
        if isinstance(self.codec, DensityCodec):
            self.codec.tabulate()
        if isinstance(self.codec, CountingCodec):
            data = torch.Generator().manual_seed(step_seed(self.stage.seed, self.stage.steps))
            last = max(self.one.frames) + 1
            self.codec.count_tables(
                lambda n: batch(data, n)[:, :last].to(self.device), self.one.frames
            )
