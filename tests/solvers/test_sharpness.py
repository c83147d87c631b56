"""When no other method need be asked: gaps and thresholds, next to what is at stake."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rdp import JD, SA, GaussMarkov, Problem
from solvers import SolverError, acceptance, solve, sweep

stationary = GaussMarkov.stationary


def test_few_frames_of_twenty_bits_are_as_sharp_as_others():
    sigma = [0.9177288385588841, 1.1436350702604479, 0.9305249216079812, 1.1127956379391786]
    rates = [14.711437858735476, 13.831487809430046, 18.300441719987806, 8.592253001467094]
    weights = [0.3297379907582354, 0.5696076981622028, 0.4915623304085429, 0.4148980889585685]
    source = GaussMarkov(sigma, [-0.8, 0.5, 0.99])
    problem = Problem(source, rates, JD(2.0031497650036945e-16), weights)
    compiled = solve(problem, method="barrier")
    assert compiled.gap > 1e-6 * compiled.objective
    found, points = solve(problem), sweep(problem, rates=[problem.rates])
    assert found.gap <= 1e-6 * found.objective
    assert points.gap[0] <= 1e-6 * points.objective[0]
    assert not acceptance.sharp(problem, 1e-12, 0.9e-12)
    assert acceptance.sharp(problem, 1e-12, 0.9e-12, few=False)


def test_a_frame_of_next_to_no_distortion_has_a_bound_near_it():
    source = GaussMarkov([1.2174587, 1.5873696, 1.2342007, 0.6922549], [0.9999, 0.5, 0.99])
    levels = [1.5222917e-10, 1.1324588e-16, 4.5963702e-16, 2.464623e-13]
    problem = Problem(source, [14.7906, 18.8015, 19.0957, 18.8016], JD(levels))
    with pytest.raises(SolverError, match=r"barrier: objective .* has no certificate"):
        solve(problem, method="barrier")
    found = solve(problem)
    assert (found.frame_bounds >= found.distortion * (1 - 1e-5)).all()
    np.testing.assert_allclose(sweep(problem).distortion, found.distortion, rtol=1e-12)


def test_a_frame_does_not_pay_for_the_threshold_of_another_with_weights():
    """Frames 1 and 2 have nearly all weight, and deviations far below the root of D_3."""
    source = GaussMarkov([1.0373753650624e-3, 3.978464669197573e-5, 134.469088437729], [-0.5, 0.9])
    levels = [4.74845434e-10, 1.58281811e-21, 1.58281811e-21]
    distortion = np.array([1.34944968e-6, 2.40253565e-11, 7305.39637])
    weights = np.array([1e6, 1e6, 1.0]) * distortion[-1] / distortion
    problem = Problem(source, [0.1, 3.0, 1e-6], SA(levels), weights)
    exact = solve(problem, "precise")
    for found in (solve(problem), sweep(problem)):
        assert_allclose(found.distortion, exact.distortion, rtol=1e-5)
        assert_allclose(found.perception, levels, rtol=1e-5, atol=1e-20)
    # the objective is 4e-7 better with 1e-10 in place of the last threshold
    beyond = np.array([*levels[:2], 1e-10])
    assert not acceptance.sharply_within(problem, exact.distortion, beyond, np.array(levels))


def test_frames_of_comparable_weight_pay_as_their_own_distortion_does():
    problem = Problem(stationary(0.9, 3), 0.5, SA(0.05), [1.0, 2.0, 1.0])
    found = solve(problem)
    for share, kept in ((1e-7, True), (1e-5, False)):
        beyond = problem.thresholds + share * np.sqrt(found.distortion)
        given = problem, found.distortion, beyond, problem.thresholds
        assert acceptance.sharply_within(*given) == kept


def test_next_to_no_weight_pays_next_to_nothing():
    source = GaussMarkov([1.5, 1.0], [0.0])
    found = solve(Problem(source, [np.inf, 0.0], SA([np.inf, 0.1]), [2.2e-308, 1.0]))
    assert_allclose(found.distortion, [0.0, 1.0 + (1.0 - np.sqrt(0.1)) ** 2], rtol=1e-6, atol=1e-12)
