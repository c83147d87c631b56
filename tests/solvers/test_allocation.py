"""Allocation by other routes: closed forms, searches over rates, and the certificates."""

import importlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from rdp import FMD, JD, SA, GaussMarkov, Problem
from rdp.closed_form import (
    framewise,
    mmse,
    rate_for_distortion,
    zero_perception_joint,
    zero_perception_self_adaptive,
)
from solvers import SolverError, allocate, minimum_rate, pareto, solve, universality
from solvers._sdp.free_rates import best_split, least_total_rate
from solvers.methods.waterfilling import waterfill
from tests.strategies import sources

REGULAR = st.floats(-0.95, 0.95)
LOSSES = [None, FMD(0.0), FMD(0.05), FMD(0.1, metric="kl"), JD(0.0), JD(0.05), SA(0.0), SA(0.05)]
ZERO = {"JD": zero_perception_joint, "SA": zero_perception_self_adaptive, "FMD": framewise}
SOURCE = GaussMarkov([1.0, 1.3, 0.8], [0.9, 0.7])


@given(sources(correlations=REGULAR), st.lists(st.floats(0.02, 0.9), min_size=4, max_size=4))
@settings(max_examples=10)
def test_least_rate_without_perception_loss_is_the_closed_form(source, shares):
    targets = source.variance * shares[: source.frames]
    expected = rate_for_distortion(source, targets)
    for objective in ("total", "sequential"):
        found = minimum_rate(source, targets, objective=objective)
        # a frame may spend more than it has to where that spares the next one as much
        assert found.total == pytest.approx(expected.sum(), abs=1e-6)
    np.testing.assert_allclose(found.rates, expected, atol=1e-6)


@pytest.mark.parametrize("share", [1e-15, 1e-30, 1e-300])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e12])
def test_least_rate_of_frames_that_are_bound_alone_keeps_its_digits(scale, share):
    """At any rate: the errors are as large as the distortions allow, frame after frame."""
    source = GaussMarkov([scale, 2 * scale, scale], [0.9, 1.0])
    if (share * source.variance < 1e-300).any():
        share *= 1e6
    targets = share * source.variance
    expected = [
        -0.5 * np.log2(share),
        0.5 * np.log2((0.81 * share + 0.19) / share),
        0.0,  # the frame before says all
    ]
    for loss in (None, FMD(0.0), FMD(np.inf), JD(np.inf), JD(0.0, window=1)):
        found = minimum_rate(source, targets, loss)
        np.testing.assert_allclose(found.rates, expected, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(found.distortion, targets, rtol=1e-12)
        assert 0 <= found.gap <= 1e-9


@pytest.mark.parametrize("loss", [None, FMD(0.0), FMD([0.3, 0.0, 0.01]), FMD(0.1, metric="kl")])
def test_least_rate_of_frames_that_are_bound_alone_is_that_of_the_program(loss):
    for targets in ([0.3, 0.25, 0.2], [0.9, 1e-3, 5.0], [2.5, 0.7, 1e-3]):
        found = minimum_rate(SOURCE, targets, loss)
        program = least_total_rate(Problem(SOURCE, 0.0, loss, weights=1.0), np.array(targets))
        assert program.lower_bound - 1e-9 <= found.total <= program.rates.sum() + 1e-9


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_least_total_rate_is_certified_and_met(loss):
    targets = np.array([0.3, 0.25, 0.2])
    found = minimum_rate(SOURCE, targets, loss)
    assert (found.distortion <= targets * (1 + 1e-8)).all()
    if loss is not None:
        assert (found.perception <= loss.thresholds(3) + 1e-8).all()
    assert found.lower_bound <= found.total * (1 + 1e-9)
    assert found.total - found.lower_bound <= 1e-6
    # a little less rate, however split, is too little
    for share in (np.eye(3), np.ones((1, 3)) / 3):
        for split in share:
            rates = np.maximum(found.rates - 1e-3 * split, 0.0)
            weights = 1 / targets
            best = solve(Problem(SOURCE, rates, loss, weights), "sdp")
            assert (best.distortion > targets).any()


@given(
    sources(correlations=REGULAR),
    st.lists(st.floats(1e-3, 1.1), min_size=4, max_size=4),
    st.sampled_from([None, FMD, JD, SA]),
    st.sampled_from([0.0, 0.01, 0.3, np.inf]),
)
@settings(max_examples=12)
def test_any_least_rate_and_any_split_are_certified(source, shares, plf, level):
    """Frames without rate, loose targets and thresholds that do not bind included."""
    loss = None if plf is None else plf(level * source.variance)
    found = minimum_rate(source, source.variance * shares[: source.frames], loss)
    assert -1e-7 <= found.total - found.lower_bound <= 1e-4
    split = allocate(source, 1.0 + shares[0], loss)
    assert -1e-7 <= 1 - split.lower_bound / split.objective <= 1e-5


@pytest.mark.parametrize("plf", [JD, SA])
def test_least_total_rate_by_a_search_over_rates(plf):
    """Two frames at perfect realism, sequential decoders: an upper bound that SA reaches."""
    source = GaussMarkov.stationary(rho=0.8, frames=2)
    targets = np.array([0.4, 0.3])

    start = minimum_rate(source, targets, plf(0.0), objective="sequential").rates[0]
    first = start + np.linspace(0, 2, 4001)
    low, high = np.zeros_like(first), np.full_like(first, 30.0)
    for _ in range(60):
        middle = 0.5 * (low + high)
        reached = ZERO[plf.name](source, np.stack([first, middle], axis=-1))[:, 1]
        low, high = np.where(reached > targets[1], [middle, high], [low, middle])
    best = (first + high).min()
    found = minimum_rate(source, targets, plf(0.0))
    assert found.total <= best + 1e-6
    assert found.total == pytest.approx(best, abs=2e-3)


@pytest.mark.parametrize("loss", [FMD(0.0), JD(0.0), SA(0.0), FMD(0.05), FMD(0.1, metric="kl")])
def test_sequential_rates_reach_the_distortions_exactly(loss):
    targets = [0.5, 0.6, 0.3]
    found = minimum_rate(SOURCE, targets, loss, objective="sequential")
    np.testing.assert_allclose(found.distortion, targets, rtol=1e-8)
    again = solve(Problem(SOURCE, found.rates, loss))
    np.testing.assert_allclose(again.distortion, targets, rtol=1e-8)
    total = minimum_rate(SOURCE, targets, loss).total
    assert total <= found.total + 1e-6


def test_a_frame_already_good_enough_takes_no_bits():
    found = minimum_rate(SOURCE, [0.1, 3.0, np.inf], objective="sequential")
    assert found.rates[1:].tolist() == [0.0, 0.0]
    np.testing.assert_allclose(minimum_rate(SOURCE, [0.1, 3.0, np.inf]).rates[1:], 0, atol=1e-6)


def test_error_permanence_can_put_a_distortion_out_of_reach():
    """Sequential 0-JD: a bad first frame is repeated whatever the second one gets."""
    source = GaussMarkov.stationary(rho=0.9, frames=2)
    with pytest.raises(SolverError, match="frame 2 reaches") as caught:
        minimum_rate(source, [1.9, 0.1], JD(0.0), objective="sequential")
    assert caught.value.status == "infeasible"
    found = minimum_rate(source, [1.9, 0.1], JD(0.0))
    assert found.distortion[1] == pytest.approx(0.1, rel=1e-6)


DISTORTION = {"MMSE": mmse, **ZERO}


@pytest.mark.parametrize("loss", LOSSES, ids=str)
@pytest.mark.parametrize("weights", [None, [0.2, 1.0, 3.0]])
def test_best_split_is_certified_and_no_other_split_is_better(loss, weights):
    found = allocate(SOURCE, 2.5, loss, weights)
    assert found.rates.sum() == pytest.approx(2.5, abs=1e-8)
    assert found.lower_bound <= found.objective * (1 + 1e-9)
    assert found.objective - found.lower_bound <= 1e-6 * found.objective
    rng = np.random.default_rng(0)
    share = np.ones(3) if weights is None else np.array(weights)
    for rates in 2.5 * rng.dirichlet(np.ones(3), 4):
        other = solve(Problem(SOURCE, rates, loss, share), "sdp")
        assert other.objective >= found.lower_bound * (1 - 1e-9)
    again = solve(Problem(SOURCE, found.rates, loss, share), "sdp")
    assert again.objective == pytest.approx(found.objective, rel=1e-6)


@pytest.mark.parametrize("loss", [None, FMD(0.0), FMD(0.02)], ids=str)
def test_best_split_by_a_search_over_rates(loss):
    """MMSE and FMD: the closed form of the distortions, minimised over splits directly."""
    levels = np.inf if loss is None else loss.levels

    def objective(logits):
        rates = 2.5 * np.exp(logits) / np.exp(logits).sum()
        return framewise(SOURCE, rates, levels).sum()

    best = minimize(objective, np.zeros(3), tol=1e-12, method="Nelder-Mead")
    found = allocate(SOURCE, 2.5, loss)
    assert found.objective == pytest.approx(best.fun, rel=1e-6)


def test_a_stationary_source_without_memory_gets_an_even_split():
    found = allocate(GaussMarkov.stationary(rho=0.0, frames=4), 4.0, FMD(0.0))
    np.testing.assert_allclose(found.rates, 1.0, atol=1e-5)


def test_front_is_convex_and_certified():
    source = GaussMarkov.stationary(rho=0.9, frames=3)
    problem = Problem(source, [0.05, 8, 8], JD(0.0))
    front = pareto(problem, frames=(2, 3), points=9)
    first, second = front.distortion[:, 1], front.distortion[:, 2]
    assert (np.diff(first) >= -1e-7).all()
    assert (np.diff(second) <= 1e-7).all()
    # no point lies below the line that supports another
    lines = front.weights @ front.distortion.T
    assert (lines >= front.lower_bound[:, None] - 1e-6).all()
    sequential = solve(problem).distortion
    assert first[0] == pytest.approx(sequential[1], rel=1e-3)
    assert second[-1] == pytest.approx(0.514, abs=6e-4)


def test_front_is_a_point_where_frames_do_not_compete():
    front = pareto(Problem(SOURCE, 0.5, FMD(0.01)), frames=(1, 3), points=5)
    np.testing.assert_allclose(np.ptp(front.distortion, axis=0), 0, atol=1e-9)


def test_front_of_two_frames_is_the_known_tradeoff():
    from rdp.closed_form import joint_tradeoff

    source = GaussMarkov.stationary(rho=0.9, frames=2)
    curve = joint_tradeoff(source, [4.0, 0.05], np.linspace(0, 1, 100_001))
    front = pareto(Problem(source, [4.0, 0.05], JD(0.0)), frames=(1, 2), points=7)
    for weights, point in zip(front.weights, front.distortion, strict=True):
        assert weights @ point == pytest.approx((curve @ weights).min(), rel=1e-6)


@pytest.mark.parametrize("loss", [None, FMD(0.0), JD(0.0), SA(0.0), FMD(0.1)], ids=str)
def test_scalar_frames_have_no_universality_penalty(loss):
    found = universality(Problem(SOURCE, [0.3, 1.0, 0.1], loss))
    np.testing.assert_allclose(found.penalty, 0, atol=1e-9)
    assert found.extra_rate == 0.0


@pytest.mark.parametrize("plf", [FMD, JD, SA])
def test_vector_frames_pay_for_the_mmse_encoder(plf):
    source = GaussMarkov(np.array([[2.0, 1.0, 0.5]] * 2), 0.6)
    problem = Problem(source, [1.0, 0.4], plf(0.0))
    found = universality(problem)
    assert (found.penalty[:1] > 0.1).all()
    bought = waterfill(source, problem.rates + found.extra_rate, plf.name, encoder="mmse")
    assert bought.distortion.sum() == pytest.approx(found.best.sum(), rel=1e-6)


def test_answers_keep_what_was_asked_and_their_gap():
    """A loss may be given by its name; every answer with a bound has its gap."""
    named, given = (minimum_rate(SOURCE, 0.3, loss) for loss in ("jd", JD(0.0)))
    np.testing.assert_array_equal(named.rates, given.rates)
    assert (named.loss.name, named.source, named.allowed.tolist()) == ("JD", SOURCE, [0.3] * 3)
    assert named.gap == named.total - named.lower_bound
    split = allocate(SOURCE, 2.0, "SA")
    assert split.gap == split.objective - split.lower_bound
    assert split.solution.problem.plf == "SA"
    problem = Problem(SOURCE, 0.5, "JD")
    front = pareto(problem, (3, 1), points=3)
    assert front.problem is problem
    assert front.frames == (3, 1)
    assert (np.diff(front.distortion[:, 2]) >= -1e-9).all()  # frame 3 has the weight at first
    np.testing.assert_array_equal(front.gap, front.objective - front.lower_bound)
    assert (np.abs(front.gap) <= 1e-6 * front.objective).all()
    cost = universality(problem)
    assert cost.problem is problem
    assert 0 <= cost.gap <= 1e-6


def test_spectrum_of_the_theory():
    found = universality(Problem(GaussMarkov([[2.0, 1.0, 0.5]]), 1.0, FMD(0.0)))
    assert found.best[0] == pytest.approx(2.928, abs=5e-4)
    assert found.mmse_encoder[0] == pytest.approx(3.572, abs=5e-4)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"distortion: expected shape \(3,\)"):
        minimum_rate(SOURCE, [0.1, 0.2])
    with pytest.raises(ValueError, match="distortion: expected values > 0"):
        minimum_rate(SOURCE, 0.0)
    with pytest.raises(ValueError, match="objective: expected"):
        minimum_rate(SOURCE, 0.1, objective="least")
    with pytest.raises(ValueError, match="total_rate: expected values > 0"):
        allocate(SOURCE, 0.0)
    with pytest.raises(ValueError, match="weights: expected shape"):
        allocate(SOURCE, 1.0, weights=[1.0, 2.0])
    problem = Problem(SOURCE, 1.0, JD(0.0))
    for frames in ((1, 4), (2, 2)):
        with pytest.raises(ValueError, match="frames: expected two different frames, 1 to 3"):
            pareto(problem, frames)
    for frames in ((0, 3), (1.5, 2)):
        with pytest.raises(ValueError, match="frames: expected an integer >= 1"):
            pareto(problem, frames)
    with pytest.raises(ValueError, match="frames: expected two numbers"):
        pareto(problem, (1, 2, 3))
    with pytest.raises(ValueError, match="perception: expected one of MMSE, FMD, JD, SA"):
        allocate(SOURCE, 1.0, "FDM")
    with pytest.raises(ValueError, match="points: expected at least 2"):
        pareto(problem, frames=(1, 2), points=1)
    vector = GaussMarkov(np.ones((2, 2)), 0.5)
    for ask in (lambda: minimum_rate(vector, 0.1), lambda: allocate(vector, 1.0)):
        with pytest.raises(SolverError, match="vector frames"):
            ask()


def test_arguments_of_another_type_are_refused_by_name():
    with pytest.raises(ValueError, match="source: expected a GaussMarkov, got str"):
        allocate("x", 1.0)
    with pytest.raises(ValueError, match="source: expected a GaussMarkov, got int"):
        minimum_rate(3, 0.5)
    with pytest.raises(ValueError, match="problem: expected a Problem, got str"):
        pareto("x", (1, 2))
    with pytest.raises(ValueError, match="problem: expected a Problem, got NoneType"):
        universality(None)


def test_bounds_are_python_floats():
    source = GaussMarkov.stationary(rho=0.9, frames=2)
    assert type(minimum_rate(source, 0.3).lower_bound) is float
    assert type(allocate(source, 1.0).lower_bound) is float


@pytest.mark.parametrize("loss", [None, FMD(0.0), FMD([0.3, 0.0, 0.01]), FMD(0.1, metric="kl")])
@pytest.mark.parametrize(
    ("total", "weights"), [(0.05, [1, 1, 1]), (2, [0, 0.2, 1]), (14, [3, 1, 1])]
)
def test_explicit_split_is_that_of_the_program(loss, total, weights):
    for source in (SOURCE, GaussMarkov([1.0, 2.0, 0.5], [1.0, 0.0])):
        found = allocate(source, total, loss, weights)
        program = best_split(Problem(source, total / 3, loss, weights))
        within = program.rates * min(1.0, total / program.rates.sum())
        reached = solve(Problem(source, within, loss, weights)).objective
        assert program.lower_bound * (1 - 1e-8) <= found.objective <= reached * (1 + 1e-9)
        assert found.rates.sum() == pytest.approx(total, rel=1e-12)
        assert 0 <= found.gap <= 1e-11 * found.objective


@pytest.mark.parametrize("loss", [None, FMD(0.0), FMD(0.01), JD(np.inf)])
@pytest.mark.parametrize("total", [1e-9, 90.0, 300.0])
def test_a_split_of_few_or_many_bits_keeps_its_budget_and_its_digits(loss, total):
    for rho in (0.9, 1.0):
        found = allocate(GaussMarkov.stationary(rho, 3), total, loss)
        assert found.rates.sum() == pytest.approx(total, rel=1e-12)
        assert 0 <= found.gap <= 1e-11 * found.objective
    # later frames repeat the first
    np.testing.assert_allclose(found.rates, [total, 0, 0], atol=1e-12 * total)


def test_a_split_far_beyond_its_budget_is_refused(monkeypatch):
    """The residual of a rate says little at high rates, so that the sum is checked itself."""
    splits = importlib.import_module("solvers.splits")

    by_program = splits.by_program

    def too_many(problem, targets):
        found = by_program(problem, targets)
        return found._replace(rates=found.rates + 1e-3)

    monkeypatch.setattr(splits, "by_program", too_many)
    monkeypatch.setattr(splits, "covers_rates", lambda problem: False)
    with pytest.raises(SolverError, match="bits, 3 allowed"):
        allocate(SOURCE, 3.0, JD(0.0))


@pytest.mark.filterwarnings("error")
def test_a_split_over_frames_that_repeat_divides_by_no_zero():
    found = allocate(GaussMarkov.stationary(1.0, 3), 60.0, SA(0.0))
    assert found.rates.sum() <= 60 * (1 + 1e-12)


@pytest.mark.parametrize("rho", [1.0, -1.0])
@pytest.mark.parametrize("plf", [JD, SA])
@pytest.mark.parametrize("budget", [12.0, 60.0, 90.0])
def test_frames_that_repeat_the_first_leave_all_bits_to_it(rho, plf, budget):
    """Above zero the threshold is met by the estimate, so that D_t is the error of frame 1."""
    found = allocate(GaussMarkov.stationary(rho=rho, frames=3), budget, plf(0.05))
    np.testing.assert_array_equal(found.rates, [budget, 0.0, 0.0])
    assert found.objective == pytest.approx(3 * np.exp2(-2 * budget), rel=1e-9)
    assert 0 <= found.gap <= 1e-6 * found.objective


def test_no_budget_is_left_where_distortions_vanish():
    """At 90 bits the optimum is below what a solver resolves, and two frames are one variable."""
    source = GaussMarkov([1.0, 2.0, 1.0], [1.0, 0.5])
    found = allocate(source, 90.0, JD(0.05))
    assert found.rates.sum() == pytest.approx(90.0, rel=1e-9)
    assert found.rates[1] == 0.0
    assert 0 <= found.lower_bound <= found.objective
    free = allocate(source, 90.0)  # the MMSE estimate meets the thresholds
    assert found.objective == pytest.approx(free.objective, rel=0.01)


def test_a_budget_that_no_method_splits_is_named():
    with pytest.raises(SolverError, match=r"allocate: 1e-09 bits over 13 frames"):
        allocate(GaussMarkov.stationary(rho=0.9, frames=13), 1e-9, SA(0.05))


def test_next_to_no_bits_are_split_over_six_frames():
    source = GaussMarkov.stationary(rho=0.9, frames=6)
    found = allocate(source, 1e-9, SA(0.05))
    without = 6 * (1 + (1 - np.sqrt(0.05)) ** 2)  # independent reconstructions
    assert found.objective == pytest.approx(without, rel=1e-4)
    assert found.objective <= without
    assert 0 <= found.gap <= 1e-6 * found.objective


def test_a_program_whose_moments_are_none_is_followed_by_decimals():
    sigma = np.array([1.1737369879259762, 2.191733877313584])
    loss = JD([0.0, 1e-9 * sigma[0] ** 2])
    found = minimum_rate(GaussMarkov(sigma, [1.0]), [2.755317036406404, 9.607232126596726], loss)
    assert found.lower_bound == 0.0  # no bits are needed
    assert 0 <= found.total < 1e-9
