"""No answer leaves with a wrong bound, lost digits, or a frame left to chance."""

import re

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from rdp import FMD, JD, SA, GaussMarkov, Problem, closed_form
from rdp.measure import reached_by
from rdp.mmse import estimate_factor, mmse_recursion
from solvers import SolverError, acceptance, allocate, minimum_rate, solve, sweep
from solvers.methods.waterfilling import waterfill
from solvers.ties import break_ties

INF = np.inf
stationary = GaussMarkov.stationary

CLOSED = {
    "FMD": closed_form.zero_perception_framewise,
    "JD": closed_form.zero_perception_joint,
    "SA": closed_form.zero_perception_self_adaptive,
}


@pytest.mark.parametrize(
    ("source", "distortion", "loss"),
    [
        (stationary(0.9, 2), [0.1, INF], JD(0.1)),  # a frame of no weight
        (stationary(1.0, 2), [1e-8, 0.9], JD([0.0, 0.1])),  # frames tied to one another
        (stationary(0.9, 2), [INF, 0.3], SA([0.1, 0.01])),
        (GaussMarkov([1.0, 3.0], [0.9]), [INF, 2.7], SA([INF, 0.1])),  # nothing bounds frame 1
        (GaussMarkov([1.0, 3.0, 1.0], [1.0, 1.0]), [1e-6, 9e-6, 1.2], JD([0.5, 1.0, 0.5])),
        (GaussMarkov([3.0], []), [18.0], JD(0.5)),  # no bits at all
    ],
)
def test_a_least_rate_has_a_near_bound_below_it(source, distortion, loss):
    found = minimum_rate(source, distortion, loss)
    assert 0 <= found.gap <= 1e-6 * (1 + found.total)
    assert (found.distortion <= np.asarray(distortion) * (1 + 1e-6)).all()


@given(
    frames=st.integers(1, 3), rho=st.sampled_from([0.0, 0.9, -0.5, 0.999, 1.0]),
    plf=st.sampled_from([None, FMD, JD, SA]), data=st.data(),
)  # fmt: skip
@settings(max_examples=15)
def test_a_least_rate_is_certified_or_refused(frames, rho, plf, data):
    values = st.sampled_from([0.01, 0.3, 0.9, 1.2, INF])
    levels = st.sampled_from([0.0, 0.01, 0.5, INF])
    asked = data.draw(st.lists(values, min_size=frames, max_size=frames))
    loss = None
    if plf is not None:
        loss = plf(np.array(data.draw(st.lists(levels, min_size=frames, max_size=frames))))
    source = stationary(rho, frames)
    try:
        found = minimum_rate(source, asked, loss)
    except SolverError:
        reject()  # few are: hypothesis complains if it cannot find enough others
    assert 0 <= found.gap <= acceptance.BITS * (1 + found.total)
    # no loss asks for no more than any other
    free = minimum_rate(source, asked)
    assert free.lower_bound <= found.total + 1e-9


def test_splits_without_a_loss_or_with_tied_frames_are_found():
    free = allocate(stationary(1.0, 3), 4)
    # tied frames: all bits go to the first, and every frame has its error
    assert_allclose(free.objective, 3 * 2.0**-8, rtol=1e-6)
    assert abs(free.gap) <= 1e-9
    tied = allocate(
        GaussMarkov([1.3881301475349614, 1.4148620652386321], [1.0]),
        2.0,
        JD([0.3853810612990868, 0.10009173318256637]),
        [0.6397138158201809, 0.5590348735373643],
    )
    assert abs(tied.gap) <= 1e-6 * tied.objective


@pytest.mark.parametrize("plf", ["FMD", "JD", "SA"])
@pytest.mark.parametrize("rate", [10.0, 20.0, 25.0, 50.0])
def test_closed_forms_keep_their_digits_through_solve(plf, rate):
    source = stationary(0.9, 3)
    exact = CLOSED[plf](source, np.full(3, rate))
    assert_allclose(solve(Problem(source, rate, plf)).distortion, exact, rtol=1e-12)
    weighted = solve(Problem(source, rate, plf, weights=[1, 2, 3])).distortion
    assert_allclose(weighted, exact, rtol=1e-6)
    assert (weighted >= mmse_recursion(source, np.full(3, rate)).mmse).all()


def test_distortions_that_are_not_those_of_the_moments_are_not_believed():
    problem = Problem(stationary(0.9, 2), 1.0, JD(0.0))
    moments = solve(problem).distortion
    for said in (moments * 1.01, moments * np.nan, None):
        assert_allclose(acceptance.precise_distortion(problem, said, moments), moments)
    near = moments * (1 + 1e-12)
    assert (acceptance.precise_distortion(problem, near, moments) == near).all()


def test_a_frame_of_no_weight_is_as_good_as_the_others_allow():
    problem = Problem(stationary(0.9, 2), [5, 0.14], SA([1e6, 0.03]), [0, 1])
    found = solve(problem)
    assert found.distortion[0] < 0.03  # 149 without a rule
    alone = solve(problem.with_(weights=[1e-4, 1])).distortion
    assert_allclose(found.distortion, alone, rtol=0.01)
    point = sweep(problem)
    assert_allclose(point.distortion, found.distortion, rtol=1e-6)


def test_a_frame_that_the_objective_does_not_feel_is_not_left_to_chance():
    problem = Problem(stationary(0.9, 3), [0.1, 15, 15], SA(0.2), [1, 1, 1])
    found = solve(problem)
    assert (found.distortion[1:] < 1.01 * found.mmse[1:]).all()
    assert found.gap <= 1e-6 * found.objective


def test_few_frames_that_the_barrier_method_refuses_go_to_the_exact_recursion():
    found = solve(Problem(stationary(0.9, 2), 0, JD([0.1, 1])))
    assert found.method == "long-horizon"
    assert "asked after: " in found.message
    assert re.search("barrier", found.message)
    assert abs(found.gap) < 1e-7
    second = solve(found.problem, "sdp")
    assert_allclose(found.distortion, second.distortion, rtol=1e-6)


def test_a_matrix_that_rounding_makes_singular_is_a_failure_of_the_method():
    """Deviations seven orders apart and |rho| near 1: no LinAlgError, which is a ValueError."""
    problem = Problem(
        GaussMarkov(
            [1.93371366e4, 1.25089847e3, 0.124426984, 3.07775074e-3],
            [1 - 1e-7, -1 + 1e-7, 1 - 1e-7],
        ),
        [1e-9, 30.0, 1e-3, 1.28242809],
        JD([1.93601662e8, 1.56474699e4, 8.01592961e-3, 4.90446498e-6]),
        [0.529, 0.529, 0.529, 0.05],
    )
    for name in ("auto", "long-horizon", "barrier", "sdp"):
        try:
            found = solve(problem, name)
        except SolverError:
            continue
        assert found.gap <= 1e-5 * found.objective


def test_modes_of_any_size_get_a_water_level():
    source = GaussMarkov([[1e6, 0.1, 0.1, 0.1]] * 2, [[-1, 0, 0, 0]])
    found = waterfill(source, 0.2801780860543767, "JD")
    assert np.isfinite(found.distortion).all()
    assert (found.lower_bound <= found.distortion * (1 + 1e-9)).all()
    assert_allclose(found.mode_rates.sum(axis=1), 0.2801780860543767)
    # frame 2 of the first mode repeats frame 1, so its bits go to the other three alike
    assert_allclose(found.mode_rates[1], [0] + 3 * [0.2801780860543767 / 3], atol=1e-12)


@pytest.mark.parametrize("nats", [300.0, 372.0, 1e4])
def test_divergences_beyond_the_range_of_numbers_are_met_the_same_by_all(nats):
    problem = Problem(stationary(0.9, 2), 0, FMD(nats, metric="kl"))
    one, many = solve(problem), sweep(problem)
    assert many.status == 0
    assert_allclose(many.perception, one.perception)
    assert (one.perception <= nats).all()
    assert_allclose(one.distortion, 1.0)


@pytest.mark.parametrize("method", ["auto", "barrier", "sdp"])
def test_a_threshold_counts_by_what_its_frame_has_at_stake(method):
    """Tied frames at JD 0: D_4 is that of frame 1, 2^-24, though m_4 is 2^-96."""
    problem = Problem(stationary(1.0, 4), 12, JD([INF, 0, INF, 0]), [0, 0, 0, 1])
    try:
        found = solve(problem, method)
    except SolverError:
        assert method != "auto"
        return
    assert_allclose(found.distortion[3], 2.0**-24, rtol=1e-3)


@given(
    rates=st.lists(st.sampled_from([6.0, 10.0, 14.0, 18.0]), min_size=3, max_size=3),
    levels=st.lists(st.sampled_from([0.0, 1e-6, 1e-3, 0.3, INF]), min_size=3, max_size=3),
    rho=st.sampled_from([1.0, 0.99, -0.8]), last=st.sampled_from([0.0, 1.0]),
    plf=st.sampled_from([JD, SA]),
)  # fmt: skip
@settings(max_examples=20)
def test_at_high_rates_gaps_are_small_next_to_the_objective(rates, levels, rho, last, plf):
    problem = Problem(stationary(rho, 3), rates, plf(np.array(levels)), [1.0, 1.0, last])
    try:
        found = solve(problem)
    except SolverError:
        reject()
    assert -1e-5 * found.objective - 3e-13 <= found.gap <= 1e-5 * found.objective + 3e-13
    asked = np.isfinite(levels)
    moved = np.sqrt(found.perception[asked]) - np.sqrt(problem.thresholds[asked])
    # squared W2 itself is known to 3e-14
    assert (moved <= 1e-4 * np.sqrt(found.distortion[asked]) + np.sqrt(3e-14)).all()


def test_what_exceeds_a_threshold_must_be_little_next_to_the_distortion():
    problem = Problem(stationary(1.0, 2), 12.0, JD([INF, 0.0]))
    coarse, fine = np.array([0.1, 0.1]), np.array([1e-8, 1e-8])
    beyond, levels = np.array([0.7, 4e-10]), problem.thresholds
    assert acceptance.within_thresholds(problem, coarse, beyond, levels)
    assert not acceptance.within_thresholds(problem, fine, beyond, levels)
    both = acceptance.within_thresholds(problem, np.array([coarse, fine]), beyond, levels)
    assert both.tolist() == [True, False]


def test_splits_have_bounds_below_their_objectives():
    for loss in ("JD", "SA", None):
        for rho in (0.9, 1.0):
            found = allocate(stationary(rho, 3), 4, loss)
            assert 0 <= found.gap <= 1e-5 * found.objective


def test_frames_far_from_their_bounds_are_refused():
    variance = stationary(0.9, 2).variance
    near = acceptance.check_frames("made up", variance, np.ones(2), np.array([1.0, 1 + 1e-9]))
    assert near.tolist() == [1.0, 1.0]
    for bound in ([1.0, 0.9], [1.0, np.nan], [1.0, 1.1]):
        with pytest.raises(SolverError, match=r"made up: distortions .* are not near bounds"):
            acceptance.check_frames("made up", variance, np.ones(2), np.array(bound))


def test_water_levels_keep_their_digits_through_solve():
    source = GaussMarkov([[2.0, 1.0, 0.5]] * 2, [[0.9, 0.5, 0.1]])
    problem = Problem(source, 150.0, "JD")
    assert_allclose(solve(problem).distortion, waterfill(source, 150.0, "JD").distortion, rtol=0)
    assert (solve(problem).distortion < 1e-28).all()


def test_sequential_answers_of_many_frames_have_sharp_bounds():
    rates = [1.02, 1.13, 0.14, 0.87, 0.21, 0.76, 0.51, 1.18, 0.86, 0.80]
    problem = Problem(stationary(0.97, 10), rates, JD(0.01))
    found = solve(problem)
    assert abs(found.gap) <= 1e-6 * found.objective  # 4e-6 by the barrier method
    assert_allclose(sweep(problem).distortion, found.distortion, rtol=1e-9)
    other = solve(problem, "barrier")
    assert_allclose(other.objective, found.objective, rtol=1e-5)


@pytest.mark.parametrize("method", ["auto", "sdp"])
@pytest.mark.parametrize("plf", ["JD", "SA"])
def test_frames_after_the_last_weight_follow_what_they_receive(plf, method):
    """At threshold 0, D_2 is then that of the sequential rule."""
    problem = Problem(stationary(0.9, 2), 1.0, plf, [1, 0])
    rule = solve(problem.with_(weights=None)).distortion
    found = solve(problem, method).distortion
    assert_allclose(found, rule, rtol=1e-5)
    assert_allclose(sweep(problem).distortion, rule, rtol=1e-5)


def test_ties_are_broken_only_as_far_as_the_objective_allows():
    class Answer:
        def __init__(self, distortion):
            self.distortion = np.array(distortion)

    weights, least, first = np.array([1.0, 0.0]), np.array([1.0, 0.1]), Answer([1.0, 5.0])
    better, dear, worse = Answer([1.0, 0.2]), Answer([1.1, 0.2]), Answer([1.0, 6.0])
    for other, taken in ((better, better), (dear, first), (worse, first), (None, first)):
        asked = []
        found = break_ties(weights, least, first, 1.0, lambda w, o=other, a=asked: a.append(w) or o)
        assert found is taken
        assert all(raised[0] == 1 and raised[1] > 0 for raised in asked)
    # a frame that is as good as the MMSE is left alone
    assert break_ties(weights, np.array([1.0, 5.0]), first, 1.0, lambda w: better) is first


@pytest.mark.parametrize("plf", ["JD", "SA"])
def test_rates_at_the_edge_of_numbers_are_no_rates(plf):
    weights = [1.0, 1.0, 1.0]
    found = solve(Problem(stationary(0.9, 3), [1e-308, 1.0, 5e-324], plf, weights))
    none = solve(Problem(stationary(0.9, 3), [0.0, 1.0, 0.0], plf, weights))
    assert_allclose(found.distortion, none.distortion, rtol=1e-9)


def test_an_objective_below_its_bound_is_refused_sooner_than_a_gap():
    problem = Problem(stationary(0.9, 2), 1.0, JD(0.1), [1.0, 1.0])
    assert acceptance.certified(problem, 1.0, 1 - 9e-6)
    assert acceptance.certified(problem, 1.0, 1 + 9e-8)
    assert not acceptance.certified(problem, 1.0, 1 + 9e-7)
    assert acceptance.sharp(problem, 1.0, 1 - 9e-7)
    assert not acceptance.sharp(problem, 1.0, 1 - 9e-6)


def test_programs_of_vector_frames_pass_the_same_checks():
    fine = {"moments": 1e-9, "rate": 0.0}
    assert acceptance.check_block("made up", fine, 1.0, 1 + 5e-8, 2.0) == 1.0
    assert acceptance.check_block("made up", fine, 1.0, 1 - 5e-6, 2.0) == 1 - 5e-6
    for residuals, bound, reason in (
        (fine, 1 - 2e-5, "certified bound"),
        (fine, 1 + 5e-7, "certified bound"),
        (fine, np.nan, "certified bound"),
        ({"moments": 1e-5}, 1.0, "residual of moments"),
        ({"rate": np.nan}, 1.0, "residual of rate"),
    ):
        with pytest.raises(SolverError, match=f"made up: .*{reason}"):
            acceptance.check_block("made up", residuals, 1.0, bound, 2.0)


def test_a_split_is_cut_to_its_budget_and_refused_far_above_it():
    within = acceptance.within_budget("made up", np.array([1.0, 2.0]), 3.0)
    assert within.tolist() == [1.0, 2.0]
    over = np.array([1.0, 2.0]) * (1 + 1e-10)
    assert acceptance.within_budget("made up", over, 3.0).sum() == pytest.approx(3.0, abs=1e-15)
    small = acceptance.within_budget("made up", np.array([1e-9, 1e-10]), 1e-9)
    assert small.sum() == pytest.approx(1e-9, rel=1e-15)
    for rates in ([1.0, 2.1], [1.0, np.nan], [1.0, np.inf]):
        with pytest.raises(SolverError, match="made up"):
            acceptance.within_budget("made up", np.array(rates), 3.0)


# thresholds that the rounding of squared W2 hides: beside a variance of 2e11, or far below rounding
FINE = (
    Problem(
        GaussMarkov([4.19e5, 0.425, 5.39e-6, 1.34e-4], [0.242, 0.0, 1.0]),
        [1.11, 1.86, 1.59, 1.38],
        SA([176.0, 1.8e-3, INF, 3.59e-14]),
        [0.0, 0.0, 0.419, 0.05],
    ),
    Problem(GaussMarkov([17.7, 0.366], [-0.9999999]), [14.0, 0.0], JD([6e-7, 1.3e-15]), [0.0, 0.6]),
    Problem(
        GaussMarkov([1.24e-4, 1.8e-5, 1.74e-5, 0.0223], [-0.9999999, 0.0, -0.995]),
        [7.73, 13.6, 17.1, 0.0019],
        JD([9.3e-8, 6.6e-11, 1.5e-16, 2.5e-6]),
    ),
)


@pytest.mark.parametrize("problem", FINE, ids=["SA", "JD", "sequential"])
def test_thresholds_below_the_rounding_of_second_moments_are_kept(problem):
    exact = solve(problem, method="precise")
    found, swept = solve(problem), sweep(problem)
    assert swept.status == 0
    asked = np.isfinite(problem.thresholds)
    root = np.sqrt(problem.thresholds[asked])
    for answer in (found, swept):
        assert answer.objective >= exact.lower_bound * (1 - 1e-6)
        assert answer.lower_bound <= exact.objective * (1 + 1e-6)
        moved = np.sqrt(answer.perception[asked]) - root
        assert (moved <= 1.01e-4 * np.sqrt(answer.distortion[asked])).all()


def test_a_loss_that_rounding_hides_is_not_believed():
    problem = Problem(GaussMarkov([1e5, 1e-4], [0.5]), 1.0, SA([INF, 4e-14]))
    distortion, levels = np.array([1e9, 1e-9]), problem.thresholds
    kept, beyond = np.array([0.0, 0.0]), np.array([0.0, 1e-10])

    def passes(perception, rounding=None):
        return acceptance.within_thresholds(problem, distortion, perception, levels, rounding)

    assert acceptance.hidden(problem, distortion).tolist() == [False, True]
    assert not passes(kept)  # 0 may be 1e-4 here
    assert not passes(beyond)
    assert passes(kept, 0.0)
    assert not passes(beyond, 0.0)
    assert not passes(beyond, acceptance.FACTORED)
    large = problem.with_(perception=SA([INF, 1.0]))
    assert acceptance.within_thresholds(large, distortion, kept, large.thresholds)
    zero = problem.with_(perception=SA([INF, 0.0]))  # methods treat it exactly
    assert acceptance.within_thresholds(zero, distortion, kept, zero.thresholds)


def test_a_threshold_exceeded_by_more_than_the_gap_is_worth_is_for_another_method():
    # the compiled method, along a chain of a grid: 1e-5 below the optimum, a gap of 2e-7
    source = GaussMarkov([1330.02729271, 348310.31280502, 2014.50552409], [-1.0, 0.23306819])
    levels = np.array([5306917.8, 1213200740.0, 0.00405823251])
    problem = Problem(source, [INF, 30.6125233, 1.5461033e-09], SA(levels), [0.0, 0.6, 0.6])
    distortion = np.array([5.31e6, 2.3e-6, 7.6749e6])
    perception = np.array([5306320.67, 1.3876e-07, 0.00725155287])
    assert acceptance.within_thresholds(problem, distortion, perception, levels)
    assert not acceptance.sharply_within(problem, distortion, perception, levels)
    assert acceptance.sharply_within(problem, distortion, perception, levels * [1, 1, 1.8])
    found = solve(problem)
    assert found.perception[2] <= levels[2] * (1 + 1e-6)
    assert sweep(problem).objective == pytest.approx(found.objective, rel=1e-6)


def test_a_threshold_met_to_the_last_digit_is_kept():
    # frame 4 has no error, so that nothing is at stake there
    source = GaussMarkov([47180.0, 4.12, 0.4137, 1.0478e-06], [-1.0, 0.9999999, 0.0])
    found = solve(Problem(source, [1.7157, INF, 1.7157, INF], JD([2226.0, INF, INF, 1.0978e-14])))
    assert found.distortion[3] == 0
    assert found.perception[3] == pytest.approx(1.0978e-14, rel=1e-14)


@pytest.mark.parametrize("loss", [JD, SA])
def test_a_source_known_exactly_keeps_any_threshold(loss):
    # its loss, 0, is below a threshold of which second moments know nothing
    source = GaussMarkov([4.74434369e05, 1.25744720e-06], [1.0])
    found = solve(Problem(source, [INF, 0.0], loss([INF, 1.58e-26])))
    assert (found.distortion == 0).all()


@given(st.integers(0, 2**32 - 1), st.sampled_from([FMD, JD, SA]), st.integers(1, 3))
def test_no_loss_is_above_the_distortion_of_what_it_compares(seed, loss, window):
    rng = np.random.default_rng(seed)
    source = GaussMarkov(10 ** rng.uniform(-2, 2, 3), rng.uniform(-1, 1, 2))
    perception = JD(0.0, window=window) if loss is JD else loss(0.0)
    problem = Problem(source, rng.uniform(0, 3, 3), perception)
    factor = estimate_factor(source, problem.rates)
    gains, fresh = np.tril(rng.normal(size=(2, 3, 3)))
    cov, cross = gains @ gains.T + fresh @ fresh.T, gains @ factor.T
    mmse = mmse_recursion(source, problem.rates).mmse
    distortion, found = reached_by(problem, mmse, cov, cross)
    most = acceptance._most(problem, distortion)
    assert (found <= most * (1 + 1e-9)).all()


def test_losses_of_more_digits_are_those_of_the_same_scheme_or_not_believed():
    problem = Problem(stationary(0.9, 2), 1.0, JD(1e-15))
    moments = np.array([0.0, 2e-15])
    said = np.array([1e-15, np.nan])
    found = acceptance.precise_perception(problem, said, moments)
    assert found.tolist() == [1e-15, 2e-15]
    assert (acceptance.precise_perception(problem, moments + 1.0, moments) == moments).all()
    assert acceptance.precise_perception(problem, None, moments) is moments
