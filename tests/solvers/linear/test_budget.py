"""Bounds of all encoders whose bits may wait: from any point, and never above what is reached."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from rdp import FMD, JD, SA, AutoRegressive, Problem, StateSpace
from rdp.closed_form import smallest_sd
from rdp.linear_source import scalar
from rdp.solution import Status
from solvers import SolverError, solve
from solvers.linear import budget
from solvers.linear._directions import better_directions, worth
from solvers.linear.budget import budget_encoder, budget_joint_encoder
from solvers.linear.decoder import reconstruct
from solvers.linear.encoder_bound import encoder_bound
from solvers.linear.lookahead import plan
from solvers.linear.measurement import represent

PAIR = AutoRegressive.from_poles(0.95 * np.exp([0.3j, -0.3j]))
THREE = AutoRegressive.from_poles([0.9, 0.5 * np.exp(1j), 0.5 * np.exp(-1j)], sigma=3.0)
MOVING = StateSpace.arma([0.5], [0.5, 0.3])  # its transition and its noise are singular
STRAIGHT = StateSpace.constant_velocity(0.0, 1.0, 0.5)  # no noise: two numbers say all frames
SOURCES = (PAIR, THREE, MOVING, StateSpace.constant_velocity(0.3, 1.0, 0.5), STRAIGHT)


def any_encoder(source, bits, rng, wait=True):
    """Errors of an encoder that measures two directions a frame, whose bits may wait, (T, n, n)."""
    a, w, _ = scalar(source)
    ahead, saved, errors = source.realisation().initial, 0.0, []
    for fresh in bits:
        saved += fresh
        spent = saved * rng.uniform() ** rng.choice([0.0, 1.0]) if wait else saved
        saved -= spent
        share = rng.uniform()
        for part in (share * spent, (1 - share) * spent):
            c = rng.standard_normal(len(a))
            column = ahead @ c
            ahead = ahead - (1 - 4**-part) / float(c @ column) * np.outer(column, column)
        errors.append(ahead)
        ahead = a @ ahead @ a.T + w
    return np.array(errors)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), which=st.integers(0, len(SOURCES) - 1))
def test_any_dual_point_bounds_any_encoder(seed, which):
    rng, source = np.random.default_rng(seed), SOURCES[which]
    a, w, _ = scalar(source)
    first, n, frames = source.realisation().initial, len(a), int(rng.integers(1, 6))
    bits = rng.choice([0.0, 0.1, 0.5, 3.0], frames)
    half = rng.standard_normal((frames, n, n))
    costs = half @ half.mT
    point = any_encoder(source, np.maximum(bits, 0.1), rng) + 1e-9 * np.eye(n)
    prices = rng.standard_normal(frames) * float(np.trace(first))
    bound = encoder_bound(a, w, first, costs, bits, point, prices)
    for _ in range(5):
        assert (costs * any_encoder(source, bits, rng)).sum() >= bound


def test_a_point_without_an_inverse_gives_no_bound():
    unit = np.eye(2)
    flat = np.diag([1.0, 0.0])
    assert encoder_bound(unit, unit, unit, [unit], [1.0], [flat], np.ones(1)) == -np.inf


def test_one_frame_is_a_formula():
    """Reverse water-filling over the eigenvalues of the state is the bound at its own prices."""
    first = np.diag([4.0, 1.0])
    level = np.sqrt(4.0 / 2**3)  # 1.5 bits over both
    found = encoder_bound(
        np.eye(2), np.eye(2), first, [np.eye(2)], [1.5], [level * np.eye(2)], np.array([level])
    )
    assert_allclose(found, 2 * level, rtol=1e-12)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), which=st.integers(0, len(SOURCES) - 1))
def test_bounds_are_never_above_what_is_reached(seed, which):
    rng, source = np.random.default_rng(seed), SOURCES[which]
    _, _, h = scalar(source)
    frames = int(rng.integers(1, 5))
    bits = rng.choice([0.1, 0.5, 1.0, 3.0], frames)
    weights = rng.choice([0.0, 0.3, 1.0], frames) + 1e-3
    variance = np.diag(source.covariance(frames))
    floors = rng.choice([0.0, 0.7, 1.0], frames) * np.sqrt(variance)
    plain, framewise = (budget_encoder(source, bits, weights, of) for of in (None, floors))
    joint = budget_joint_encoder(source, bits, weights)
    for _ in range(4):
        m = any_encoder(source, bits, rng, wait=False) @ h @ h
        assert weights @ m >= plain.lower_bound
        short = np.maximum(floors - np.sqrt(np.maximum(variance - m, 0.0)), 0.0)
        assert weights @ (m + short**2) >= framewise.lower_bound
        sent = represent(source, bits, rng.standard_normal((frames, len(h))))
        assert plan(sent, weights).objective >= joint.lower_bound
    for found in (plain, framewise, joint):
        sent = represent(source, bits, found.directions)
        assert weights @ sent.mmse >= plain.lower_bound * (1 - 1e-12)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("bits", [0.5, 2.0, 5.0])
def test_the_gap_closes_where_no_bit_should_wait(source, bits):
    """At a constant rate, directions at the rate of each frame reach the bound."""
    rates = np.full(4, bits)
    for floors in (np.zeros(4), np.sqrt(np.diag(source.covariance(4)))):
        found = budget_encoder(source, rates, floors=floors)
        m = represent(source, rates, found.directions).mmse
        variance = np.diag(source.covariance(4))
        value = (m + np.maximum(floors - np.sqrt(variance - m), 0.0) ** 2).sum()
        assert value - found.lower_bound <= 1e-6 * value


def test_gaps_by_number():
    """Two-pole source, half a bit: solved; 2, .2, 1 bits under JD: bits would wait, 23 % open."""
    closed = solve(Problem(PAIR, [0.5] * 8, weights=np.ones(8)))
    assert_allclose(closed.objective, 1.430518, atol=1e-6)
    assert closed.status == "solved"
    assert closed.gap <= 1e-9
    joint = solve(Problem(PAIR, [0.5] * 3, JD(0.0), weights=np.ones(3)))
    assert_allclose(joint.objective, 1.241539, atol=1e-6)
    assert joint.status == "solved"
    assert joint.gap <= 1e-6
    waiting = solve(Problem(PAIR, [2.0, 0.2, 1.0], JD(0.0), weights=np.ones(3)))
    assert waiting.status == "achievable"
    assert_allclose(waiting.gap / waiting.objective, 0.23, atol=0.01)


@pytest.mark.parametrize("loss", [FMD(0.1), JD(0.1), JD(0.0, window=2), SA(0.0), SA(0.1)])
def test_the_other_losses_have_the_bound_of_their_frames(loss):
    problem = Problem(PAIR, [0.5] * 3, loss, weights=[1.0, 2.0, 1.0])
    found = solve(problem)
    assert found.objective <= solve(problem.with_(encoder="mmse")).objective + 1e-7
    framewise = solve(problem.with_(perception=FMD(problem.thresholds)))
    assert framewise.lower_bound <= found.objective
    assert_allclose(found.lower_bound, min(framewise.lower_bound, found.objective), rtol=1e-6)
    floors = smallest_sd(1.0, problem.thresholds)
    assert (np.sqrt(np.diag(found.cov_xhat)) >= floors - 1e-6).all()


@pytest.mark.parametrize("loss", [FMD(0.0), FMD(0.1), JD(0.0), JD(0.05), SA(0.0), SA(0.05)])
def test_of_first_order_the_mmse_encoder_is_optimal(loss):
    source = AutoRegressive(0.9)
    problem = Problem(source, [0.5, 0.0, 1.0], loss, weights=[1.0, 0.0, 2.0])
    found, plain = solve(problem), solve(problem.with_(encoder="mmse"))
    assert found.status == "solved"
    assert_allclose(found.objective, plain.objective, rtol=1e-9)
    hidden = StateSpace(np.diag([0.9, 0.5]), np.diag([0.19, 0.75]), [1.0, 0.0])
    assert_allclose(solve(problem.with_(source=hidden)).objective, found.objective, rtol=1e-6)


def test_prices_and_slopes_are_derivatives():
    rng = np.random.default_rng(0)
    rates, c = np.array([0.5, 1.0, 0.0, 0.2]), rng.standard_normal((4, 3))
    half, pulls = rng.standard_normal((4, 3, 3)), rng.standard_normal((4, 3))
    costs = half @ half.mT

    def value(directions, bits):
        sent = represent(THREE, bits, directions)
        return (costs * sent.error).sum() - (pulls * sent.gain).sum()

    prices, slopes = worth(represent(THREE, rates, c), costs, pulls)
    step, along = 1e-6, rng.standard_normal(c.shape)
    found = (value(c + step * along, rates) - value(c - step * along, rates)) / (2 * step)
    assert_allclose((slopes * along).sum(), found, rtol=1e-6)
    for t in (0, 1, 3):
        more = step * np.eye(4)[t]
        fallen = (value(c, rates - more) - value(c, rates + more)) / (4 * step * np.log(2))
        assert_allclose(prices[t], fallen, rtol=1e-6)
    assert prices[2] == 0
    assert not slopes[2].any()


def test_more_unknowns_than_newton_takes():
    rates = np.full(40, 0.5)
    _, _, h = scalar(PAIR)

    def cost(sent):
        return sent.mmse.sum(), np.tile(np.outer(h, h), (40, 1, 1)), np.zeros_like(sent.gain)

    start = np.tile(h, (40, 1))
    better = represent(PAIR, rates, better_directions(PAIR, rates, start, cost)).mmse.sum()
    assert better < 0.95 * represent(PAIR, rates).mmse.sum()


def test_rates_of_zero_and_high_rates():
    idle = budget_encoder(PAIR, [0.0, 0.5])
    reached = represent(PAIR, [0.0, 0.5], idle.directions).mmse.sum()
    assert reached * (1 - 1e-9) <= idle.lower_bound <= reached
    for bits in (12.0, 20.0):
        high = budget_encoder(PAIR, [bits] * 3)
        reached = represent(PAIR, [bits] * 3).mmse.sum()
        assert 0.9 * reached <= high.lower_bound <= reached


def test_where_the_solver_fails_the_search_and_its_bound_stay(monkeypatch):
    def fail(*args):
        raise SolverError(Status.FAILED, "no answer")

    monkeypatch.setattr(budget, "solve_program", fail)
    found = budget_encoder(PAIR, [0.5] * 4)
    reached = represent(PAIR, [0.5] * 4, found.directions).mmse.sum()
    assert_allclose(found.lower_bound, reached, rtol=1e-8)
    joint = solve(Problem(PAIR, [0.5] * 4, JD(0.0), weights=np.ones(4)))
    assert joint.status == "achievable"
    framewise = budget_encoder(PAIR, [0.5] * 4, floors=np.ones(4))
    assert joint.lower_bound >= framewise.lower_bound - 1e-9


def test_frames_without_weight_are_sensible():
    """Not worse than twice what the sequential rule gives, where the objective leaves them free."""
    rates = [0.5] * 4
    for loss in (JD(0.0), JD(0.0, window=2), JD(0.05)):
        found = solve(Problem(PAIR, rates, loss, weights=[1.0, 0.0, 0.0, 0.0], encoder="mmse"))
        assert found.gap <= 1e-6
        sent = represent(PAIR, rates)
        plain = reconstruct(PAIR.covariance(4), sent.factor, "JD").distortion
        assert (found.distortion <= plain * 1.001).all()


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"floors: expected shape \(2,\)"):
        budget_encoder(PAIR, [1.0, 1.0], floors=[1.0])
    with pytest.raises(ValueError, match="floors: expected at most the deviations"):
        budget_encoder(PAIR, [1.0], floors=[1.1])
    with pytest.raises(ValueError, match="positive definite covariance for encoder"):
        solve(Problem(StateSpace.constant_velocity(0.1), [1.0, 1.0], weights=[1.0, 1.0]))
