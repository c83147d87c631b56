"""Files of trained codecs: those that stages leave to each other, and those for users.

Reading a file from elsewhere runs no code. A file holds a digest, which is compared when it is
read, and parameters that are not finite are refused. What a file claims about its codec is compared
with the parameters in it before memory is taken for the codec.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from neural.codecs.networks import freeze
from neural.interfaces import Codec, Task
from neural.tasks.blocks import BlockTask
from neural.tasks.clips import ClipTask
from neural.training.checkpoint import State, load, not_finite, save
from rdp._check import one_line
from rdp.perception import LOSSES

CODECS = Path(__file__).resolve().parent / "data" / "codecs"  # those that ship with the package
LARGE = 1024  # numbers from which a tensor is stored in half precision
TASKS: dict[str, Callable[..., Task]] = {"blocks": BlockTask, "clips": ClipTask}
_MOST_OPTIONS = 1 << 16  # characters of the options of a task
# what the content of a file can cause that has the right digest and is no codec
_MALFORMED = (
    ArithmeticError, AttributeError, AssertionError, LookupError, RuntimeError, TypeError,
    ValueError,
)  # fmt: skip


def save_model(path: Path, codec: Codec, **about: Any) -> None:
    """Write the parameters of a codec, with whatever else the reader needs.

    Raises
    ------
    ValueError
        A parameter is NaN or infinite: training diverged.
    """
    if (name := not_finite(codec.state_dict())) is not None:
        raise ValueError(f"{path}: expected finite parameters, got NaN or inf in {name}")
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
    advice = "delete it to train the stage again"
    saved = load(path, what="a trained model", advice=advice)
    try:
        return _fill(codec, saved, other_rates)
    except _MALFORMED as error:
        raise ValueError(
            f"{path}: expected a trained model, got {one_line(error)}; {advice}"
        ) from None


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
    """Return a state with its large tensors in half precision; names may share a tensor."""
    small: dict[int, torch.Tensor] = {}
    out: State = {}
    for name, value in state.items():
        if isinstance(value, torch.Tensor) and value.is_floating_point() and value.numel() >= LARGE:
            value = small.setdefault(value.data_ptr(), value.half())
        out[name] = value
    return out


def codec_names() -> list[str]:
    """Return the names of the trained codecs that ship with the package."""
    return sorted(path.stem for path in CODECS.glob("*.pt"))


def load_codec(name: Path | str) -> Codec:
    """Read a trained codec: frozen, on the CPU.

    Parameters
    ----------
    name : path
        Name of a codec that ships with the package, as "digits-12-16", or a file that ``python -m
        neural export`` wrote. "digits-12-16" takes clips of moving digits: tensors of shape
        (n, 2, 64, 64), white on black, with values in [0, 1].

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
    saved = load(path, what="an exported codec", advice="export the codec again")
    try:
        make = _maker(saved)
        with torch.device("meta"):  # shapes without memory
            empty = make()
            _add_decoders(empty, saved)
        _check_shapes(empty, saved)
        return freeze(_fill(make(), saved))
    except _MALFORMED as error:
        raise ValueError(f"{path}: expected an exported codec, got {one_line(error)}") from None


def _maker(saved: State) -> Callable[[], Codec]:
    """Return what makes the codec that a file describes."""
    task, rates, options = saved["task"], saved["rates"], saved["options"]
    if task not in TASKS:
        raise ValueError(f"task: expected one of {', '.join(TASKS)}, got {task!r}")
    if len(options) > _MOST_OPTIONS:
        raise ValueError(f"options: expected at most {_MOST_OPTIONS} characters")
    if not 1 <= len(rates) <= len(saved["state"]):
        raise ValueError(f"rates: expected those of the frames in the file, got {len(rates)}")
    made = TASKS[task](**json.loads(options))
    return lambda: made.make_codec(rates)


def _fill(codec: Codec, saved: State, other_rates: bool = False) -> Codec:
    _add_decoders(codec, saved)
    state = saved["state"]
    if (name := not_finite(state)) is not None:
        raise ValueError(f"NaN or inf in {name}")
    if other_rates:
        own = codec.state_dict()
        state = own | {k: v for k, v in state.items() if _shape(v) == _shape(own[k])}
    codec.load_state_dict(state)
    return codec


def _add_decoders(codec: Codec, saved: State) -> None:
    for plf in saved["decoders"]:
        if plf not in LOSSES:
            raise ValueError(f"decoders: expected some of {', '.join(LOSSES)}, got {plf!r}")
        if plf not in codec.decoders:
            codec.decoders.add(plf)


def _check_shapes(codec: Codec, saved: State) -> None:
    """Compare the shapes of a codec without memory with those of the parameters in a file."""
    for name, value in codec.state_dict().items():
        if name not in saved["state"] or _shape(value) not in (None, _shape(saved["state"][name])):
            raise ValueError(f"options that do not fit the parameters in the file ({name})")


def _shape(value: Any) -> tuple[int, ...] | None:
    """Shape of a parameter; None of what is not a tensor."""
    return tuple(value.shape) if isinstance(value, torch.Tensor) else None
