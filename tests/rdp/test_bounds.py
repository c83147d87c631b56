"""Bounds compared with schemes: none is better, and some reach the bound."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.integrate import quad
from scipy.optimize import linprog

from rdp import GaussMarkov, bounds, gaussian, scalar_distortion
from rdp.closed_form import (
    framewise,
    joint_tradeoff,
    mmse,
    zero_perception_framewise,
    zero_perception_joint,
    zero_perception_self_adaptive,
)
from rdp.mmse import estimate_factor, mmse_recursion
from tests.strategies import LEVELS, RATES, SIGMAS, sources_with_rates

SEEDS = st.integers(0, 2**32 - 1)


def test_one_shot_rate():
    information = np.array([0.0, 1.0, 3.0, 1023.0, math.inf])
    assert_allclose(bounds.one_shot_rate(information), [5.0, 7.0, 10.0, 1038.0, math.inf])


# factor two


@given(sources_with_rates())
def test_framewise_and_self_adaptive_realism_cost_at_most_a_factor_two(pair):
    source, rates = pair
    ceiling = bounds.factor_two(mmse(source, rates)) * (1 + 1e-12)
    assert (zero_perception_framewise(source, rates) <= ceiling).all()
    assert (zero_perception_self_adaptive(source, rates) <= ceiling).all()


def test_joint_realism_crosses_factor_two():
    source, rates = GaussMarkov.stationary(0.9, 2), [0.0, math.inf]
    assert zero_perception_joint(source, rates)[1] > 1
    assert bounds.factor_two(mmse(source, rates))[1] == 0


@given(SEEDS)
def test_drawing_from_the_posterior_reaches_factor_two_for_any_source(seed):
    rng = np.random.default_rng(seed)
    value = rng.normal(size=5)
    joint = rng.dirichlet(np.ones(15)).reshape(5, 3)  # joint, of the value and a message
    message = joint.sum(axis=0)
    posterior = joint / message
    error = (joint * (value[:, None] - value @ posterior) ** 2).sum()
    pairs = np.einsum("xm,ym->xy", joint, posterior)
    assert_allclose(pairs.sum(axis=0), joint.sum(axis=1))  # perfect realism
    reached = (pairs * (value[:, None] - value) ** 2).sum()
    assert_allclose(reached, bounds.factor_two(error))


# limited common randomness


@given(st.floats(0, 10), SIGMAS)
def test_no_common_randomness_is_twice_the_distortion_rate_function(rate, sigma):
    twice = 2 * scalar_distortion(rate, math.inf, sigma)
    assert_allclose(bounds.no_common_randomness(rate, sigma), twice, rtol=1e-13)


@given(RATES, SIGMAS)
def test_unlimited_common_randomness_is_the_scalar_function(rate, sigma):
    unlimited = bounds.limited_common_randomness(rate, math.inf, sigma)
    assert_allclose(unlimited, scalar_distortion(rate, 0.0, sigma), rtol=1e-12)


@given(SEEDS)
def test_no_gaussian_code_beats_its_common_randomness(seed):
    """X - U - Xhat with U of any dimension: R = I(X; U), R + R_c = I(Xhat; U)."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 4))
    code = np.linalg.qr(rng.normal(size=(size, size)))[0]
    cross = code[0] * rng.uniform(0, 1)  # correlations of X with white U
    share = cross if rng.random() < 0.5 else code[-1]
    cross_hat = (share + rng.normal(size=size) * rng.choice([0.0, 0.3])) * rng.uniform(0, 1)
    cross_hat /= max(1.0, np.linalg.norm(cross_hat) * 1.001)
    joint_x = np.block([[np.ones((1, 1)), cross[None]], [cross[:, None], np.eye(size)]])
    joint_hat = np.block([[np.ones((1, 1)), cross_hat[None]], [cross_hat[:, None], np.eye(size)]])
    rate = gaussian.mutual_information(joint_x, 1)
    common = max(0.0, gaussian.mutual_information(joint_hat, 1) - rate)
    distortion = 2 - 2 * cross @ cross_hat
    assert distortion >= bounds.limited_common_randomness(rate, common) * (1 - 1e-9)


@given(st.floats(0, 8), st.floats(0, 8))
def test_a_gaussian_code_reaches_the_bound_of_its_common_randomness(rate, common):
    cross, cross_hat = math.sqrt(1 - 4.0**-rate), math.sqrt(1 - 4.0 ** -(rate + common))
    reached = 2 - 2 * cross * cross_hat  # E X Xhat through one Gaussian U
    assert_allclose(bounds.limited_common_randomness(rate, common), reached, rtol=1e-6, atol=1e-14)


def best_realistic_distortion(joint, value):
    """Least E(X - Xhat)^2 over Xhat made from the message, distributed like X: a linear program.

    joint : (values, messages) array of probabilities.
    """
    size, messages = joint.shape
    cost = np.einsum("xm,xy->my", joint, (value[:, None] - value) ** 2)
    rows = [np.kron(np.eye(messages), np.ones(size)), np.kron(joint.sum(axis=0), np.eye(size))]
    sides = np.concatenate([np.ones(messages), joint.sum(axis=1)])
    found = linprog(cost.ravel(), A_eq=np.vstack(rows), b_eq=sides)
    assert found.success
    return found.fun


def moments_of_code(joint, value):
    """Error of the estimate E[X|M], and squared W2 between X and that estimate."""
    message = joint.sum(axis=0)
    estimate = value @ joint / message
    error = (joint * (value[:, None] - estimate) ** 2).sum()
    cost = (value[:, None] - estimate) ** 2
    rows = [np.kron(np.eye(len(value)), np.ones(len(message)))]
    rows.append(np.kron(np.ones(len(value)), np.eye(len(message))))
    sides = np.concatenate([joint.sum(axis=1), message])
    found = linprog(cost.ravel(), A_eq=np.vstack(rows), b_eq=sides)
    assert found.success
    return error, found.fun


def test_only_the_best_encoder_pays_exactly_twice_its_error():
    """Of all two-message codes for four points, the contiguous one is best and pays 2 m."""
    value = np.arange(4.0)
    contiguous = np.array([[1, 0], [1, 0], [0, 1], [0, 1]]) / 4
    interleaved = np.array([[1, 0], [0, 1], [1, 0], [0, 1]]) / 4
    for code, pays_all in ((contiguous, True), (interleaved, False)):
        error, distance = moments_of_code(code, value)
        reached, most = best_realistic_distortion(code, value), bounds.factor_two(error)
        assert_allclose(bounds.fmd_distortion_at_perception(error, distance, 0.0), reached)
        if pays_all:
            assert_allclose(reached, most)
        else:
            assert reached < most - 0.4


def test_memory_replaces_common_randomness():
    """Frame 1 sent whole, frame 2 not at all: a deterministic decoder pays less than 2 m."""
    source, rates = GaussMarkov.stationary(0.5, 2), [math.inf, 0.0]
    decoded = zero_perception_framewise(source, rates)[1]
    assert_allclose(decoded, 2 * (1 - 0.5))
    assert decoded < bounds.factor_two(mmse(source, rates))[1] - 0.4


@given(SEEDS)
def test_least_realistic_distortion_of_any_code(seed):
    rng = np.random.default_rng(seed)
    value = rng.normal(size=4)
    joint = rng.dirichlet(np.ones(8)).reshape(4, 2)
    error, distance = moments_of_code(joint, value)
    best = bounds.fmd_distortion_at_perception(error, max(distance, 0.0), 0.0)
    assert_allclose(best_realistic_distortion(joint, value), best, rtol=1e-7, atol=1e-9)


@given(sources_with_rates(), LEVELS)
def test_distortion_at_perception_is_the_closed_form_for_gaussian_frames(pair, level):
    source, rates = pair
    backbone = mmse_recursion(source, rates)
    distance = [
        gaussian.bures([[variance]], [[estimate]])
        for variance, estimate in zip(source.variance, backbone.variance, strict=True)
    ]
    assert_allclose(
        bounds.fmd_distortion_at_perception(backbone.mmse, distance, level),
        framewise(source, rates, level),
        rtol=1e-7,
        atol=1e-14 * source.variance.max(),
    )


# error permanence


def random_joint_scheme(rng, source, rates):
    """Distortion of a random decoder with Xhat = L (K u + noise), distributed like X for any K."""
    frames = source.frames
    contraction = np.tril(rng.normal(size=(frames, frames)))
    contraction = np.diag(rng.uniform(0, 1, frames)) if rng.random() < 0.3 else contraction
    contraction /= max(np.linalg.norm(contraction, 2), 1e-9) / rng.uniform(0.8, 1.0)
    cross = source.factor() @ contraction @ estimate_factor(source, rates).T
    return 2 * source.variance - 2 * np.diag(cross)


@given(sources_with_rates(), SEEDS)
@example(pair=(GaussMarkov([1.1, 1.0], [0.5]), [1e-12, 1e-12]), seed=0)
@example(pair=(GaussMarkov([1.1, 1.0, 0.7], [1.0, -1.0]), [1.0, 1e-40, 1e-300]), seed=0)
def test_no_scheme_with_perfect_joint_realism_beats_the_permanence_bound(pair, seed):
    source, rates = pair
    bound = bounds.permanence_bound(source, rates)
    sequential = zero_perception_joint(source, rates)
    assert (sequential >= bound * (1 - 1e-12)).all()
    rng = np.random.default_rng(seed)
    tolerance = 1e-12 * source.variance
    for _ in range(10):
        assert (random_joint_scheme(rng, source, rates) >= bound - tolerance).all()


@given(sources_with_rates(min_frames=2, max_frames=2))
def test_permanence_bound_is_tight_for_two_frames(pair):
    source, rates = pair
    bound = bounds.permanence_bound(source, rates)
    first, second = mmse_recursion(source, rates).variance / source.variance
    alpha = min(1.0, math.sqrt(second / first)) if first > 0 else 1.0
    reached = joint_tradeoff(source, rates, [1.0, alpha])
    assert_allclose(bound[0], reached[0, 0], rtol=1e-12, atol=1e-300)
    # second / first carries 1e-16 into a difference of D_2 at its flat minimum
    assert_allclose(bound[1], reached[1, 1], rtol=1e-7, atol=1e-15 * source.variance[1])


@given(st.floats(-1, 1), st.integers(2, 6))
def test_a_lost_first_frame_is_never_made_good(rho, frames):
    source = GaussMarkov.stationary(rho, frames, sigma=2.0)
    rates = [0.0, *[math.inf] * (frames - 1)]
    power = rho ** (2 * np.arange(frames))
    expected = 2 * 4 * (1 - np.sqrt(1 - power))
    bound = bounds.permanence_bound(source, rates)
    assert_allclose(bound, expected, rtol=1e-12, atol=1e-15)
    if abs(rho) > 1e-3:  # framewise realism does make it good: it has no joint realism
        assert (zero_perception_framewise(source, rates)[1:] < bound[1:]).all()


def test_permanence_bound_broadcasts_and_refuses_modes():
    source = GaussMarkov.stationary(0.7, 3)
    rates = np.linspace(0, 4, 30).reshape(2, 5, 3)
    batch = bounds.permanence_bound(source, rates)
    for index in itertools.product(range(2), range(5)):
        assert_allclose(batch[index], bounds.permanence_bound(source, rates[index]))
    with pytest.raises(ValueError, match="source: expected scalar frames, got 2 modes"):
        bounds.permanence_bound(GaussMarkov.stationary([0.1, 0.2], 3), np.ones((3, 2)))


# one encoder, several decoders


@given(SEEDS)
def test_shared_encoder_gap_is_below_any_decoder(seed):
    rng = np.random.default_rng(seed)
    estimate = rng.normal(size=(50, 2, 2)) * rng.uniform(0, 2)
    noise = rng.choice([0.0, 1.0]) * rng.exponential(size=(50, 2, 2))
    xhat = estimate * rng.uniform(-1, 2) + noise
    gap = bounds.shared_encoder_gap(estimate, xhat)
    assert ((estimate - xhat) ** 2).sum(axis=(1, 2)).mean() >= gap * (1 - 1e-9) - 1e-12
    assert_allclose(bounds.shared_encoder_gap(estimate, xhat[::-1]), gap, rtol=1e-7, atol=1e-9)


def test_shared_encoder_gap_is_what_a_gaussian_pays():
    rng = np.random.default_rng(1)
    estimate = rng.normal(size=(100, 1))
    estimate -= estimate.mean()
    gap = bounds.shared_encoder_gap(estimate, 3 * estimate)
    assert_allclose(gap, 4 * (estimate**2).mean())


# joint realism with a finite support


def test_joint_support_bound_of_shifts():
    """X_2 is a cyclic shift of X_1 by 0 or 1; Xhat_1 is blank in one place too many."""
    first = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    second = np.array([[0.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
    shifts = (np.roll(first, shift, axis=1) for shift in range(2))
    assert_allclose(bounds.joint_support_bound(second, shifts), [0.0, 2.0])


@given(SEEDS)
def test_no_realistic_choice_beats_the_support_bound(seed):
    rng = np.random.default_rng(seed)
    second, first = rng.normal(size=(2, 20, 3, 2))
    candidates = [np.roll(first, shift, axis=1) for shift in range(3)]
    bound = bounds.joint_support_bound(second, candidates).mean()
    choice = rng.integers(3, size=20)
    xhat = np.stack(candidates)[choice, np.arange(20)]
    assert ((second - xhat) ** 2).sum(axis=(1, 2)).mean() >= bound * (1 - 1e-12)


# the Gaussian with the same second moments


def test_gaussian_reference_is_the_curve_of_the_fit():
    x = np.random.default_rng(0).uniform(-1, 1, size=(1000, 3, 2)).cumsum(axis=1)
    rates = np.full((3, 2), 0.7)
    fit = GaussMarkov.from_samples(x).source
    assert_allclose(bounds.gaussian_reference(x, rates), mmse(fit, rates))


@pytest.mark.parametrize("rate", [0.1, 0.5, 1.0, 2.0])
def test_a_coin_needs_no_more_information_than_its_gaussian(rate):
    """X = +-1 through the Gaussian test channel Y = X + N reaches the Gaussian error or less."""
    noise = 1 / (4**rate - 1)

    def density(y):
        return sum(np.exp(-((y - x) ** 2) / (2 * noise)) for x in (-1, 1)) / np.sqrt(
            8 * np.pi * noise
        )

    def entropy_density(y):
        return -density(y) * np.log2(density(y))

    edge = 1 + 12 * math.sqrt(noise)
    information = quad(entropy_density, -edge, edge, limit=200)[0]
    information -= 0.5 * np.log2(2 * np.pi * np.e * noise)
    coin = np.array([[-1.0], [1.0]])
    assert_allclose(bounds.gaussian_reference(coin, [rate]), noise / (1 + noise))
    assert information <= rate


# bad input

BAD_CALLS = [
    (bounds.one_shot_rate, (-1.0,), "information: expected values >= 0"),
    (bounds.factor_two, (math.nan,), "mmse: expected numbers, got NaN"),
    (bounds.no_common_randomness, (-1.0,), "rate: expected values >= 0"),
    (bounds.limited_common_randomness, (1.0, -1.0), "common: expected values >= 0"),
    (bounds.limited_common_randomness, (1.0, 1.0, 0.0), "sigma: expected values > 0"),
    (bounds.limited_common_randomness, ([1.0, 2.0], np.ones(3)), "common: expected a shape"),
    (bounds.permanence_bound, (GaussMarkov.stationary(0.5, 2), [1.0]), "rates: expected shape"),
    (bounds.shared_encoder_gap, ([[1.0]], [[1.0], [2.0]]), "estimate: expected at least 2"),
    (bounds.shared_encoder_gap, (np.ones((3, 2)), np.ones((3, 1))), "reconstruction: expected"),
    (bounds.fmd_distortion_at_perception, (1.0, 1.0, -1.0), "level: expected values >= 0"),
    (bounds.fmd_distortion_at_perception, (1.0, math.inf, 1.0), "distance: expected finite"),
    (bounds.joint_support_bound, (np.ones((3, 2)), []), "candidates: expected at least one"),
    (bounds.joint_support_bound, (np.ones((3, 2)), [np.ones(3)]), "candidates: expected shape"),
    (bounds.joint_support_bound, (1.0, []), "frames: expected samples"),
    (bounds.gaussian_reference, (np.ones((3, 2)), [1.0, 1.0]), "x: expected every frame"),
]


@pytest.mark.parametrize(("function", "arguments", "message"), BAD_CALLS)
def test_bad_input_is_named(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(*arguments)
