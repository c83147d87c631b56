"""A problem is checked once, when it is made, and then does not change."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from numpy.testing import assert_allclose

from rdp import FMD, JD, AutoRegressive, GaussMarkov, LinearFrames, Problem, measure
from tests.strategies import problems

SOURCE = GaussMarkov.stationary(0.9, 3)


def test_scalars_hold_for_all_frames():
    problem = Problem(SOURCE, 0.5, weights=2.0)
    assert problem.rates.tolist() == [0.5] * 3
    assert problem.weights.tolist() == [2.0] * 3
    assert problem.thresholds.tolist() == [math.inf] * 3
    assert (problem.plf, problem.encoder) == ("MMSE", "optimal")


def test_rates_of_vector_frames_are_totals():
    problem = Problem(GaussMarkov.stationary([0.1, 0.2], 3), [1.0, 2.0, math.inf], FMD([0, 1, 2]))
    assert problem.rates.shape == (3,)
    assert problem.thresholds.tolist() == [0, 1, 2]
    assert problem.plf == "FMD"


@given(problems(weighted=None))
def test_a_problem_is_inert_and_travels(problem):
    for array in (problem.rates, problem.source.sigma):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0
    with pytest.raises(AttributeError):
        problem.rates = 0.0
    other = pickle.loads(pickle.dumps(problem))
    assert (other.rates == problem.rates).all()
    assert (other.thresholds == problem.thresholds).all()
    assert other.plf == problem.plf


@pytest.mark.parametrize("name", ["FMD", "jd", "Sa", "MMSE", None])
def test_a_loss_may_be_given_by_name(name):
    problem = Problem(SOURCE, 1.0, name)
    assert problem.plf == (name or "MMSE").upper()
    level = math.inf if problem.perception is None else 0.0
    assert problem.thresholds.tolist() == [level] * 3


def test_weights_of_the_objective():
    assert Problem(SOURCE, 1.0).frame_weights.tolist() == [1.0] * 3
    assert Problem(SOURCE, 1.0, weights=[1, 0, 2]).frame_weights.tolist() == [1.0, 0.0, 2.0]


def test_a_problem_keeps_a_copy():
    rates = np.ones(3)
    problem = Problem(SOURCE, rates)
    rates[0] = 9.0
    assert problem.rates[0] == 1.0


def test_changes_make_a_new_checked_problem():
    problem = Problem(SOURCE, 0.5, JD(0.1))
    assert problem.with_(rates=1.0).rates.tolist() == [1.0] * 3
    assert problem.rates.tolist() == [0.5] * 3
    assert problem.with_(perception=None).plf == "MMSE"
    with pytest.raises(ValueError, match="rates: expected values >= 0"):
        problem.with_(rates=-1.0)


BAD = [
    ({"rates": [1.0, 1.0]}, r"rates: expected shape \(3,\) for 3 frames, got \(2,\)"),
    ({"rates": [[1.0, 1.0, 1.0]]}, r"rates: expected shape \(3,\) for 3 frames, got \(1, 3\)"),
    ({"rates": [1.0, -0.5, 1.0]}, "rates: expected values >= 0, got -0.5"),
    ({"rates": math.nan}, "rates: expected numbers, got NaN"),
    ({"rates": "fast"}, "rates: expected numbers, got 'fast'"),
    ({"rates": None}, "rates: expected numbers, got"),
    ({"source": "X"}, "source: expected a GaussMarkov, got str"),
    ({"perception": "JDS"}, "perception: expected one of MMSE, FMD, JD, SA, got 'JDS'"),
    ({"perception": 0.1}, "perception: expected one of MMSE, FMD, JD, SA, got 0.1"),
    ({"perception": JD([0.1, 0.1])}, r"levels: expected shape \(3,\) for 3 frames, got \(2,\)"),
    ({"weights": [1.0, 1.0]}, r"weights: expected shape \(3,\) for 3 frames, got \(2,\)"),
    ({"weights": [1.0, -1.0, 0.0]}, "weights: expected values >= 0, got -1"),
    ({"weights": [0.0, 0.0, 0.0]}, "weights: expected at least one weight > 0"),
    ({"weights": [1.0, math.inf, 0.0]}, "weights: expected finite values"),
    ({"weights": [1.0, 1e308, 0.0]}, r"weights: expected weighted variances whose sum is at most"),
    ({"source": GaussMarkov([5e153] * 3, 0.9)}, r"sigma: expected variances whose sum is at most"),
    ({"encoder": "best"}, "encoder: expected 'optimal' or 'mmse', got 'best'"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_input_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        Problem(**{"source": SOURCE, "rates": 0.5, **change})


def test_moments_give_the_number_of_frames_of_a_source_without_one():
    pair = AutoRegressive.from_poles(0.95 * np.exp([0.3j, -0.3j]))
    cov = pair.covariance(3)
    m = np.array([0.5, 0.3, 0.2])
    for source in (pair, LinearFrames(pair, 3)):
        assert_allclose(measure.distortion_of(source, m, cov, 0.5 * cov), [1.0, 1.0, 1.0])
        assert_allclose(measure.perception_of(source, cov, cov, "JD"), 0.0)
        with pytest.raises(ValueError, match="PLF-CP needs a first-order source"):
            measure.perception_of(source, cov, cov, "CP", m)
