"""Lookahead: the chain of small inequalities, the nuclear norm, and the T x T program agree."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from rdp import GaussMarkov
from rdp.autoregressive import AutoRegressive
from rdp.state_space import StateSpace
from solvers import SolverError
from solvers.linear.decoder import reconstruct
from solvers.linear.lookahead import plan
from solvers.linear.measurement import represent
from solvers.linear.nuclear_norm import causal_coupling, lookahead_matrix
from solvers.methods.lookahead import lookahead

RATES = st.floats(0, 6).map(lambda rate: round(rate, 3))
PAIR = AutoRegressive.from_poles(0.95 * np.exp([0.3j, -0.3j]))


def program(cov, factor, weights):
    """The whole program at once: [[I, K'], [K, Sigma]] >= 0 with K lower triangular."""
    frames = len(cov)
    k = cp.Variable((frames, frames))
    constraints = [cp.bmat([[np.eye(frames), k.T], [k, cov]]) >> 0]
    constraints += [cp.upper_tri(k) == 0] if frames > 1 else []
    gain = cp.sum(cp.multiply(k, weights[:, None] * factor))
    best = cp.Problem(cp.Maximize(gain), constraints).solve(solver=cp.CLARABEL)
    return 2 * float(weights @ np.diag(cov)) - 2 * best


SOURCES = {
    "pair": PAIR,
    "order one": AutoRegressive([0.9]),
    "order three": AutoRegressive([0.5, 0.2, -0.4], sigma=2.0),
    "moving average": StateSpace.arma([0.9], [0.5]),
    "velocity": StateSpace.constant_velocity(0.3, 1.0, 0.5),
    "walk": StateSpace([[1.02]], [[0.3]], [1.0], [[1.0]]),
}


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("seed", [0, 1])
def test_chain_nuclear_norm_and_program_agree(name, seed):
    source, rng = SOURCES[name], np.random.default_rng(seed)
    frames = 6
    rates = rng.choice([0.0, 0.05, 0.5, 2.0, 6.0], frames)
    rates[0] = 0.3
    weights = rng.uniform(0, 1, frames)
    sent, cov = represent(source, rates), source.covariance(frames)
    answer = plan(sent, weights)
    scale = float(weights @ np.diag(cov))
    assert_allclose(answer.objective, weights @ answer.reconstruction.distortion)
    assert 0 <= answer.objective - answer.lower_bound <= 1e-6 * scale
    assert_allclose(answer.objective, program(cov, sent.factor, weights), atol=1e-6 * scale)
    found = causal_coupling(lookahead_matrix(cov, sent.factor, weights), gap=1e-7)
    assert_allclose(answer.objective, 2 * scale - 2 * found.value, atol=1e-6 * scale)
    assert 2 * scale - 2 * found.upper_bound <= answer.objective + 1e-9 * scale
    # joint realism holds, and the decoder is causal
    assert_allclose(answer.reconstruction.cov_xhat, cov, atol=1e-7 * cov.max())
    assert not np.triu(answer.reconstruction.decoder, 1).any()


@settings(max_examples=30)
@given(
    st.floats(-0.99, 0.99),
    st.lists(st.tuples(RATES, st.floats(0.01, 1)), min_size=1, max_size=6),
)
def test_order_one_is_the_exact_method(rho, drawn):
    rates, weights = map(np.array, zip(*drawn, strict=True))
    same = lookahead(GaussMarkov.stationary(rho, len(rates)), rates, weights)
    answer = plan(represent(AutoRegressive(rho), rates), weights)
    assert_allclose(answer.objective, weights @ same.distortion, atol=1e-7)
    assert answer.lower_bound <= weights @ same.distortion + 1e-9


@given(st.lists(RATES, min_size=2, max_size=6))
def test_planning_is_never_worse_than_the_sequential_rule(rates):
    sent = represent(PAIR, rates)
    weights = np.ones(len(rates))
    rule = reconstruct(PAIR.covariance(len(rates)), sent.factor, "JD").distortion.sum()
    assert plan(sent, weights).objective <= rule + 1e-9


def test_simulation_of_a_plan():
    sent = represent(PAIR, [0.05, 8, 8, 2])
    made = plan(sent, [0, 0, 1, 0.5]).reconstruction
    n = 100_000
    x, u = sent.simulate(n, rng=3)
    error = (x - made.decode(u, rng=4)) ** 2
    assert (np.abs(error.mean(axis=0) - made.distortion) < 4 * error.std(axis=0) / n**0.5).all()


def test_a_long_horizon_has_a_certified_gap():
    rates = np.where(np.arange(256) % 8 == 0, 2.25, 0.25)
    answer = plan(represent(PAIR, rates), np.ones(256))
    assert answer.objective - answer.lower_bound <= 1e-6 * answer.objective
    rule = reconstruct(PAIR.covariance(256), represent(PAIR, rates).factor, "JD")
    assert answer.objective < 0.85 * rule.distortion.sum()


def test_edges():
    assert_allclose(plan(represent(PAIR, [0.0, 0.0]), [1, 1]).objective, 4.0)
    assert_allclose(plan(represent(PAIR, [np.inf] * 3), [1, 1, 1]).objective, 0.0, atol=1e-7)
    assert plan(represent(PAIR, [1.0, 1.0]), [0, 0]).objective == 0.0
    assert causal_coupling(np.zeros((2, 2))).value == 0.0


def test_errors():
    with pytest.raises(ValueError, match="weights: expected shape"):
        plan(represent(PAIR, [1.0, 1.0]), [1.0])
    with pytest.raises(ValueError, match="weights: expected values >= 0"):
        plan(represent(PAIR, [1.0]), [-1.0])
    with pytest.raises(ValueError, match="matrix: expected T blocks"):
        causal_coupling(np.eye(3), rows=2)
    with pytest.raises(SolverError, match="relative gap"):
        causal_coupling([[1.0, 0.0], [3.0, 0.1]], gap=1e-12, max_steps=10)
