"""`njit` for the kernels of this package: keeps compiled code where a folder can be written."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numba

_told: list[bool] = []


def njit(**options: Any) -> Callable[[Any], Any]:
    """Return the decorator `numba.njit`, without a cache where no folder can be written.

    The first kernel that cannot be cached gives one warning.
    """

    def compiled(function: Any) -> Any:
        try:
            return numba.njit(**options)(function)
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
