"""One thread for small matrices."""

import os
import subprocess
import sys

LATE = """
from solvers._threads import one_thread
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
