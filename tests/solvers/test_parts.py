"""Parts of kernels: code that only the kernel that calls them turns into machine code."""

import subprocess
import sys

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba.core.codegen import JITCodeLibrary

from solvers import _parts
from solvers._barrier import batch
from solvers._parts import Part, part

NUMBERS = st.floats(-1e3, 1e3)


@part
def scaled(values, factor):
    total = 0.0
    for value in values:
        total += value * factor
    return total


@part
def ratio(values, factor, over):
    return scaled(values, factor) / over


@part
def count(values):
    return np.zeros(len(values)).size


@numba.njit(error_model="numpy")
def kernel(values, over):
    return ratio(values, 2.0, over) + scaled(values, 3.0) + count(values)


@given(values=st.lists(NUMBERS, min_size=1, max_size=5), over=st.floats(0.1, 10))
def test_a_kernel_of_parts_is_the_function_in_python(values, over):
    values = np.array(values)
    own = 2.0 * values.sum() / over + 3.0 * values.sum() + len(values)
    np.testing.assert_allclose(kernel(values, over), own, rtol=1e-12, atol=1e-9)


def test_division_by_zero_is_infinite_as_in_numpy():
    assert kernel(np.ones(2), 0.0) == np.inf
    assert ratio(np.ones(2), -1.0, 0.0) == -np.inf


def test_python_may_call_a_part():
    assert ratio(np.array([1.0, 2.0]), 2.0, 3.0) == pytest.approx(2.0, rel=1e-15)
    assert ratio.whole is ratio.whole  # compiled once


def test_a_newer_numba_compiles_parts_like_other_functions(monkeypatch):
    monkeypatch.setattr(_parts, "NEWEST", (0, 1))
    plain = part(scaled.py_func)
    assert not isinstance(plain, Part)
    assert plain(np.ones(2), 3.0) == 6.0


def test_the_pinned_numba_is_known():
    assert numba.version_info.short <= _parts.NEWEST


def test_only_the_kernel_becomes_machine_code(monkeypatch):
    made = []
    usual = JITCodeLibrary._finalize_specific

    def watched(library):
        made.append(library.name)
        usual(library)

    monkeypatch.setattr(JITCodeLibrary, "_finalize_specific", watched)

    @part
    def inner(x):
        return 2.0 * x

    @part
    def middle(x):
        return inner(x) + inner(x)

    @numba.njit
    def outer(x):
        return middle(x) + inner(x)

    assert outer(1.5) == 9.0
    assert ["outer" in name for name in made] == [True]
    assert inner(1.0) == 2.0
    assert len(made) == 2


def test_errors_of_types_name_the_part():
    @part
    def wrong(x):
        return x.nowhere

    @numba.njit
    def outer(x):
        return wrong(x)

    with pytest.raises(numba.TypingError, match="nowhere"):
        outer(1.0)


def test_an_exception_leaves_a_part():
    @part
    def refuses(x):
        if x < 0:
            raise ValueError("negative")
        return x

    @numba.njit
    def outer(x):
        return refuses(x)

    assert outer(1.0) == 1.0
    with pytest.raises(ValueError, match="negative"):
        outer(-1.0)


def test_without_compilation_a_part_is_the_function():
    code = "from solvers._parts import part\ndef half(x): return x / 2\nassert part(half) is half"
    subprocess.run(
        [sys.executable, "-c", code], env={"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": "."}, check=True
    )


def test_all_that_the_barrier_kernels_call_are_parts():
    kernels = {"sequential_points", "weighted_points", "two_frame_points"}
    found = {name: value for name, value in vars(batch).items() if hasattr(value, "py_func")}
    assert {name for name, value in found.items() if not isinstance(value, Part)} == kernels
    called = {"solve_sequential", "solve_weighted", "solve_two", "measure_losses", "store_scheme"}
    assert called <= {name for name, value in found.items() if isinstance(value, Part)}
