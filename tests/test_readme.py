"""What the README says works."""

import re

import pytest

from tests.readme_examples import README, examples


@pytest.mark.parametrize("example", examples())
def test_examples_run(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {"__name__": "__main__"})


def test_make_targets_exist():
    makefile = README.with_name("Makefile").read_text()
    used = set(re.findall(r"\bmake ([a-z]+)\b", README.read_text()))
    assert used
    assert used <= set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))
