"""A short run of the fuzzer: nothing wrong, nothing but the errors that are announced."""

from types import SimpleNamespace

import pytest

pytest.importorskip("benchmarks.fuzz", reason="benchmarks are in the repository only")

from benchmarks import fuzz

FAMILIES = [("usual", 2), ("extreme", 2), ("sequential", 1), ("long", 2)]


@pytest.mark.parametrize(("family", "count"), FAMILIES)
def test_random_problems_are_answered_right(family, count, monkeypatch):
    sweeps = family in ("usual", "extreme")
    monkeypatch.setitem(fuzz.SWEEP_EACH, family, 2 if sweeps else 0)
    tally = fuzz.fuzz(family, count, seconds=600, seed=2)
    assert tally.solves == count
    assert tally.points == (fuzz.GRID if sweeps else 0)
    assert not {what for what in tally.counts if what != "unsolved"}, tally.kept
    assert tally.counts["unsolved"] <= (0 if family != "extreme" else 1), tally.kept


def test_a_wrong_answer_is_seen():
    import numpy as np

    from rdp import JD, GaussMarkov, Problem

    problem = Problem(GaussMarkov.stationary(0.9, 2), 1.0, JD([0.1, 0.2]), weights=[1, 1])
    right = np.array([0.26, 0.2]), np.array([0.1, 0.2]), 0.46
    assert not list(fuzz.faults(problem, *right))
    for changed, name in (
        ((right[0] * 0.5, right[1], 0.23), "better than the MMSE"),
        ((right[0], right[1] + 1e-3, 0.46), "beyond a threshold"),
        ((right[0], right[1], 0.47), "bound above the answer"),
        ((right[0], right[1], 0.4), "bound far below"),
        ((right[0] * np.nan, right[1], 0.46), "distortion not finite"),
    ):
        assert name in list(fuzz.faults(problem, *changed))


def test_parts_of_a_run_are_summed_and_continued(tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz, "PART", {"sequential": 1})
    asked = []

    def found(family, count, seconds, seed, part):
        asked.append((family, count, seed, part))
        tally = fuzz.Tally(solves=count, worst_gap=part * 1e-9, slowest=2.0)
        tally.note("unsolved", f"problem {part}")
        return tally

    monkeypatch.setattr(fuzz, "fuzz", found)
    clock = iter([0.0, 0.0, 1.0, 2.0, 0.0, 0.0, 2.0])
    monkeypatch.setattr(fuzz, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    path = tmp_path / "kept" / "parts.jsonl"
    fuzz.fuzz_in_parts(path, ["sequential"], 2.0, 7)
    sums = fuzz.fuzz_in_parts(path, ["sequential"], 2.0, 7)
    assert asked == [("sequential", 1, 7, part) for part in range(3)]
    row = sums["sequential"].row("sequential")
    assert (row["solves"], row["unsolved"], row["wrong"]) == (3, 3, 0)
    assert row["largest relative gap"] == 2e-9
    assert sums["sequential"].kept["unsolved"] == [f"'problem {part}'" for part in range(3)]


def test_random_problems_with_free_rates_are_answered_right():
    tally = fuzz.fuzz("rates", 3, seconds=600, seed=2)
    assert tally.solves == 3
    assert not tally.counts, tally.kept


def test_a_wrong_split_and_a_wrong_least_rate_are_seen(monkeypatch):
    """Distortions that are too small, and rates of which some are missing."""
    import numpy as np

    from benchmarks import fuzz_free_rates
    from rdp import JD, GaussMarkov, Problem

    problem = Problem(GaussMarkov.stationary(0.9, 2), 1.0, JD(0.1), weights=[1, 1])
    right = fuzz_free_rates.allocate, fuzz_free_rates.minimum_rate

    def split(*asked):
        found = right[0](*asked)
        object.__setattr__(found, "lower_bound", found.objective * 1.01)
        object.__setattr__(found, "rates", found.rates * 1.01)
        return found

    def least(*asked):
        found = right[1](*asked)
        object.__setattr__(found, "rates", found.rates * 0.99)
        object.__setattr__(found, "lower_bound", found.total * 1.01)
        return found

    monkeypatch.setattr(fuzz_free_rates, "allocate", split)
    monkeypatch.setattr(fuzz_free_rates, "minimum_rate", least)
    rng = np.random.default_rng(1)
    seen = {what for what, _ in fuzz_free_rates.check_free_rates(problem, rng, fuzz.faults)}
    expected = {"beyond the budget", "bound above the answer", "better than possible at its rates"}
    assert expected | {"bound far below", "bound above what its rates reach"} <= seen
