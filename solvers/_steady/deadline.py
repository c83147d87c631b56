"""How long steps may go on: whoever cannot wait takes the best scheme and bound so far."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_end: ContextVar[float] = ContextVar("end", default=math.inf)


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Stop steps after so many seconds; their scheme and bound hold, and may be far apart.

    Parameters
    ----------
    seconds : float
        From now on. One look at a scheme and its bound may take longer.

    Examples
    --------
    >>> with at_most(0.0):
    ...     time_is_up()
    True
    """
    before = _end.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _end.reset(before)


def time_is_up() -> bool:
    """Whether the steps should stop."""
    return time.monotonic() >= _end.get()
