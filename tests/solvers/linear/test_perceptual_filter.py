"""The perceptual Kalman filter against published values, the whole program, and simulation."""

import cvxpy as cp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from rdp.autoregressive import AutoRegressive
from rdp.state_space import StateSpace
from solvers.linear.lookahead import plan
from solvers.linear.measurement import represent
from solvers.linear.nuclear_norm import causal_coupling
from solvers.linear.perceptual_filter import (
    Observed,
    block_factor,
    block_innovations,
    innovation_filter,
    perceptual_filter,
)

# The demonstration of Freirich, Michaeli and Meir, *Perceptual Kalman filters*, NeurIPS 2023: a
# harmonic oscillator of two states of which one combination is observed.
OSCILLATOR = Observed(
    StateSpace([[1, 0.005], [-0.01, 1]], 1.001 * np.eye(2), np.eye(2), 0.8008 * np.eye(2)),
    [[1.0, -0.5]],
    [[1.001]],
)


@pytest.mark.parametrize(
    ("weights", "optimum", "published"),
    [(np.ones(8), 72.845639, 72.879886), (np.eye(8)[-1], 15.885712, 16.000289)],
    ids=["all frames", "last frame"],
)
def test_optimum_and_the_published_filter(weights, optimum, published):
    best = perceptual_filter(OSCILLATOR, 8, weights)
    assert round(best.objective, 6) == optimum
    assert 0 <= best.gap <= 1e-8 * optimum
    theirs = innovation_filter(OSCILLATOR, 8, weights)
    assert round(theirs.objective, 6) == published
    cov = OSCILLATOR.source.covariance(8)
    for answer in (best, theirs):
        assert_allclose(answer.cov_xhat, cov, atol=1e-8 * cov.max())


@pytest.mark.parametrize("seed", range(3))
def test_against_the_whole_program_and_the_nuclear_norm(seed):
    rng = np.random.default_rng(seed)
    frames, size = 4, 2
    root = rng.normal(size=(2, 2))
    source = StateSpace(
        0.5 * rng.normal(size=(2, 2)), root @ root.T, rng.normal(size=(size, 2)), np.eye(2)
    )
    seen = Observed(source, rng.normal(size=(1, 2)), [[0.3]])
    weights = rng.uniform(0.1, 1, frames)
    best = perceptual_filter(seen, frames, weights)
    factor = block_factor(source, block_innovations(source, frames))
    estimate = block_factor(source, seen.estimate(frames)[0])
    matrix = factor.T @ (np.repeat(weights, size)[:, None] * estimate)
    k = cp.Variable(matrix.shape)
    later = np.kron(np.triu(np.ones((frames, frames)), 1), np.ones((size, 1)))
    goal = cp.Maximize(cp.sum(cp.multiply(k, matrix)))
    value = cp.Problem(goal, [cp.sigma_max(k) <= 1, cp.multiply(later, k) == 0]).solve(
        solver=cp.CLARABEL
    )
    total = float(np.repeat(weights, size) @ np.diag(source.covariance(frames)))
    assert_allclose(best.objective, 2 * total - 2 * value, rtol=1e-6)
    by_norm = causal_coupling(matrix, rows=size, columns=1, gap=1e-7)
    assert_allclose(best.objective, 2 * total - 2 * by_norm.value, rtol=1e-5)
    assert best.lower_bound <= best.objective <= innovation_filter(seen, frames, weights).objective


def test_simulation_of_observation_and_filter():
    frames, n = 4, 50_000
    best = perceptual_filter(OSCILLATOR, frames, np.ones(frames))
    rng = np.random.default_rng(0)
    source = OSCILLATOR.source
    states, x = source.sample_states(n, frames, rng)
    noise = np.sqrt(OSCILLATOR.noise[0, 0]) * rng.standard_normal((n, frames))
    y = states @ OSCILLATOR.observation[0] + noise
    gains, errors = OSCILLATOR.estimate(frames)
    u, known, ahead = np.empty((n, frames)), np.zeros((n, 2)), source.initial
    c = OSCILLATOR.observation[0]
    for t in range(frames):
        known = known @ source.transition.T if t else known
        u[:, t] = (y[:, t] - known @ c) / np.sqrt(c @ ahead @ c + OSCILLATOR.noise[0, 0])
        known = known + u[:, t, None] * gains[t][:, 0]
        ahead = source.transition @ errors[t] @ source.transition.T + source.noise
    xhat = u @ best.decoder.T + rng.standard_normal((n, 2 * frames)) @ best.decoder_noise.T
    error = ((x - xhat.reshape(n, frames, 2)) ** 2).sum(axis=2)
    assert (np.abs(error.mean(axis=0) - best.distortion) < 4 * error.std(axis=0) / n**0.5).all()


def test_the_sequential_filter_minimises_the_first_frame_first():
    rule = perceptual_filter(OSCILLATOR, 6)
    first = perceptual_filter(OSCILLATOR, 6, np.eye(6)[0])
    assert_allclose(rule.distortion[0], first.distortion[0], rtol=1e-7)
    assert rule.distortion.sum() >= perceptual_filter(OSCILLATOR, 6, np.ones(6)).objective
    assert_allclose(rule.cov_xhat, OSCILLATOR.source.covariance(6), atol=1e-7)


def test_scalar_frames_are_the_same_problem_as_a_measurement():
    """A noisy observation of the frame is a test channel whose rate follows from the noise."""
    source = AutoRegressive([0.9])
    seen = Observed(StateSpace(*source.realisation()), [[1.0]], [[0.5]])
    _, errors = seen.estimate(5)
    ahead = np.concatenate([[1.0], 0.81 * errors[:-1, 0, 0] + 0.19])
    rates = 0.5 * np.log2(ahead / errors[:, 0, 0])
    weights = np.array([0.1, 1, 0, 0.5, 1])
    assert_allclose(
        perceptual_filter(seen, 5, weights).objective,
        plan(represent(source, rates), weights).objective,
        rtol=1e-7,
    )


def test_a_long_horizon_has_a_certified_gap():
    best = perceptual_filter(OSCILLATOR, 256, np.ones(256))
    assert best.gap <= 1e-8 * best.objective


def test_exact_and_useless_observations():
    source = OSCILLATOR.source
    exact = perceptual_filter(Observed(source, np.eye(2), np.zeros((2, 2))), 4, np.ones(4))
    assert_allclose(exact.distortion, 0, atol=1e-6)
    blind = perceptual_filter(Observed(source, [[0.0, 0.0]], [[1.0]]), 3, np.ones(3))
    assert_allclose(blind.objective, 2 * np.trace(source.covariance(3)))


def test_errors():
    source = OSCILLATOR.source
    with pytest.raises(ValueError, match="observation: expected 2 columns"):
        Observed(source, [[1.0]], [[1.0]])
    with pytest.raises(ValueError, match="noise: expected shape"):
        Observed(source, [[1.0, 0.0]], np.eye(2))
    with pytest.raises(ValueError, match="positive semidefinite"):
        Observed(source, [[1.0, 0.0]], [[-1.0]])
    with pytest.raises(ValueError, match="weights: expected shape"):
        perceptual_filter(OSCILLATOR, 3, [1.0])
    with pytest.raises(ValueError, match="frames: expected an integer"):
        perceptual_filter(OSCILLATOR, 0)
