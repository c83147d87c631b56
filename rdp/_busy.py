"""A line on the terminal that says that a command is still at work, where it says nothing else."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SILENCE = 2.0  # seconds without output before the line comes

_resting = threading.Event()  # the command waits for its user, and has nothing more to say


def rest() -> None:
    """End the line of :func:`never_silent`: from now on the command waits for its user."""
    _resting.set()


@contextmanager
def never_silent(name: str, silence: float = SILENCE, before: float = 0.0) -> Iterator[None]:
    """Say on the terminal of stderr how long a command is at work, whenever it is silent.

    The line is counted up in place, and erased by the next output. Progress bars count as output.
    Without a terminal nothing is said.

    Parameters
    ----------
    name : str
        The command.
    silence : float
        Seconds without output before the line comes.
    before : float
        Seconds of silence that have passed: those in which the program was loaded.
    """
    terminals = {id(stream): stream for stream in (sys.stderr, sys.stdout) if _is_terminal(stream)}
    if not _is_terminal(sys.stderr):
        yield
        return
    _resting.clear()
    line = _Line(name, silence, before)
    for stream in terminals.values():
        vars(stream)["write"] = line.watched(stream.write)
    teller = threading.Thread(target=line.tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        _resting.set()
        teller.join()
        for stream in terminals.values():
            del vars(stream)["write"]


def _is_terminal(stream: Any) -> bool:
    return hasattr(stream, "__dict__") and not stream.closed and bool(stream.isatty())


class _Line:
    """The line, and what was written last."""

    def __init__(self, name: str, silence: float, before: float) -> None:
        self.name, self.silence = name, silence
        self.began = self.last = time.monotonic() - before
        self.width = 0  # of the line on the screen
        self.free = True  # nothing else is on the line of the cursor
        self.lock = threading.RLock()  # again from a signal handler that writes
        self.write, self.flush = sys.stderr.write, sys.stderr.flush

    def watched(self, write: Any) -> Any:
        """The method `write` of a stream, which erases the line first."""

        def written(text: str) -> int:
            with self.lock:
                self._erase()
                if text:
                    self.last, self.free = time.monotonic(), text.endswith(("\n", "\r"))
                return int(write(text))

        return written

    def tell(self) -> None:
        """Write the line whenever it is due, until the command ends or waits for its user."""
        while not _resting.wait(min(self.silence, 1.0) / 4):
            with self.lock:
                now = time.monotonic()
                if self.free and now - self.last >= self.silence:
                    text = f"{self.name}: at work for {now - self.began:.0f} s"
                    self.write(f"\r{text}")
                    self.flush()
                    self.width = len(text)
        with self.lock:
            self._erase()

    def _erase(self) -> None:
        if self.width:
            self.write("\r" + self.width * " " + "\r")  # as every terminal understands it
            self.flush()
            self.width = 0
