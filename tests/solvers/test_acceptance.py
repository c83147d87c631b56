"""No answer leaves with a wrong bound, lost digits, or a frame left to chance."""

import re

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from rdp import FMD, JD, SA, GaussMarkov, Problem, closed_form
from rdp.mmse import mmse_recursion
from solvers import SolverError, acceptance, allocate, minimum_rate, solve, sweep
from solvers.methods.waterfilling import waterfill

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
