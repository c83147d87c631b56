"""Files that are there as a whole or not at all, and locks of folders."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

PathLike = str | os.PathLike[str]

_HANDLES = "/proc/self/fd/"  # where open files without a name have one
_PART = ".part"  # how names of temporary files end
# what numpy raises for files that are no .npz, or are damaged
_BROKEN: tuple[type[Exception], ...] = (
    AttributeError,
    EOFError,
    KeyError,
    NotImplementedError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


@contextmanager
def replacing(path: PathLike, mode: str = "wb", **options: Any) -> Iterator[IO[Any]]:
    """Yield a file to write; it replaces the file at `path` when the block ends without an error.

    The content goes to a temporary file beside it, to the disk, and then takes the place of the old
    file in one step. A full disk, an error or a kill leaves the old file as it was. Where the
    system can, the temporary file has no name before it is whole, so that a kill leaves no part. A
    link stays a link. What is not a regular file, such as a pipe, is written directly.

    Parameters
    ----------
    path : path
        File to write.
    mode : {"wb", "w"}
        Bytes or text.
    **options : Any
        Options of `open`, such as encoding and newline.

    Raises
    ------
    OSError
        The file cannot be written; the error names `path`.
    """
    target = Path(os.path.realpath(path))
    name = target.with_name(f"{_prefix(target)}{secrets.token_hex(4)}{_PART}")
    try:
        if target.exists() and not target.is_file():
            with target.open(mode, **options) as file:
                yield file
            return
        try:
            with ExitStack() as opened:
                unnamed = _unnamed(target.parent, opened)
                created = mode if unnamed else mode.replace("w", "x")
                file = opened.enter_context(open(unnamed or name, created, **options))
                yield file
                file.flush()
                os.fsync(file.fileno())
                if unnamed:
                    _give_name(unnamed, name, file.fileno())
            if target.exists():
                shutil.copymode(target, name)
            os.replace(name, target)
        except BaseException:
            name.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)
    except OSError as error:
        own = error.filename is None or os.fspath(error.filename).startswith(_HANDLES)
        if not own and Path(error.filename) not in (name, target):
            raise  # the block had trouble with a file of its own
        raise naming(error, path) from error


def _unnamed(folder: Path, opened: ExitStack) -> str | None:
    """Open a file in a folder that has no name, until it is linked; None where this cannot be."""
    flags = getattr(os, "O_TMPFILE", None)
    if flags is None:
        return None
    try:
        handle = os.open(folder, flags | os.O_RDWR, 0o666)
    except OSError:
        return None  # of the file system, or of the folder, which the file with a name will say
    opened.callback(os.close, handle)
    place = f"{_HANDLES}{handle}"
    return place if os.path.exists(place) else None


def _give_name(unnamed: str, name: Path, handle: int) -> None:
    """Give the open file `unnamed` a name, or, where the system cannot, copy it to one."""
    try:
        os.link(unnamed, name, src_dir_fd=handle)  # without a handle it links the link
    except OSError:
        shutil.copyfile(unnamed, name)
        with name.open("rb") as copied:
            os.fsync(copied.fileno())


def remove_partial(path: PathLike) -> None:
    """Remove what killed processes left while they wrote a file; none may be writing it now."""
    target = Path(os.path.realpath(path))
    for item in target.parent.iterdir():
        if item.name.startswith(_prefix(target)) and item.name.endswith(_PART):
            item.unlink()


def _prefix(target: Path) -> str:
    return f".{target.name[:50]}."


def naming(error: OSError, path: PathLike, advice: str = "") -> OSError:
    """Return the error of the operating system again, with the name of the file and advice."""
    reason = f"{error.strerror or error}{advice}"
    return OSError(error.errno or 0, reason, os.fspath(path))


def _sync_folder(folder: Path) -> None:
    """Bring a new name in a folder to the disk, where the system can do so."""
    with suppress(OSError):  # some file systems, and Windows, cannot
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read_arrays(path: PathLike, what: str) -> dict[str, np.ndarray]:
    """Return the arrays of a .npz file by name; ValueError names a file that is damaged."""
    with open(path, "rb") as file:
        try:
            with np.load(file, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except _BROKEN as error:
            raise ValueError(f"{path}: expected {what}, got {error}; delete it") from None


@contextmanager
def locked(path: PathLike) -> Iterator[None]:
    """Hold a lock on a file, which is made if it does not exist, until the block ends.

    The system releases the lock when the process ends, however it ends.

    Raises
    ------
    ValueError
        Another process, or another block of this one, holds the lock.
    """
    with open(path, "ab") as file:
        if not _taken(file):
            raise ValueError(
                f"{path}: expected a folder that no other process works in; wait until it has "
                "ended, or take another folder"
            )
        yield


def _taken(file: IO[bytes]) -> bool:
    """Take the lock of an open file, until it is closed; False where another holds it."""
    if sys.platform == "win32":
        import msvcrt

        file.seek(0)  # where the locked byte is, which need not exist
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
