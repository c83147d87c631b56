"""Perceptual water-filling against convex programs, closed forms, brute force and simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdp import FMD, JD, SA, GaussMarkov, Problem
from rdp.closed_form import (
    framewise,
    mmse,
    zero_perception_framewise,
    zero_perception_joint,
    zero_perception_self_adaptive,
)
from solvers import SolverError, solve
from solvers.methods.lookahead import lookahead
from solvers.methods.waterfilling import waterfill

PLFS = ("MMSE", "FMD", "JD", "SA")
ZERO = {"MMSE": None, "FMD": FMD(0.0), "JD": JD(0.0), "SA": SA(0.0)}
SPECTRUM = GaussMarkov([[2.0, 1.0, 0.5]])


@st.composite
def vector_problems(draw, max_frames=4, max_modes=5):
    """Sources with extreme correlations and spread variances; rates from 0 to inf."""
    frames, modes = draw(st.integers(1, max_frames)), draw(st.integers(1, max_modes))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rho = rng.uniform(-1, 1, (frames - 1, modes))
    special = rng.uniform(size=rho.shape) < draw(st.sampled_from([0.0, 0.4]))
    rho = np.where(special, rng.integers(-1, 2, rho.shape), rho)
    sigma = 10 ** rng.uniform(-2, 1, (frames, modes))
    elements = st.one_of(st.sampled_from([0.0, np.inf]), st.floats(1e-3, 20))
    rates = np.array(draw(st.lists(elements, min_size=frames, max_size=frames)))
    return GaussMarkov(sigma, rho), rates


def one_frame_by_cvxpy(v, held, aim, rate, level=0.0):
    """Rates (nats) that minimise sum m + (norm(c - y) - sqrt P)_+^2, by a general solver."""
    import cvxpy as cp

    r, short = cp.Variable(len(v), nonneg=True), cp.Variable(len(v), nonneg=True)
    m = cp.multiply(v, cp.exp(-2 * r))
    constraints = [cp.sum(r) <= rate * np.log(2), short >= aim - cp.sqrt(held + v - m)]
    excess = cp.square(cp.pos(cp.norm(short) - np.sqrt(level)))
    problem = cp.Problem(cp.Minimize(cp.sum(m) + excess), constraints)
    return problem.solve(solver="CLARABEL")


def test_the_universality_penalty_of_the_reference_spectrum():
    assert waterfill(SPECTRUM, 1.0, "MMSE").distortion == pytest.approx(2.25, abs=1e-12)
    for plf in ("FMD", "JD", "SA"):  # one frame: the three losses agree
        assert waterfill(SPECTRUM, 1.0, plf).distortion == pytest.approx(2.928, abs=5e-4)
        mismatched = waterfill(SPECTRUM, 1.0, plf, encoder="mmse").distortion
        assert mismatched == pytest.approx(10.5 - 4 * 3**0.5, abs=1e-7)


def test_the_reference_spectrum_by_brute_force():
    r1, r2 = np.meshgrid(np.linspace(0, 1, 2001), np.linspace(0, 1, 2001))
    r3 = np.where(r1 + r2 <= 1, 1 - r1 - r2, np.nan)
    total = 0.0
    for sigma, rate in zip(SPECTRUM.sigma[0], (r1, r2, r3), strict=True):
        with np.errstate(invalid="ignore"):
            total = total + 2 * sigma**2 * (1 - np.sqrt(1 - np.exp2(-2 * rate)))
    found = waterfill(SPECTRUM, 1.0, "FMD").distortion[0]
    assert found <= np.nanmin(total) <= found + 1e-5


@pytest.mark.parametrize("level", [0.0, 0.01, 0.3])
def test_a_frame_with_a_past_is_the_convex_program(level):
    rng = np.random.default_rng(4)
    source = GaussMarkov(rng.uniform(0.3, 2, (2, 5)), rng.uniform(-0.95, 0.95, (1, 5)))
    rates = [2.0, 1.5]
    found = waterfill(source, rates, "FMD", level)
    a2 = source.gain[1] ** 2
    v = a2 * found.mode_mmse[0] + source.innovation[1]
    held = a2 * (source.variance[0] - found.mode_mmse[0])
    expected = one_frame_by_cvxpy(v, held, source.sigma[1], rates[1], level)
    assert found.distortion[1] == pytest.approx(expected, rel=1e-6)
    assert found.perception[1] <= level * (1 + 1e-12)


@pytest.mark.parametrize("plf", ["JD", "SA"])
def test_the_second_frame_of_joint_and_self_adaptive_is_the_convex_program(plf):
    rng = np.random.default_rng(5)
    rho = np.array([[0.9, -0.5, 1.0, 0.0, 0.99]])
    import cvxpy as cp

    source = GaussMarkov(rng.uniform(0.3, 2, (2, 5)), rho)
    found = waterfill(source, [2.0, 1.5], plf)
    a2 = source.gain[1] ** 2
    v = a2 * found.mode_mmse[0] + source.innovation[1]
    excess = found.mode_distortion[0] - found.mode_mmse[0]
    past = a2 @ excess if plf == "JD" else 0.0
    aim = np.sqrt(source.innovation[1] if plf == "JD" else v)
    # nothing is held back here, and (c - y)^2 = c^2 + v - m - 2 c sqrt(v - m)
    r = cp.Variable(5, nonneg=True)
    m = cp.multiply(v, cp.exp(-2 * r))
    gained = cp.sum(cp.multiply(aim, cp.sqrt(v - m)))
    problem = cp.Problem(cp.Maximize(gained), [cp.sum(r) <= 1.5 * np.log(2)])
    problem.solve(solver="CLARABEL")
    expected = past + v.sum() + (aim**2).sum() - 2 * problem.value
    assert found.distortion[1] == pytest.approx(expected, rel=1e-6)


@settings(max_examples=40)
@given(vector_problems(), st.sampled_from(PLFS), st.sampled_from(["optimal", "mmse"]))
def test_the_certificate_closes_and_the_budget_is_met(problem, plf, encoder):
    source, rates = problem
    found = waterfill(source, rates, plf, encoder=encoder)
    unit = source.variance.sum(axis=1).max()
    gap = found.distortion - found.lower_bound
    assert (np.abs(gap) <= 1e-11 * found.distortion + 1e-14 * unit).all()
    assert (found.mode_rates >= 0).all()
    before = np.concatenate([np.zeros((1, source.modes)), found.mode_mmse[:-1]])
    news = (source.gain**2 * before + source.innovation > 0).any(axis=1)
    spent = np.where(news, rates, 0.0)  # where nothing is new, no bit is of use
    np.testing.assert_allclose(found.mode_rates.sum(axis=1), spent, rtol=1e-12)


@settings(max_examples=40)
@given(vector_problems(), st.floats(1e-6, 10))
def test_a_marginal_threshold_is_kept_and_interpolates(problem, share):
    source, rates = problem
    level = share * source.variance.sum(axis=1)
    found = waterfill(source, rates, "FMD", level)
    unit = source.variance.sum(axis=1).max()
    gap = found.distortion - found.lower_bound
    assert (np.abs(gap) <= 1e-11 * found.distortion + 1e-14 * unit).all()
    assert (found.perception <= level * (1 + 1e-12)).all()
    least = waterfill(source, rates[:1], "MMSE") if source.frames == 1 else None
    if least is not None:
        most = waterfill(source, rates[:1], "FMD")
        assert least.distortion <= found.distortion + 1e-12 * unit
        assert found.distortion <= most.distortion + 1e-12 * unit


def test_a_slack_threshold_is_no_threshold():
    rng = np.random.default_rng(7)
    source = GaussMarkov(rng.uniform(0.3, 2, (2, 5)), rng.uniform(-0.95, 0.95, (1, 5)))
    slack, free = waterfill(source, 2.0, "FMD", 5.0), waterfill(source, 2.0, "MMSE")
    np.testing.assert_allclose(slack.mode_distortion, free.mode_distortion, rtol=1e-12)
    assert (free.perception < 5.0).all()


@settings(max_examples=30)
@given(vector_problems(max_modes=1), st.floats(0, 2))
def test_one_mode_is_the_scalar_closed_form(problem, level):
    source, rates = problem
    scalar = source.mode(0)
    unit = source.variance.max()

    def same(plf, expected, levels=None):
        found = waterfill(source, rates, plf, levels).distortion
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-14 * unit)

    # a mode without innovation gets its bits from no one else
    same("MMSE", mmse(scalar, rates))
    same("FMD", zero_perception_framewise(scalar, rates))
    same("FMD", framewise(scalar, rates, level), level)
    same("SA", zero_perception_self_adaptive(scalar, rates))
    same("JD", lookahead(scalar, rates).distortion)


def test_joint_closed_form_where_every_frame_has_news():
    source = GaussMarkov.stationary(np.array([0.9]), 4)
    found = waterfill(source, 0.7, "JD").distortion
    np.testing.assert_allclose(found, zero_perception_joint(source.mode(0), [0.7] * 4), rtol=1e-12)


@settings(max_examples=40)
@given(vector_problems())
def test_order_of_the_losses(problem):
    source, rates = problem
    first = [waterfill(source, rates, plf).distortion[0] for plf in PLFS]
    unit = 1e-12 * source.variance.sum(axis=1).max()
    assert first[0] <= first[1] + unit
    np.testing.assert_allclose(first[2:], first[1], rtol=1e-10, atol=unit)
    # with one representation for all, less constrained decoders do better at every frame
    same = [waterfill(source, rates, plf, encoder="mmse").distortion for plf in PLFS]
    assert (same[0] <= same[1] + unit).all()
    assert (same[1] <= same[2] + unit).all()
    assert (same[1] <= same[3] + unit).all()
    assert (same[3] <= 2 * same[0] + unit).all()
    assert first[1] <= same[1][0] + unit


@given(st.floats(0.01, 20), st.floats(0.01, 5), st.sampled_from(PLFS), st.floats(0, 2))
@settings(max_examples=30)
def test_more_rate_never_hurts_the_first_frame(rate, more, plf, level):
    levels = level if plf == "FMD" else None
    less = waterfill(SPECTRUM, rate, plf, levels).distortion
    assert waterfill(SPECTRUM, rate + more, plf, levels).distortion <= less


@pytest.mark.parametrize("factor", [1e-12, 1e12])
@pytest.mark.parametrize("plf", PLFS)
def test_distortion_scales_with_the_square_of_the_source(plf, factor):
    source = GaussMarkov.stationary(np.array([0.9, 0.5, -0.3]), 3, sigma=np.array([1.0, 2.0, 0.1]))
    one, other = (waterfill(s, 1.5, plf) for s in (source, source.scaled(factor)))
    np.testing.assert_allclose(other.distortion, factor**2 * one.distortion, rtol=1e-9)
    np.testing.assert_allclose(other.mode_rates, one.mode_rates, rtol=1e-6, atol=1e-12)


def test_perfect_realism_may_leave_a_well_predicted_mode_without_bits():
    source = GaussMarkov([[1.0, 1.0], [1.0, 1.0]], [[0.0, 0.999]])
    found = waterfill(source, [6.0, 0.5], "FMD")
    assert found.mode_rates[1, 1] == 0
    assert found.mode_rates[1, 0] == pytest.approx(0.5, rel=1e-12)
    assert (waterfill(source, [6.0, 0.5], "SA").mode_rates > 0).all()


def test_without_news_joint_realism_spends_bits_on_the_squared_error():
    source = GaussMarkov(np.ones((2, 2)), np.ones((1, 2)))
    found, least = waterfill(source, [0.5, 1.0], "JD"), waterfill(source, [0.5, 1.0], "MMSE")
    assert found.distortion[1] == pytest.approx(found.distortion[0], rel=1e-12)
    assert found.mode_rates[1].sum() == pytest.approx(1.0, rel=1e-12)
    assert found.mode_mmse[1] == pytest.approx(least.mode_mmse[1], rel=1e-9)


@pytest.mark.parametrize("plf", PLFS)
def test_threads_do_not_change_a_digit(plf):
    modes = np.arange(1, 70_001)
    source = GaussMarkov(np.stack([modes**-0.6, modes**-0.5]), np.full((1, 70_000), 0.9))
    one, two = (waterfill(source, 3e4, plf, threads=n) for n in (1, 2))
    np.testing.assert_array_equal(one.mode_rates, two.mode_rates)
    np.testing.assert_array_equal(one.lower_bound, two.lower_bound)


@settings(max_examples=30)
@given(vector_problems(), st.sampled_from(PLFS), st.sampled_from(["optimal", "mmse"]))
def test_the_moments_are_a_feasible_scheme_with_that_distortion(problem, plf, encoder):
    """solve recomputes distortion and perception from the moments and raises on residuals."""
    source, rates = problem
    rates = np.minimum(rates, 60.0)
    solution = solve(Problem(source, rates, ZERO[plf], encoder=encoder), method="waterfilling")
    found = waterfill(source, rates, plf, encoder=encoder)
    unit = source.variance.sum(axis=1).max()
    np.testing.assert_allclose(solution.distortion, found.distortion, rtol=1e-9, atol=1e-12 * unit)


def test_a_threshold_is_met_exactly_by_the_scheme():
    rng = np.random.default_rng(6)
    source = GaussMarkov(rng.uniform(0.3, 2, (3, 4)), rng.uniform(-0.9, 0.9, (2, 4)))
    solution = solve(Problem(source, 1.0, FMD([0.2, 0.1, np.inf])))
    np.testing.assert_allclose(solution.perception[:2], [0.2, 0.1], rtol=1e-9)
    assert abs(solution.gap) <= 1e-11 * solution.objective


@pytest.mark.parametrize("plf", ["JD", "SA"])
def test_simulated_scheme_has_the_distortion_and_the_variances(plf):
    source = GaussMarkov([[1.0, 2.0], [1.5, 0.5], [1.0, 1.0]], [[0.9, -0.5], [1.0, 0.8]])
    solution = solve(Problem(source, [0.8, 1.0, 1.5], ZERO[plf]))
    x, xhat = solution.simulate(100_000, rng=2)
    errors = ((x - xhat) ** 2).sum(axis=2)
    standard_error = errors.std(axis=0) / np.sqrt(len(x))
    assert (np.abs(errors.mean(axis=0) - solution.distortion) < 4 * standard_error).all()
    np.testing.assert_allclose(xhat.var(axis=0), source.variance, rtol=0.03)


def test_bad_input_is_named():
    scalar = GaussMarkov.stationary(0.9, 2)
    with pytest.raises(ValueError, match="source: expected vector frames of d modes"):
        waterfill(scalar, 1.0, "FMD")
    with pytest.raises(ValueError, match="perception: expected one of MMSE, FMD, JD, SA, got 'KL'"):
        waterfill(SPECTRUM, 1.0, "KL")
    with pytest.raises(ValueError, match="levels: expected none without a perception loss"):
        waterfill(SPECTRUM, 1.0, None, 0.1)
    with pytest.raises(ValueError, match="plf: expected thresholds on squared W2"):
        waterfill(SPECTRUM, 1.0, FMD(0.1, metric="kl"))
    with pytest.raises(ValueError, match="levels: expected 0 for JD with vector frames"):
        waterfill(SPECTRUM, 1.0, "JD", 0.1)
    with pytest.raises(ValueError, match="rates: expected shape"):
        waterfill(SPECTRUM, [1.0, 1.0], "JD")
    for problem in (
        Problem(scalar, 1.0),
        Problem(SPECTRUM, 1.0, weights=[1.0]),
        Problem(SPECTRUM, 1.0, SA(0.1)),
        Problem(SPECTRUM, 1.0, FMD(0.1, metric="kl")),
    ):
        with pytest.raises(SolverError, match="waterfilling: does not cover"):
            solve(problem, "waterfilling")
