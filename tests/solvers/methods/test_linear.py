"""Method "linear": sources of any order through `Problem` and `solve`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from rdp import (
    CP,
    FMD,
    JD,
    SA,
    AutoRegressive,
    GaussMarkov,
    LinearFrames,
    Problem,
    StateSpace,
    bounds,
    closed_form,
)
from rdp.common_randomness import joint_scheme
from rdp.conditional import posterior_sampling
from rdp.solution import Status
from rdp.windowed import zero_perception_windowed
from solvers import (
    SolverError,
    allocate,
    minimum_rate,
    pareto,
    solve,
    steady_rate,
    sweep,
    universality,
)
from solvers.linear.lookahead import plan
from solvers.linear.measurement import represent
from solvers.methods.linear import frame_bounds, linear_frames
from solvers.methods.registry import METHODS
from solvers.prediction import predict

PAIR = AutoRegressive.from_poles(0.95 * np.exp([0.3j, -0.3j]))
EXACT = [None, FMD(0.0), FMD(0.02), FMD(0.05, "kl"), JD(0.0), JD(0.0, window=2), SA(0.0)]
RATES = st.floats(0, 6).map(lambda rate: round(rate, 3))
RHO = st.floats(-0.99, 0.99)


@settings(max_examples=40)
@given(RHO, st.lists(RATES, min_size=2, max_size=6), st.sampled_from(EXACT))
def test_first_order_is_what_the_other_methods_find(rho, rates, loss):
    same = solve(Problem(GaussMarkov.stationary(rho, len(rates)), rates, loss))
    found = solve(Problem(AutoRegressive(rho), rates, loss))
    assert found.method == "linear"
    assert_allclose(found.distortion, same.distortion, atol=1e-9)
    assert_allclose(found.mmse, same.mmse, atol=1e-12)
    assert max(found.residuals.values()) < 1e-9
    assert abs(found.gap) < 1e-7


@settings(max_examples=20)
@given(RHO, st.lists(st.floats(0.05, 4), min_size=2, max_size=5))
def test_weights_of_first_order_with_any_encoder(rho, rates):
    weights = np.linspace(1, 2, len(rates))
    same = solve(Problem(GaussMarkov.stationary(rho, len(rates)), rates, JD(0.0), weights))
    found = solve(Problem(AutoRegressive(rho), rates, JD(0.0), weights, encoder="mmse"))
    assert_allclose(found.objective, same.objective, atol=1e-7)
    assert found.lower_bound <= same.objective + 1e-9


@settings(max_examples=25)
@given(
    st.floats(0.2, 0.97), st.floats(0.1, 3.0), st.lists(RATES, min_size=2, max_size=7),
    st.sampled_from([JD(0.0), JD(0.0, window=2), SA(0.0)]),
)  # fmt: skip
def test_each_frame_meets_its_bound_given_the_frames_before(radius, angle, rates, loss):
    source = AutoRegressive.from_poles(radius * np.exp([1j * angle, -1j * angle]), sigma=2.0)
    problem = Problem(source, rates, loss)
    found = solve(problem)
    made = found.coefficients.reconstruction
    assert_allclose(found.distortion, frame_bounds(problem.simplest(), made), atol=1e-6)
    assert_allclose(found.perception, 0, atol=1e-7)


def test_planning_is_the_plan_of_the_representation_and_has_a_gap():
    rates, weights = np.where(np.arange(64) % 8 == 0, 2.25, 0.25), np.linspace(1, 2, 64)
    found = solve(Problem(PAIR, rates, JD(0.0), weights, encoder="mmse"))
    assert_allclose(found.objective, plan(represent(PAIR, rates), weights).objective)
    assert 0 <= found.gap <= 1e-6 * found.objective
    assert found.objective < weights @ solve(Problem(PAIR, rates, JD(0.0))).distortion


@pytest.mark.parametrize("loss", [None, JD(0.0)])
def test_the_best_encoder_is_between_a_scheme_and_a_bound(loss):
    rates, weights = [0.5, 1.0, 0.2, 0.7], [1.0, 1.0, 1.0, 3.0]
    found = solve(Problem(PAIR, rates, loss, weights))
    plain = solve(Problem(PAIR, rates, loss, weights, encoder="mmse"))
    assert found.lower_bound <= found.objective <= plain.objective + 1e-12
    assert found.status in ("achievable", "solved")
    assert max(found.residuals.values()) < 1e-6
    if found.status == "achievable":
        assert "achievable; no code does better than" in str(found)
    assert universality(Problem(PAIR, rates, loss, weights)).penalty.sum() > -1e-9


def test_simulation_of_a_solution():
    for problem in (
        Problem(PAIR, [0.5, 1.0, 0.3], JD(0.0)),
        Problem(PAIR, [0.5, 1.0, 0.3], JD(0.0), [1.0, 1.0, 4.0]),
        Problem(StateSpace.arma([0.8], [0.5], sigma=3.0), [0.5, 1.0, 0.3], SA(0.0)),
    ):
        found, n = solve(problem), 50_000
        x, xhat, estimate = found.simulate(n, rng=2, representation=True)
        error = (x - xhat) ** 2
        spread = 4 * error.std(axis=0) / n**0.5
        assert (np.abs(error.mean(axis=0) - found.distortion) < spread).all()
        assert_allclose(((x - estimate) ** 2).mean(axis=0), found.mmse, rtol=0.04)
        assert_allclose(xhat.T @ xhat / n, found.cov_xhat, atol=0.06 * found.cov_xhat.max())
        assert len(found.simulate(3, rng=np.random.default_rng(0))) == 2


def test_the_number_of_frames_comes_from_what_is_given():
    for problem in (
        Problem(PAIR, [1.0] * 3),
        Problem(PAIR, 1.0, JD([0.0] * 3)),
        Problem(PAIR, 1.0, weights=[1.0] * 3),
        Problem(LinearFrames(PAIR, 3), 1.0),
    ):
        assert problem.source.frames == 3
        assert not problem.first_order
    assert problem.with_(rates=0.5).source is problem.source
    with pytest.raises(ValueError, match="AutoRegressive has no number of frames"):
        Problem(PAIR, 1.0)
    with pytest.raises(ValueError, match=r"weights: expected shape \(3,\)"):
        Problem(PAIR, [1.0] * 3, weights=[1.0, 2.0])
    with pytest.raises(ValueError, match="got str; an AutoRegressive or a State"):
        Problem("AR", 1.0)
    with pytest.raises(ValueError, match="expected an AutoRegressive or a StateSpace"):
        LinearFrames("AR", 2)
    with pytest.raises(ValueError, match="scalar frames, got 2 outputs"):
        Problem(StateSpace(0.5 * np.eye(2), np.eye(2), np.eye(2)), [1.0])


def test_what_needs_first_order_says_so_and_names_another_way():
    problem = Problem(PAIR, [1.0, 1.0], JD(0.0))
    refusal = "needs a first-order source .*AutoRegressive of order 2; use solve"
    for call in (
        lambda: sweep(problem, rates=[[1.0, 2.0]]),
        lambda: minimum_rate(PAIR, [0.1, 0.1]),
        lambda: allocate(PAIR, 2.0),
        lambda: predict(PAIR, [0.1]),
        lambda: steady_rate(PAIR, 0.1),
        lambda: closed_form.mmse(problem.source, [1.0, 1.0]),
        lambda: closed_form.rate_for_distortion(problem.source, [0.1, 0.1]),
        lambda: closed_form.joint_tradeoff(PAIR, [1.0, 1.0], 0.5),
        lambda: bounds.permanence_bound(PAIR, [1.0, 1.0]),
        lambda: posterior_sampling(PAIR, [1.0, 1.0]),
        lambda: zero_perception_windowed(PAIR, [1.0, 1.0], 2),
        lambda: joint_scheme(PAIR, [1.0, 1.0], [1.0, 1.0]),
        lambda: problem.source.gain,
        lambda: Problem(PAIR, [1.0], FMD(0.0), common_randomness=1.0),
    ):
        with pytest.raises(ValueError, match=refusal):
            call()
    with pytest.raises(AttributeError, match="no attribute 'colour'"):
        problem.source.colour  # noqa: B018
    with pytest.raises(SolverError, match="barrier: does not cover sources of higher order; use"):
        solve(problem, "barrier")
    with pytest.raises(ValueError, match="expected a LinearFrames, got GaussMarkov"):
        linear_frames(Problem(GaussMarkov([1.0]), 1.0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"perception": CP(0.0)}, "PLF-CP with sources of higher order"),
        (
            {"perception": JD([0.1, 0.2, 0.1], window=2)},
            r"thresholds of PLF-JD\(2\) .* that decrease, with the sequential objective",
        ),
        ({"rates": [np.inf, 1.0, 1.0], "weights": 1.0}, "at infinite rates; take encoder 'mmse'"),
        ({"rates": [1.0, np.inf, 1.0]}, "an infinite rate after a finite one"),
    ],
)
def test_what_is_not_covered_is_refused_by_name(change, message):
    with pytest.raises(SolverError, match=message):
        solve(Problem(PAIR, [1.0] * 3).with_(**change))


@pytest.mark.parametrize(
    ("frames", "loss", "weights", "message"),
    [
        (33, SA(0.0), 1.0, "weights of PLF-SA .* over more than 32 frames"),
        (17, SA(0.1), 1.0, "positive thresholds of PLF-SA .* over more than 16 frames"),
        (33, JD(0.1, window=8), 1.0, r"thresholds of PLF-JD\(8\) .* over more than 32 frames"),
        (65, JD(0.1, window=8), None, r"thresholds of PLF-JD\(8\) .* over more than 64 frames"),
        (17, JD(0.1, window=9), None, r"thresholds of PLF-JD\(9\) .* over more than 16 frames"),
    ],
)
def test_a_program_of_many_frames_is_refused(frames, loss, weights, message):
    def of(count):
        return Problem(PAIR, [1.0] * count, loss, weights=weights, encoder="mmse")

    with pytest.raises(SolverError, match=message):
        solve(of(frames))
    assert METHODS["linear"].covers(of(frames - 1))


@pytest.mark.parametrize("loss", [*EXACT, JD(0.1), SA(0.1), JD(0.1, window=2)], ids=repr)
@pytest.mark.parametrize("rate", [0.0, 30.0, np.inf])
def test_no_bits_and_all_bits_with_weights(loss, rate):
    """Nothing is left to choose, for encoder and bound."""
    weights = [1.0, 2.0, 0.5, 1.0]
    for encoder in ("mmse", "optimal"):
        found = solve(Problem(PAIR, [rate] * 4, loss, weights, encoder=encoder))
        assert found.status == Status.SOLVED
        assert abs(found.gap) <= 1e-8
        if rate:
            assert (found.distortion <= 1e-13).all()
        elif loss is None or not np.any(loss.levels):
            assert_allclose(found.distortion, 1.0 if loss is None else 2.0, atol=1e-9)


def test_infinite_rates_to_the_end():
    for loss in EXACT:
        problem = Problem(PAIR, [1.0, np.inf, np.inf], loss)
        found, same = solve(problem), solve(problem.with_(encoder="mmse"))
        near = solve(problem.with_(rates=[1.0, 25.0, 25.0]))
        assert_allclose(found.distortion, same.distortion, atol=1e-12)
        assert_allclose(found.distortion, near.distortion, atol=1e-6)


def test_frames_before_the_first_bit_have_no_part_in_the_gap():
    for rates in ([0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.5]):
        found = solve(Problem(PAIR, rates, FMD(0.0), np.ones(4)))
        assert found.status == Status.SOLVED
        assert 0 <= found.gap <= 1e-6 * found.objective


def test_weights_of_many_orders():
    problem = Problem(PAIR, [0.5, 0.2, 1.0, 0.5], SA(0.0), [0.0, 1.0, 1.0, 1.0], encoder="mmse")
    same = solve(problem)
    for least in (1e-6, 1e-9, 1e-12):
        found = solve(problem.with_(weights=[least, 1.0, 1.0, 1.0]))
        assert_allclose(found.objective, same.objective, rtol=1e-5)
        assert abs(found.gap) <= 1e-6 * found.objective


def test_edges():
    nothing = solve(Problem(PAIR, [0.0] * 4, JD(0.0)))
    assert_allclose(nothing.distortion, 2.0)
    for loss in EXACT:
        everything = solve(Problem(PAIR, [np.inf] * 4, loss))
        assert_allclose(everything.distortion, 0.0, atol=1e-6)
    assert_allclose(solve(Problem(PAIR, [np.inf, 0.5, 0.5])).distortion[0], 0.0, atol=1e-12)
    later = Problem(PAIR, [0.5, np.inf, 0.5], JD(0.0), encoder="mmse")
    assert solve(later).distortion[1] < solve(later.with_(rates=0.5)).distortion[1]
    for poles in ([0.9] * 3, [0.999, 0.999], 0.9999 * np.exp([0.1j, -0.1j]), [0.5, -0.5]):
        source = AutoRegressive.from_poles(poles)
        for loss in EXACT:
            found = solve(Problem(source, [0.5] * 12, loss))
            assert max(found.residuals.values()) < 1e-6
            assert (found.distortion >= found.mmse - 1e-9).all()


def test_a_state_that_no_frame_shows_changes_nothing():
    hidden = StateSpace(np.diag([0.9, 0.5]), np.diag([0.19, 0.75]), [1.0, 0.0])
    for loss in EXACT:
        found = solve(Problem(hidden, [0.5, 1.0, 0.2], loss))
        same = solve(Problem(AutoRegressive(0.9), [0.5, 1.0, 0.2], loss))
        assert_allclose(found.distortion, same.distortion, atol=1e-9)


def test_sources_without_a_steady_state_have_a_finite_horizon():
    for source in (
        StateSpace.constant_velocity(0.3, 1.0, 0.5),
        StateSpace([[1.05]], [[0.3]], [1.0], [[1.0]]),
    ):
        for loss in EXACT:
            found = solve(Problem(source, [0.5] * 6, loss))
            assert max(found.residuals.values()) < 1e-9
            assert (found.distortion >= found.mmse - 1e-12).all()


def test_a_program_that_fails_at_the_first_accuracy_is_asked_again():
    solution = solve(Problem(PAIR, [0.5] * 3, JD(0.0), weights=[0.0002, 0.9998, 0.0]))
    assert_allclose(solution.objective, 0.36, rtol=1e-3)
    assert solution.gap <= 1e-6


def test_front_of_the_encoder_made_for_two_frames():
    """The encoder trades one frame for the other; the bounds are those of all encoders."""
    front = pareto(Problem(PAIR, [0.5] * 3, JD(0.0)), frames=(2, 3), points=3)
    second, third = front.distortion[:, 1], front.distortion[:, 2]
    assert (np.diff(second) > 0).all()
    assert (np.diff(third) < 0).all()
    objective = np.einsum("pt,pt->p", front.weights, front.distortion)
    assert (front.lower_bound <= objective).all()
    assert (objective - front.lower_bound <= 0.3 * objective).all()
    plain = pareto(Problem(PAIR, [0.5] * 3, JD(0.0), encoder="mmse"), frames=(2, 3), points=3)
    assert (objective <= np.einsum("pt,pt->p", front.weights, plain.distortion) + 1e-6).all()
