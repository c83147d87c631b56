"""A solution's numbers are those of the scheme it carries, and of what the scheme draws."""

import dataclasses
import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from rdp import FMD, JD, SA, GaussMarkov, Problem, Status, gaussian
from rdp.mmse import mmse_recursion
from solvers import solve
from tests.strategies import PLFS, problems

N = 100_000
# Many moments are compared in each case, so 4 standard errors in place of 3.
ERRORS = 4.0

SOURCES = {
    "stationary": (GaussMarkov.stationary(0.9, 3), [0.5, 1.0, 0.2]),
    "lost first frame": (GaussMarkov.stationary(0.9, 3), [0.0, math.inf, 2.0]),
    "lost second frame": (GaussMarkov([1.0, 2.0, 0.5], [-0.7, 0.8]), [1.5, 0.0, 0.7]),
    "frozen": (GaussMarkov.stationary(1.0, 2), [0.3, 0.3]),
    "tiny and huge": (GaussMarkov([1e-6, 1e6], [0.8]), [0.7, 0.4]),
    "almost no rate": (GaussMarkov.stationary(0.5, 2), [1e-12, 500.0]),
    "one frame": (GaussMarkov([2.0]), [1.0]),
}
LOSSES = [None, FMD(0.0), FMD(0.05, metric="kl"), JD(0.0), SA(0.0)]


def second_moments(rows):
    """Mean products of columns, and their standard errors from the sample itself."""
    products = rows[:, :, None] * rows[:, None, :]
    return products.mean(axis=0), products.std(axis=0) / math.sqrt(len(rows))


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: getattr(loss, "name", "MMSE"))
def test_draws_have_the_moments_of_the_scheme(name, loss):
    source, rates = SOURCES[name]
    solution = solve(Problem(source, rates, loss))
    x, xhat, xtil = solution.simulate(N, rng=7, representation=True)
    frames = source.frames
    rows = np.hstack([x, xhat, xtil]) / np.tile(source.sigma, 3)
    found, error = second_moments(rows)
    pairs = np.outer(source.sigma, source.sigma)
    tolerance = ERRORS * error + 1e-6
    blocks = {
        "X": (found[:frames, :frames], source.covariance(), slice(0, frames)),
        "Xhat": (found[frames:-frames, frames:-frames], solution.cov_xhat, slice(frames, -frames)),
    }
    for moments, expected, place in blocks.values():
        assert (np.abs(moments - expected / pairs) < tolerance[place, place]).all()
    crossed = found[frames:-frames, -frames:] - solution.cross / pairs
    assert (np.abs(crossed) < tolerance[frames:-frames, -frames:]).all()

    square = (x - xhat) ** 2 / source.variance
    spread = square.std(axis=0) / math.sqrt(N)
    distance = np.abs(square.mean(axis=0) - solution.distortion / source.variance)
    assert (distance < ERRORS * spread + 1e-6).all()


@pytest.mark.parametrize("name", ["stationary", "lost second frame", "one frame"])
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: getattr(loss, "name", "MMSE"))
def test_draws_use_the_rate_of_the_problem(name, loss):
    """I(X_t; Xtil_t | Xtil_{t-1}) from partial correlations of the draws."""
    source, rates = SOURCES[name]
    x, _, xtil = solve(Problem(source, rates, loss)).simulate(N, rng=8, representation=True)
    for t, rate in enumerate(rates):
        news = xtil[:, t] - (source.gain[t] * xtil[:, t - 1] if t else 0.0)
        if rate == 0:
            assert np.abs(news).max() < 1e-9 * source.sigma[t]
            continue
        left = x[:, t] - (source.gain[t] * xtil[:, t - 1] if t else 0.0)
        correlation = np.corrcoef(left, news)[0, 1]
        wanted = math.sqrt(1 - 4.0**-rate)
        # Fisher: the inverse hyperbolic tangent of a correlation has deviation 1/sqrt(n)
        assert abs(math.atanh(correlation) - math.atanh(wanted)) < ERRORS / math.sqrt(N)


@pytest.mark.parametrize("loss", PLFS)
def test_draws_of_perfect_realism_have_the_right_law(loss):
    """The loss of the draws, from their sample covariance, is within noise of zero."""
    source, rates = SOURCES["stationary"]
    x, xhat = solve(Problem(source, rates, loss(0.0))).simulate(N, rng=9)
    for t in range(source.frames):
        keep = slice(t, t + 1) if loss is FMD else slice(0, t + 1)
        target = np.hstack([xhat[:, keep][:, :-1], x[:, t : t + 1]]) if loss is SA else x[:, keep]
        covs = [np.cov(rows.T).reshape(rows.shape[1], -1) for rows in (target, xhat[:, keep])]
        # each standard deviation is off by at most 4/sqrt(2 n), and W2 adds their squares
        assert gaussian.bures(*covs) < (t + 1) * 2 * ERRORS**2 / N


@given(problems(zero_perception=True, correlations=st.floats(-0.99, 0.99)))
@settings(max_examples=40)
def test_every_number_follows_from_the_scheme(problem):
    solution = solve(problem, method="closed-form")
    assert solution.problem is problem
    assert_allclose(solution.objective, solution.distortion.sum())
    assert_allclose(solution.gap, solution.objective - solution.lower_bound)
    assert_allclose(solution.mmse, mmse_recursion(problem.source, problem.rates).mmse)
    assert (solution.rates == problem.rates).all()
    again = solution.perception_under(problem.perception)
    assert_allclose(again, solution.perception)
    assert (again <= 1e-7 * problem.source.variance.sum()).all()


def test_a_scheme_is_judged_under_other_losses_too():
    """Perfect joint realism implies perfect marginals; not the other way round."""
    source, rates = SOURCES["stationary"]
    joint, marginal = (solve(Problem(source, rates, loss(0.0))) for loss in (JD, FMD))
    assert (joint.perception_under(FMD()) < 1e-12).all()
    assert (marginal.perception_under(JD())[1:] > 1e-3).all()
    assert np.isnan(solve(Problem(source, rates)).perception).all()


def test_draws_repeat_with_their_seed():
    solution = solve(Problem(GaussMarkov.stationary(0.9, 2), 0.5, JD(0.0)))
    first, again = solution.simulate(10, rng=1), solution.simulate(10, np.random.default_rng(1))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))


def test_bad_input_is_named():
    solution = solve(Problem(GaussMarkov.stationary(0.9, 2), 0.5))
    with pytest.raises(ValueError, match="n: expected an integer >= 1, got 0"):
        solution.simulate(0, rng=0)
    with pytest.raises(ValueError, match="rng: expected a numpy"):
        solution.simulate(5, rng="seed")


def test_a_printed_solution_is_five_lines():
    solution = solve(Problem(GaussMarkov.stationary(0.9, 3), [0.05, 8, 8], "JD", [0, 0, 1]))
    assert str(solution).splitlines() == [
        "PLF-JD, 3 frames: solved by lookahead",
        "rates       0.05 8 8 bits",
        "distortion  1.482 0.9472 0.5136",
        "perception  0 0 0 (allowed 0 0 0)",
        f"objective   0.513626 (weighted), certified gap {solution.gap:.1e}",
    ]
    assert repr(solution) == "<Solution of PLF-JD: 0.513626 by lookahead>"
    modes = str(solve(Problem(GaussMarkov.stationary([0.5, 0.9], 12), 1.0))).splitlines()
    assert modes[0] == "no perception loss, 12 frames of 2 modes: solved by waterfilling"
    assert modes[1] == "rates       1 1 1 1 ... 1 1 1 bits"
    assert len(modes) == 5


def test_residuals_are_those_of_the_scheme():
    solution = solve(Problem(GaussMarkov.stationary(0.9, 3), 0.5, "SA"))
    assert set(solution.residuals) == {"moments", "causality", "rate", "perception"}
    assert max(solution.residuals.values()) < 1e-12
    noisy = dataclasses.replace(solution, perception=np.array([0.0, 0.0, 0.3]))
    assert noisy.residuals["perception"] == pytest.approx(0.1)
    early = dataclasses.replace(solution, mmse=0.5 * solution.mmse)
    assert early.residuals["rate"] > 0.1


def test_a_scheme_under_another_loss_given_by_name():
    solution = solve(Problem(GaussMarkov.stationary(0.9, 2), 0.5, JD(0.0)))
    assert_allclose(solution.perception_under("fmd"), solution.perception_under(FMD()))
    with pytest.raises(ValueError, match="perception: expected FMD, JD or SA, got None"):
        solution.perception_under(None)


def test_a_status_is_its_text_and_has_a_code():
    assert [status.code for status in Status] == [0, 1, 2, 3, 4, 5]
    assert Status("solved") is Status.SOLVED
    assert (Status.SOLVED, Status.SOLVED.code) == ("solved", 0)
    assert f"{Status.FAILED}" == "failed"
    assert json.dumps(Status.FAILED) == '"failed"'
    assert pickle.loads(pickle.dumps(Status.FAILED)) is Status.FAILED
    with pytest.raises(ValueError, match="'done' is not a valid Status"):
        Status("done")


def test_text_without_perception_loss_has_no_perception():
    solution = solve(Problem(GaussMarkov.stationary(rho=0.9, frames=2), 1.0))
    assert repr(solution).startswith("<Solution without perception loss: ")
    assert str(solution).splitlines()[3] == "perception  not constrained"
    assert "nan" not in str(solution)
