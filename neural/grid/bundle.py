"""Files of a grid that can be carried elsewhere: few, none larger than a limit.

====================  ===========================================================================
grid.json             what was done, step times, and what is left
results.zip           operating points and samples, as `neural/results` holds them
logs.zip              logs of training
codec.pt              one trained codec, for `neural.load_codec`
models-1.pt, ...      models that later calls start from, in half precision
====================  ===========================================================================
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from neural.model_files import halved
from neural.training.checkpoint import State, load, save

LIMIT = 15 << 20  # bytes of a file with models
FILES = 3  # files with models
RESULTS, LOGS, CODEC, RECORD = "results.zip", "logs.zip", "codec.pt", "grid.json"


def pack_files(target: Path, paths: Iterable[Path], folder: Path) -> None:
    """Write files as one archive, under their names in a folder; none is no archive."""
    found = sorted(paths)
    if not found:
        return
    partial = target.with_name(f"{target.name}.part")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in found:
            archive.write(path, path.relative_to(folder))
    partial.replace(target)


def unpack_files(source: Path, folder: Path) -> None:
    """Write the files of an archive into a folder, those that are there already excepted."""
    if not source.exists():
        return
    with zipfile.ZipFile(source) as archive:
        for name in archive.namelist():
            if not (folder / name).exists():
                archive.extract(name, folder)  # which keeps names inside the folder


def pack_models(folder: Path, models: Mapping[str, Path], limit: int = LIMIT) -> list[str]:
    """Write models in half precision as few files; return the names of those that fit.

    Parameters
    ----------
    folder : Path
        Files of earlier calls are replaced.
    models : dict of Path
        Files of `neural.model_files.save_model`; the first ones go first.
    limit : int
        Bytes of a file.
    """
    for old in folder.glob("models-*.pt"):
        old.unlink()
    kept: list[str] = []
    files: list[State] = []
    room: list[int] = []
    for name, path in models.items():
        saved = load(path)
        values = halved(saved["state"])
        sizes = {key: _bytes(value) for key, value in values.items()}
        places = _fit(sizes, room, limit)
        if places is None:
            continue
        kept.append(name)
        for key, number in places.items():
            while number >= len(files):
                files.append({"about": {}, "values": {}})
                room.append(limit)
            files[number]["values"].setdefault(name, {})[key] = values[key]
            files[number]["about"][name] = {k: v for k, v in saved.items() if k != "state"}
            room[number] -= sizes[key]
    for number, content in enumerate(files, 1):
        save(folder / f"models-{number}.pt", content)
    return kept


def unpack_models(folder: Path) -> dict[str, State]:
    """Return the models in a folder by name, as `neural.training.checkpoint.load` gives them."""
    found: dict[str, State] = {}
    for path in sorted(folder.glob("models-*.pt")):
        content = load(path)
        for name, values in content["values"].items():
            model = found.setdefault(name, {**content["about"][name], "state": {}})
            model["state"].update(values)
    return found


def _fit(sizes: Mapping[str, int], room: list[int], limit: int) -> dict[str, int] | None:
    """Number of the file for each tensor; None if they do not all fit."""
    left = [*room, *[limit] * (FILES - len(room))]
    places = {}
    for key, size in sizes.items():
        for number, space in enumerate(left):
            if size <= space:
                places[key] = number
                left[number] -= size
                break
        else:
            return None
    return places


def _bytes(value: Any) -> int:
    """Bytes of a tensor or of a dict of them in a file, with what stands around it."""
    if isinstance(value, torch.Tensor):
        return value.nbytes + 512
    if isinstance(value, dict):
        return 512 + sum(_bytes(item) for item in value.values())
    return 512
