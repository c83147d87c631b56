"""The semidefinite program against closed forms, brute force, and itself in another encoder."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from rdp import FMD, JD, SA, GaussMarkov, Problem, Status
from rdp.closed_form import (
    framewise,
    joint_tradeoff,
    zero_perception_joint,
    zero_perception_self_adaptive,
)
from rdp.gaussian import bures
from rdp.mmse import estimate_factor
from solvers import SolverError, solve
from solvers.methods.sdp import solve_sdp
from tests.strategies import problems

REGULAR = st.floats(-0.95, 0.95)
RATES = st.sampled_from([0.0, np.inf]) | st.floats(0.05, 6.0)
FORMS = {"JD": zero_perception_joint, "SA": zero_perception_self_adaptive, "FMD": framewise}


def close(value, expected, scale, rtol=1e-7):
    np.testing.assert_allclose(value, expected, rtol=rtol, atol=1e-9 * scale)


@given(problems(zero_perception=True, weighted=False, rates=RATES, correlations=REGULAR))
@settings(max_examples=25)
def test_sequential_program_is_the_closed_form_at_perfect_realism(problem):
    expected = FORMS[problem.plf](problem.source, problem.rates)
    found = solve(problem, "sdp")
    close(found.distortion, expected, problem.source.variance.max())


@given(problems(plf=FMD, rates=RATES), st.sampled_from(["w2", "kl"]))
@settings(max_examples=25)
def test_framewise_program_is_the_closed_form_at_any_threshold(problem, metric):
    if metric == "kl":
        # exponential cones resolve neither a variance of 1e-9 nor a change of it by 1e-5
        levels = np.where(problem.thresholds > 0, np.clip(problem.thresholds, 1e-4, 3.0), 0.0)
    else:
        levels = problem.thresholds
    problem = problem.with_(perception=FMD(levels, metric=metric))
    found = solve(problem, "sdp")
    expected = framewise(problem.source, problem.rates, problem.thresholds, metric)
    weights = np.ones(problem.source.frames) if problem.weights is None else problem.weights
    close(found.objective, weights @ expected, weights @ problem.source.variance, rtol=1e-6)


REFUSED = Problem(GaussMarkov([1, 0.125, 3], [0, 0]), [0, 0, 1], JD([0, 0, 90]), [1, 0, 1])


@given(problems(plf=None, weighted=None, rates=RATES, correlations=REGULAR))
@example(REFUSED)
@settings(max_examples=20)
def test_a_free_encoder_is_no_better_than_the_mmse_encoder(problem):
    """Exact universality of the MMSE representation for scalar frames.

    One problem in 400 the program refuses, as its certificate misses the tolerance. Then another
    method must certify the answer.
    """
    found = []
    for encoder in ("optimal", "mmse"):
        given = problem.with_(encoder=encoder)
        try:
            found.append(solve(given, "sdp"))
        except SolverError as error:
            if error.status != Status.INACCURATE:
                raise
            found.append(solve(given))
            assert found[-1].method != "sdp"
    free, fixed = found
    close(free.objective, fixed.objective, problem.source.variance.max(), rtol=2e-6)


def test_what_the_program_refuses_is_refused_for_its_certificate():
    with pytest.raises(SolverError, match="sdp: certified gap is"):
        solve(REFUSED, "sdp")
    answer = solve(REFUSED)
    # without bits realism costs twice the variance; the threshold of frame 3 does not bind
    np.testing.assert_allclose(answer.distortion, [2, 2 / 64, 9 / 4], rtol=1e-6)
    assert answer.gap <= 1e-6 * answer.objective


def brute_force(problem, restarts=8):
    """Least objective over linear decoders K u + N z of two frames, by a penalty-free NLP."""
    source, levels = problem.source, problem.thresholds
    factor, cov = estimate_factor(source, problem.rates), source.covariance()
    mmse = source.variance - (factor**2).sum(axis=1)
    rng = np.random.default_rng(0)

    def moments(x):
        gain = np.array([[x[0], 0.0], [x[1], x[2]]])
        noise = np.array([[x[3], 0.0], [x[4], x[5]]])
        return gain @ gain.T + noise @ noise.T, gain @ factor.T

    def objective(x):
        cov_xhat, cross = moments(x)
        excess = np.diag(cov_xhat) - 2 * np.diag(cross) + source.variance - mmse
        return problem.weights @ (mmse + excess)

    def slack(x):
        cov_xhat, cross = moments(x)
        out = []
        for t in range(2):
            target = cov[: t + 1, : t + 1].copy()
            if problem.plf == "SA" and t:
                target = np.array([[cov_xhat[0, 0], cross[0, 1]], [cross[0, 1], cov[1, 1]]])
            out.append(levels[t] - bures(target, cov_xhat[: t + 1, : t + 1]))
        return np.array(out)

    best = np.inf
    for _ in range(restarts):
        start = np.concatenate([factor[np.tril_indices(2)], [0.1, 0, 0.1]])
        found = minimize(
            objective,
            start + 0.3 * rng.normal(size=6),
            constraints={"type": "ineq", "fun": slack},
            options={"maxiter": 500, "ftol": 1e-13},
        )
        if found.fun < best and slack(found.x).min() > -1e-7:
            best = found.fun
    return best


@pytest.mark.parametrize("plf", [JD, SA])
@pytest.mark.parametrize("seed", range(3))
def test_two_frames_by_brute_force(plf, seed):
    rng = np.random.default_rng(seed)
    source = GaussMarkov(rng.uniform(0.7, 1.4, 2), [rng.uniform(0.3, 0.95)])
    levels = rng.uniform(0.02, 0.15, 2)
    problem = Problem(source, rng.uniform(0.2, 1.0, 2), plf(levels), rng.uniform(0.2, 1, 2))
    found = solve(problem, "sdp")
    assert found.objective == pytest.approx(brute_force(problem), rel=2e-6)


@given(st.floats(0.1, 0.95), st.floats(0.1, 3), st.floats(0.1, 3), st.floats(0.05, 20))
@settings(max_examples=10)
def test_lookahead_follows_the_tradeoff_of_two_frames(rho, first, second, weight):
    source = GaussMarkov.stationary(rho=rho, frames=2)
    curve = joint_tradeoff(source, [first, second], np.linspace(0, 1, 20001))
    problem = Problem(source, [first, second], JD(0.0), [1.0, weight])
    assert solve(problem, "sdp").objective == pytest.approx(
        (curve @ problem.weights).min(), rel=1e-6
    )


def test_lookahead_example_of_three_frames():
    source = GaussMarkov.stationary(rho=0.9, frames=3)
    problem = Problem(source, [0.05, 8, 8], JD(0.0))
    np.testing.assert_allclose(solve(problem, "sdp").distortion, [1.482, 0.733, 0.594], atol=6e-4)
    last = solve(problem.with_(weights=[0, 1e-6, 1]), "sdp").distortion
    np.testing.assert_allclose(last[1:], [0.947, 0.514], atol=6e-4)


@given(problems(plf=JD, weighted=False, rates=RATES, correlations=REGULAR, min_frames=2))
@settings(max_examples=15)
def test_a_later_joint_threshold_binds_the_earlier_frames(problem):
    """Sequential JD: thresholds and their running minimum from the end ask for the same."""
    least = np.minimum.accumulate(problem.thresholds[::-1])[::-1]
    scale = problem.source.variance.max()
    first = solve_sdp(problem)
    second = solve_sdp(problem.with_(perception=JD(least)))
    close(np.diag(first.cov_xhat), np.diag(second.cov_xhat), scale, rtol=1e-6)


def test_a_program_is_written_once_for_a_sweep(monkeypatch):
    """cvxpy builds no new program where frames, loss and kind of thresholds are the same."""
    import cvxpy as cp

    source = GaussMarkov.stationary(rho=0.9, frames=3)
    solve(Problem(source, 1.0, JD(0.1), [1, 1, 1]), "sdp")
    built = []
    build = cp.Problem.__init__
    monkeypatch.setattr(cp.Problem, "__init__", lambda *a, **k: built.append(1) or build(*a, **k))
    for rate in (0.3, 2.0, 5.0):
        for level in (0.01, 0.2):
            solve(Problem(source.scaled(rate), rate, JD(level), [1, 2, 3]), "sdp")
    assert not built


def test_a_program_beyond_memory_is_refused_in_time():
    """A hundred frames under a loss with a window once took all memory and the process with it."""
    source = GaussMarkov.stationary(rho=0.9, frames=100)
    problem = Problem(source, 1.0, JD(0.0, window=2), weights=np.ones(100))
    with pytest.raises(SolverError, match=r"sdp: a program of .* takes too much memory"):
        solve(problem)


def test_vector_frames_are_refused():
    with pytest.raises(SolverError, match="vector frames"):
        solve(Problem(GaussMarkov(np.ones((1, 2))), 1.0, JD(0.0)), "sdp")


@pytest.mark.parametrize("plf", [FMD, JD, SA])
@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 0.5]])
def test_units_of_the_source_do_not_matter(plf, weights):
    source = GaussMarkov([1.0, 0.3, 2.0], [0.8, -0.5])
    problem = Problem(source, [0.5, 1.0, 0.2], plf(0.05), weights)
    large = Problem(source.scaled(1e3), [0.5, 1.0, 0.2], plf(0.05e6), weights)
    assert solve(large, "sdp").objective == pytest.approx(
        1e6 * solve(problem, "sdp").objective, rel=1e-6
    )
