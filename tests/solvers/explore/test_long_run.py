"""The long run on the page: the numbers of `steady_state`, and words where there are none."""

import re

import numpy as np
import pytest

from rdp import JD, GaussMarkov
from solvers.explore import long_run
from solvers.explore.long_run import steady
from solvers.explore.request import parse
from solvers.steady_state import steady_state

ASKED = {"frames": 2, "rho": 0.9, "rates": [1, 0.1], "levels": [0, 0]}
SOURCE = GaussMarkov.stationary(rho=0.9, frames=2)


def of(answer, plf):
    table = answer["tables"]["steady"]
    return [d for d, name in zip(table["distortion"], table["plf"], strict=True) if name == plf]


@pytest.mark.parametrize("level", [0.0, 0.01])
def test_every_loss_has_its_period_and_its_cost(level):
    answer = steady(parse({**ASKED, "levels": [level, level]}))
    assert answer["text"] == ""
    for row in answer["schedule"]:
        plf = row["plf"]
        loss = None if plf == "MMSE" else JD(level) if plf == "JD" else f"{plf}"
        if level and plf not in ("MMSE", "JD"):
            continue
        found = steady_state(SOURCE, [1, 0.1], loss)
        np.testing.assert_allclose(of(answer, plf), found.distortion)
        constant = steady_state(SOURCE, 0.55, loss).mean
        assert row["mean"] == pytest.approx(found.mean)
        assert row["percent"] == pytest.approx(100 * (found.mean / constant - 1))


def test_the_window_is_that_of_jd():
    asked = {**ASKED, "frames": 3, "rates": [1, 0.1, 0.1], "levels": [0, 0, 0], "window": 2}
    found = steady_state(SOURCE, [1, 0.1, 0.1], "JD(2)")
    np.testing.assert_allclose(of(steady(parse(asked)), "JD"), found.distortion)
    near = steady(parse({**asked, "levels": [0.1, 0.1, 0.1]}))
    assert near["text"] == ""
    near = steady(parse({**asked, "levels": [0.1, 0.0, 0.1]}))
    assert near["text"].startswith("PLF-JD: unsupported: steady_state: PLF-JD at P > 0 with a win")
    assert [row["plf"] for row in near["schedule"]] == ["MMSE", "FMD", "SA"]


@pytest.mark.parametrize("window", [None, 2])
def test_a_long_run_that_needs_long_says_what_is_known(window, monkeypatch):
    monkeypatch.setattr(long_run, "PATIENCE", 0.0)
    levels = [0.01, 0.01]
    asked = {**ASKED, "rho": 0.95, "levels": levels, "window": window}
    answer = steady(parse(asked))
    best = steady_state(GaussMarkov.stationary(0.95, 2), [1, 0.1], JD(levels, window=window))
    first, second = re.search(r"between (\S+) and (\S+)\. The command", answer["text"]).groups()
    assert "PLF-JD: stopped after 0 s" in answer["text"]
    assert float(first) <= best.mean * 1.001 <= float(second) * 1.002
    near = float(second) - float(first) < 0.1 * float(second)
    assert ("JD" in [row["plf"] for row in answer["schedule"]]) == near == (window is None)


@pytest.mark.parametrize(
    "change", [{"sigma": [1, 2]}, {"frames": 1, "rho": [], "rates": [1], "levels": [0]}]
)
def test_a_source_that_changes_has_no_long_run(change):
    answer = steady(parse({**ASKED, **change}))
    assert answer["schedule"] == []
    assert "needs two frames or more" in answer["text"]
