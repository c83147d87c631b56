"""The method "closed-form": which problems it covers, and the schemes behind its answers."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from rdp import FMD, JD, SA, GaussMarkov, Problem, closed_form, gaussian
from rdp.mmse import estimate_factor, mmse_recursion
from solvers import SolverError, solve
from solvers.methods.closed_form import forms
from tests.strategies import LEVELS, per_frame, problems, sources_with_rates

FORMULAS = {
    "FMD": closed_form.zero_perception_framewise,
    "JD": closed_form.zero_perception_joint,
    "SA": closed_form.zero_perception_self_adaptive,
}
NEWS = st.floats(-0.99, 0.99)  # correlations that leave something new in every frame
SOURCE = GaussMarkov.stationary(0.9, 3)


def form(problem):
    """Name of the closed form that answers a problem, "" for none."""
    return forms(problem, problem.rates[None], problem.thresholds[None])[0]



@given(problems(zero_perception=True, correlations=NEWS))
@settings(max_examples=50)
def test_schemes_reach_the_formulas_at_zero_perception_loss(problem):
    solution = solve(problem, method="closed-form")
    expected = FORMULAS[problem.plf](problem.source, problem.rates)
    scale = 1e-12 * problem.source.variance
    assert (np.abs(solution.distortion - expected) <= 1e-12 * expected + scale).all()
    # a squared distance of distributions that agree to 1e-16 comes out at 1e-16 of the variances
    assert (solution.perception <= 1e-12 * problem.source.variance.sum()).all()
    assert_allclose(solution.lower_bound, expected.sum(), rtol=1e-12)


@given(sources_with_rates(), st.data(), st.sampled_from(["w2", "kl"]), st.booleans())
@settings(max_examples=50)
def test_framewise_schemes_use_their_level_and_no_more(pair, data, metric, weighted):
    source, rates = pair
    levels = np.array(data.draw(per_frame(LEVELS, source.frames)))
    levels = levels * source.variance if metric == "w2" else levels
    weights = np.arange(1.0, source.frames + 1) if weighted else None
    solution = solve(Problem(source, rates, FMD(levels, metric=metric), weights))
    assert solution.method == "closed-form"
    expected = closed_form.framewise(source, rates, levels, metric)
    assert_allclose(solution.distortion, expected, rtol=1e-12, atol=1e-12 * source.variance.max())
    unit = source.variance if metric == "w2" else 1.0
    assert (solution.perception <= levels + 1e-12 * unit).all()
    binding = expected - solution.mmse > 1e-6 * source.variance
    assert_allclose(solution.perception[binding], levels[binding], rtol=1e-3, atol=1e-9)


@given(problems(levels=st.just(math.inf)))
@settings(max_examples=30)
def test_without_a_constraint_the_reconstruction_is_the_estimate(problem):
    solution = solve(problem)
    backbone = mmse_recursion(problem.source, problem.rates)
    assert solution.method == "closed-form"
    # recomputed from moments of the size of the variance
    assert_allclose(
        solution.distortion / problem.source.variance,
        backbone.mmse / problem.source.variance,
        atol=1e-12,
    )
    factor = estimate_factor(problem.source, problem.rates)
    assert_allclose(solution.cov_xhat, factor @ factor.T, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize(
    ("perception", "which"),
    [
        (None, "MMSE"),
        (JD(math.inf), "MMSE"),
        (FMD([0.1, 0.0, math.inf]), "FMD"),
        (FMD(0.1, metric="kl"), "FMD"),
        (JD(0.0), "JD"),
        (JD([0.0, 0.0, math.inf]), "JD"),
        (SA([math.inf, 0.0, math.inf]), "SA"),
        (JD(1e3), "MMSE"),  # the estimate meets it already
        (SA(1e3), "MMSE"),
        (JD(0.1), ""),
        (SA(0.01), ""),
        (JD([math.inf, 0.0, 0.0]), ""),
    ],
)
def test_coverage(perception, which):
    assert form(Problem(SOURCE, 0.5, perception)) == which


def test_coverage_of_other_problems():
    assert form(Problem(GaussMarkov([1.0]), 0.5, JD(0.1))) == "FMD"
    assert form(Problem(SOURCE, 0.5, JD(0.0), weights=1.0)) == ""
    assert form(Problem(SOURCE, 0.5, FMD(0.1), weights=1.0)) == "FMD"
    assert form(Problem(GaussMarkov.stationary([0.1, 0.2], 3), 0.5)) == ""
    # frame 2 repeats frame 1; what it receives waits for frame 3
    assert form(Problem(GaussMarkov([1, 1, 1], [1.0, 0.5]), 0.5, JD(0.0))) == ""


@pytest.mark.parametrize("loss", [FMD, JD, SA])
@given(pair=sources_with_rates(min_frames=1, max_frames=1), level=LEVELS)
@settings(max_examples=20)
def test_one_frame_at_any_level_and_loss(loss, pair, level):
    source, rates = pair
    solution = solve(Problem(source, rates, loss(level)), method="closed-form")
    expected = closed_form.framewise(source, rates, level)
    assert_allclose(solution.distortion, expected, rtol=1e-12, atol=1e-12 * source.variance[0])


def test_free_frames_reconstruct_the_estimate():
    rates = [0.5, 1.0, 0.2]
    adaptive = solve(Problem(SOURCE, rates, SA([0.0, math.inf, 0.0])))
    expected = closed_form.zero_perception_self_adaptive(SOURCE, rates)
    expected[1] = closed_form.mmse(SOURCE, rates)[1]
    assert_allclose(adaptive.distortion, expected)
    assert_allclose(adaptive.perception[[0, 2]], 0.0, atol=1e-14)
    joint = solve(Problem(SOURCE, rates, JD([0.0, 0.0, math.inf])))
    expected = closed_form.zero_perception_joint(SOURCE, rates)
    expected[2] = closed_form.mmse(SOURCE, rates)[2]
    assert_allclose(joint.distortion, expected)


@pytest.mark.parametrize(
    ("problem", "method"),
    [
        (Problem(SOURCE, 0.5, JD(0.1)), "barrier"),
        (Problem(SOURCE, 0.5, SA(0.01)), "barrier"),
        (Problem(SOURCE, 0.5, SA(0.0), weights=1.0), "lookahead"),
        (Problem(SOURCE, 0.5, JD(0.0), weights=1.0), "lookahead"),
        (Problem(GaussMarkov.stationary([0.1, 0.2], 3), 0.5, JD(0.0)), "waterfilling"),
    ],
)
def test_what_is_not_covered_names_the_method_that_covers_it(problem, method):
    message = f"closed-form: does not cover .*; use method='{method}'"
    with pytest.raises(SolverError, match=message) as info:
        solve(problem, method="closed-form")
    assert info.value.status == "unsupported"


def test_many_frames_meet_their_thresholds_as_each_frame_says():
    """From 16 frames on, one factor serves all frames, and implied thresholds are not measured."""
    source, rng = GaussMarkov.stationary(0.9, 20), np.random.default_rng(0)
    rates = rng.uniform(0.3, 2.0, 20)
    factor = estimate_factor(source, rates)
    cov, target = factor @ factor.T, source.covariance()
    each = np.array([gaussian.bures(target[:k, :k], cov[:k, :k]) for k in range(1, 21)])
    for levels, met in (
        (1.001 * each, True),
        (np.full(20, 1.001 * each[-1]), True),
        (np.full(20, 0.999 * each[-1]), False),
        (np.where(np.arange(20) == 7, 0.999 * each, np.inf), False),
        (np.where(np.arange(20) == 7, 1.001 * each, np.inf), True),
    ):
        problem = Problem(source, rates, JD(levels), np.ones(20))
        assert bool(form(problem)) == met
        if met:
            np.testing.assert_allclose(solve(problem).perception, each, rtol=1e-9)


@pytest.mark.parametrize("rates", [[30, 30], [50, 4], [50, 50]])
@pytest.mark.parametrize("rho", [1.0, -1.0])
@pytest.mark.parametrize("levels", [[0, 0], [np.inf, 0]])
def test_perfect_joint_realism_of_repeated_frames_holds_at_any_rate(rates, rho, levels):
    """Both frames have the same reconstruction, so that the second is no better than the first.

    In second moments the MMSE estimate differs from the source by rounding only.
    """
    source = GaussMarkov([1.0, 2.0], [rho])
    solution = solve(Problem(source, rates, JD(levels)))
    first = 2 * -np.expm1(0.5 * np.log1p(-(2.0 ** (-2 * rates[0]))))
    np.testing.assert_allclose(solution.distortion, [first, 4 * first], rtol=1e-12)
    assert solution.frame_bounds == pytest.approx([first, 4 * first], rel=1e-12)


def test_perfect_joint_realism_of_many_frames_decomposes_no_prefix(monkeypatch):
    """Each prefix has the distribution of the source, as the difference of the matrices shows."""
    seen = []
    svd = np.linalg.svd
    monkeypatch.setattr(np.linalg, "svd", lambda a, **how: seen.append(a.shape) or svd(a, **how))
    solution = solve(Problem(GaussMarkov.stationary(0.9, frames=40), 1.0, JD(0)))
    assert not seen
    assert not solution.perception.any()
    loss = JD([0.0] * 20 + [np.inf] * 20)
    free = solve(Problem(GaussMarkov.stationary(0.9, frames=40), 1.0, loss))
    assert {shape[-1] for shape in seen} == set(range(21, 41))
    assert (free.perception[20:] > 0).all()
    assert not free.perception[:20].any()
