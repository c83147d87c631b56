"""A line on stderr that says that a command is still at work, where it says nothing else."""

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
    """Say on stderr how long a command is at work, whenever it is silent.

    On a terminal the line is counted up in place, and erased by the next output. Progress bars
    count as output. In a pipe or a file, where there are no bars, a line comes after `silence`
    seconds, and each further one after a silence twice as long as the last: an hour of work has a
    dozen lines, a short command none.

    Parameters
    ----------
    name : str
        The command.
    silence : float
        Seconds without output before the line comes.
    before : float
        Seconds of silence that have passed, on a terminal: those in which the program was loaded.
    """
    if _is_terminal(sys.stderr):
        kind, heard = _Line, [stream for stream in (sys.stderr, sys.stdout) if _is_terminal(stream)]
    elif sys.stderr is sys.__stderr__ and _can_be_heard(sys.stderr):
        kind, heard = _Lines, [sys.stderr]
    else:
        yield
        return
    _resting.clear()
    line = kind(name, silence, before)
    streams = {id(stream): stream for stream in heard}
    for stream in streams.values():
        vars(stream)["write"] = line.watched(stream.write)
    teller = threading.Thread(target=line.tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        _resting.set()
        teller.join()
        for stream in streams.values():
            del vars(stream)["write"]


def _can_be_heard(stream: Any) -> bool:
    return hasattr(stream, "__dict__") and not stream.closed


def _is_terminal(stream: Any) -> bool:
    return _can_be_heard(stream) and bool(stream.isatty())


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
                    self._say(f"{self.name}: at work for {now - self.began:.0f} s")
        with self.lock:
            self._erase()

    def _say(self, text: str) -> None:
        self.write(f"\r{text}")
        self.flush()
        self.width = len(text)

    def _erase(self) -> None:
        if self.width:
            self.write("\r" + self.width * " " + "\r")  # as every terminal understands it
            self.flush()
            self.width = 0


class _Lines(_Line):
    """Lines that stay, each after a silence twice as long as the last one."""

    def __init__(self, name: str, silence: float, before: float) -> None:
        super().__init__(name, silence, before)
        self.last = time.monotonic()

    def _say(self, text: str) -> None:
        self.write(f"{text}\n")
        self.flush()
        self.silence *= 2
        self.last = time.monotonic()
