"""Settings of all tests: one thread per process, no display, reproducible examples."""

import os

import pytest
from hypothesis import HealthCheck, settings

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(threads, "1")  # libraries read them when they load
os.environ["MPLBACKEND"] = "agg"

# No deadline: times vary on shared machines, and a first call may compile a kernel.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture(autouse=True)
def compiled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiled method answers from the first call on, whatever is in numba's cache."""
    from solvers.methods import waiting

    monkeypatch.setattr(waiting, "PATIENCE", 0.0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests marked `gpu` if torch finds no CUDA device."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked and not _cuda():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


def _cuda() -> bool:
    try:
        import torch
    except ModuleNotFoundError:
        return False
    return torch.cuda.is_available()
