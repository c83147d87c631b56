"""Kernels where no folder can be written, and kernels whose code has changed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from solvers._compiled import sources

ROOT = Path(__file__).resolve().parents[2]
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


def run(code, folder, cache):
    env = os.environ | {"NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(folder)}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=folder, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


def test_a_kernel_is_compiled_again_when_a_part_it_calls_has_changed(tmp_path):
    """Numba itself looks at the file of the kernel only, and would go on with the old part."""
    copy, cache = tmp_path / "copy", tmp_path / "cache"
    left_out = shutil.ignore_patterns("__pycache__", "*.nbi", "*.nbc")
    for package in ("rdp", "solvers"):
        shutil.copytree(ROOT / package, copy / package, ignore=left_out)
    kernels = copy / "solvers" / "_barrier"
    for file in kernels.glob("*.py"):
        file.unlink()
    (kernels / "__init__.py").write_text("")
    (kernels / "called.py").write_text(PART.format(2))
    (kernels / "outer.py").write_text(KERNEL)
    ask = "from solvers._barrier.outer import outer; from solvers._compiled import is_ready\n"
    ask += "print(is_ready(outer), outer(1.0), sum(outer.stats.cache_hits.values()))"
    announced = "from solvers._barrier.outer import outer; from solvers import _compiled\n"
    announced += "with _compiled.announced(outer, 'test'): outer(1.0)"
    run(announced, copy, cache)
    assert run(ask, copy, cache) == ["True", "3.0", "1"]
    touched = (kernels / "outer.py").stat()
    os.utime(kernels / "outer.py", ns=(touched.st_atime_ns, touched.st_mtime_ns + 10**9))
    assert run(ask, copy, cache) == ["True", "3.0", "1"]  # the same code, another time
    (kernels / "called.py").write_text(PART.format(5))
    assert run(ask, copy, cache) == ["False", "6.0", "0"]
    assert run(ask, copy, cache)[1:] == ["6.0", "1"]


PART = """
from solvers._parts import part

@part
def called(x):
    return {} * x
"""
KERNEL = """
from solvers._barrier.called import called
from solvers._compiled import njit

@njit(cache=True)
def outer(x):
    return called(x) + 1.0
"""


def test_kernels_take_code_from_the_files_of_their_digest_only():
    """Constants too: numba keeps their values with the compiled code."""
    for path in (ROOT / "solvers").rglob("*.py"):
        text = path.read_text()
        makes = path.name in ("_compiled.py", "_parts.py")
        if makes or not re.search(r"^@(part|njit)", text, re.M):
            continue
        near = {source.stem for source in sources(path)}
        assert {"_compiled", "_parts"} <= near  # options of the compiler
        package = ".".join(path.parent.relative_to(ROOT).parts)
        for module in re.findall(r"^from ((?:rdp|solvers)[\w.]*) import", text, re.M):
            home, _, name = module.rpartition(".")
            made_by = module in ("solvers._compiled", "solvers._parts")
            assert name in near, (path.name, module)
            assert made_by or home == package, (path.name, module)
