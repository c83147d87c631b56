"""PLF-SA and PLF-JD above threshold 0, sequential objective, sources of any order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from rdp import JD, SA, AutoRegressive, GaussMarkov, Problem, StateSpace
from rdp.solution import Status
from solvers import SolverError, solve
from solvers.linear.measurement import represent
from solvers.methods.linear_sequential import by_multipliers, by_programs

PAIR = AutoRegressive.from_poles(0.95 * np.exp([0.3j, -0.3j]))
RATES = [0.3, 0.9, 0.1, 2.0]
LEVELS = [0.05, 0.3, [0.0, 0.1, 0.1, 0.0], [0.1, np.inf, 0.0, 0.02], [np.inf, 0.01, 0.2, 9.0]]


@pytest.mark.parametrize("levels", LEVELS, ids=repr)
@pytest.mark.parametrize("sigma", [1.0, 20.0])
def test_first_order_is_what_the_other_methods_find(levels, sigma):
    loss = SA(np.multiply(levels, sigma**2))
    same = solve(Problem(GaussMarkov.stationary(0.9, 4, sigma), RATES, loss))
    found = solve(Problem(AutoRegressive(0.9, sigma), RATES, loss))
    assert_allclose(found.distortion, same.distortion, atol=2e-6 * sigma**2)
    assert abs(found.gap) < 1e-7 * sigma**2
    assert max(found.residuals.values()) < 1e-7


@pytest.mark.parametrize(
    "loss",
    [JD(0.05), JD([0.4, 0.2, 0.1, 0.3]), JD([0.1, np.inf, 0.0, 0.02]), JD([0.0, 0.1, 0.2, 0.3]),
     JD(0.1, window=2)],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("sigma", [1.0, 20.0])
def test_first_order_under_jd(loss, sigma):
    scaled = loss.at(sigma**2 * np.broadcast_to(loss.levels, 4))
    same = solve(Problem(GaussMarkov.stationary(0.9, 4, sigma), RATES, scaled))
    found = solve(Problem(AutoRegressive(0.9, sigma), RATES, scaled))
    assert_allclose(found.distortion, same.distortion, atol=2e-6 * sigma**2)
    assert abs(found.gap) < 1e-6 * found.objective
    assert max(found.residuals.values()) < 1e-6


def test_jd_may_use_up_the_threshold_at_once():
    """The first frame takes all of it; the later ones are those of perfect realism given it."""
    found = solve(Problem(PAIR, [0.5] * 4, JD(0.05)))
    exact = solve(Problem(PAIR, [0.5] * 4, JD(0.0)))
    assert_allclose(found.perception, 0.05, atol=1e-7)
    first = 0.5 + (1 - np.sqrt(0.5) - np.sqrt(0.05)) ** 2  # FMD, one frame
    assert_allclose(found.distortion[0], first, rtol=1e-6)
    assert_allclose(found.distortion[1:], exact.distortion[1:], rtol=1e-4)


@pytest.mark.parametrize("loss", [JD(0.01), JD(0.2), JD(0.05, window=2)], ids=repr)
def test_jd_of_second_order_is_certified_and_simulated(loss):
    rates, n = [0.3, 0.9, 0.1, 2.0, 0.5], 40_000
    found = solve(Problem(PAIR, rates, loss))
    assert abs(found.gap) <= 1e-6 * found.objective
    assert (found.perception <= found.problem.thresholds + 1e-7).all()
    # frame 1 counts first, then frame 2 given it: no decoder for the sum has a smaller D_1
    total = solve(found.problem.with_(weights=np.ones(5), encoder="mmse"))
    assert found.distortion[0] <= total.distortion[0] + 1e-6
    assert total.objective <= found.objective + 1e-6
    x, xhat = found.simulate(n, rng=5)
    error = (x - xhat) ** 2
    assert (abs(error.mean(axis=0) - found.distortion) < 4 * error.std(axis=0) / n**0.5).all()


@settings(max_examples=12)
@given(
    st.floats(0.3, 0.97), st.floats(0.2, 3.0), st.sampled_from([0.001, 0.05, 0.4]),
    st.lists(st.sampled_from([0.0, 0.1, 0.5, 2.0, np.inf]), min_size=1, max_size=5),
)  # fmt: skip
def test_between_the_estimate_and_threshold_0(radius, angle, level, rates):
    source = AutoRegressive.from_poles(radius * np.exp([1j * angle, -1j * angle]))
    problem = Problem(source, np.array(rates), SA(level), encoder="mmse")
    found = solve(problem)
    assert abs(found.gap) <= 1e-6 * found.objective + 1e-8
    assert (found.perception <= level + 1e-7).all()
    exact = solve(problem.with_(perception=SA(0.0)))
    # the first frame is the scalar one; the later ones have other earlier frames
    assert found.mmse[0] - 1e-9 <= found.distortion[0] <= exact.distortion[0] + 1e-9
    assert (found.distortion >= found.mmse - 1e-9).all()


def test_simulation_and_the_end_of_what_is_covered():
    source = StateSpace.arma([0.8], [0.5], sigma=2.0)
    found, n = solve(Problem(source, RATES, SA(0.2))), 50_000
    x, xhat = found.simulate(n, rng=4)
    error = (x - xhat) ** 2
    assert (abs(error.mean(axis=0) - found.distortion) < 4 * error.std(axis=0) / n**0.5).all()
    with pytest.raises(SolverError, match=r"thresholds of PLF-JD\(2\) .* more than 64 frames"):
        solve(Problem(source, [1.0] * 65, JD(0.2, window=2)))


def test_a_window_over_many_frames():
    """The first frames are those of a shorter problem, and all of them of its own certificate."""
    source = AutoRegressive.from_poles(0.95 * np.exp([0.3j, -0.3j]))
    found = solve(Problem(source, [0.5] * 24, JD(0.01, window=2)))
    short = solve(Problem(source, [0.5] * 8, JD(0.01, window=2)))
    assert_allclose(found.distortion[:8], short.distortion, atol=1e-5)
    assert abs(found.gap) <= 1e-6 * found.objective


@pytest.mark.parametrize(
    "loss", [JD(0.02), JD([0.4, 0.2, 0.1, 0.3]), JD([0.0, 0.1, 0.2, 0.3]), SA(0.05)], ids=repr
)
def test_two_routes_for_each_frame(loss):
    """One multiplier for each frame, and semidefinite programs."""
    problem = Problem(PAIR, RATES, loss)
    sent = represent(PAIR, problem.rates)
    made, bound = by_multipliers(problem, sent)
    other, least = by_programs(problem, sent)
    assert_allclose(made.distortion, other.distortion, atol=5e-6)
    # what the frames feel of rounding counts in the bound
    assert 0 <= made.distortion.sum() - bound <= 1e-7 * bound
    assert_allclose(bound, least, atol=5e-6)


def test_many_frames_and_poles_near_the_circle():
    for loss in (JD(0.05), SA(0.05)):
        found = solve(Problem(PAIR, [0.5] * 60, loss))
        # under PLF-JD later frames feel rounding, which the bound counts
        joint = isinstance(loss, JD)
        assert found.gap <= (1e-6 if joint else 1e-12) * found.objective
        for poles in ([0.999, 0.999], [0.9] * 3, 0.9999 * np.exp([0.1j, -0.1j])):
            near = solve(Problem(AutoRegressive.from_poles(poles), [0.5] * 6, loss))
            assert near.gap <= (1e-6 if joint else 1e-9) * near.objective
            assert (near.perception <= 0.05 + 1e-9).all()
        high = solve(Problem(PAIR, [15.0] * 4, loss.at(np.full(4, 1e-12))))
        assert (high.distortion >= high.mmse * (1 - 1e-9)).all()


def test_programs_stand_in_where_there_is_no_certificate(monkeypatch):
    from solvers.methods import linear_sequential

    def refuse(problem, sent):
        raise SolverError(Status.INACCURATE, "no certificate")

    problem = Problem(PAIR, [0.5] * 3, JD(0.02))
    same = solve(problem).distortion
    monkeypatch.setattr(linear_sequential, "by_multipliers", refuse)
    assert_allclose(solve(problem).distortion, same, atol=5e-6)
    with pytest.raises(SolverError, match="no certificate"):
        solve(Problem(PAIR, [0.5] * 13, JD(0.02)))
