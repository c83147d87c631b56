"""The method in decimal arithmetic, compared with the other methods and with differences."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from rdp import FMD, JD, SA, GaussMarkov, Problem, gaussian
from rdp.mmse import mmse_recursion
from solvers import SolverError, allocate, minimum_rate, solve, sweep
from solvers._precise import arithmetic
from solvers._precise.determinant import Moves
from solvers._precise.transport import transport
from solvers.methods import precise

INF = np.inf
SEEDS = st.integers(0, 2**32 - 1)

# What no method in double precision certified with weights, nor the barrier method without them:
# variances far apart, frames that repeat, thresholds tiny next to other frames, high rates.
HARD = (
    Problem(GaussMarkov([2.2e5, 2.6e-4], [-1.0]), [0.68, 1e-3], JD([INF, 2e-7]), [0.06, 0.06]),
    Problem(
        GaussMarkov([1485.0, 21.0, 2.8e-5], [1.0, -0.43]),
        [0.0, 0.97, 1e-9],
        SA([6.6e6, 4.4e-7, 2.1e-11]),
        [0.885, 0.885, 0.05],
    ),
    Problem(
        GaussMarkov([56.0, 0.122, 0.00975], [-0.482, -1.0]),
        [0.988, 1e-9, INF],
        JD([9500.0, INF, 9.5e-14]),
        [0.283, 0.0, 0.05],
    ),
    Problem(
        GaussMarkov(np.ones(3), [-1 + 1e-7, 1 - 1e-7]), [12.0, 1e-9, INF], JD([INF, 1e-6, 1e-9])
    ),
    Problem(GaussMarkov.stationary(1.0, 2), [6.090681, 4.699609], JD([2e-6, 1e-9])),
    Problem(
        GaussMarkov.stationary(-1.0, 3), [14.0, 5.7, 21.6], JD([0.53, 2e-14, 5e-10])
    ),
)


@pytest.mark.parametrize("problem", HARD, ids=lambda p: f"{p.plf}-{p.source.sigma[0]:g}")
def test_problems_beyond_double_precision_are_certified(problem):
    found = solve(problem)
    # frame by frame the long-horizon method has digits enough, unless a frame feels its rounding
    assert found.method == "precise" or (problem.weights is None and found.method == "long-horizon")
    assert_allclose(found.distortion, solve(problem, "precise").distortion, rtol=1e-8)
    assert 0 <= found.gap <= 1e-6 * found.objective
    assert sweep(problem).status == 0


@pytest.mark.parametrize("loss", [JD, SA])
def test_all_weight_on_frames_after_the_last_threshold(loss):
    problem = Problem(
        GaussMarkov([1.0, 2.0, 3.0], [0.9, -0.8]), [0.5, 0.1, 1.0], loss([0.3, 0.2, INF]), [0, 0, 1]
    )
    found = solve(problem, "precise")
    assert_allclose(found.objective, mmse_recursion(problem.source, problem.rates).mmse[2])
    assert 0 <= found.gap <= 1e-6 * found.objective
    assert (found.perception[:2] <= [0.3, 0.2]).all()


def test_a_tiny_threshold_after_frames_that_are_known():
    """PLF-SA: the target of a frame that the past determines is a matrix of lower rank."""
    problem = Problem(
        GaussMarkov([9.4e-6, 1.3e5, 138.0, 2.3e-3], [1.0, 1.0, 0.9999999]),
        [INF, 0.0, 0.46, 0.0],
        SA([8.9e-17, 5.3e10, 1.2e4, 5.5e-20]),
    )
    found = solve(problem)
    fresh = 2.3e-3 * np.sqrt(1 - 0.9999999**2)  # what frame 4 has beside frames that are known
    assert_allclose(found.distortion[:3], 0, atol=1e-25)
    assert_allclose(found.distortion[3], fresh**2 + (fresh - np.sqrt(5.5e-20)) ** 2, rtol=1e-8)
    assert 0 <= found.gap <= 1e-6 * found.objective


@pytest.mark.parametrize("level", [1.9e-24, 1.9e-29])
def test_the_noise_of_a_repeated_frame_is_not_felt_by_a_tiny_threshold(level):
    problem = Problem(
        GaussMarkov([1.2e-2, 1e5, 1.4e-5, 1.2e3], [-1.0, 0.0, 0.0]),
        [0.0, 30.0, INF, 30.0],
        JD([1.4e-18, 3.1e10, level, 1.4]),
    )
    found = solve(problem)
    kept = np.sqrt(found.perception[:3]) <= np.sqrt(level) * (1 + 4e-15)
    assert kept.all()
    assert_allclose(found.distortion[0], 2 * 1.2e-2**2, rtol=1e-9)  # a copy of no information
    assert found.distortion[2] < 1e-25
    assert 0 <= found.gap <= 1e-6 * found.objective


@settings(max_examples=8)
@given(SEEDS)
def test_agrees_with_the_other_methods(seed):
    rng = np.random.default_rng(seed)
    frames = int(rng.integers(2, 4))
    source = GaussMarkov(rng.uniform(0.5, 2, frames), rng.uniform(-0.95, 0.95, frames - 1))
    loss = rng.choice([JD, SA])(rng.uniform(0.01, 0.3, frames))
    weights = rng.uniform(0.2, 1, frames) if rng.random() < 0.5 else None
    problem = Problem(source, rng.uniform(0.1, 3, frames), loss, weights)
    precise, other = solve(problem, "precise"), solve(problem)
    assert_allclose(precise.distortion, other.distortion, rtol=1e-3)
    if weights is not None:
        assert_allclose(precise.objective, other.objective, rtol=2e-6)
    assert 0 <= precise.gap <= 1e-7 * precise.objective


@pytest.mark.parametrize("loss", [JD, SA])
def test_a_threshold_of_zero_is_that_of_the_exact_method(loss):
    source = GaussMarkov([1.0, 2.0, 0.5], [0.9, 0.5])
    problem = Problem(source, [0.5, 2.0, 1.0], loss(0.0), [1.0, 0.2, 1.0])
    exact, precise = solve(problem, "lookahead"), solve(problem, "precise")
    assert_allclose(precise.objective, exact.objective, rtol=1e-8)
    sequential = problem.with_(weights=None)
    found = solve(sequential, "precise").distortion
    assert_allclose(found, solve(sequential, "closed-form").distortion, rtol=1e-12)


def test_what_it_does_not_cover():
    for problem, reason in (
        (Problem(GaussMarkov.stationary(0.9, 33), 1.0, JD(0.1)), "more than 32 frames"),
        (Problem(GaussMarkov.stationary(0.9, 13), 1.0, JD(0.1), weights=1), "more than 12 frames"),
        (Problem(GaussMarkov([1.0, 1.0], [0.5]), 1.0, FMD(0.1)), "a loss other than"),
        (Problem(GaussMarkov([1.0, 1.0], [0.5]), 1.0, JD([0.1, INF], window=1)), "a loss other"),
        (Problem(GaussMarkov.stationary(0.5, 3), 1.0, JD(0.1, window=2)), "the window"),
        (Problem(GaussMarkov.stationary(0.5, 3), 1.0, JD(INF)), "without thresholds"),
    ):
        with pytest.raises(SolverError, match=reason):
            solve(problem, "precise")


def test_where_digits_are_lost_more_are_taken(monkeypatch):
    """Of few digits the centre is not reached: Newton's method comes no nearer."""
    problem = Problem(
        GaussMarkov([1.0, 1e-3, 10.0], [0.9999999, -1.0]), [INF, 1e-3, 1.0], JD([1e-9, 1e-14, 1e-6])
    )
    right, asked, solve_with = solve(problem, "precise"), [], precise._with_digits

    def recorded(digits, path):
        asked.append(digits)
        return solve_with(digits, path)

    monkeypatch.setattr(precise, "_with_digits", recorded)
    monkeypatch.setattr(precise, "DIGITS", 35)
    found = solve(problem, "precise")
    assert asked == [35, arithmetic.MORE_DIGITS]
    assert_allclose(found.distortion, right.distortion, rtol=1e-12)
    monkeypatch.setattr(precise, "MORE_DIGITS", 37)
    with pytest.raises(SolverError, match="precise: "):
        solve(problem, "precise")


def test_a_path_that_does_not_end_is_a_failure(monkeypatch):
    from solvers._precise import newton

    monkeypatch.setattr(newton, "STEPS", 3)
    problem = Problem(GaussMarkov.stationary(0.9, 2), 0.5, JD([0.1, 0.01]), [1.0, 1.0])
    with pytest.raises(SolverError, match="not solved in 3 steps"):
        solve(problem, "precise")


@pytest.mark.parametrize("near", ["1e-40", "1e-12", "1e-8"])
def test_a_frame_that_receives_nothing_has_a_bound(monkeypatch, near):
    """Its best multiplier is the largest that gives one: a point near the centre may exceed it."""
    from solvers._precise import newton

    monkeypatch.setattr(newton, "AT_CENTRE", Decimal(near))
    problem = Problem(
        GaussMarkov(np.ones(3), [0.9999999, -1.0]),
        [INF, 0.0, 0.00110443],
        JD([5e-15, 2e-14, 2e-9]),
    )
    found = solve(problem, "precise")
    assert 0 <= found.gap <= 1e-6 * found.objective
    fresh = 1 - 0.9999999**2  # what frame 2 has beside frame 1, which is exact
    less = np.sqrt(fresh) - np.sqrt(2e-14)  # noise of its reconstruction, less by the threshold
    assert fresh < found.distortion[1] <= fresh + less**2


@pytest.mark.parametrize("loss", [JD, SA])
def test_frames_without_any_bits_have_a_bound(loss):
    """Independent of the source, so that D_t is its variance and that of the reconstruction."""
    problem = Problem(GaussMarkov([2.0, 1.0, 3.0], [0.0, 0.0]), 0.0, loss([0.25, 1e-24, 0.01]))
    found = solve(problem, "precise")
    level = [1e-24, 1e-24, 0.01] if loss is JD else [0.25, 1e-24, 0.01]
    deviation = problem.source.sigma - np.sqrt(level)
    deviation[2] = 3 - np.sqrt(0.01)
    assert_allclose(found.distortion, problem.source.variance + deviation**2, rtol=1e-9)
    assert_allclose(found.frame_bounds, found.distortion, rtol=1e-12)


def test_many_frames_in_decimals():
    """No other method certifies this; later frames repeat others, without any bits of their own."""
    sigma = 10.0 ** np.resize([0, -3, 2, -5, 3], 10)
    rho = np.resize([0.9999999, -1.0, 0.5, 1.0, -0.9999999], 9)
    rates = np.resize([12.0, 0.0, INF, 1e-3, 30.0, 0.0], 10)
    levels = np.resize([1e-9, 1e-14, 0.0, INF, 1e-6, 0.01], 10) * sigma**2
    found = solve(Problem(GaussMarkov(sigma, rho), rates, JD(levels)))
    assert found.method == "precise"
    assert 0 <= found.gap <= 1e-6 * found.objective
    assert_allclose(found.frame_bounds, found.distortion, rtol=1e-6, atol=1e-20)


@pytest.mark.parametrize("loss", [JD, SA])
def test_more_frames_with_weights_in_decimals(loss):
    source = GaussMarkov([1.0, 1e-4, 1e4, 1.0, 1e-2, 1.0], [1, 0.9999999, 0, -1, 0.5])
    levels = np.array([INF, 1e-9, INF, INF, INF, 1e-12]) * source.variance
    problem = Problem(source, [0.5, 12, 1, 0, 3, INF], loss(levels), [0, 1, 1, 0, 1, 0.5])
    found = solve(problem, "precise")
    assert 0 <= found.gap <= 1e-6 * found.objective
    looser = solve(problem.with_(perception=loss(levels * 2)), "precise")
    assert looser.objective <= found.objective * (1 + 1e-9)


# -- least rates and splits ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rho", "targets", "loss"),
    [
        (0.999, [1.3204, 1.8154e-6], JD([0.0, 0.0114347])),
        (0.999999, [0.1354, 1e-6, 1e-6], JD([0.0172054, 0.0, 0.02073481])),
    ],
)
def test_least_rates_that_the_program_does_not_find(rho, targets, loss):
    source = GaussMarkov.stationary(rho, len(targets))
    found = minimum_rate(source, targets, loss)
    assert 0 <= found.gap <= 1e-6
    assert (found.distortion <= np.array(targets) * (1 + 1e-9)).all()
    fixed = Problem(source, found.rates, loss, weights=1 / np.array(targets))
    assert solve(fixed).objective <= len(targets) * (1 + 1e-6)


@pytest.mark.parametrize(("rho", "frames"), [(1.0, 4), (-1.0, 2)])
def test_the_bound_of_a_split_never_exceeds_the_best_split(rho, frames):
    """In double precision it was one per cent too high, and 1e-5 for the second."""
    source, total = GaussMarkov.stationary(rho, frames), 12.0
    found = allocate(source, total, JD(0.0))
    exact = frames * (2 - 2 * np.sqrt(1 - 4.0**-total))  # all bits for frame 1
    assert found.lower_bound <= exact * (1 + 1e-9)
    assert 0 <= found.gap <= 1e-6 * found.objective
    assert_allclose(found.objective, exact, rtol=1e-6)


# -- arithmetic ----------------------------------------------------------------------------------


@given(SEEDS, st.integers(1, 4))
def test_derivatives_of_a_determinant(seed, size):
    """Compared with traces of the matrices that the unknowns move Z by."""
    rng = np.random.default_rng(seed)
    with arithmetic.many_digits():
        cov = arithmetic.exact(covariance(rng, size))
        gains = arithmetic.exact(rng.normal(size=size))
        columns = np.column_stack([arithmetic.exact(np.eye(size)), gains])
        moves = Moves.of([(0, size), (size - 1, 0)], sign=-1) + Moves.of([(0, 0)])
        unit = columns[:, 0]
        both = np.outer(unit, gains) + np.outer(gains, unit)
        last = np.outer(columns[:, size - 1], unit)
        steps = [-both, -(last + last.T) / (2 if size == 1 else 1), np.outer(unit, unit)]
        inverse = arithmetic.solve_positive(cov, arithmetic.exact(np.eye(size)))
        first, second = moves.derivatives(columns.T @ inverse @ columns)
        for k, step in enumerate(steps):
            slope = float(np.trace(inverse @ step))
            assert_allclose(float(first[k]), slope, rtol=1e-12, atol=1e-12)
            for j, other in enumerate(steps):
                bend = np.trace(inverse @ step @ inverse @ other)
                assert_allclose(float(second[k, j]), float(bend), rtol=1e-12, atol=1e-12)


def covariance(rng, size):
    root = rng.normal(size=(size, size))
    return root @ root.T + 0.1 * np.eye(size)


@given(SEEDS, st.integers(1, 4))
def test_linear_algebra_has_all_digits(seed, size):
    rng = np.random.default_rng(seed)
    with arithmetic.many_digits():
        matrix = arithmetic.exact(covariance(rng, size))
        root = arithmetic.cholesky(matrix)
        other = arithmetic.exact(rng.normal(size=(size, size)))
        columns, carried = arithmetic.orthogonal(other, root)
        squares = np.diagonal(columns.T @ columns)
        right = arithmetic.exact(rng.normal(size=size))
        tiny = Decimal(10) ** (-arithmetic.DIGITS + 20)
        assert abs(root @ root.T - matrix).max() < tiny
        assert abs(columns.T @ columns - np.diag(squares)).max() < Decimal("1e-85")
        assert abs(columns @ columns.T - other @ other.T).max() < tiny
        assert abs(carried @ carried.T - matrix).max() < tiny
        assert abs(columns @ carried.T - other @ root.T).max() < tiny
        assert abs(matrix @ arithmetic.solve_positive(matrix, right) - right).max() < tiny
        assert arithmetic.cholesky(-matrix) is None
        assert arithmetic.solve_positive(-matrix, right) is None


@given(SEEDS, st.integers(1, 3))
def test_the_distance_and_its_derivatives(seed, size):
    """Compared with `gaussian.bures`, and with differences in both covariances."""
    rng = np.random.default_rng(seed)
    a, b, da, db = (covariance(rng, size) for _ in range(4))
    with arithmetic.many_digits():
        exact = [arithmetic.exact(matrix) for matrix in (a, b, da, db)]
        h = Decimal("1e-30")
        low, here, high = (
            transport(*(arithmetic.cholesky(exact[i] + k * h * exact[i + 2]) for i in (0, 1)))
            for k in (-1, 0, 1)
        )
        assert_allclose(float(here.distance), gaussian.bures(a, b), atol=1e-12 * np.trace(a + b))
        moved = here.root.T @ exact[2] @ here.root, here.inverse @ exact[3] @ here.inverse.T
        slope = np.trace(exact[2] + exact[3]) - np.trace(moved[0] + moved[1])
        bend = (moved[0] - moved[1]) ** 2 / (here.values[:, None] + here.values)
        assert_allclose(float((high.distance - low.distance) / (2 * h)), float(slope), rtol=1e-12)
        second = (high.distance - 2 * here.distance + low.distance) / h**2
        assert_allclose(float(second), float(bend.sum()), rtol=1e-12, atol=1e-12)
        room = Decimal(3)
        change = (moved[0] - moved[1])[None]
        log = here.bend(np.array([slope], dtype=object), change, room)[0, 0]  # of - ln(room)
        assert_allclose(float(log), float(bend.sum() / 3 + (slope / 3) ** 2), rtol=1e-12)


def test_singular_covariances_have_no_transport():
    with arithmetic.many_digits():
        one = arithmetic.exact(np.eye(2))
        singular = arithmetic.exact(np.ones((2, 2)))
        assert arithmetic.cholesky(singular) is None
        assert transport(singular, one) is None
        assert transport(one, singular) is None
