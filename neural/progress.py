"""How far the stages of an experiment are, as training would find them in their folders."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from neural.training.log import last_step
from neural.training.seal import CHECKPOINT, step_of
from neural.training.stage import Stage

MODEL = "model.pt"  # of a finished stage


class Progress(NamedTuple):
    """How far a stage is.

    Parameters
    ----------
    rates : str
        Rates of the frames that it depends on, as in the name of its folder.
    stage : str
    state : {"done", "under way", "missing", "damaged", "changed"}
        A stage is under way once there is a checkpoint, even if no process is running. Training
        refuses a damaged checkpoint, and a model after another number of steps than the file asks
        for now.
    step, steps : int
        The step from which training goes on, or of the model; and steps in all.
    seconds : float
        Time of these steps.
    """

    rates: str
    stage: str
    state: str
    step: int
    steps: int
    seconds: float


def found(folder: Path, stage: Stage) -> tuple[str, int]:
    """State of a stage and its step, as training would find them."""
    if (folder / MODEL).exists():
        try:
            step = last_step(folder)
        except ValueError:
            return "damaged", 0
        return ("done" if step == stage.steps else "changed"), step
    path = folder / CHECKPOINT
    if not path.exists():
        return "missing", 0
    try:
        return "under way", step_of(path)
    except ValueError:
        return "damaged", 0
