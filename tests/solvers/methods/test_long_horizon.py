"""Long horizons: the same answers as the methods that write their equations down, certified."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, reject, settings
from hypothesis import strategies as st

from rdp import FMD, JD, SA, GaussMarkov, Problem
from rdp.closed_form import zero_perception_joint
from rdp.mmse import mmse_recursion
from solvers import SolverError, solve
from solvers._long_horizon.blocks import ColumnBlocks
from solvers._long_horizon.bound import best_bound, reverse_cholesky
from solvers._long_horizon.direction import State, primal_step
from solvers._long_horizon.joint import joint_step
from solvers._long_horizon.program import program_of, start
from solvers._long_horizon.transport import Curvature, blocks_at, gradient
from solvers.certificate import lower_bound
from solvers.methods.long_horizon import solve_long_horizon
from solvers.solve import finish

LOSSES = {"JD": JD, "SA": SA}
# the first frame spends the whole threshold; what the second may do beside it is of next to no size
NOTHING_LEFT = Problem(
    GaussMarkov([0.0546875, 0.75, 0.125], [0.25, 0.0]), [0, 3, 0], JD([0.1937, 0.1937, 0.00215])
)
# the barrier method leaves 5e-11 of the threshold of frame 3, and frame 4 is 7e-6 better
SOME_LEFT = Problem(GaussMarkov([0.125, 0.125, 0.25, 0.5], [0, 0.5, 0]), 0.0, JD(0.0859375))


def problem_of(
    frames: int, loss: str, level: object, weights: object = None, seed: int = 0, rho: float = 0.9
) -> Problem:
    """A source of equal correlation with uneven rates."""
    rng = np.random.default_rng(seed)
    source = GaussMarkov.stationary(rho=rho, frames=frames)
    return Problem(source, rng.uniform(0.1, 2.0, frames), LOSSES[loss](level), weights=weights)


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Short problems with every kind of rate, threshold and weight that is covered."""
    frames = draw(st.integers(1, 6))
    reals = st.floats(0.05, 1.5)

    def each(one: st.SearchStrategy[float], count: int = frames) -> list[float]:
        return draw(st.lists(one, min_size=count, max_size=count))

    source = GaussMarkov(each(reals), each(st.floats(-0.98, 0.98), frames - 1))
    rates = each(st.one_of(st.just(0.0), st.floats(0.01, 6.0)))
    scale = float(source.variance.mean())
    levels = scale * np.exp(each(st.floats(-7.0, 0.5)))
    weights = draw(st.one_of(st.none(), st.just(each(reals))))
    return Problem(source, rates, LOSSES[draw(st.sampled_from(["JD", "SA"]))](levels), weights)


@settings(max_examples=40, deadline=None)
@given(problems())
@example(NOTHING_LEFT)
@example(SOME_LEFT)
def test_agrees_with_the_barrier_method(problem: Problem) -> None:
    """Or with the semidefinite program, where the barrier method stalls: at zero rates, say."""
    found = finish(problem, solve_long_horizon(problem), "long-horizon")
    try:
        other = solve(problem)
        if other.method == "long-horizon":  # where the barrier method stalls: not a second route
            other = solve(problem, "sdp")
    except SolverError:
        reject()
    assert other.method in ("closed-form", "lookahead", "barrier", "precise", "sdp")
    allowed = 1e-6 * other.objective
    if problem.weights is None:
        # a frame that keeps x of its threshold unused is next to none the worse, and the later ones
        # are the better by the root of x
        unused = np.abs(found.perception - other.perception).max()
        allowed += 2 * float(problem.source.sigma.sum()) * np.sqrt(unused)
    assert found.objective == pytest.approx(other.objective, abs=allowed)
    assert found.lower_bound <= found.objective * (1 + 1e-9)
    if problem.weights is not None:
        assert found.lower_bound <= other.objective * (1 + 1e-9)
        assert found.gap <= 1e-6 * found.objective + 1e-12


@pytest.mark.parametrize("loss", ["JD", "SA"])
@pytest.mark.parametrize("weights", ["equal", "last", "sequential"])
@pytest.mark.parametrize("level", [1e-3, 0.05, np.linspace(0.002, 0.05, 16)])
def test_sixteen_frames_are_certified(loss: str, weights: str, level: object) -> None:
    weight = {"equal": np.ones(16), "last": np.eye(16)[-1], "sequential": None}[weights]
    problem = problem_of(16, loss, level, weight)
    found = finish(problem, solve_long_horizon(problem), "long-horizon")
    assert 0 <= found.gap + 1e-12 <= 1e-6 * found.objective
    assert (found.perception <= problem.thresholds + 1e-12).all()


@pytest.mark.parametrize("loss", ["JD", "SA"])
@pytest.mark.parametrize("weighted", [True, False])
def test_distortion_falls_with_the_threshold(loss: str, weighted: bool) -> None:
    weights = np.linspace(0.5, 1.5, 12) if weighted else None
    values = []
    for level in (1e-4, 1e-3, 1e-2, 0.1, 1.0):
        problem = problem_of(12, loss, level, weights)
        values.append(finish(problem, solve_long_horizon(problem), "long-horizon"))
    if weighted:
        for tight, loose in pairwise(values):
            assert loose.lower_bound <= tight.objective * (1 + 1e-9)
            assert loose.objective <= tight.objective * (1 + 1e-6)
    first = [value.distortion[0] for value in values]
    if not weighted:  # later frames inherit what the first ones gave up
        assert np.all(np.diff(first) <= 1e-12)


@pytest.mark.parametrize("loss", ["JD", "SA"])
def test_small_thresholds_approach_perfect_realism(loss: str) -> None:
    weights = np.linspace(0.5, 1.5, 10)
    limit = solve(problem_of(10, loss, 0.0, weights), method="lookahead").objective
    excess = []
    for level in (1e-4, 1e-6):
        problem = problem_of(10, loss, level, weights)
        excess.append(limit - finish(problem, solve_long_horizon(problem), "x").objective)
    assert 0 < excess[1] < 0.2 * excess[0]  # of the order of sqrt(P)
    assert excess[1] < 0.02 * limit


@pytest.mark.parametrize("loss", ["JD", "SA"])
@pytest.mark.parametrize("weights", [np.ones(10), None])
def test_large_thresholds_give_the_estimate(loss: str, weights: object) -> None:
    problem = problem_of(10, loss, 30.0, weights)
    found = finish(problem, solve_long_horizon(problem), "long-horizon")
    expected = mmse_recursion(problem.source, problem.rates).mmse
    np.testing.assert_allclose(found.distortion, expected, rtol=1e-12)


def test_sequential_zero_threshold_is_the_closed_form() -> None:
    problem = problem_of(40, "JD", 0.0)
    found = finish(problem, solve_long_horizon(problem), "long-horizon")
    expected = zero_perception_joint(problem.source, problem.rates)
    np.testing.assert_allclose(found.distortion, expected, rtol=1e-10)


@pytest.mark.parametrize("frames", [16, 48, 96])
def test_sequential_frames_that_meet_the_threshold_keep_their_certificate(frames: int) -> None:
    """A frame without room continues the past in one way; W2 stays where it is."""
    problem = problem_of(frames, "JD", 0.05, seed=frames)
    found = finish(problem, solve_long_horizon(problem), "long-horizon")
    # what the frames feel of rounding counts in the gap
    assert 0 < found.gap <= 1e-6 * found.objective
    np.testing.assert_allclose(found.perception.max(), 0.05, rtol=1e-9)
    met = np.flatnonzero(found.perception > 0.05 * (1 - 1e-9))
    assert (met[0] + np.arange(len(met)) == met).all()


def test_sequential_answer_is_not_beaten_frame_by_frame() -> None:
    """No nearby row of the reconstruction has less distortion within the threshold."""
    problem = problem_of(5, "JD", np.linspace(0.004, 0.05, 5), seed=3)
    found = finish(problem, solve_long_horizon(problem), "long-horizon")
    other = solve(problem, method="barrier")
    np.testing.assert_allclose(found.distortion, other.distortion, rtol=1e-7)


def test_frames_after_the_last_threshold_are_the_estimate() -> None:
    levels = np.array([0.05, 0.01, np.inf, np.inf])
    problem = problem_of(4, "JD", levels, np.ones(4))
    found = finish(problem, solve_long_horizon(problem), "long-horizon")
    expected = mmse_recursion(problem.source, problem.rates).mmse
    np.testing.assert_allclose(found.distortion[2:], expected[2:], rtol=1e-12)
    assert found.gap <= 1e-6 * found.objective


def test_frames_without_weight_up_to_the_last_threshold_cost_nothing() -> None:
    problem = problem_of(3, "SA", np.array([0.01, np.inf, np.inf]), np.array([0.0, 1.0, 2.0]))
    found = finish(problem, solve_long_horizon(problem), "long-horizon")
    assert found.gap == pytest.approx(0.0, abs=1e-14)


def test_units_do_not_matter() -> None:
    source = GaussMarkov.stationary(rho=0.9, frames=6)
    rates, weights = np.linspace(0.2, 1.5, 6), np.ones(6)
    plain = solve_long_horizon(Problem(source, rates, JD(0.02), weights))
    large = solve_long_horizon(Problem(source.scaled(2.0**60), rates, JD(0.02 * 2.0**120), weights))
    np.testing.assert_array_equal(large.cov_xhat, plain.cov_xhat * 2.0**120)
    assert large.lower_bound == plain.lower_bound * 2.0**120


@pytest.mark.parametrize(
    ("problem", "why"),
    [
        (problem_of(3, "JD", [0.1, 0.0, 0.1], np.ones(3)), "threshold of zero"),
        (problem_of(3, "JD", 0.1, np.ones(3), rho=1.0), "innovation"),
        (problem_of(3, "SA", [0.1, np.inf, 0.1], np.array([1.0, 0, 1])), "neither"),
        (Problem(GaussMarkov([1.0]), 1.0, FMD(0.1)), "JD or SA"),
        (Problem(GaussMarkov([[1.0, 2.0]]), 1.0, JD(0.1)), "scalar frames"),
    ],
)
def test_what_is_not_covered_is_refused(problem: Problem, why: str) -> None:
    with pytest.raises(SolverError, match=why) as caught:
        solve_long_horizon(problem)
    assert caught.value.status == "unsupported"


def _state(loss: str, level: object) -> tuple[object, State]:
    problem = problem_of(5, loss, level, np.linspace(0.5, 1.5, 5))
    program = program_of(problem)
    mmse = mmse_recursion(problem.source, problem.rates).mmse
    gains, noise = start(program, mmse, 0.9)
    noise = noise + 0.1 * np.diag(np.arange(5.0))  # away from perfect realism, where slopes vanish
    blocks = blocks_at(program, gains @ gains.T + noise, program.cross(gains))
    assert blocks is not None
    slack = program.levels - [block.value for block in blocks]
    rng = np.random.default_rng(1)
    dual = rng.normal(size=(5, 5))
    dual = dual @ dual.T + np.eye(5)
    return program, State(gains, noise, dual, rng.uniform(0.5, 1.5, len(slack)), blocks, slack)


@pytest.mark.parametrize(("loss", "level"), [("JD", [0.2, 0.4, 0.6, 0.8, 1.0]), ("SA", 1.0)])
def test_slopes_and_curvature_are_derivatives(loss: str, level: object) -> None:
    program, state = _state(loss, level)
    rng = np.random.default_rng(2)
    step = rng.normal(size=(5, 5))
    step, cross = step + step.T, rng.normal(size=5)
    factors = rng.uniform(0.5, 1.5, len(state.blocks))

    def along(size: float) -> tuple[float, np.ndarray, np.ndarray]:
        cov = state.cov + size * step
        blocks = blocks_at(program, cov, program.cross(state.gains) + size * cross)
        value = float(factors @ [block.value for block in blocks])
        return value, *gradient(program, blocks, factors)

    here, h = along(0.0), 1e-5
    ahead, behind = along(h), along(-h)
    slope = np.vdot(here[1], step) + here[2] @ cross
    assert slope == pytest.approx((ahead[0] - behind[0]) / (2 * h), rel=1e-5)
    if loss == "JD":
        bent, _ = Curvature(program, state.blocks, factors)((step, np.zeros(5)))
        np.testing.assert_allclose(bent, (ahead[1] - behind[1]) / (2 * h), rtol=1e-4, atol=1e-5)
    else:
        bent, bent_cross = Curvature(program, state.blocks, factors)((step, cross))
        np.testing.assert_allclose(bent, (ahead[1] - behind[1]) / (2 * h), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(
            bent_cross, (ahead[2] - behind[2]) / (2 * h), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("level", [1.0, [0.2, 0.4, 0.6, 0.8, 1.0], [np.inf, 0.3, np.inf, 0.5, 0.5]])
def test_both_ways_to_a_step_agree(monkeypatch: pytest.MonkeyPatch, level: object) -> None:
    from solvers._long_horizon import direction, joint

    monkeypatch.setattr(direction, "ETA", 1e-7)
    monkeypatch.setattr(joint, "ETA", 1e-7)
    monkeypatch.setattr(joint, "FORCED", 0.0)
    program, state = _state("JD", level)
    one, other = (way(program, state, 0.05) for way in (joint_step, primal_step))
    np.testing.assert_allclose(one.gains, other.gains, atol=1e-6)
    np.testing.assert_allclose(one.cov, other.cov, atol=1e-6)
    np.testing.assert_allclose(one.dual, other.dual, atol=1e-6)
    np.testing.assert_allclose(one.mu, other.mu, atol=1e-6)


def test_column_blocks_are_those_of_the_operator() -> None:
    rng = np.random.default_rng(4)
    made = [rng.normal(size=(4, 4)) for _ in range(4)]
    dual, scaling, map_, cov = (matrix @ matrix.T + np.eye(4) for matrix in made)
    gains, root = np.tril(rng.normal(size=(4, 4))), reverse_cholesky(dual)
    blocks = ColumnBlocks(root, gains, scaling, map_, cov)

    def operator(matrix: np.ndarray) -> np.ndarray:
        half = np.linalg.inv(root)
        made = half.T @ np.tril(half @ matrix @ gains) @ gains.T + map_ @ matrix @ cov
        return made + made.T + scaling @ matrix @ scaling

    for j in range(4):
        # the answer to the operator on one block, restricted to it, is that block again
        x = np.zeros((4, 4))
        x[j:, j] = x[j, j:] = rng.normal(size=4 - j)
        image = root.T @ operator(root @ x @ root.T) @ root
        right = blocks.rows[j] * image[j]
        np.testing.assert_allclose(blocks.inverse[j] @ right, x[j], atol=1e-9)


@pytest.mark.parametrize("loss", ["JD", "SA"])
def test_bound_is_that_of_the_certificate(loss: str) -> None:
    problem = problem_of(6, loss, 0.05, np.linspace(0.5, 1.5, 6))
    program = program_of(problem)
    gains = solve_long_horizon(problem)
    cross = np.diag(gains.cross)
    blocks = blocks_at(program, gains.cov_xhat, cross)
    mu = np.full(len(blocks), 1e-3)
    own = best_bound(program, mu, np.eye(6), blocks, -np.inf)
    full, slopes = np.zeros(6), np.zeros((6, 6, 6))
    for t, factor, block in zip(program.compared, mu, blocks, strict=True):
        full[t] = factor
        slopes[t, : block.size, : block.size] = factor * block.slope
    assert own == pytest.approx(lower_bound(problem, full, slopes), rel=1e-9)


@pytest.mark.parametrize(
    ("rho", "rates", "level"),
    [(1 - 1e-12, [20, 20], 1e-14), (0.999999, [15, 15], 1e-14), (0.9, [4, 25], 1e-12)],
)
@pytest.mark.parametrize("loss", [JD, SA])
def test_a_threshold_next_to_0_is_not_taken_for_0(loss, rho, rates, level):
    """What a small threshold allows is much, next to a small distortion."""
    problem = Problem(GaussMarkov.stationary(rho, 2), rates, loss(level))
    found = solve(problem, method="long-horizon")
    exact = solve(problem, method="precise")
    np.testing.assert_allclose(found.distortion, exact.distortion, rtol=1e-6)
    assert (found.frame_bounds <= exact.distortion * (1 + 1e-9)).all()
    np.testing.assert_allclose(found.frame_bounds, exact.distortion, rtol=1e-6)


@pytest.mark.parametrize("weights", [None, [1.0, 1.0, 0.5]])
def test_distortions_are_in_the_unit_of_the_source(weights: object) -> None:
    rates, levels = [1.2, 20.0, 0.7], np.array([0.1, np.inf, 0.2])
    small = GaussMarkov([1, 1, 1], [0.5, 0.9])
    one = solve_long_horizon(Problem(small, rates, JD(levels), weights))
    large = GaussMarkov([1e5, 1e5, 1e5], [0.5, 0.9])
    other = solve_long_horizon(Problem(large, rates, JD(1e10 * levels), weights))
    assert one.distortion is not None
    np.testing.assert_allclose(other.distortion, 1e10 * one.distortion, rtol=1e-6)
    np.testing.assert_allclose(other.distortion[1], other.mmse[1], rtol=1e-6)


def test_a_direction_without_curvature_ends_the_search() -> None:
    source = GaussMarkov([286379.31390943, 32823.18911019, 55283.61950201], [-1.0, -0.9999999])
    levels = SA([82.01311143523564, 1.077361743363008e-05, 2217215886.223384])
    rates = [5.073982538407725, np.inf, 3.7265402094718776]
    problem = Problem(source, rates, levels, weights=[0.82197711, 0.0, 0.82197711])
    with pytest.raises(SolverError, match="no certificate"):
        solve_long_horizon(problem)
    found = solve(problem)
    assert 0 <= found.gap <= 1e-6 * found.objective + 1e-13 * source.variance.sum()


def test_slopes_of_a_bound_are_symmetric() -> None:
    """Rounding made them differ by 7e-9, and two Cholesky factors read different halves."""
    source = GaussMarkov(
        [8.209513929159579, 0.7674101098395417, 0.11299783434312365],
        [-0.9711456114682047, 0.9999988843132415],
    )
    levels = JD([0.0012443716198336846, 0.019725486889076913, 4.452809103834336e-06])
    weights = [0.48599770684975746, 0.6532246761312116, 0.5747597757375562]
    problem = Problem(source, 3.2777584573731833, levels, weights)
    bound = solve_long_horizon(problem).lower_bound
    assert bound <= 0.349487324230308  # reached, by the semidefinite program
    assert bound == pytest.approx(0.34948732423, rel=1e-6)


@pytest.mark.parametrize("loss", [JD, SA])
def test_thresholds_without_an_interior_point_are_left_to_other_methods(loss) -> None:
    """Losses round to more than such a threshold, so that slacks and multipliers were negative."""
    source = GaussMarkov([0.004, 0.002, 24.515, 43.461], [0.9] * 3)
    problem = Problem(source, [2.0, 2.0, 30.0, 5.0], loss(1.8881652160614518e-22), weights=1.0)
    with pytest.raises(SolverError, match="no certificate"):
        solve_long_horizon(problem)
    perfect = solve(problem.with_(perception=loss(0.0)))
    assert solve(problem).objective == pytest.approx(perfect.objective, rel=1e-6)


def test_the_program_uses_no_more_than_is_left_of_a_threshold() -> None:
    """It was 1.3e-6 better than possible: what counts as nothing left was of some worth."""
    exact = solve(NOTHING_LEFT, "precise")
    program = solve(NOTHING_LEFT, "sdp")
    np.testing.assert_allclose(program.distortion, exact.distortion, rtol=1e-7)


def test_a_threshold_that_rounding_hides_ends_the_search_without_overflow() -> None:
    """A warning of numpy would be an error here."""
    problem = Problem(
        GaussMarkov([73.4, 0.013, 21511.0], [0.9999999, 0.3331]),
        [30.0, 1e-9, 1e-3],
        SA([53.84, np.inf, 4.6275e-6]),
    )
    found = solve(problem)
    assert 0 <= found.gap <= 1e-5 * found.objective


def test_conjugate_gradients_end_where_rounding_leaves_no_curvature() -> None:
    sigma = [589745.0914780366, 7.1108746351030165e-06, 0.007416149841670375, 844407.0082080696]
    rho = [-0.9999999, 0.9999999, -0.4650738615986634]
    rates = [1.7949247941854667, 12.0, 30.0, 1.7949247941854667]
    levels = [521.6989093836567, 7.584680711422717e-17, np.inf, 1069.5347932663544]
    problem = Problem(GaussMarkov(sigma, rho), rates, JD(levels), [0, 0, 0.75159053, 0.75159053])
    found = solve(problem)
    assert 0 <= found.gap <= 1e-5 * found.objective
    with pytest.raises(SolverError):
        solve(problem, "long-horizon")
