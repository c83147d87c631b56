"""While the compiled method is not ready, others answer: the same, with a certificate."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdp import JD, SA, GaussMarkov, Problem
from solvers import _compiled, solve, sweep
from solvers.methods import barrier, waiting
from solvers.methods.registry import METHODS

SOURCE = GaussMarkov.stationary(rho=0.9, frames=3)
INF = np.inf


@pytest.fixture
def nothing_compiled(monkeypatch):
    """A fresh machine: no kernel is ready, and a call of the compiled method is an error."""
    monkeypatch.setattr(waiting, "PATIENCE", 20.0)
    monkeypatch.setattr(waiting, "_spent", [0.0])
    monkeypatch.setattr(_compiled, "is_ready", lambda kernel: False)


class Called(AssertionError, Warning):
    """What ends a sweep, whatever method it is in."""


def refuse(*args, **kwargs):
    raise Called("the compiled method was called")


CASES = [
    (Problem(SOURCE, [0.1, 1, 1], JD(0.1)), "long-horizon"),
    (Problem(SOURCE, [0.1, 1, 1], SA(0.05)), "long-horizon"),
    (Problem(SOURCE, [0.1, 1, 1], JD(0.1), weights=[1, 0, 2]), "long-horizon"),
    (Problem(SOURCE, [0.1, 1, 1], SA([INF, 0.1, 0]), weights=1), "sdp"),
    (Problem(SOURCE, [0.1, 1, 1], JD([0, 0.1, 0.1]), weights=1), "sdp"),
]


@pytest.mark.parametrize(("problem", "method"), CASES)
def test_the_same_answer_without_compilation(problem, method, nothing_compiled, monkeypatch):
    compiled = solve(problem, "barrier")
    monkeypatch.setattr(barrier, "_run", refuse)
    found = solve(problem)
    assert found.method == method
    assert "the compiled method is not ready" in found.message
    assert found.objective == pytest.approx(compiled.objective, rel=2e-5)
    assert found.lower_bound <= compiled.objective * (1 + 1e-9)
    assert compiled.lower_bound <= found.objective * (1 + 1e-9)


@settings(max_examples=15)
@given(
    frames=st.integers(2, 6),
    rho=st.floats(-0.95, 0.95),
    level=st.floats(1e-3, 1.0),
    rates=st.lists(st.floats(0.05, 3), min_size=6, max_size=6),
    joint=st.booleans(),
    weighted=st.booleans(),
)
def test_stand_ins_certify_what_the_compiled_method_certifies(
    frames, rho, level, rates, joint, weighted
):
    source = GaussMarkov.stationary(rho=rho, frames=frames)
    loss = (JD if joint else SA)(level)
    problem = Problem(source, rates[:frames], loss, weights=1 if weighted else None)
    compiled = solve(problem, "barrier")
    for method in waiting.STAND_INS:
        scheme = method.solve(problem)
        assert scheme.lower_bound <= compiled.objective * (1 + 2e-5)
        if weighted:  # later frames of the sequential objective depend on rounding of earlier ones
            assert scheme.lower_bound == pytest.approx(compiled.objective, rel=2e-5)


def test_small_sweeps_do_not_compile_and_large_ones_do(nothing_compiled, monkeypatch):
    problem = Problem(SOURCE, [0.1, 1, 1], JD(0.1))
    levels = np.linspace(0.02, 0.1, 5)[:, None]
    compiled = sweep(problem.with_(source=SOURCE), levels=np.tile(levels, (80, 1)))
    monkeypatch.setattr(barrier, "_run", refuse)
    found = sweep(problem, levels=levels)
    assert (found.status == 0).all()
    np.testing.assert_allclose(found.objective, compiled.objective[:5], rtol=2e-5)
    with pytest.raises(AssertionError, match="the compiled method was called"):
        sweep(problem, levels=np.tile(levels, (80, 1)))


def test_many_calls_are_worth_the_compilation(nothing_compiled, monkeypatch):
    problem = CASES[0][0]
    assert solve(problem).method == "long-horizon"
    assert waiting._spent[0] > 0
    monkeypatch.setattr(waiting, "PATIENCE", waiting._spent[0])
    assert solve(problem).method == "barrier"


def test_where_no_other_method_is_quick_the_compiled_one_comes_first(nothing_compiled):
    source = GaussMarkov.stationary(rho=0.9, frames=waiting.FEW_FRAMES + 1)
    problem = Problem(source, 1.0, JD([0.0] + [0.1] * waiting.FEW_FRAMES), weights=1)
    names = [method.name for method in waiting.methods_in_order(problem)]
    assert names == ["barrier", "precise", "sdp"]


def test_closed_forms_do_not_ask_whether_kernels_are_ready(monkeypatch):
    monkeypatch.setattr(waiting, "PATIENCE", 20.0)
    monkeypatch.setattr(barrier, "is_compiled", refuse)
    assert solve(Problem(SOURCE, 1.0, JD(0.0))).method == "closed-form"


def test_stand_ins_are_methods_of_the_registry():
    for method in waiting.STAND_INS:
        assert method.name in METHODS


CODE = """
import numba, sys
from solvers._compiled import announced, is_ready, njit

@njit(cache=True)
def kernel(x):
    return x + 1

print(is_ready(kernel))
with announced(kernel, "a sum"):
    kernel(1.0)
print(is_ready(kernel), kernel.stats.cache_hits)
with announced(kernel, "a sum"):
    kernel(1.0)
"""


def test_a_stamp_says_that_a_kernel_is_ready(tmp_path):
    script = tmp_path / "kernel.py"
    script.write_text(CODE)

    def run():
        done = subprocess.run(
            [sys.executable, str(script)],
            env={"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.split("\n")[0], done.stderr

    assert run() == ("False", "compiling the solver of a sum: up to a minute, once; "
                     "`rdp warm-up` does it ahead\n")  # fmt: skip
    assert run() == ("True", "")
    script.write_text(CODE + "\n")  # numba compiles the kernels of a changed file again
    assert run()[0] == "False"
    for file in (tmp_path / "cache").rglob("*.nbc"):
        file.unlink()
    assert run()[0] == "False"


def test_warm_up_leaves_every_kernel_ready(capsys):
    from solvers._barrier import batch

    names = [name for name, _ in waiting.warm_up()]
    assert names == [*barrier.KERNELS.values(), "vector frames"]
    for name in barrier.KERNELS:
        assert _compiled.is_ready(getattr(batch, name))


def test_a_program_for_users_never_compiles_itself(nothing_compiled, monkeypatch):
    started = []

    class Beside:
        def __init__(self, command, **options):
            started.append(command)

        def terminate(self):
            started.append("terminated")

        def wait(self):
            pass

    monkeypatch.setattr(waiting.subprocess, "Popen", Beside)
    monkeypatch.setattr(waiting, "_spent", [1e9])
    with waiting.compiling_beside():
        assert "warm_up()" in started[0][-1]
        assert solve(CASES[0][0]).method == "long-horizon"
    assert started[1:] == ["terminated"]
    assert waiting.PATIENCE == 20.0
    monkeypatch.setattr(_compiled, "is_ready", lambda kernel: True)
    with waiting.compiling_beside():
        assert len(started) == 2
