"""One thread for small matrices."""

import os
import subprocess
import sys
from importlib import import_module

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from rdp.clip import compare
from rdp.clip._window_moments import jackknife

comparison = import_module("rdp.clip.compare")  # the package names a function like it

LATE = """
from rdp._threads import one_thread
with one_thread():
    pass
import scipy.linalg
from threadpoolctl import threadpool_info
with one_thread():
    print(*(one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"))
"""


def test_a_library_that_is_loaded_later_is_limited_too():
    told = {**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    made = subprocess.run(
        [sys.executable, "-c", LATE], env=told, capture_output=True, text=True, check=True
    )
    numbers = made.stdout.split()
    assert numbers
    assert set(numbers) == {"1"}


def test_clips_are_compared_with_one_thread(monkeypatch):
    seen = []

    def watched(*args):
        seen.extend(one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas")
        return jackknife(*args)

    monkeypatch.setattr(comparison, "jackknife", watched)
    clip = np.random.default_rng(0).uniform(0, 255, (3, 16, 16))
    with threadpool_limits(2, user_api="blas"):
        compare(clip, clip + 1)
    assert set(seen) == {1}
