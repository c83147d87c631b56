"""One thread for linear algebra on small matrices."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any


def one_thread() -> AbstractContextManager[Any]:
    """Limit BLAS to one thread inside a block.

    The matrices of this package are small. Threads that wait for one another can cost a hundred
    times what the arithmetic does, above all beside other work.
    """
    return _libraries().limit(limits=1, user_api="blas")


@cache
def _libraries() -> Any:
    import scipy.linalg  # noqa: F401  # a library of its own, which has to be loaded to be limited
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
