"""Kernels where no folder can be written."""

import os
import subprocess
import sys

CODE = """
from solvers._compiled import njit

@njit(cache=True)
def first(x):
    return x + 1

@njit(cache=True)
def second(x):
    return first(x) + 1

assert second(1) == 3
import solvers.methods._waterfilling_kernels
import solvers._barrier.slots
"""


def test_without_a_writable_folder_kernels_run_with_one_warning(tmp_path):
    (tmp_path / "kernel.py").write_text(CODE)
    drop = ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")
    env = {name: value for name, value in os.environ.items() if name not in drop}
    env |= {
        "HOME": "/dev/null/none",
        "NUMBA_CACHE_LOCATOR_CLASSES": "UserWideCacheLocator",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    ran = subprocess.run(
        [sys.executable, str(tmp_path / "kernel.py")], env=env, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("RuntimeWarning") == 1
    assert "NUMBA_CACHE_DIR" in ran.stderr
