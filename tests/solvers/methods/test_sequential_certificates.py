"""Frame by frame: the bound of each frame, where later frames feel the rounding of earlier ones.

The second route is decimal arithmetic, where nothing is rounding.
"""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from benchmarks.fuzz_problems import extreme
from rdp import JD, SA, GaussMarkov, Problem
from rdp.gaussian import bures_of_factors
from solvers import SolverError, solve, sweep
from solvers._long_horizon.sequential import (
    Frame,
    bound_without_room,
    continuation,
    solve_frames,
    with_room,
)

INF = np.inf

# What one of the methods certified before, with a frame up to twice as good as possible, or .3 %
# worse than the bound of that frame said.
FELT = (
    Problem(
        GaussMarkov([6.00105978e-01, 1.70594761e-04, 1.81131679e04], [-1, 0.9999999]),
        [1e-3, 12, 12],
        JD([1.08038155e00, 2.91025726e-10, 3.28086851e-06]),
    ),
    Problem(
        GaussMarkov([8.26174724e-06, 9.86323526, 8.54045208e02], [0.9999999, 0]),
        [0, 12, 1e-9],
        JD([6.82564675e-25, 9.72834099e-13, 7.29393217e-09]),
    ),
    Problem(
        GaussMarkov([2.62059944, 1.14266261e03, 3.06622724e-04, 1.21659833e03], [0, -0.9999999, 1]),
        [1e-3, 1e-9, 0.840765458, 0],
        JD([0, 13056.77830448, INF, 0]),
    ),
    Problem(
        GaussMarkov([4.57136035e01, 2.08315780e-04], [-0.9999999]),
        [1e-3, 12],
        JD([INF, 1.30186393e-07]),
    ),
    Problem(
        GaussMarkov([175.2841, 8.22896042e-02, 4191.72727, 1.81972333e-05], [-1, -0.9999999, -1]),
        [12, 30, 0, 0.29997836],
        SA([9.21735475e04, 6.77157895e-05, 0, INF]),
    ),
    Problem(
        GaussMarkov(
            [2.70191296e-06, 6.74182148e-01, 1.48113782e01, 2.29600366e05], [-0.9999999, -1, -1]
        ),
        [1e-3, 0, 1e-3, 1.76182195],
        SA([7.30033366e-21, 4.54521568e-10, 1.60981633e02, 5.27163281e-04]),
    ),
    Problem(
        GaussMarkov([1.05878266e03, 2.10218522e-05, 1.35025351e-06], [0.61167936, -1]),
        [1e-3, 12, 1e-9],
        SA([6.91690521e05, 4.41918269e-16, 0]),
    ),
    Problem(
        GaussMarkov(
            [2.61240516e05, 2.94982462e-06, 1.77405304e-05, 2.76889125e-05],
            [0, -0.9999999, 0.9999999],
        ),
        [2.59936815, INF, 1e-9, 1e-9],
        SA([6.82466073e08, 8.70146526e-14, 0, 2.30002762e-09]),
    ),
    Problem(
        GaussMarkov([2.08076464e-01, 2.95716754e05, 1.27255702], [0.9999999, 1]),
        [0, 1e-9, INF],
        JD([0, 8.74483985e04, 4.85820410]),
    ),
)

# A frame that repeats the one before it tells more of the source, which those after it may use.
REPEATED = (
    Problem(
        GaussMarkov(np.ones(4), [1, 0.56652907, 0.56652907]),
        [12, 2.02059663, 1e-9, 1e-9],
        JD([INF, 0.76761359, INF, 0]),
    ),
    Problem(
        GaussMarkov(np.ones(4), [-1, 0.59955857, 0.9999999]),
        [0.3102911, INF, 0, 0.3102911],
        JD([1e-9, 3, 0.417366626, INF]),
    ),
    Problem(
        GaussMarkov([3.93803967, 0.741377179, 6.79302288e-05], [1, -0.9999999]),
        [1.35473141, 12, 1e-3],
        JD([INF, 1.64892036, 0]),
    ),
    Problem(GaussMarkov(np.ones(4), [1, 1, 0.5]), [1, 2, 1, 1], JD(0.1)),
)


@pytest.mark.parametrize("problem", FELT + REPEATED, ids=lambda p: f"{p.plf}-{p.source.sigma[0]:g}")
def test_every_frame_is_that_of_decimal_arithmetic(problem):
    exact = solve(problem, "precise")
    allowed = 1e-5 * exact.distortion + 1e-12 * problem.source.variance
    for found in (solve(problem), sweep(problem)):
        assert (np.abs(found.distortion - exact.distortion) <= allowed).all()


@pytest.mark.parametrize("method", ["barrier", "long-horizon"])
def test_a_method_certifies_no_frame_that_is_apart(method):
    for problem in FELT:
        exact = solve(problem, "precise").distortion
        try:
            found = solve(problem, method)
        except SolverError:
            continue  # it says that it does not know
        if found.gap <= 1e-6 * found.objective:
            assert_allclose(found.distortion, exact, rtol=1e-4)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
@example(1)
def test_no_frame_is_better_than_its_bound_in_decimals(seed):
    problem = extreme(np.random.default_rng(seed)).with_(weights=None)
    some = (problem.thresholds > 0) & np.isfinite(problem.thresholds)
    if problem.plf == "FMD" or not some.any():
        return
    found, exact = solve(problem), solve(problem, "precise")
    floor = 1e-12 * problem.source.variance
    assert (np.abs(found.distortion - exact.distortion) <= 1e-5 * exact.distortion + floor).all()


@pytest.mark.parametrize("loss", [JD, SA])
@pytest.mark.parametrize("frames", [3, 8])
def test_the_two_routes_in_double_precision_have_the_same_bounds(loss, frames):
    """What a frame without room feels of rounding, by two formulas of the same dual point."""
    source = GaussMarkov.stationary(rho=0.9, frames=frames)
    rates = np.random.default_rng(frames).uniform(0.1, 2.0, frames)
    problem = Problem(source, rates, loss(0.05))
    other = solve_frames(problem)
    found = solve(problem, "barrier")
    assert_allclose(found.distortion, other.distortion, rtol=1e-8)
    gap = (other.distortion - other.bounds) / other.distortion
    assert (gap >= 0).all()
    assert gap.max() < 1e-6
    assert found.frame_bounds is not None
    assert_allclose(found.frame_bounds, other.bounds, rtol=1e-6)


@given(st.integers(0, 2**32 - 1), st.floats(-7, -2))
def test_the_bound_without_room_allows_for_the_slack(seed, digits):
    """No frame that uses the slack is better than the bound; for little slack one is as good."""
    rng, slack = np.random.default_rng(seed), 10.0**digits
    size = int(rng.integers(2, 6))
    target, past = np.tril(rng.normal(size=(2, size, size)))
    for factor in (target, past):
        np.fill_diagonal(factor, rng.uniform(0.3, 2.0, size))
    goal = rng.normal(size=size)
    goal[-1] = rng.uniform(0.1, 2.0)
    loss = bures_of_factors(target[:-1, :-1], past[:-1, :-1])
    frame = Frame(target, past[:-1, :-1], goal, loss, loss, 1.0)
    point = frame.at(continuation(frame, goal))
    bound = bound_without_room(frame, point, slack)
    best, _ = with_room(frame._replace(level=loss + slack))
    distortion, reached = (float(((z - goal) ** 2).sum()) for z in (point.z, best.z))
    assert bound <= reached * (1 + 1e-9)
    if distortion - reached <= 1e-3 * distortion:
        assert distortion - bound <= 1.1 * (distortion - reached) + 1e-9
