"""Compiled kernels: how they are made, whether they are ready, and what a user is told meanwhile.

Numba compiles a kernel again when its file changes, and takes no notice of what the kernel calls.
So the cached code of a kernel is kept with a digest of the files it may call (:func:`sources`).

A kernel is ready where this process has compiled or loaded it, or where a stamp beside numba's
cached code says that an earlier process has. The stamp names everything that makes numba compile
again: this digest, the versions of Python and numba, and the processor.
"""

from __future__ import annotations

import gc
import hashlib
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import numba

from rdp._files import replacing

_told: list[bool] = []
_known: set[Any] = set()  # kernels that this process has called
_said: set[str] = set()  # messages that it has given


def njit(**options: Any) -> Callable[[Any], Any]:
    """Return the decorator `numba.njit`, without a cache where no folder can be written.

    The first kernel that cannot be cached gives one warning. Kernels are made without a wrapper for
    C, which nothing calls. What only kernels call is a part (:mod:`solvers._parts`).
    """
    options["no_cfunc_wrapper"] = True

    def compiled(function: Any) -> Any:
        try:
            return _kept_with_digest(numba.njit(**options)(function))
        except RuntimeError as error:
            if not options.get("cache") or "no locator available" not in str(error):
                raise
        if not _told:
            _told.append(True)
            warnings.warn(
                "no folder for compiled code can be written: every process compiles again; set "
                "NUMBA_CACHE_DIR to a folder that can be written",
                RuntimeWarning,
                stacklevel=2,
            )
        return numba.njit(**{**options, "cache": False})(function)

    return compiled


def sources(file: Path) -> list[Path]:
    """Return the files whose code a kernel may hold, and those that say how it is compiled.

    The first are its own, and all of a package of kernels.

    Parameters
    ----------
    file : Path
        File of the kernel. A package of kernels has a name that starts with an underscore.
    """
    held = sorted(file.parent.glob("*.py")) if file.parent.name.startswith("_") else [file]
    return [*held, Path(__file__), Path(__file__).with_name("_parts.py")]


@cache
def digest(file: Path) -> str:
    """Digest of the sources of the kernels of a file."""
    found = hashlib.sha256()
    for path in sources(file):
        found.update(path.read_bytes())
    return found.hexdigest()


def _kept_with_digest(kernel: Any) -> Any:
    """The kernel, whose cached code is loaded only where the digest is that of its sources."""
    index = getattr(getattr(kernel, "_cache", None), "_cache_file", None)
    if index is not None:  # there is none without a cache, or with NUMBA_DISABLE_JIT
        index._source_stamp = digest(Path(kernel.py_func.__code__.co_filename))
    return kernel


def is_ready(kernel: Any) -> bool:
    """Whether a call of a kernel starts at once, without compilation.

    Parameters
    ----------
    kernel : function made by :func:`njit`
        One that is called with arguments of one type only.
    """
    if not hasattr(kernel, "signatures") or kernel.signatures:  # NUMBA_DISABLE_JIT, or in memory
        return True
    stamp = _stamp(kernel)
    if stamp is None or not stamp.is_file():
        return False
    file, name = Path(kernel.py_func.__code__.co_filename), kernel.py_func.__name__
    kept = any(stamp.parent.glob(f"{file.stem}.{name}-*.nbc"))
    return kept and stamp.read_text(encoding="utf-8") == _state(kernel)


@contextmanager
def announced(kernel: Any, what: str, time: str = "up to a minute") -> Iterator[None]:
    """Say on stderr that a kernel is being compiled, unless it is ready; then stamp it.

    Meanwhile no garbage is collected: the compiler makes many objects and few cycles, and looking
    for them takes an eighth of the time.

    Parameters
    ----------
    kernel : function made by :func:`njit`
        What is called inside the context.
    what : str
        What it solves, for the message, which is given once for all its kernels.
    time : str
        How long it takes, for the message.
    """
    if kernel in _known:
        yield
        return
    ready = is_ready(kernel)
    if not ready and what not in _said:
        _said.add(what)
        print(
            f"compiling the solver of {what}: {time}, once; `rdp warm-up` does it ahead",
            file=sys.stderr,
            flush=True,
        )
    with nullcontext() if ready else _no_collection():
        yield
    _known.add(kernel)
    stamp = _stamp(kernel)
    if not ready and stamp is not None and stamp.parent.is_dir():
        with replacing(stamp, "w", encoding="utf-8") as text:
            text.write(_state(kernel))


@contextmanager
def _no_collection() -> Iterator[None]:
    """Leave cycles of garbage where they are."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _stamp(kernel: Any) -> Path | None:
    """Where the stamp of a kernel stands; None where its code is not kept."""
    if not hasattr(kernel, "stats") or not kernel.stats.cache_path:
        return None
    return Path(kernel.stats.cache_path, f"{kernel.py_func.__name__}.ready")


def _state(kernel: Any) -> str:
    """Everything that makes numba compile a kernel again when it changes."""
    from llvmlite import binding

    features = binding.get_host_cpu_features().flatten()
    return "\n".join(
        [
            f"numba {numba.__version__}",
            f"python {sys.version}",
            f"sources {digest(Path(kernel.py_func.__code__.co_filename))}",
            f"processor {binding.get_host_cpu_name()} {features}",
        ]
    )
