"""Thresholds and weights for sources of any order: against the first-order methods, and bounds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from rdp import JD, SA, AutoRegressive, GaussMarkov, Problem, StateSpace
from solvers import SolverError, solve
from solvers.certificate import lower_bound
from solvers.linear.lookahead import plan
from solvers.linear.measurement import represent
from solvers.methods.linear_program import Bound, decode_many, decode_within, dual_value

PAIR = AutoRegressive.from_poles(0.95 * np.exp([0.3j, -0.3j]))
RATES, WEIGHTS = np.array([0.3, 0.9, 0.1, 2.0]), np.array([1.0, 0.5, 2.0, 1.0])
LOSSES = [
    JD(0.05), SA(0.05), SA(0.0), JD(0.0, window=2), JD(0.05, window=2), JD(0.1, window=1),
    JD([0.01, 0.02, 0.3, 0.1]), SA([0.0, 0.1, np.inf, 0.02]), JD([np.inf, 0.0, 0.2, np.inf]),
]  # fmt: skip


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@pytest.mark.parametrize("sigma", [1.0, 30.0])
def test_first_order_is_what_the_other_methods_find(loss, sigma):
    levels = np.multiply(loss.levels, sigma**2)
    problem = Problem(
        GaussMarkov.stationary(0.9, 4, sigma), RATES, loss.at(levels), WEIGHTS, encoder="mmse"
    )
    same = solve(problem)
    found = solve(problem.with_(source=AutoRegressive(0.9, sigma)))
    assert_allclose(found.objective, same.objective, rtol=1e-6)
    assert found.lower_bound <= same.objective + 1e-9 * sigma**2
    assert same.lower_bound <= found.objective + 1e-9 * sigma**2
    assert max(found.residuals.values()) < 1e-7


@settings(max_examples=12)
@given(
    st.floats(0.3, 0.95), st.floats(0.2, 3.0), st.sampled_from([0.0, 0.01, 0.2]),
    st.sampled_from([JD, SA]), st.lists(st.floats(0, 3), min_size=2, max_size=5),
)  # fmt: skip
def test_certified_for_sources_of_second_order(radius, angle, level, kind, rates):
    source = AutoRegressive.from_poles(radius * np.exp([1j * angle, -1j * angle]))
    rates = np.round(rates, 3)
    problem = Problem(source, rates, kind(level), np.ones(len(rates)), encoder="mmse")
    found = solve(problem)
    assert abs(found.gap) <= 1e-6 * found.objective + 1e-8
    assert (found.perception <= level + 1e-7).all()
    # a looser threshold costs no more, and none at all costs least
    looser = solve(problem.with_(perception=kind(level + 0.1)))
    assert found.mmse.sum() - 1e-8 <= looser.objective <= found.objective + 1e-8


def test_threshold_0_is_the_plan():
    """JD at 0 by the T x T program and by the chain of small inequalities."""
    problem = Problem(PAIR, RATES, JD(0.0), WEIGHTS, encoder="mmse")
    sent = represent(PAIR, RATES)
    made, bound = decode_within(problem, sent.factor)
    best = plan(sent, WEIGHTS)
    assert_allclose(WEIGHTS @ made.distortion, best.objective, atol=1e-6)
    assert bound <= best.objective + 1e-9
    assert bound >= best.objective - 1e-6


def test_weights_of_sa_gain_over_the_sequential_rule():
    rates = [1.0, 0.5, 0.1, 0.1]
    rule = solve(Problem(PAIR, rates, SA(0.0)))
    weights = [0.0, 0.0, 0.0, 1.0]
    found = solve(Problem(PAIR, rates, SA(0.0), weights, encoder="mmse"))
    assert found.objective < 0.8 * rule.distortion[-1]
    assert_allclose(found.perception, 0.0, atol=1e-7)


def test_simulation():
    source = StateSpace.arma([0.8], [0.5], sigma=2.0)
    found, n = solve(Problem(source, RATES, SA(0.2), WEIGHTS, encoder="mmse")), 50_000
    x, xhat = found.simulate(n, rng=4)
    error = (x - xhat) ** 2
    assert (abs(error.mean(axis=0) - found.distortion) < 4 * error.std(axis=0) / n**0.5).all()


def test_the_bound_of_first_order_is_that_of_the_certificate():
    """The same dual point gives the same number by the compiled recursion."""
    source = GaussMarkov.stationary(0.9, 3)
    rng = np.random.default_rng(0)
    sent = represent(AutoRegressive(0.9), RATES[:3])
    slopes, points, mu = np.zeros((3, 3, 3)), [], np.array([0.4, 0.8, 1.2])
    for t in range(3):
        root = rng.normal(size=(t + 1, t + 1))
        slopes[t, : t + 1, : t + 1] = 0.1 * (root + root.T) / 2
        points.append(Bound(t, slice(0, t + 1), 0.05, mu[t], slopes[t, : t + 1, : t + 1]))
    for loss in (JD(0.05), SA(0.05)):
        problem = Problem(source, RATES[:3], loss, np.ones(3))
        value = dual_value(points, np.ones(3), source.covariance(), sent.factor, loss.name == "SA")
        assert np.isfinite(value)
        assert lower_bound(problem, mu, slopes) >= value - 1e-9
        assert value <= solve(problem).objective


def test_points_that_are_not_feasible_bound_nothing():
    cov = np.eye(2)
    steep = Bound(1, slice(0, 2), 0.1, 1.0, 2 * np.eye(2))
    assert dual_value([steep], np.ones(2), cov, cov, own=False) == -np.inf
    falling = Bound(1, slice(0, 2), 0.1, 1.0, -2 * np.eye(2))
    assert dual_value([falling], np.ones(2), cov, cov, own=False) == -np.inf
    idle = falling._replace(mu=0.0)
    assert_allclose(dual_value([idle], np.ones(2), cov, cov, own=False), 0.0, atol=1e-12)


@pytest.mark.parametrize("level", [0.01, 0.05, 0.2])
def test_newton_steps_and_the_semidefinite_program_agree(level):
    """Two routes at frames that both reach; and first order at more of them."""
    problem = Problem(PAIR, RATES, JD(level), weights=WEIGHTS, encoder="mmse")
    sent = represent(PAIR, problem.rates)
    made, bound = decode_many(problem, sent)
    other, least = decode_within(problem, sent.factor)
    value, same = (problem.frame_weights @ one.distortion for one in (made, other))
    assert_allclose(value, same, rtol=1e-6)
    assert bound <= value * (1 + 1e-12)
    assert_allclose(bound, least, rtol=1e-6)


def test_many_frames_above_threshold_0():
    markov = GaussMarkov.stationary(0.9, 20, 3.0)
    problem = Problem(markov, 0.5, JD(0.9), weights=np.linspace(1, 2, 20))
    found = solve(problem.with_(source=AutoRegressive(0.9, 3.0), rates=[0.5] * 20))
    assert_allclose(found.objective, solve(problem, "long-horizon").objective, rtol=1e-9)
    levels = np.full(40, np.inf)
    levels[[9, 19]] = [0.02, 0.1]
    weights = np.append(np.ones(30), np.zeros(10))
    for encoder in ("mmse", "optimal"):
        found = solve(Problem(PAIR, [0.5] * 40, JD(levels), weights=weights, encoder=encoder))
        assert (found.perception[[9, 19]] <= np.array([0.02, 0.1]) + 1e-7).all()
        assert_allclose(found.distortion[30:], found.mmse[30:], atol=1e-9)
        if encoder == "mmse":
            assert found.gap <= 1e-6 * found.objective
    free = Problem(PAIR, [0.5] * 20, JD(np.append(0.01, np.full(19, np.inf))),
                   weights=np.append(0.0, np.ones(19)), encoder="mmse")  # fmt: skip
    with pytest.raises(SolverError, match="a weight up to the last threshold"):
        solve(free)
