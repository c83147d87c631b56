"""Sequential decoders for any source, against closed forms, semidefinite programs, simulation."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from rdp import GaussMarkov, closed_form
from rdp.autoregressive import AutoRegressive
from rdp.mmse import estimate_factor
from rdp.state_space import StateSpace
from solvers.linear.decoder import LOSSES, reconstruct
from solvers.linear.measurement import represent
from tests.strategies import sources_with_rates

PAIR = AutoRegressive.from_poles(0.95 * np.exp([0.3j, -0.3j]))
RATES = [0.3, 1.0, 0.05, 2.0]
FORMS = {
    "FMD": closed_form.zero_perception_framewise,
    "JD": closed_form.zero_perception_joint,
    "SA": closed_form.zero_perception_self_adaptive,
}


@pytest.mark.parametrize("loss", LOSSES)
@given(drawn=sources_with_rates(correlations=st.sampled_from([0.0]) | st.floats(-0.99, 0.99)))
def test_order_one_is_the_closed_form(loss, drawn):
    source, rates = drawn
    made = reconstruct(source.covariance(), estimate_factor(source, rates), loss)
    scale = source.variance.max()
    assert_allclose(made.distortion, FORMS[loss](source, rates), atol=1e-8 * scale)


def sequential_program(cov, factor, loss):
    """Least D_t given the earlier rows: a semidefinite program in the new row of K and of H."""
    frames = len(cov)
    k, h = np.zeros((frames, frames)), np.zeros((frames, frames))
    for t in range(frames):
        row, own = cp.Variable((1, t + 1)), cp.Variable((1, max(t, 1)))
        size = t + 1
        k_all = cp.vstack([np.hstack([k[:t, :t], np.zeros((t, 1))]), row]) if t else row
        if t:
            h_all = cp.bmat([[h[:t, :t], own.T], [own, np.full((1, 1), cov[t, t])]])
        else:
            h_all = np.full((1, 1), cov[t, t])
        block = cp.bmat([[np.eye(size), k_all.T], [k_all, h_all]])
        constraints = [block + 1e-9 * np.eye(2 * size) >> 0]
        if t and loss == "JD":
            constraints.append(own[0] == cov[t, :t])
        if t and loss == "SA":
            constraints.append(own[0] == k[:t, :t] @ factor[t, :t])
        goal = cp.Maximize(row[0] @ factor[t, : t + 1])
        cp.Problem(goal, constraints).solve(solver=cp.CLARABEL)
        k[t, : t + 1] = row.value[0]
        if t:
            h[t, :t] = h[:t, t] = own.value[0]
        h[t, t] = cov[t, t]
    return 2 * np.diag(cov) - 2 * (k * factor).sum(axis=1)


@pytest.mark.filterwarnings("ignore:Solution may be inaccurate")
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    "source",
    [PAIR, AutoRegressive([0.5, 0.2, -0.4], sigma=2.0), StateSpace.constant_velocity(0.3, 1, 0.5)],
    ids=["pair", "third order", "velocity"],
)
def test_each_frame_is_the_optimum_of_its_program(loss, source):
    sent = represent(source, RATES)
    cov = source.covariance(4)
    made = reconstruct(cov, sent.factor, loss)
    expected = sequential_program(cov, sent.factor, loss)
    assert_allclose(made.distortion / np.diag(cov), expected / np.diag(cov), atol=2e-4)


@pytest.mark.parametrize("loss", LOSSES)
def test_realism_holds_exactly(loss):
    sent = represent(PAIR, [0.3, 0.0, 0.5, 2.0, 0.1])
    cov = PAIR.covariance(5)
    made = reconstruct(cov, sent.factor, loss)
    h = made.cov_xhat
    assert_allclose(np.diag(h), np.diag(cov))
    if loss == "JD":
        assert_allclose(h, cov, atol=1e-12)
    if loss == "SA":
        assert_allclose(np.tril(h, -1), np.tril(made.cross.T, -1), atol=1e-12)
    for t in range(1, 6):
        pairs = reconstruct(cov, sent.factor, "JD", window=t).cov_xhat
        near = np.abs(np.subtract.outer(range(5), range(5))) < t
        assert_allclose(pairs[near], cov[near], atol=1e-12)


def test_windows_lie_between_framewise_and_joint():
    sent, cov = represent(PAIR, [0.05, 4, 4, 4, 4]), PAIR.covariance(5)
    ends = [reconstruct(cov, sent.factor, loss).distortion for loss in ("FMD", "JD")]
    assert_allclose(reconstruct(cov, sent.factor, "JD", window=1).distortion, ends[0])
    assert_allclose(reconstruct(cov, sent.factor, "JD", window=5).distortion, ends[1])
    last = [reconstruct(cov, sent.factor, "JD", window=w).distortion[-1] for w in range(1, 6)]
    assert last[0] < 0.01
    assert min(last[1:]) > last[0]


def test_windows_of_order_one_have_the_published_values():
    source = GaussMarkov.stationary(0.9, 4)
    factor = estimate_factor(source, [0.05, 8, 8, 8])
    last = [reconstruct(source.covariance(), factor, "JD", w).distortion[-1] for w in (2, 3, 4)]
    assert_allclose(last, [0.0476, 0.1954, 0.4809], atol=5e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_simulation_of_encoder_and_decoder(loss):
    sent = represent(PAIR, RATES, [1.0, -0.4])
    made = reconstruct(PAIR.covariance(4), sent.factor, loss)
    n = 100_000
    x, u = sent.simulate(n, rng=1)
    xhat = made.decode(u, rng=2)
    error = (x - xhat) ** 2
    assert (np.abs(error.mean(axis=0) - made.distortion) < 4 * error.std(axis=0) / n**0.5).all()
    h = made.cov_xhat
    spread = np.sqrt((np.outer(np.diag(h), np.diag(h)) + h**2) / n)
    assert (np.abs(xhat.T @ xhat / n - h) < 4 * spread).all()


def test_a_frame_that_the_past_determines():
    still = StateSpace([[1.0]], [[0.0]], [1.0], [[1.0]])
    sent = represent(still, [0.5, 0.5, np.inf])
    made = reconstruct(still.covariance(3), sent.factor, "JD")
    assert_allclose(made.cov_xhat, 1.0)
    assert_allclose(made.distortion, made.distortion[0])
    framewise = reconstruct(still.covariance(3), sent.factor, "FMD")
    assert_allclose(framewise.distortion[-1], 0, atol=1e-9)


def test_no_rate_and_all_rate():
    cov = PAIR.covariance(4)
    for loss in LOSSES:
        nothing = reconstruct(cov, represent(PAIR, [0.0] * 4).factor, loss)
        assert_allclose(nothing.distortion, 2.0)
        everything = reconstruct(cov, represent(PAIR, [np.inf] * 4).factor, loss)
        assert_allclose(everything.distortion, 0.0, atol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.eye(2), np.eye(3), "JD"), "factor: expected shape"),
        ((np.eye(2), np.ones((2, 2)) / 2, "JD"), "lower-triangular"),
        ((np.eye(2), 2 * np.eye(2), "JD"), "at most the variance"),
        ((np.eye(2), np.eye(2), "joint"), "loss: expected one of"),
        ((np.eye(2), np.eye(2), "SA", 1), "window: expected"),
        ((np.eye(2), np.eye(2), "JD", 3), "window: expected"),
        ((np.triu(np.ones((2, 2))), np.eye(2), "JD"), "covariance: expected a symmetric"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        reconstruct(*arguments)
