"""The compiled solver and the semidefinite program agree, on problems of benchmarks/agreement."""

import numpy as np
import pytest

from benchmarks.agreement import random_problem, rates_problem, rows, summary

PROBLEMS = 40


@pytest.fixture(scope="module")
def found():
    return list(rows(PROBLEMS, seed=1))


def test_objectives_agree(found):
    both = [row for row in found if "difference" in row]
    assert len(both) >= 0.95 * PROBLEMS
    worst = max(both, key=lambda row: abs(row["difference"]))
    assert abs(worst["difference"]) <= 1e-6, worst


def test_no_bound_is_above_what_a_solver_reaches(found):
    """A reported gap below the true error would show as a bound above the other objective."""
    for row in found:
        if "bound above" in row:
            assert row["bound above"] <= 1e-6, row


def test_whatever_is_not_solved_is_refused_aloud(found):
    for row in found:
        for method in ("barrier", "sdp"):
            assert row[f"{method} status"] in ("solved", "inaccurate", "failed")
            assert (row[f"{method} status"] == "solved") == (f"{method} gap" in row)


def test_problems_cover_what_they_should():
    drawn = [random_problem(np.random.default_rng([1, i])) for i in range(500)]
    assert {problem.source.frames for problem in drawn} == {1, 2, 3, 4, 5}
    assert {problem.plf for problem in drawn} == {"FMD", "JD", "SA"}
    assert {problem.encoder for problem in drawn} == {"optimal", "mmse"}
    levels = np.concatenate([problem.thresholds for problem in drawn])
    assert (levels == 0).any()
    assert np.isinf(levels).any()
    assert ((levels > 0) & (levels < np.inf)).mean() > 0.3
    rates = np.concatenate([problem.rates for problem in drawn])
    assert rates.min() == 0
    assert rates.max() == 10
    rho = np.concatenate([problem.source.rho for problem in drawn])
    assert {-1.0, 0.0, 1.0} <= set(rho)
    spread = [np.ptp(np.log10(problem.source.variance)) for problem in drawn]
    assert max(spread) > 3.5
    assert 0.3 < np.mean([problem.weights is None for problem in drawn]) < 0.7


def test_the_table_counts_every_problem(found):
    table = summary(found)
    assert sum(line["problems"] for line in table) == PROBLEMS
    assert sum(line["compared"] for line in table) == sum("difference" in row for row in found)


def test_high_rates_agree_with_140_digits():
    found = list(rows(6, seed=3, family="rates", methods=("auto", "precise")))
    both = [row for row in found if "difference" in row]
    assert len(both) >= 4
    for row in both:
        assert abs(row["difference"]) <= 1e-6, row
        assert row["bound above"] <= 1e-12, row
        assert row["auto gap"] <= 1e-6, row


def test_problems_of_high_rates_are_what_they_should():
    drawn = [rates_problem(np.random.default_rng([3, i])) for i in range(300)]
    assert {problem.source.frames for problem in drawn} == {1, 2, 3, 4, 5, 6}
    for problem in drawn:
        assert (np.abs(problem.source.rho) <= 0.9999991).all()
        assert problem.rates.min() >= 0
        assert problem.rates.max() <= 20
        least = 1e-9 * problem.source.variance.sum()
        assert ((problem.thresholds == 0) | (problem.thresholds >= 0.999 * least)).all()
