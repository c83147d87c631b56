"""Files of trained codecs: those that stages leave to each other, and those for users.

Reading a file from elsewhere runs no code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from neural.codecs.networks import freeze
from neural.interfaces import Codec, Task
from neural.tasks.blocks import BlockTask
from neural.tasks.clips import ClipTask
from neural.training.checkpoint import State, load, save

TASKS: dict[str, Callable[..., Task]] = {"blocks": BlockTask, "clips": ClipTask}


def save_model(path: Path, codec: Codec, **about: Any) -> None:
    """Write the parameters of a codec, with whatever else the reader needs."""
    save(path, {**about, "decoders": list(codec.decoders), "state": codec.state_dict()})


def load_model(path: Path, codec: Codec, other_rates: bool = False) -> Codec:
    """Put the parameters of a file into a new codec, and return it.

    Parameters
    ----------
    path : Path
        From `save_model`.
    codec : Codec
        Untrained.
    other_rates : bool
        Whether the file is of a codec of other rates. Then it gives the parameters whose shape is
        the same in both.

    Raises
    ------
    ValueError
        There is no such file, or it holds no such codec; the message names it.
    """
    if not path.exists():
        raise ValueError(f"{path}: not trained yet")
    try:
        saved = load(path)
    except (EOFError, OSError, RuntimeError, UnpicklingError) as error:
        raise ValueError(f"{path}: expected a trained model, got {error}") from None
    return _fill(codec, saved, other_rates)


def export_codec(
    path: Path, codec: Codec, task: str, options: dict[str, Any], rates: Sequence[float]
) -> None:
    """Write a trained codec as one file that `load_codec` reads.

    Parameters
    ----------
    path : Path
        File to write.
    codec : Codec
        Trained.
    task : str
        Name of its task in `TASKS`.
    options : dict
        Options of the task.
    rates : sequence of float
        Bits of each frame.
    """
    save_model(path, codec, task=task, options=json.dumps(options), rates=list(rates))


def load_codec(path: Path | str) -> Codec:
    """Read a codec that ``python -m neural export`` wrote: frozen, on the CPU.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is of another kind; the message names it.
    """
    try:
        saved = load(path)
        task = TASKS[saved["task"]](**json.loads(saved["options"]))
        return freeze(_fill(task.make_codec(saved["rates"]), saved))
    except FileNotFoundError:
        raise
    except (
        AttributeError,
        EOFError,
        KeyError,
        OSError,
        RuntimeError,
        TypeError,
        UnpicklingError,
        ValueError,
    ) as error:
        raise ValueError(f"{path}: expected an exported codec, got {error}") from None


def _fill(codec: Codec, saved: State, other_rates: bool = False) -> Codec:
    for plf in saved["decoders"]:
        if plf not in codec.decoders:
            codec.decoders.add(plf)
    state = saved["state"]
    if other_rates:
        own = codec.state_dict()
        state = own | {k: v for k, v in state.items() if _shape(v) == _shape(own[k])}
    codec.load_state_dict(state)
    return codec


def _shape(value: Any) -> tuple[int, ...] | None:
    """Shape of a parameter; None of what is not a tensor."""
    return tuple(value.shape) if isinstance(value, torch.Tensor) else None
