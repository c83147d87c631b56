"""The seal on files of tensors, and the step of a checkpoint; without torch.

A sealed file ends with a mark and a digest of all bytes before it.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

CHECKPOINT = "checkpoint.pt"  # in the folder of a stage

_MARK = b"\ngauss-markov-rdp tensors 1\n"
_DIGEST_BYTES = 32


def sealed(body: bytes) -> bytes:
    """Return bytes with the mark and their digest, as files hold them."""
    return body + _MARK + hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest()


def unsealed(content: bytes) -> bytes | None:
    """Return the bytes that were sealed; None if the digest does not fit."""
    body = content[: -len(_MARK) - _DIGEST_BYTES]
    return body if content == sealed(body) else None


def check_size(body: bytes) -> None:
    """Refuse archives that unpack to more bytes than they have."""
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        if sum(item.file_size for item in archive.infolist()) > len(body):
            raise ValueError("an archive that unpacks to more than its size")


def step_of(path: Path) -> int:
    """Return the step of a checkpoint. Its tensors are not read, and no code in it is run.

    Raises
    ------
    ValueError
        The file is damaged or holds no step.
    OSError
        The file cannot be read.
    """
    body = unsealed(path.read_bytes())
    if body is None:
        raise ValueError(f"{path}: damaged")
    try:
        check_size(body)
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            (name,) = (n for n in archive.namelist() if n.endswith("/data.pkl"))
            step = _Numbers(archive.open(name)).load()["step"]
        if type(step) is not int:
            raise ValueError(f"step: expected an integer, got {step!r}")
    except Exception as error:  # unpickling raises any error
        raise ValueError(f"{path}: no checkpoint ({type(error).__name__})") from None
    return step


class _Nothing:
    """What stands for a tensor, and for all that torch would make."""

    def __init__(self, *args: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


class _Numbers(pickle.Unpickler):
    """Reads numbers, texts, lists and dicts, and leaves out tensors."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module.split(".")[0] == "torch":
            return _Nothing
        raise pickle.UnpicklingError(f"expected tensors, numbers and texts, got {module}.{name}")

    def persistent_load(self, pid: object) -> Any:
        return None
