"""Ctrl-C ends a training between two steps, so that it leaves a checkpoint of the last one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_asked = threading.Event()


def asked() -> bool:
    """Return whether somebody has pressed Ctrl-C since the handler was installed."""
    return _asked.is_set()


@contextmanager
def between_steps() -> Iterator[None]:
    """Note Ctrl-C inside the block, and raise KeyboardInterrupt at its end.

    Other threads than the main one get no signals: there the block changes nothing.
    """
    if threading.current_thread() is not threading.main_thread() or _is_ours():
        yield
        return
    before = signal.signal(signal.SIGINT, _note)
    try:
        yield
        if asked():
            raise KeyboardInterrupt
    finally:
        signal.signal(signal.SIGINT, before)
        _asked.clear()


def prepare_worker() -> None:
    """Let a process that works for another note Ctrl-C for good, from now on."""
    signal.signal(signal.SIGINT, _note)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


@contextmanager
def held_back() -> Iterator[None]:
    """Deliver Ctrl-C only at the end of the block, in which workers are started.

    They inherit that until they call `prepare_worker`.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _note(number: int, frame: Any) -> None:
    _asked.set()


def _is_ours() -> bool:
    return signal.getsignal(signal.SIGINT) is _note
