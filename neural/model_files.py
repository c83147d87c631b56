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

CODECS = Path(__file__).resolve().parent / "data" / "codecs"  # those that ship with the package
LARGE = 1024  # numbers from which a tensor is stored in half precision
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
    path: Path,
    codec: Codec,
    task: str,
    options: dict[str, Any],
    rates: Sequence[float],
    half: bool = False,
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
    half : bool
        Store large tensors in half precision. The bytes of such a codec are its own: only a codec
        that was read from the same file decodes them.
    """
    about = {"task": task, "options": json.dumps(_portable(options)), "rates": list(rates)}
    state = halved(codec.state_dict()) if half else codec.state_dict()
    save(path, {**about, "decoders": list(codec.decoders), "state": state})


def _portable(options: dict[str, Any]) -> dict[str, Any]:
    """Options without the folder of the data: who uses the codec need not have it."""
    data = options.get("data")
    if data is None:
        return options
    return {**options, "data": {k: v for k, v in data.items() if k not in ("folder", "cache")}}


def halved(state: State) -> State:
    """Return a state with its large tensors in half precision."""
    return {
        k: v.half() if isinstance(v, torch.Tensor) and v.is_floating_point() and v.numel() >= LARGE
        else v
        for k, v in state.items()
    }  # fmt: skip


def codec_names() -> list[str]:
    """Return the names of the trained codecs that ship with the package."""
    return sorted(path.stem for path in CODECS.glob("*.pt"))


def load_codec(name: Path | str) -> Codec:
    """Read a trained codec: frozen, on the CPU.

    Parameters
    ----------
    name : path
        Name of a codec that ships with the package, as "digits-12-16", or a file that ``python -m
        neural export`` wrote.

    Raises
    ------
    FileNotFoundError
        There is no such codec; the message lists those that ship with the package.
    ValueError
        The file is of another kind; the message names it.
    """
    path = Path(name)
    if str(name) in codec_names():
        path = CODECS / f"{name}.pt"
    elif not path.exists():
        known = ", ".join(codec_names()) or "none ships with the package"
        raise FileNotFoundError(f"{name}: expected a file or the name of a codec ({known})")
    try:
        saved = load(path)
        task = TASKS[saved["task"]](**json.loads(saved["options"]))
        return freeze(_fill(task.make_codec(saved["rates"]), saved))
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
