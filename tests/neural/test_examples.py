"""The examples in the docstrings of `neural`, which is imported where there is torch only."""

import doctest
import importlib
import pkgutil

import pytest

pytest.importorskip("torch")

import neural

MODULES = [module.name for module in pkgutil.walk_packages(neural.__path__, "neural.")]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(name), optionflags=FLAGS).failed == 0
