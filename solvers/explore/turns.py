"""Whether the page still waits: long computations ask between steps, and end if it has gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class PageGone(Exception):
    """Nobody waits for the answer."""


def _never() -> bool:
    return False


_gone: ContextVar[Callable[[], bool]] = ContextVar("gone", default=_never)


@contextmanager
def waiting(gone: Callable[[], bool]) -> Iterator[None]:
    """Compute for a page; `gone` says whether it has gone.

    Examples
    --------
    >>> with waiting(lambda: True):
    ...     keep_going()
    Traceback (most recent call last):
    solvers.explore.turns.PageGone
    """
    before = _gone.set(gone)
    try:
        yield
    finally:
        _gone.reset(before)


def keep_going() -> None:
    """Return if somebody waits.

    Raises
    ------
    PageGone
        The page has gone.
    """
    if _gone.get()():
        raise PageGone
