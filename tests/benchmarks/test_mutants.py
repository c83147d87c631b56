"""The table of mutants fits the code, and the tool tells survivors from the others."""

import subprocess

import pytest

from benchmarks import mutants as tool
from benchmarks.mutants import ROOT, Mutant, mutants, mutated, survivors


@pytest.mark.parametrize("mutant", mutants(), ids=lambda m: f"{m.file}: {m.what}")
def test_each_mutant_fits_its_file(mutant):
    content = (ROOT / mutant.file).read_text()
    compile(mutated(mutant, content), mutant.file, "exec")
    for test in mutant.tests:
        path, _, name = test.partition("::")
        assert f"def {name}" in (ROOT / path).read_text()


def test_there_are_enough_mutants():
    assert len(mutants()) >= 65
    assert len({(m.file, m.old, m.new) for m in mutants()}) == len(mutants())


@pytest.mark.parametrize("content", ["", "x = 1\nx = 1\n"])
def test_a_mutant_that_does_not_fit_is_refused(content):
    mutant = Mutant("", "a.py", "x = 1", "x = 2", (), True)
    with pytest.raises(ValueError, match=r"a\.py: expected 'x = 1' once, got it [02] times"):
        mutated(mutant, content)


def test_survivors_are_those_that_no_test_notices(tmp_path, capsys):
    (tmp_path / "a.py").write_text("def f(x):\n    return x + 1\n")
    (tmp_path / "test_a.py").write_text("from a import f\n\ndef test_f():\n    assert f(0) == 1\n")
    (tmp_path / "conftest.py").write_text("")

    def mutant(new):
        return Mutant(new, "a.py", "x + 1", new, ("test_a.py",), False)

    alive = mutant("x + 1 + 2 * x")
    assert survivors([mutant("x + 2"), alive, mutant("")], tmp_path) == [alive]
    assert (tmp_path / "a.py").read_text() == "def f(x):\n    return x + 1\n"
    assert capsys.readouterr().out.count("noticed a.py") == 2
    (tmp_path / "a.py").write_text("def f(x):\n    return x + 3\n")
    with pytest.raises(RuntimeError, match=r"test_a\.py: these tests fail without an error"):
        survivors([alive], tmp_path)


def test_the_copy_has_what_git_knows(tmp_path):
    if subprocess.run(["git", "rev-parse"], cwd=ROOT, capture_output=True).returncode:
        pytest.skip("not a checkout")
    tool.copy_repository(tmp_path)
    assert (tmp_path / "pyproject.toml").read_bytes() == (ROOT / "pyproject.toml").read_bytes()
    assert (tmp_path / "benchmarks" / "mutants.toml").exists()
    assert not (tmp_path / ".git").exists()
