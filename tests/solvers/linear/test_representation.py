"""The Kalman filter of an encoder, the steady encoder, and Tanaka's semidefinite programs."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from rdp import GaussMarkov
from rdp.autoregressive import AutoRegressive
from rdp.linear_source import lyapunov
from rdp.mmse import estimate_factor, mmse_recursion
from rdp.state_space import StateSpace
from solvers import SolverError
from solvers.linear.budget import budget_encoder, budget_joint_encoder
from solvers.linear.information import minimum_information
from solvers.linear.lookahead import plan
from solvers.linear.measurement import represent
from solvers.linear.steady_encoder import rate_bound, steady_encoder, steady_gain

PAIR = AutoRegressive.from_poles(0.95 * np.exp([0.3j, -0.3j]))
RATES = st.sampled_from([0.0, np.inf, 1e-9]) | st.floats(0.01, 8.0)


@given(st.floats(-0.99, 0.99), st.lists(RATES, min_size=1, max_size=6))
def test_order_one_is_the_mmse_backbone(rho, rates):
    source, sent = GaussMarkov.stationary(rho, len(rates)), represent(AutoRegressive(rho), rates)
    assert_allclose(sent.factor, estimate_factor(source, rates), atol=1e-9)
    assert_allclose(sent.mmse, mmse_recursion(source, rates).mmse, atol=1e-12)


def joint_moments(sent):
    """Cov of X and u by brute force: all variables over independent ones, conditioned in turn."""
    frames = len(sent.rates)
    parts = sent.source.realisation()
    n = len(parts.transition)
    states = np.zeros((frames, n, frames * n + frames))
    root = [np.linalg.cholesky(m + 1e-13 * np.eye(n)) for m in (parts.initial, parts.noise)]
    for t in range(frames):
        if t:
            states[t] = parts.transition @ states[t - 1]
        states[t, :, t * n : (t + 1) * n] += root[min(t, 1)]
    u = np.zeros((frames, frames * n + frames))
    for t, (rate, c) in enumerate(zip(sent.rates, sent.measurement, strict=True)):
        new = c @ states[t]
        for row in u[:t]:
            new = new - (new @ row) * row
        k2 = 1 - 4.0**-rate
        u[t] = np.sqrt(k2) * new / np.linalg.norm(new)
        u[t, frames * n + t] = np.sqrt(1 - k2)
    return (states @ u.T)[:, 0], u @ u.T


@pytest.mark.parametrize("measurement", [None, [1.0, -0.4]])
def test_moments_are_those_of_the_variables(measurement):
    sent = represent(PAIR, [0.3, 1.0, 0.5, 2.0, 0.1], measurement)
    cross, white = joint_moments(sent)
    assert_allclose(white, np.eye(5), atol=1e-9)
    assert_allclose(sent.cross, cross, atol=1e-6)
    assert_allclose(sent.factor, np.tril(cross), atol=1e-6)
    assert_allclose(sent.mmse, 1 - (sent.factor**2).sum(axis=1), atol=1e-12)


def test_simulation_of_the_encoder():
    sent = represent(PAIR, [0.3, 1.0, 0.5], [1.0, -0.4])
    n = 200_000
    x, u = sent.simulate(n, rng=0)
    assert (np.abs(u.T @ u / n - np.eye(3)) < 4 * np.sqrt((1 + np.eye(3)) / n)).all()
    assert (np.abs(x.T @ u / n - sent.cross) < 4 * np.sqrt((1 + sent.cross**2) / n)).all()


def test_no_rate_and_all_rate():
    assert_allclose(represent(PAIR, [0.0, 0.0]).factor, 0)
    everything = represent(PAIR, [np.inf] * 4)
    assert_allclose(everything.mmse, 0, atol=1e-14)
    assert_allclose(everything.factor, PAIR.factor(4), atol=1e-9)
    assert_allclose(steady_encoder(PAIR, 0.0).mmse, 1, rtol=1e-9)
    assert_allclose(steady_encoder(PAIR, np.inf).mmse, 0, atol=1e-12)


@pytest.mark.parametrize(
    ("poles", "rate", "mmse"),
    [
        (0.95 * np.exp([0.3j, -0.3j]), 0.5, 0.0558),
        (0.9 * np.exp([0.5j, -0.5j]), 0.5, 0.153229),
    ],
)
def test_steady_encoder_known_values(poles, rate, mmse):
    digits = len(str(mmse)) - 2
    assert round(steady_encoder(AutoRegressive.from_poles(poles), rate).mmse, digits) == mmse


@pytest.mark.parametrize(
    ("source", "rate"),
    [
        (PAIR, 0.5),
        (PAIR, 0.02),
        (PAIR, 3.0),
        (AutoRegressive([0.9]), 0.5),
        (AutoRegressive.from_poles([0.9, 0.9, 0.9]), 0.3),
        (AutoRegressive.from_poles([0.98, *0.9 * np.exp([1j, -1j])], sigma=3.0), 1.0),
    ],
    ids=str,
)
def test_steady_encoder_against_the_semidefinite_program(source, rate):
    answer = steady_encoder(source, rate)
    parts, h = source.realisation(), source.realisation().output[0]
    least = minimum_information(
        parts.transition, parts.noise, np.outer(h, h), answer.mmse
    )
    # the program finds the rate at this error, and one measured direction
    assert_allclose(least.rate, rate, rtol=1e-4, atol=1e-6)
    assert 0 <= answer.value - answer.lower_bound <= 1e-6 * answer.value
    gain, error = steady_gain(source, rate, answer.measurement)
    assert_allclose(error[0, 0], answer.mmse, rtol=1e-6)
    assert_allclose(np.abs(gain), np.abs(answer.gain), atol=1e-5 * source.sigma)


def test_steady_encoder_of_sources_with_a_singular_transition():
    moving = StateSpace.arma([0.9], [0.5])
    answer = steady_encoder(moving, 0.5)
    assert answer.value - answer.lower_bound < 1e-10
    # the same source with one more, unobservable state
    a = np.zeros((3, 3))
    a[:2, :2], a[2, 2], a[2, 0] = moving.transition, 0.5, 0.4
    noise = np.zeros((3, 3))
    noise[:2, :2], noise[2, 2] = moving.noise, 0.1
    padded = StateSpace(a, noise, [1.0, 0.0, 0.0])
    assert padded.observable().order == 2
    assert_allclose(steady_encoder(padded.observable(), 0.5).mmse, answer.mmse, rtol=1e-8)


@settings(max_examples=25)
@given(st.floats(0.3, 0.97), st.floats(0.1, 3.0), st.floats(0.05, 3.0), st.floats(-3, 3))
def test_no_measurement_beats_the_steady_encoder(radius, angle, rate, direction):
    source = AutoRegressive.from_poles(radius * np.exp([1j * angle, -1j * angle]))
    best = steady_encoder(source, rate)
    _, error = steady_gain(source, rate, [np.cos(direction), np.sin(direction)])
    assert error[0, 0] >= best.lower_bound
    assert best.mmse <= error[0, 0] * (1 + 1e-9)
    # any point gives a valid bound
    parts, h = source.realisation(), source.realisation().output[0]
    bound = rate_bound(parts.transition, parts.noise, np.outer(h, h), rate, error)
    assert bound <= best.mmse * (1 + 1e-9)


def test_budget_program_against_gradient_free_choice_of_directions():
    """With the bits of each frame fixed, the best directions of a short horizon, by search."""
    from scipy.optimize import minimize

    rates = np.array([1.0, 0.5, 0.5])

    def total(angles):
        return represent(PAIR, rates, np.stack([np.cos(angles), np.sin(angles)], axis=1)).mmse.sum()

    best = minimize(total, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-9}).fun
    relaxed = budget_encoder(PAIR, rates)
    assert relaxed.objective <= best + 1e-7
    assert relaxed.objective >= 0.98 * best
    assert (np.cumsum(relaxed.rate) <= np.cumsum(rates) + 1e-6).all()
    assert [len(rows) for rows in relaxed.measurement] == [1, 1, 1]


def test_joint_budget_program():
    """Bounds every encoder with its best decoder; exact for one frame; steady in the long run."""
    rates = np.full(5, 0.5)
    best = budget_joint_encoder(PAIR, rates)
    for measurement in (None, [0.79702924, -0.60394071], [1.0, -0.4]):
        sent = represent(PAIR, rates, measurement)
        assert plan(sent, np.ones(5)).objective >= best.objective - 1e-6
    assert (np.cumsum(best.rate) <= np.cumsum(rates) + 1e-5).all()
    # the measurements found, rate after rate, with their best decoder reach the program's value
    directions = np.array([rows[0] for rows in best.measurement])
    again = plan(represent(PAIR, best.rate, directions), np.ones(5))
    assert_allclose(again.objective, best.objective, rtol=1e-4)
    single = budget_joint_encoder(AutoRegressive([0.6], sigma=2.0), [0.7])
    assert_allclose(single.objective, 8 * (1 - np.sqrt(1 - 4**-0.7)), rtol=1e-6)


def test_minimum_information_of_an_unstable_source_against_its_closed_form():
    a, w, d = 1.5, 0.7, 0.4
    answer = minimum_information([[a]], [[w]], [[1.0]], d)
    assert_allclose(answer.rate, 0.5 * np.log2(a**2 + w / d), rtol=1e-6)
    assert_allclose(answer.measurement[0, 0] ** 2, 1 / d - 1 / (a**2 * d + w), rtol=1e-5)


def test_steady_program_in_its_first_form():
    """P and the rate without the auxiliary matrix: convex only along the solution's gradient."""
    answer = steady_encoder(PAIR, 0.5)
    parts = PAIR.realisation()
    a, w, h = parts.transition, parts.noise, parts.output[0]
    ahead = a @ answer.error @ a.T + w
    p = cp.Variable((2, 2), symmetric=True)
    # ln det P^- - ln det P is convex and at least its linearisation, so this is a relaxation
    slope = a.T @ np.linalg.inv(ahead) @ a - np.linalg.inv(answer.error)
    constraints = [p >> 0, a @ p @ a.T + w - p >> 0, cp.trace(slope @ (p - answer.error)) <= 0]
    relaxed = cp.Problem(cp.Minimize(h @ p @ h), constraints).solve(solver=cp.CLARABEL)
    assert_allclose(relaxed, answer.mmse, rtol=1e-6)


def test_errors():
    with pytest.raises(ValueError, match="rates: expected at least one"):
        represent(PAIR, [])
    with pytest.raises(ValueError, match="measurement: expected shape"):
        represent(PAIR, [1.0], [1.0])
    with pytest.raises(ValueError, match="measurement: expected directions"):
        represent(PAIR, [1.0], [0.0, 0.0])
    with pytest.raises(ValueError, match="rates: expected values >= 0"):
        represent(PAIR, [-1.0])
    walk = StateSpace([[1.0]], [[1.0]], [1.0], [[1.0]])
    with pytest.raises(ValueError, match="poles inside the unit circle"):
        steady_encoder(walk, 1.0)
    with pytest.raises(SolverError, match="float64"):
        steady_encoder(AutoRegressive.from_poles([0.9999, 0.9999]), 0.3)
    with pytest.raises(ValueError, match="invertible"):
        minimum_information(np.zeros((2, 2)), np.diag([1.0, 0.0]), np.eye(2), 0.1)
    with pytest.raises(ValueError, match="first state"):
        budget_encoder(StateSpace.constant_velocity(0.1), [1.0, 1.0])
    assert lyapunov(np.zeros((1, 1)), np.eye(1)) == 1
