"""The compiled solver: against brute force, closed forms, symmetries and its own certificate."""

import ast
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from rdp import FMD, JD, SA, GaussMarkov, Problem
from rdp.closed_form import (
    framewise,
    mmse,
    zero_perception_joint,
    zero_perception_self_adaptive,
)
from rdp.measure import distortion_of, perception_of
from rdp.mmse import estimate_factor, mmse_recursion
from solvers import SolverError, certificate, solve
from solvers._barrier import batch, constants
from solvers._barrier.source import Source
from solvers.methods.barrier import barrier_batch, solve_barrier

SEEDS = st.integers(0, 2**32 - 1)


def moments(vector, factor):
    """H and C of the decoder gains and the noise in a vector of free numbers."""
    frames = len(factor)
    half = frames * (frames + 1) // 2
    gains, noise = np.zeros((2, frames, frames))
    low = np.tril_indices(frames)
    gains[low], noise[low] = vector[:half], vector[half:]
    return gains @ gains.T + noise @ noise.T, gains @ factor.T


def brute_force(problem, rng, starts=4):
    """Least weighted distortion by a general optimiser over jointly Gaussian schemes."""
    source = problem.source
    factor = estimate_factor(source, problem.rates)
    errors = mmse_recursion(source, problem.rates).mmse
    bound = np.isfinite(problem.thresholds)

    def objective(vector):
        return problem.weights @ distortion_of(source, errors, *moments(vector, factor))

    def room(vector):
        loss = perception_of(source, *moments(vector, factor), problem.perception)
        return (problem.thresholds - loss)[bound]

    best = np.inf
    size = source.frames * (source.frames + 1)
    for _ in range(starts):
        start = rng.normal(size=size) * 0.5 * np.sqrt(source.variance.mean())
        found = minimize(
            objective,
            start,
            method="SLSQP",
            constraints={"type": "ineq", "fun": room},
            options={"maxiter": 500, "ftol": 1e-11},
        )
        if room(found.x).min() > -1e-7:
            best = min(best, found.fun)
    return best


@pytest.mark.parametrize("plf", [JD, SA])
@pytest.mark.parametrize(("frames", "seed"), [(1, 0), (2, 1), (2, 2), (2, 3), (3, 4), (3, 5)])
def test_no_general_optimiser_does_better(plf, frames, seed):
    rng = np.random.default_rng(seed)
    source = GaussMarkov(rng.uniform(0.5, 2, frames), rng.uniform(-0.95, 0.95, frames - 1))
    levels = rng.uniform(0.01, 0.2, frames) * source.variance
    levels[rng.random(frames) < 0.3] = np.inf
    levels[-1] = 0.05 * source.variance[-1]
    problem = Problem(
        source, rng.uniform(0.1, 1.5, frames), plf(levels), rng.uniform(0.2, 1, frames)
    )
    solution = solve(problem, "barrier")
    rough = brute_force(problem, rng)
    assert solution.objective <= rough * (1 + 1e-6)
    assert solution.objective >= rough * (1 - 1e-3)
    assert solution.lower_bound <= rough * (1 + 1e-6)


@given(SEEDS)
@settings(max_examples=50, deadline=None)
@pytest.mark.parametrize("plf", [JD, SA, FMD])
def test_perfect_realism_frame_after_frame_is_the_closed_form(plf, seed):
    rng = np.random.default_rng(seed)
    frames = int(rng.integers(1, 6))
    rho = rng.choice([-1.0, 0.0, 1.0, *rng.uniform(-1, 1, 5)], frames - 1)
    source = GaussMarkov(10 ** rng.uniform(-1, 1, frames), rho)
    rates = rng.choice([0.0, 10.0, np.inf, *rng.uniform(0, 3, 5)], frames)
    formula = {
        JD: zero_perception_joint,
        SA: zero_perception_self_adaptive,
        FMD: framewise,
    }[plf]
    exact = formula(source, rates)
    if plf is not FMD:
        found = barrier_batch(source, rates[None], np.zeros((1, frames)), plf.name, None)
        np.testing.assert_allclose(found[0][0], exact, rtol=1e-9, atol=1e-11)
        if found[-1][0]:
            return  # one in a thousand: rounding hides whether frames that repeat are the best
    solution = solve(Problem(source, rates, plf(0.0)), "barrier")
    np.testing.assert_allclose(solution.distortion, exact, rtol=1e-9, atol=1e-11)


@given(SEEDS)
@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize("plf", [JD, SA])
def test_one_frame_is_the_closed_form(plf, seed):
    rng = np.random.default_rng(seed)
    source = GaussMarkov([10 ** rng.uniform(-2, 2)])
    rate = rng.choice([0.0, 10.0, rng.uniform(0, 3)])
    level = source.variance[0] * 10 ** rng.uniform(-6, 0.3)
    weights = None if rng.random() < 0.5 else [2.0]
    solution = solve(Problem(source, [rate], plf(level), weights), "barrier")
    exact = framewise(source, [rate], [level])
    np.testing.assert_allclose(solution.distortion, exact, rtol=1e-7)


def test_lookahead_makes_the_last_frame_better_and_an_earlier_one_worse():
    source = GaussMarkov.stationary(rho=0.9, frames=3)
    problem = Problem(source, [0.05, 8, 8], JD(0.0), weights=[0, 0, 1])
    solution = solve(problem, "barrier")
    assert solution.distortion[2] == pytest.approx(0.514, abs=5e-4)
    assert solution.distortion[1] == pytest.approx(0.947, abs=5e-4)


@pytest.mark.parametrize("plf", [JD, SA, FMD])
@pytest.mark.parametrize("weights", [None, [1.0, 0.0, 2.0]])
def test_thresholds_beyond_the_loss_of_the_estimate_cost_nothing(plf, weights):
    source = GaussMarkov([1.0, 2.0, 0.5], [0.9, -0.4])
    rates = np.array([0.3, 1.0, 0.7])
    for levels in (np.inf, 1e3, [np.inf, 1e3, np.inf]):
        solution = solve(Problem(source, rates, plf(levels), weights), "barrier")
        np.testing.assert_allclose(solution.distortion, mmse(source, rates), rtol=1e-12)
        assert solution.gap <= 1e-12 * solution.objective


def test_frames_after_the_last_threshold_are_the_estimate():
    source = GaussMarkov.stationary(rho=0.8, frames=4)
    rates = np.full(4, 0.5)
    levels = [np.inf, 0.02, np.inf, np.inf]
    solution = solve(Problem(source, rates, JD(levels), np.ones(4)), "barrier")
    np.testing.assert_allclose(solution.distortion[2:], mmse(source, rates)[2:], rtol=1e-12)
    assert solution.distortion[1] > mmse(source, rates)[1]


@pytest.mark.parametrize("plf", [JD, SA])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_source_that_repeats_itself(plf, sign):
    """Under JD with |rho| = 1 and P = 0 the second frame repeats the first, for any weight."""
    source = GaussMarkov([1.0, 2.0, 1.0], [sign, 0.7])
    rates = [0.4, 0.8, 0.6]
    solution = solve(Problem(source, rates, plf([0.0, 0.0, 0.05]), [1.0, 0.3, 1.0]), "barrier")
    assert solution.gap <= 1e-6 * solution.objective
    if plf is JD:
        assert solution.distortion[1] == pytest.approx(4 * solution.distortion[0], rel=1e-9)
        assert solution.cov_xhat[1, 0] == pytest.approx(2 * sign, rel=1e-12)


@pytest.mark.parametrize("plf", [JD, SA])
@pytest.mark.parametrize("weights", [None, [1.0, 0.5, 0.2]])
def test_a_change_of_units_changes_nothing_else(plf, weights):
    source = GaussMarkov([1.0, 1.5, 0.7], [0.9, 0.6])
    levels = np.array([0.05, 0.1, 0.08])
    problem = Problem(source, [0.3, 0.6, 0.4], plf(levels), weights)
    here = solve(problem, "barrier")
    there = solve(problem.with_(source=source.scaled(1e3), perception=plf(1e6 * levels)), "barrier")
    np.testing.assert_allclose(there.distortion, 1e6 * here.distortion, rtol=1e-6)


@given(SEEDS)
@example(seed=496624)
@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize("plf", [JD, SA])
@pytest.mark.parametrize("sequential", [False, True])
def test_answers_are_feasible_certified_and_fall_with_the_thresholds(plf, sequential, seed):
    rng = np.random.default_rng(seed)
    frames = int(rng.integers(1, 5))
    source = GaussMarkov(10 ** rng.uniform(-1, 1, frames), rng.uniform(-1, 1, frames - 1))
    rates = rng.choice([0.0, 10.0, *rng.uniform(0, 2, 6)], frames)
    levels = 10 ** rng.uniform(-3, 0.3, (1, frames)) * source.variance
    levels = np.where(rng.random(frames) < 0.2, np.inf, levels) * np.array([[1.0], [2.0], [4.0]])
    weights = None if sequential else rng.uniform(0.1, 1, frames)
    bits = np.tile(rates, (3, 1))
    distortion, perception, objective, bound, status = barrier_batch(
        source, bits, levels, plf.name, weights, parallel=False
    )
    # One in a thousand is refused: a sequential certificate is only as sharp as a root of the
    # slack. The gap may then be of any size (1.1 % with seed 496624); another route certifies it.
    assert (objective - bound <= (1e-5 if sequential else 1e-6) * objective)[status == 0].all()
    if sequential:
        for index in np.flatnonzero(status):
            problem = Problem(source, rates, plf(levels[index]))
            answer = solve(problem)
            assert answer.gap <= 1e-6 * answer.objective
    else:
        assert (objective - bound <= 1e-2 * objective).all()
    assert (perception <= levels * (1 + 1e-9) + 1e-12 * source.variance.sum()).all()
    assert (distortion >= mmse(source, bits) * (1 - 1e-12)).all()
    assert (bound <= objective * (1 + 1e-12)).all()
    if not sequential:
        # with looser thresholds the bound is at most the objective with tighter ones
        assert (bound[1:] <= objective[:-1] * (1 + 1e-12)).all()


@pytest.mark.parametrize("plf", ["JD", "SA"])
@pytest.mark.parametrize("weights", [None, np.ones(3)])
def test_hardly_a_point_is_refused(plf, weights):
    rng = np.random.default_rng(0)
    rates, levels = rng.uniform(0, 3, (500, 3)), 10 ** rng.uniform(-3, 0, (500, 3))
    rates[rng.random(rates.shape) < 0.2] = 0.0
    source = GaussMarkov([1.0, 0.3, 2.0], [0.9, -0.5])
    status = barrier_batch(source, rates, levels, plf, weights)[-1]
    solved = (status == 0).mean()
    # a sequential certificate is only as sharp as a root: under JD a few are not sharp enough
    assert solved >= (0.99 if weights is None and plf == "JD" else 1.0)


def test_one_point_and_many_points_agree(monkeypatch):
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", 3)  # tests allow one, else
    rng = np.random.default_rng(3)
    for frames in (2, 3):
        source = GaussMarkov.stationary(rho=0.9, frames=frames)
        rates, levels = rng.uniform(0, 2, (70, frames)), rng.uniform(0, 0.3, (70, frames))
        for weights in (None, np.arange(1.0, frames + 1)):
            for plf in (JD, SA):
                serial = barrier_batch(source, rates, levels, plf.name, weights, parallel=False)
                threads = barrier_batch(source, rates, levels, plf.name, weights, parallel=True)
                for one, other in zip(serial, threads, strict=True):
                    np.testing.assert_array_equal(one, other)
                for i in (0, 41):
                    single = solve(Problem(source, rates[i], plf(levels[i]), weights), "barrier")
                    np.testing.assert_allclose(single.distortion, serial[0][i], rtol=1e-9)
                    np.testing.assert_allclose(
                        single.perception, serial[1][i], rtol=1e-6, atol=1e-12
                    )
                    assert single.lower_bound == serial[3][i]


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_the_two_frame_kernel_agrees_with_the_general_one(seed):
    """With a third frame, without weight or threshold, the general kernel solves the same two."""
    rng = np.random.default_rng(seed)
    rho = rng.choice([-1.0, 0.0, 1.0, rng.uniform(-1, 1)])
    sigma = 10 ** rng.uniform(-1, 1, 2)
    two = GaussMarkov(sigma, [rho])
    three = GaussMarkov([*sigma, 1.0], [rho, 0.5])
    rates = rng.choice([0.0, 10.0, *rng.uniform(0, 3, 4)], (1, 2))
    levels = 10 ** rng.uniform(-4, 0, (1, 2)) * two.variance.cumsum()
    levels[0, 0] *= rng.choice([1.0, np.inf])
    weights = rng.choice([0.0, 1.0, rng.uniform()], 2)
    weights[rng.integers(2)] = 1.0
    short = barrier_batch(two, rates, levels, "JD", weights, parallel=False)
    longer = barrier_batch(
        three,
        np.append(rates, [[1.0]], 1),
        np.append(levels, [[np.inf]], 1),
        "JD",
        np.append(weights, 0.0),
        parallel=False,
    )
    solved = short[4] == longer[4] == 0
    if abs(rho) < 1 and weights.min() > 0:
        assert solved
    assume(solved)  # of the others a few are refused
    # objectives are above the one truth, bounds below it, both within the gap
    scale = 1e-12 * (weights @ two.variance)
    gap = max(short[2] - short[3], longer[2] - longer[3]) + scale
    assert gap <= 1e-6 * short[2] + 2 * scale
    assert abs(short[2] - longer[2]) <= gap
    assert abs(short[3] - longer[3]) <= gap


@pytest.mark.parametrize("plf", [JD, SA])
def test_zero_weights_and_no_thresholds_in_between(plf):
    source = GaussMarkov.stationary(rho=0.9, frames=4)
    levels = [np.inf, 0.05, np.inf, 0.02]
    problem = Problem(source, [0.5, 0.2, 0.0, 0.9], plf(levels), weights=[1, 0, 0, 1])
    solution = solve(problem, "barrier")
    assert solution.gap <= 1e-6 * solution.objective
    even = solve(problem.with_(weights=[1, 1, 1, 1]), "barrier")
    assert solution.objective <= even.distortion[[0, 3]].sum() * (1 + 1e-9)


def test_the_two_frame_kernel_alone_certifies_ordinary_points():
    rng = np.random.default_rng(1)
    source = GaussMarkov.stationary(rho=0.9, frames=2)
    rates, levels = rng.uniform(0.05, 3, (200, 2)), rng.uniform(0.01, 0.5, (200, 2))
    levels[:50, 0] = np.inf
    phi = source.transition()
    arrays = (np.array(source.gain), np.array(source.innovation), np.array(source.variance))
    given = Source(constants.JD, *arrays, phi, phi * np.sqrt(source.innovation))
    status = np.full(200, -1)
    losses, scheme = np.zeros((2, 200, 2)), np.zeros((2, 2, 2))
    bounds = np.zeros(200), np.zeros((200, 2))
    points = batch.Points(losses[0], losses[1], *bounds, status, scheme)
    batch.two_frame_points(given, np.ones(2), rates, levels, points)
    assert (status == constants.SOLVED).all()
    for parallel in (False, True):
        found = barrier_batch(source, rates, levels, "JD", np.ones(2), parallel)
        np.testing.assert_allclose(found[0], losses[0], rtol=1e-12)
        assert (found[-1] == 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("frames", [2, 3])
@pytest.mark.parametrize("weighted", [True, False])
def test_kernels_are_compiled_for_one_kind_of_arrays(frames, weighted):
    source = GaussMarkov.stationary(0.9, frames)
    weights = np.ones(frames) if weighted else None
    solve_barrier(Problem(source, [0.5] * frames, JD(0.1), weights))
    rates, levels = np.full((3, frames), 0.5), np.full((3, frames), 0.1)
    levels[0, -1] = 0.0  # not a point of the kernel of two frames
    read_only = rates.copy()
    read_only.flags.writeable = False
    broadcast = np.broadcast_to(rates[0], rates.shape)
    for bits in (rates, read_only, broadcast, np.asfortranarray(rates), rates[::-1]):
        for allowed in (levels, np.asfortranarray(levels), levels[::-1]):
            barrier_batch(source, bits, allowed, "JD", weights)
    for kernel in (batch.sequential_points, batch.weighted_points, batch.two_frame_points):
        assert len(getattr(kernel, "signatures", ())) <= 1


def test_many_frames():
    source = GaussMarkov.stationary(rho=0.9, frames=32)
    solution = solve(Problem(source, np.full(32, 0.5), JD(0.2), np.ones(32)), "barrier")
    assert solution.gap <= 1e-6 * solution.objective
    assert solution.perception[-1] == pytest.approx(0.2, rel=1e-6)


def test_a_point_without_certificate_is_refused_aloud():
    """Two frames that are the same variable, the first one all but perfect: nearly no interior."""
    source = GaussMarkov.stationary(rho=1.0, frames=2)
    rng = np.random.default_rng(0)
    rates = rng.uniform(0.5, 3, (100, 1)) * np.ones(2)
    levels = np.stack([10 ** rng.uniform(-9.5, -8, 100), 10 ** rng.uniform(-2, -1, 100)], 1)
    status = barrier_batch(source, rates, levels, "JD", np.ones(2))[-1]
    refused = np.flatnonzero(status)
    assert 0 < len(refused) < 100
    for i in refused[:5]:
        with pytest.raises(SolverError, match="no certificate beyond"):
            solve_barrier(Problem(source, rates[i], JD(levels[i]), np.ones(2)))
    for i in np.flatnonzero(status == 0)[:5]:
        solution = solve(Problem(source, rates[i], JD(levels[i]), np.ones(2)), "barrier")
        assert solution.gap <= 1e-6 * solution.objective


def test_each_array_of_the_workspace_is_indexed_by_its_own_slots():
    """Slots of all groups are integers, so `mats[Vector.MU]` would run and read another thing."""
    groups = {
        "mats": {"Matrix", "PerThreshold"},
        "vecs": {"Vector"},
        "ints": {"Index"},
        "big": {"Big"},
    }
    seen = set()
    for path in (*Path(batch.__file__).parent.glob("*.py"), Path(certificate.__file__)):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name)):
                continue
            allowed = groups.get(node.value.id)
            if allowed is None:
                continue
            first = node.slice.elts[0] if isinstance(node.slice, ast.Tuple) else node.slice
            used = {
                part.value.id
                for part in ast.walk(first)
                if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name)
            }
            # an array within the index, as in vecs[Vector.MMSE, ints[...]], is a node of its own
            assert used <= allowed, f"{path.name}:{node.lineno}: {ast.unparse(node)}"
            assert not isinstance(first, ast.Constant), f"{path.name}:{node.lineno}: a bare number"
            seen |= used
    assert seen >= {"Matrix", "Vector", "Index", "Big"}


def test_wrong_arguments_are_named():
    source = GaussMarkov.stationary(rho=0.9, frames=2)
    good = np.ones((3, 2))
    with pytest.raises(ValueError, match="rates: expected shape"):
        barrier_batch(source, np.ones((3, 3)), good, "JD")
    with pytest.raises(ValueError, match="rates: expected shape"):
        barrier_batch(source, np.ones(2), np.ones(2), "JD")
    with pytest.raises(ValueError, match="levels: expected shape"):
        barrier_batch(source, good, np.ones((2, 2)), "JD")
    with pytest.raises(ValueError, match="levels: expected values >= 0"):
        barrier_batch(source, good, -good, "JD")
    with pytest.raises(ValueError, match="plf: expected"):
        barrier_batch(source, good, good, "FMD")
    with pytest.raises(ValueError, match="weights: expected 2 finite"):
        barrier_batch(source, good, good, "JD", np.ones(3))
    with pytest.raises(ValueError, match="weights: expected values >= 0"):
        barrier_batch(source, good, good, "JD", [-1, 1])
    with pytest.raises(ValueError, match="weights: expected"):
        barrier_batch(source, good, good, "JD", [np.nan, 1])
    with pytest.raises(SolverError, match="scalar frames"):
        solve_barrier(Problem(GaussMarkov(np.ones((2, 2)), np.ones((1, 2))), [1, 1], JD(0.1)))
