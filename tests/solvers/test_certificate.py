"""Bounds from arbitrary dual points stay below every scheme, and are tight at optimal ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdp import FMD, JD, SA, GaussMarkov, Problem
from rdp.closed_form import framewise, zero_perception_joint, zero_perception_self_adaptive
from rdp.measure import distortion_of, perception_of, self_adaptive_target
from rdp.mmse import estimate_factor, mmse_recursion
from solvers.certificate import lower_bound, slope_of

SEEDS = st.integers(0, 2**32 - 1)


def random_source(rng):
    frames = int(rng.integers(1, 5))
    rho = rng.choice([-1.0, 0.0, 1.0, *rng.uniform(-1, 1, 3)], frames - 1)
    return GaussMarkov(10 ** rng.uniform(-1, 1, frames), rho)


def random_scheme(rng, source, rates):
    """Second moments of a random causal linear decoder with noise."""
    frames = source.frames
    factor = estimate_factor(source, rates)
    gain = np.tril(rng.normal(size=(frames, frames))) * source.sigma[:, None]
    gain = rng.choice([0.0, 0.3, 1.0]) * gain + rng.choice([0.0, 1.0]) * factor
    noise = rng.normal(size=(frames, frames)) * source.sigma[:, None] * rng.choice([0.0, 0.1, 1.0])
    return gain @ gain.T + noise @ noise.T, gain @ factor.T


def distortion(problem, cov_xhat, cross):
    mmse = mmse_recursion(problem.source, problem.rates).mmse
    return distortion_of(problem.source, mmse, cov_xhat, cross)


def random_case(seed):
    """A problem whose thresholds a known random scheme just meets, and that scheme."""
    rng = np.random.default_rng(seed)
    source = random_source(rng)
    frames = source.frames
    rates = rng.choice([0.0, 10.0, np.inf, *rng.uniform(0, 4, 4)], frames)
    cov_xhat, cross = random_scheme(rng, source, rates)
    plf = (FMD, JD, SA)[rng.integers(3)]
    reached = perception_of(source, cov_xhat, cross, plf())
    levels = np.where(rng.random(frames) < 0.8, reached * (1 + 1e-9) + 1e-12, np.inf)
    weights = rng.uniform(0, 2, frames) * (rng.random(frames) < 0.8)
    weights[rng.integers(frames)] = 1.0
    return rng, Problem(source, rates, plf(levels), weights), cov_xhat, cross


def random_dual(rng, problem):
    """Any dual point: slopes of random covariances, random symmetric matrices and multipliers."""
    frames = problem.source.frames
    mu = 10 ** rng.uniform(-3, 3, frames) * (rng.random(frames) < 0.8)
    slope = np.zeros((frames, frames, frames))
    for t in range(frames):
        root = rng.normal(size=(t + 1, t + 1)) * problem.source.sigma[: t + 1]
        target = problem.source.covariance()[: t + 1, : t + 1]
        if rng.random() < 0.5:
            slope[t, : t + 1, : t + 1] = slope_of(target, root @ root.T, mu[t])
        else:
            slope[t, : t + 1, : t + 1] = (root + root.T) * 10 ** rng.uniform(-3, 1)
    return mu, slope


@given(SEEDS)
@settings(max_examples=150, deadline=None)
def test_no_dual_point_gives_a_bound_above_a_feasible_scheme(seed):
    rng, problem, cov_xhat, cross = random_case(seed)
    objective = problem.weights @ distortion(problem, cov_xhat, cross)
    for _ in range(4):
        bound = lower_bound(problem, *random_dual(rng, problem))
        assert np.isfinite(bound)
        assert bound <= objective * (1 + 1e-9)


@given(SEEDS)
@settings(max_examples=100, deadline=None)
def test_sequential_bound_is_below_every_continuation(seed):
    """Frame T of a random scheme is one continuation of its frames 1..T-1."""
    rng, problem, cov_xhat, cross = random_case(seed)
    sequential = problem.with_(weights=None)
    total = distortion(problem, cov_xhat, cross).sum()
    for _ in range(4):
        mu, slope = random_dual(rng, problem)
        bound = lower_bound(sequential, mu, slope, cov_xhat, cross)
        # every frame of the scheme meets its threshold, so each is a continuation of the past
        assert bound <= total * (1 + 1e-9)


@given(SEEDS)
@settings(max_examples=60, deadline=None)
def test_slopes_on_frames_without_weight_and_threshold_play_no_role_under_sa(seed):
    """W2 of fewer frames is no larger; with those frames the quadratic form would be indefinite."""
    rng = np.random.default_rng(seed)
    source = GaussMarkov(rng.uniform(0.5, 2, 4), rng.uniform(-0.9, 0.9, 3))
    rates, levels = rng.uniform(0.1, 2, 4), rng.uniform(0.02, 0.2, 4)
    free = rng.permutation(3)[: rng.integers(1, 3)]
    weights = rng.uniform(0.5, 1, 4)
    levels[free], weights[free] = np.inf, 0.0
    problem = Problem(source, rates, SA(levels), weights)
    mu, slope = random_dual(rng, problem)
    slope[:, 3, 3] -= 0.3
    without = slope.copy()
    without[:, free], without[:, :, free] = 0.0, 0.0
    assert lower_bound(problem, mu, slope) == lower_bound(problem, mu, without)


@given(SEEDS)
@settings(max_examples=60, deadline=None)
def test_one_frame_bound_is_tight_at_the_optimal_slope(seed):
    rng = np.random.default_rng(seed)
    sigma, rate = 10 ** rng.uniform(-2, 2), rng.uniform(0, 6)
    level = sigma**2 * rng.choice([0.0, 10 ** rng.uniform(-4, 1)])
    source = GaussMarkov([sigma])
    best = framewise(source, [rate], [level])[0]
    deviation = estimate_factor(source, [rate])[0, 0]
    spread = max(sigma - np.sqrt(level), deviation)
    # D = m + (spread - deviation)^2 with spread = sigma - sqrt(P), of the reconstruction
    mu = (spread - deviation) / np.sqrt(level) if level > 0 else np.inf
    slope = (deviation - spread) / spread if spread > 0 else 0.0
    for plf in (JD, SA):
        problem = Problem(source, [rate], plf(level), weights=[1.0])
        bound = lower_bound(problem, np.array([mu]), np.full((1, 1, 1), slope))
        assert best * (1 - 1e-7) - 1e-10 * sigma**2 <= bound <= best
        again = problem.with_(weights=None)
        first = np.zeros((1, 1))
        bound = lower_bound(again, np.array([mu]), np.full((1, 1, 1), slope), first, first)
        assert best * (1 - 1e-7) - 1e-10 * sigma**2 <= bound <= best


@given(SEEDS)
@settings(max_examples=60, deadline=None)
def test_framewise_bound_is_the_closed_form(seed):
    rng = np.random.default_rng(seed)
    source = random_source(rng)
    rates = rng.uniform(0, 10, source.frames)
    metric = ("w2", "kl")[rng.integers(2)]
    levels = rng.choice([0.0, 1e-3, 0.3, np.inf]) * source.variance
    weights = rng.uniform(0.1, 1, source.frames)
    problem = Problem(source, rates, FMD(levels, metric=metric), weights)
    zero = np.zeros(source.frames), np.zeros((source.frames,) * 3)
    best = weights @ framewise(source, rates, levels, metric)
    assert best * (1 - 1e-9) <= lower_bound(problem, *zero) <= best


def equality_duals(problem, cov_xhat, cross):
    """Slopes that make Q vanish off the last frame: y = regression, kappa from stationarity."""
    source = problem.source
    frames = source.frames
    factor = estimate_factor(source, problem.rates)
    mu, slope = np.full(frames, np.inf), np.zeros((frames, frames, frames))
    for t in range(frames):
        if problem.plf == "JD":
            target = source.covariance()[: t + 1, : t + 1]
        else:
            target = self_adaptive_target(cov_xhat[None], cross[None], source.sigma[None], t)[0]
        past, mixed = cov_xhat[:t, :t], target[:t, t]
        weight = (
            np.linalg.solve(past, np.stack([mixed, cross[:t, t]], 1)) if t else np.zeros((0, 2))
        )
        innovation = target[t, t] - mixed @ weight[:, 0]
        missing = (factor[t] ** 2).sum() - cross[:t, t] @ weight[:, 1]
        kappa = np.sqrt(max(missing, 0.0) / innovation)
        # stationarity of (variance - 2 y c + y H y) / kappa + 2 y h + kappa eta
        slope[t, :t, t] = slope[t, t, :t] = weight[:, 1] - kappa * weight[:, 0]
        slope[t, t, t] = kappa - 1
    return mu, slope


@given(SEEDS)
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("plf", [JD, SA])
def test_sequential_bound_is_tight_at_perfect_realism(plf, seed):
    rng = np.random.default_rng(seed)
    frames = int(rng.integers(1, 5))
    source = GaussMarkov(rng.uniform(0.5, 2, frames), rng.uniform(-0.95, 0.95, frames - 1))
    rates = rng.uniform(0.05, 4, frames)
    problem = Problem(source, rates, plf(0.0))
    factor = estimate_factor(source, rates)
    if plf is JD:
        gain = source.transition() * np.sqrt(source.innovation)
        best = zero_perception_joint(source, rates)
    else:
        variance = (np.diagonal(factor) / np.sqrt(1 - 4.0**-rates)) ** 2
        gain = factor + np.diag(np.sqrt(variance) - np.diagonal(factor))
        best = zero_perception_self_adaptive(source, rates)
    cov_xhat, cross = gain @ gain.T, gain @ factor.T
    bound = lower_bound(problem, *equality_duals(problem, cov_xhat, cross), cov_xhat, cross)
    assert best.sum() * (1 - 1e-7) <= bound <= best.sum() * (1 + 1e-12)


def test_wrong_arguments_are_named():
    problem = Problem(GaussMarkov.stationary(rho=0.9, frames=2), [1, 1], JD(0.1), [1, 1])
    mu, slope = np.zeros(2), np.zeros((2, 2, 2))
    with pytest.raises(ValueError, match="mu: expected shape"):
        lower_bound(problem, np.zeros(3), slope)
    with pytest.raises(ValueError, match="slope: expected shape"):
        lower_bound(problem, mu, np.zeros((2, 2)))
    with pytest.raises(ValueError, match="mu: expected values >= 0"):
        lower_bound(problem, np.array([-1e-9, 0]), slope)
    with pytest.raises(ValueError, match="inf only where"):
        lower_bound(problem, np.array([np.inf, 0]), slope)
    with pytest.raises(ValueError, match="expected the scheme"):
        lower_bound(problem.with_(weights=None), mu, slope)
    vector = Problem(GaussMarkov(np.ones((1, 2))), [1], JD(0.1), [1])
    with pytest.raises(ValueError, match="scalar frames"):
        lower_bound(vector, np.zeros(1), np.zeros((1, 1, 1)))
