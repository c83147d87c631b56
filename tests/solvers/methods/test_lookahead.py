"""Lookahead at zero perception loss, against semidefinite programs, closed forms and simulation."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rdp import FMD, JD, SA, GaussMarkov, Problem
from rdp.closed_form import zero_perception_joint, zero_perception_self_adaptive
from rdp.mmse import estimate_factor, mmse_recursion
from solvers import SolverError, solve
from solvers.methods.lookahead import lookahead, lookahead_points

CLOSED_FORM = {"JD": zero_perception_joint, "SA": zero_perception_self_adaptive}
PLFS = {"JD": JD, "SA": SA}


@st.composite
def settings_of(draw, max_frames=6):
    """A source, rates with zeros and infinities among them, and weights."""
    frames = draw(st.integers(1, max_frames))

    def numbers(element, size):
        return np.array(draw(st.lists(element, min_size=size, max_size=size)))

    sigma = 10 ** numbers(st.floats(-1.5, 1.5), frames)
    rho = numbers(st.one_of(st.sampled_from([-1.0, 0.0, 1.0]), st.floats(-1, 1)), frames - 1)
    rates = numbers(st.one_of(st.sampled_from([0.0, np.inf]), st.floats(1e-3, 8)), frames)
    weights = numbers(st.one_of(st.just(0.0), st.floats(0.01, 10)), frames)
    assume(weights.any())
    return GaussMarkov(sigma, rho), rates, weights


def contraction_by_cvxpy(source, rates, weights):
    """The problem as stated: maximise <K, M> over lower-triangular contractions K."""
    import cvxpy as cp

    factor = source.transition() * np.sqrt(source.innovation)
    gains = factor.T @ np.diag(weights) @ estimate_factor(source, rates)
    k = cp.Variable(gains.shape)
    upper = np.triu(np.ones(gains.shape), 1)
    constraints = [cp.sigma_max(k) <= 1, cp.multiply(upper, k) == 0]
    problem = cp.Problem(cp.Maximize(cp.sum(cp.multiply(k, gains))), constraints)
    problem.solve(solver="CLARABEL")
    return 2 * weights @ source.variance - 2 * problem.value


def nuclear_norm_by_cvxpy(source, rates, weights):
    """Its dual: the least nuclear norm of M + N over strictly upper-triangular N."""
    import cvxpy as cp

    factor = source.transition() * np.sqrt(source.innovation)
    gains = factor.T @ np.diag(weights) @ estimate_factor(source, rates)
    n = cp.Variable(gains.shape)
    lower = np.tril(np.ones(gains.shape))
    problem = cp.Problem(cp.Minimize(cp.normNuc(gains + n)), [cp.multiply(lower, n) == 0])
    problem.solve(solver="CLARABEL")
    return 2 * weights @ source.variance - 2 * problem.value


def self_adaptive_by_cvxpy(source, rates, weights):
    """Second moments H, C of any causal decoder, with (Xhat^{t-1}, X_t) as SA asks."""
    import cvxpy as cp

    frames, phi = source.frames, source.transition()
    factor = estimate_factor(source, rates)
    z = cp.Variable((2 * frames, 2 * frames), PSD=True)
    c, h = z[frames:, :frames], z[frames:, frames:]
    constraints = [z[:frames, :frames] == factor @ factor.T, cp.diag(h) == source.variance]
    for t in range(frames):
        constraints += [c[t, s] == c[t, t] * phi[s, t] for s in range(t + 1, frames)]
        constraints += [h[s, t] == c[s, t] for s in range(t)]
    own = cp.sum(cp.multiply(weights, cp.diag(c)))
    problem = cp.Problem(cp.Maximize(own), constraints)
    problem.solve(solver="CLARABEL")
    return 2 * weights @ source.variance - 2 * problem.value


def random_case(seed, frames):
    rng = np.random.default_rng(seed)
    source = GaussMarkov(rng.uniform(0.5, 2, frames), rng.uniform(-1, 1, frames - 1))
    return source, rng.uniform(0.05, 2.5, frames), rng.uniform(0, 1, frames)


@pytest.mark.parametrize("seed", range(4))
def test_joint_is_the_best_causal_contraction_and_the_least_nuclear_norm(seed):
    case = random_case(seed, frames=5)
    found = lookahead(*case)
    unit = case[2] @ case[0].variance
    value = case[2] @ found.distortion
    assert value == pytest.approx(contraction_by_cvxpy(*case), abs=2e-7 * unit)
    assert value == pytest.approx(nuclear_norm_by_cvxpy(*case), abs=2e-7 * unit)


@pytest.mark.parametrize("seed", range(4))
def test_self_adaptive_is_what_the_semidefinite_program_finds(seed):
    case = random_case(seed + 10, frames=4)
    found = lookahead(*case, plf="SA")
    expected = self_adaptive_by_cvxpy(*case)
    unit = case[2] @ case[0].variance
    assert case[2] @ found.distortion == pytest.approx(expected, abs=3e-7 * unit)


def test_error_permanence_is_a_choice_of_the_decoder():
    source = GaussMarkov.stationary(rho=0.9, frames=3)
    rates = [0.05, 8, 8]
    now = lookahead(source, rates).distortion
    later = lookahead(source, rates, weights=[0, 0, 1]).distortion
    np.testing.assert_allclose(now, zero_perception_joint(source, rates), rtol=1e-12)
    np.testing.assert_allclose(later, [1.482, 0.947, 0.514], atol=5e-4)
    assert later[2] < now[2] - 0.07


@settings(max_examples=60)
@given(settings_of(), st.sampled_from(["JD", "SA"]))
def test_the_certificate_closes_and_lookahead_never_loses(case, plf):
    source, rates, weights = case
    found = lookahead(source, rates, weights, plf)
    value, scale = weights @ found.distortion, weights @ source.variance
    assert found.lower_bound <= value + 1e-12 * scale
    assert value - found.lower_bound <= 1e-9 * value + 1e-13 * scale
    sequential = weights @ lookahead(source, rates, None, plf).distortion
    assert value <= sequential + 1e-12 * scale


@settings(max_examples=60)
@given(settings_of(), st.sampled_from(["JD", "SA"]))
def test_sequential_is_the_closed_form_or_better(case, plf):
    source, rates, _ = case
    found = lookahead(source, rates, None, plf).distortion
    closed = CLOSED_FORM[plf](source, rates)
    if plf == "SA" or (source.innovation > 0).all():
        np.testing.assert_allclose(found, closed, rtol=1e-9, atol=1e-13 * source.variance.max())
    assert (found <= closed * (1 + 1e-9) + 1e-13 * source.variance.max()).all()


@settings(max_examples=40)
@given(settings_of(), st.sampled_from(["JD", "SA"]), st.booleans())
def test_the_moments_are_a_feasible_scheme_with_that_distortion(case, plf, weighted):
    """solve recomputes distortion and perception from the moments and raises on residuals."""
    source, rates, weights = case
    chosen = weights if weighted else None
    solution = solve(Problem(source, rates, PLFS[plf](0.0), chosen), method="lookahead")
    found = lookahead(source, rates, chosen, plf)
    scale = source.variance.max()
    np.testing.assert_allclose(solution.distortion, found.distortion, rtol=1e-9, atol=1e-12 * scale)
    # W2^2 from eigenvalues has square-root accuracy at rank-deficient covariances
    assert solution.perception.max() <= 1e-7 * scale * source.frames


def test_simulated_scheme_has_the_distortion_and_the_distribution():
    source = GaussMarkov([1.0, 2.0, 1.5, 1.0], [0.9, -0.8, 0.95])
    problem = Problem(source, [0.1, 1.0, 2.0, 1.0], JD(0.0), weights=[0.1, 0.2, 0.3, 3.0])
    solution = solve(problem, method="lookahead")
    x, xhat = solution.simulate(200_000, rng=1)
    errors = (x - xhat) ** 2
    standard_error = errors.std(axis=0) / np.sqrt(len(x))
    assert (np.abs(errors.mean(axis=0) - solution.distortion) < 4 * standard_error).all()
    np.testing.assert_allclose(np.cov(xhat.T), source.covariance(), atol=0.04)


def test_a_determined_frame_keeps_its_bits_for_the_next_one():
    """With rho_2 = 1 frame 2 has no innovation: pooling its bits with frame 3's wins."""
    source = GaussMarkov.stationary(rho=np.array(1.0), frames=3)
    source = GaussMarkov(source.sigma, [1.0, 0.8])
    rates = [0.5, 1.0, 0.5]
    found = lookahead(source, rates).distortion
    backbone = mmse_recursion(source, rates)
    received = backbone.gain**2 * backbone.prediction_error
    pooled = np.sqrt(0.64 * received[1] + received[2])
    q = source.innovation[2]
    expected = 0.64 * found[1] + 2 * (q - np.sqrt(q) * pooled)
    assert found[2] == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(zero_perception_joint(source, rates), found, rtol=1e-12)
    forgotten = 0.64 * found[1] + 2 * (q - np.sqrt(q * received[2]))  # frame 2's bits not used
    assert found[2] < forgotten - 0.1


@given(st.data())
def test_closed_form_and_lookahead_agree_where_frames_are_determined(data):
    """Two routes to the sequential optimum, |rho| = 1 and infinite rates included."""
    rho = data.draw(st.lists(st.sampled_from([1.0, -1.0, 0.0, 0.5, 0.9]), min_size=1, max_size=5))
    rates = [data.draw(st.sampled_from([0, 0.1, 1, 3, np.inf])) for _ in range(len(rho) + 1)]
    sigma = [data.draw(st.floats(0.1, 10)) for _ in rates]
    source = GaussMarkov(sigma, rho)
    np.testing.assert_allclose(
        zero_perception_joint(source, rates),
        lookahead(source, rates).distortion,
        rtol=1e-9,
        atol=1e-12 * source.variance.max(),
    )


@pytest.mark.parametrize("plf", ["JD", "SA"])
def test_weight_on_the_first_frame_only_is_the_first_closed_form(plf):
    source, rates, _ = random_case(3, frames=4)
    found = lookahead(source, rates, [1, 0, 0, 0], plf)
    assert found.lower_bound == pytest.approx(CLOSED_FORM[plf](source, rates)[0], rel=1e-9)


def test_following_all_at_once_is_optimal_at_constant_rate_in_steady_state():
    rho, rate, frames = 0.9, 0.7, 12
    keep = 2 ** (-2 * rate)
    steady = keep * (1 - rho**2) / (1 - keep * rho**2)
    source = GaussMarkov.stationary(rho=rho, frames=frames)
    rates = np.concatenate([[-0.5 * np.log2(steady)], np.full(frames - 1, rate)])
    weights = np.random.default_rng(0).uniform(0.1, 1, frames)
    found = lookahead(source, rates, weights)
    np.testing.assert_allclose(found.distortion, zero_perception_joint(source, rates), rtol=1e-12)


@pytest.mark.parametrize("plf", ["JD", "SA"])
@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_distortion_scales_with_the_square_of_the_source(plf, factor):
    source, rates, weights = random_case(5, frames=5)
    one = lookahead(source, rates, weights, plf)
    other = lookahead(source.scaled(factor), rates, 7 * weights, plf)
    np.testing.assert_allclose(other.distortion, factor**2 * one.distortion, rtol=1e-4)
    assert other.lower_bound == pytest.approx(7 * factor**2 * one.lower_bound, rel=1e-9)


@pytest.mark.parametrize("plf", [JD, SA])
@pytest.mark.parametrize("weights", [None, [1.0, 0.0, 2.0, 0.5, 0.0]])
def test_many_points_at_once_are_the_points_one_by_one(plf, weights):
    rng = np.random.default_rng(4)
    source = GaussMarkov(rng.uniform(0.5, 2, 5), [0.9, 1.0, 0.0, -0.6])
    rates = rng.choice([0.0, 0.05, 1.0, 3.0, np.inf], (40, 5))
    problem = Problem(source, 1.0, plf(0.0), weights)
    distortion, bound = lookahead_points(problem, rates)
    for index, row in enumerate(rates):
        alone = lookahead(source, row, weights, plf.name)
        np.testing.assert_allclose(distortion[index], alone.distortion, rtol=1e-9, atol=1e-13)
        assert bound[index] == pytest.approx(alone.lower_bound, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("loss", ["JD", SA(0.0)])
def test_the_answer_keeps_its_problem_and_gap(loss):
    source, rates, weights = random_case(6, frames=3)
    found = lookahead(source, rates, weights, loss)
    assert found.problem.source is source
    assert found.problem.plf in ("JD", "SA")
    assert found.objective == pytest.approx(weights @ found.distortion)
    assert 0 <= found.gap + 1e-14 <= 1e-9


@pytest.mark.parametrize("plf", ["JD", "SA"])
def test_hundreds_of_frames_are_certified(plf):
    rng = np.random.default_rng(2)
    source = GaussMarkov.stationary(rho=0.9, frames=512)
    rates, weights = rng.exponential(1.0, 512), rng.uniform(0, 1, 512)
    found = lookahead(source, rates, weights, plf)
    value = weights @ found.distortion
    assert value - found.lower_bound <= 1e-9 * value


def test_problems_of_another_kind_are_refused():
    source = GaussMarkov.stationary(rho=0.9, frames=2)
    for perception in (None, FMD(0.0), JD(0.1), SA([0.1, 0.0])):
        with pytest.raises(SolverError, match="unsupported"):
            solve(Problem(source, 1.0, perception, weights=[1, 1]), "lookahead")
    with pytest.raises(ValueError, match="plf: expected 'JD' or 'SA', got 'FMD'"):
        lookahead(source, 1.0, [1, 1], "FMD")
    with pytest.raises(ValueError, match="plf: expected JD at threshold 0"):
        lookahead(source, 1.0, [1, 1], JD(0.1))
    with pytest.raises(ValueError, match="source: expected scalar frames, got 3 modes"):
        lookahead(GaussMarkov.stationary(np.full(3, 0.9), 2), 1.0)


def test_frames_that_repeat_keep_their_digits_at_high_rates():
    """By 100 digits: a frame without innovation keeps what it receives for the next one."""
    from mpmath import mp, mpf

    rng = np.random.default_rng(3)
    for _ in range(20):
        rho = rng.choice([1.0, -1.0, 0.9, 0.999999], 7)
        rates = rng.choice([0.0, 0.5, 4.0, 20.0, 30.0, 50.0], 8)
        found = solve(Problem(GaussMarkov(np.ones(8), rho), rates, JD(0.0)))
        with mp.workdps(100):
            error = held = kept = mpf(0)
            for t, rate in enumerate(rates):
                gain2 = mpf(float(rho[t - 1])) ** 2 if t else mpf(0)
                v = gain2 * error + 1 - gain2
                error = v / mpf(4) ** mpf(float(rate))
                known = gain2 * held + v - error
                follows = mp.sqrt(known) if gain2 < 1 else mpf(0)
                held = known - follows**2
                kept = gain2 * kept + mp.sqrt(1 - gain2) * follows
                assert found.distortion[t] == pytest.approx(float(2 - 2 * kept), rel=1e-12)
