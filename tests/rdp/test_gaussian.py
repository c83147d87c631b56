"""Gaussian algebra compared with scipy, optimal couplings and known cases, singular ones too."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.linalg import sqrtm
from scipy.optimize import minimize

from rdp import gaussian

SEEDS = st.integers(0, 2**32 - 1)


def random_covariance(rng, size, rank=None):
    root = rng.normal(size=(size, rank or size))
    return root @ root.T


def random_singular(rng, size):
    return random_covariance(rng, size, int(rng.integers(1, size + 1)))


@given(SEEDS, st.integers(1, 4))
def test_roots_square_to_the_matrix(seed, size):
    cov = random_singular(np.random.default_rng(seed), size)
    root, lower = gaussian.psd_sqrt(cov), gaussian.psd_cholesky(cov)
    tolerance = 1e-10 * np.trace(cov)
    assert_allclose(root @ root, cov, atol=tolerance)
    assert_allclose(root, root.T)
    assert np.linalg.eigvalsh(root).min() > -1e-7 * np.sqrt(np.trace(cov))
    assert_allclose(lower @ lower.T, cov, atol=tolerance)
    assert (np.triu(lower, 1) == 0).all()
    assert (np.diag(lower) >= 0).all()


@given(SEEDS, st.integers(1, 4))
def test_bures_is_the_formula_with_matrix_roots(seed, size):
    rng = np.random.default_rng(seed)
    a, b = (random_covariance(rng, size) + 0.1 * np.eye(size) for _ in range(2))
    root = np.real(sqrtm(a))
    expected = np.trace(a + b - 2 * np.real(sqrtm(root @ b @ root)))
    assert_allclose(gaussian.bures(a, b), expected, rtol=1e-6, atol=1e-6)


@given(SEEDS, st.integers(1, 4))
def test_no_coupling_beats_bures_and_one_reaches_it(seed, size):
    """Couplings A = S_a U W, B = S_b V W with orthogonal maps; singular covariances too."""
    rng = np.random.default_rng(seed)
    a, b = random_singular(rng, size), random_singular(rng, size)
    distance = gaussian.bures(a, b)
    root_a, root_b = gaussian.psd_sqrt(a), gaussian.psd_sqrt(b)
    tolerance = 1e-9 * np.trace(a + b)

    def cost(rotation):
        return ((root_a - root_b @ rotation) ** 2).sum()

    for _ in range(20):
        assert cost(np.linalg.qr(rng.normal(size=(size, size)))[0]) >= distance - tolerance
    left, _, right = np.linalg.svd(root_b @ root_a)
    assert_allclose(cost(left @ right), distance, atol=10 * tolerance)


@given(SEEDS)
def test_bures_of_two_by_two(seed):
    rng = np.random.default_rng(seed)
    a, b = random_singular(rng, 2), random_singular(rng, 2)
    dets = max(np.linalg.det(a), 0.0) * max(np.linalg.det(b), 0.0)
    expected = np.trace(a + b) - 2 * math.sqrt(np.trace(a @ b) + 2 * math.sqrt(dets))
    assert_allclose(gaussian.bures(a, b), expected, atol=1e-6 * np.trace(a + b))


@given(SEEDS, st.integers(1, 4))
def test_bures_is_a_squared_distance(seed, size):
    rng = np.random.default_rng(seed)
    a, b, c = (random_singular(rng, size) for _ in range(3))
    scale = 1e-7 * np.sqrt(np.trace(a + b + c))
    ab, bc, ac = (np.sqrt(gaussian.bures(*pair)) for pair in ((a, b), (b, c), (a, c)))
    assert ac <= ab + bc + scale
    assert_allclose(gaussian.bures(b, a), ab**2, atol=1e-9 * np.trace(a + b))
    assert gaussian.bures(a, a) <= 1e-12 * np.trace(a)


def test_bures_of_known_cases():
    assert gaussian.bures([[4.0]], [[1.0]]) == 1.0
    assert gaussian.bures([[4.0]], [[0.0]]) == 4.0
    assert_allclose(gaussian.bures(np.diag([1.0, 0.0]), np.diag([0.0, 1.0])), 2.0)
    frozen = np.ones((2, 2))
    assert_allclose(gaussian.bures(frozen, 4 * frozen), 2.0)


@given(SEEDS)
def test_gelbrich_is_reached_by_gaussians_and_below_other_distributions(seed):
    """Two random samples of equal size: the best matching costs at least Gelbrich's distance."""
    rng = np.random.default_rng(seed)
    x, y = rng.exponential(size=(5, 2)), rng.normal(size=(5, 2)) + rng.normal(size=2)
    cost = ((x[:, None] - y) ** 2).sum(axis=2)
    best = min(sum(cost[i, j] for i, j in enumerate(p)) for p in itertools.permutations(range(5)))
    moments = [(z.mean(axis=0), np.cov(z.T, bias=True)) for z in (x, y)]
    gap = gaussian.gelbrich(*moments[0], *moments[1])
    assert gap <= best / 5 * (1 + 1e-9)
    shift = moments[0][0] - moments[1][0]
    assert_allclose(gap, shift @ shift + gaussian.bures(moments[0][1], moments[1][1]))


@given(SEEDS, st.integers(1, 3))
def test_kl_is_the_mean_log_ratio_of_densities(seed, size):
    """E_A ln(a / b), exactly: the logarithm is quadratic, and a Gaussian has known moments."""
    rng = np.random.default_rng(seed)
    a, b = (random_covariance(rng, size) + 0.1 * np.eye(size) for _ in range(2))
    mean_a, mean_b = rng.normal(size=(2, size))
    inverse = np.linalg.inv(b)
    second = a + np.outer(mean_a - mean_b, mean_a - mean_b)
    expected = 0.5 * (
        np.linalg.slogdet(b)[1] - np.linalg.slogdet(a)[1] - size + (inverse * second).sum()
    )
    assert_allclose(gaussian.kl_divergence(mean_a, a, mean_b, b), expected, rtol=1e-6, atol=1e-9)


def test_kl_of_singular_covariances():
    zero, line, plane = np.zeros(2), np.diag([1.0, 0.0]), np.eye(2)
    kl = gaussian.kl_divergence
    assert kl(zero, line, zero, line) == 0.0
    assert kl(zero, plane, zero, line) == math.inf  # mass outside the support
    assert kl(zero, line, zero, plane) == math.inf  # of lower rank
    assert kl([0.0, 1.0], line, zero, line) == math.inf
    assert_allclose(kl([1.0, 0.0], line, zero, line), 0.5)
    assert_allclose(kl(zero, 2 * line, zero, line), 0.5 * (2 - 1 - math.log(2)))
    rotation = np.array([[0.6, -0.8], [0.8, 0.6]])
    rotated = rotation @ line @ rotation.T
    assert_allclose(kl(zero, 2 * rotated, zero, rotated), 0.5 * (2 - 1 - math.log(2)))


@given(SEEDS, st.integers(1, 3))
def test_adapted_distance_is_the_best_bicausal_coupling(seed, size):
    """Innovations coupled frame by frame with correlations c_t in [-1, 1], by search."""
    rng = np.random.default_rng(seed)
    a, b = (random_covariance(rng, size) + 0.1 * np.eye(size) for _ in range(2))
    lower_a, lower_b = np.linalg.cholesky(a), np.linalg.cholesky(b)

    def cost(angles):
        joint = np.hstack([lower_a, np.zeros((size, size))])
        other = np.hstack([lower_b * np.cos(angles), lower_b * np.sin(angles)])
        return ((joint - other) ** 2).sum()

    found = min(minimize(cost, rng.uniform(0, np.pi, size)).fun for _ in range(8))
    distance = gaussian.adapted_w2(a, b)
    assert_allclose(distance, found, rtol=1e-5, atol=1e-6)
    assert distance >= gaussian.bures(a, b) - 1e-9 * np.trace(a + b)


def test_adapted_distance_of_a_source_that_repeats():
    """White noise and one variable twice: only the first innovations can be coupled."""
    assert_allclose(gaussian.adapted_w2(np.eye(2), np.ones((2, 2))), 2.0)


@given(SEEDS, st.integers(1, 3), st.integers(1, 3))
def test_mutual_information_is_a_difference_of_entropies(seed, first, second):
    rng = np.random.default_rng(seed)
    cov = random_covariance(rng, first + second) + 0.05 * np.eye(first + second)
    parts = (cov[:first, :first], cov[first:, first:], cov)
    logs = [np.linalg.slogdet(part)[1] for part in parts]
    expected = 0.5 * (logs[0] + logs[1] - logs[2]) / math.log(2)
    assert_allclose(gaussian.mutual_information(cov, first), expected, rtol=1e-6, atol=1e-9)


def test_mutual_information_of_singular_covariances():
    assert gaussian.mutual_information(np.ones((2, 2)), 1) == math.inf
    assert gaussian.mutual_information(np.diag([1.0, 0.0]), 1) == 0.0
    repeated = np.array([[1.0, 0.5, 0.5], [0.5, 1.0, 1.0], [0.5, 1.0, 1.0]])
    once = gaussian.mutual_information(repeated[:2, :2], 1)
    assert_allclose(gaussian.mutual_information(repeated, 1), once)


@given(SEEDS)
def test_leading_axes_broadcast(seed):
    rng = np.random.default_rng(seed)
    a = np.stack([random_singular(rng, 2) for _ in range(3)])
    b = np.stack([random_singular(rng, 2) for _ in range(2)])[:, None]
    batch, adapted = gaussian.bures(a, b), gaussian.adapted_w2(a, b)
    zero = np.zeros(2)
    kl = gaussian.kl_divergence(zero, a, zero, b + np.eye(2))
    for i, j in itertools.product(range(2), range(3)):
        tolerance = {"rtol": 1e-9, "atol": 1e-12}
        assert_allclose(batch[i, j], gaussian.bures(a[j], b[i, 0]), **tolerance)
        assert_allclose(adapted[i, j], gaussian.adapted_w2(a[j], b[i, 0]), **tolerance)
        alone = gaussian.kl_divergence(zero, a[j], zero, b[i, 0] + np.eye(2))
        assert_allclose(kl[i, j], alone, rtol=1e-6)


EYE = np.eye(2)
BAD = [
    (lambda: gaussian.bures(np.ones((2, 3)), EYE), r"cov_a: expected square matrices"),
    (lambda: gaussian.bures(EYE, np.ones(2)), r"cov_b: expected square matrices"),
    (lambda: gaussian.bures(EYE, np.eye(3)), "cov_b: expected 2 variables like cov_a, got 3"),
    (lambda: gaussian.bures(EYE, EYE * math.nan), "cov_b: expected numbers, got NaN"),
    (lambda: gaussian.bures(EYE, EYE + math.inf), "cov_b: expected finite values"),
    (lambda: gaussian.psd_sqrt(-EYE), "cov: expected a positive semidefinite matrix"),
    (lambda: gaussian.kl_divergence([0, 0], EYE, [0, 0], -EYE), "cov_b: expected a positive"),
    (lambda: gaussian.adapted_w2(EYE, np.eye(3)), "cov_b: expected 2 variables"),
    (lambda: gaussian.mutual_information(EYE, 2), "first: expected a number below 2, got 2"),
    (lambda: gaussian.mutual_information(EYE, 0), "first: expected an integer >= 1, got 0"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@given(SEEDS, st.integers(1, 6))
def test_distances_of_prefixes_are_those_of_the_leading_blocks(seed, size):
    rng = np.random.default_rng(seed)
    a, b = (random_covariance(rng, size) + 1e-3 * np.eye(size) for _ in range(2))
    pairs = np.stack([a, b]), np.stack([b, random_singular(rng, size)])
    found = gaussian.bures_of_prefixes(*pairs)
    for t in range(size):
        block = (slice(None), slice(t + 1), slice(t + 1))
        expected = gaussian.bures(pairs[0][block], pairs[1][block])
        assert_allclose(found[:, t], expected, atol=1e-6 * np.trace(a + b))
    chosen = rng.random((2, size)) < 0.5
    only = gaussian.bures_of_prefixes(*pairs, chosen)
    assert_allclose(only, np.where(chosen, found, 0.0), atol=0, rtol=1e-13)


@given(SEEDS, st.integers(1, 4), st.integers(0, 3))
def test_the_distance_of_factors_is_that_of_their_covariances(seed, size, more):
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((size, size)), rng.standard_normal((size, size + more))
    for left, right in ((a, b), (b, a)):
        want = gaussian.bures(left @ left.T, right @ right.T)
        size = (left**2).sum() + (right**2).sum()
        assert_allclose(gaussian.bures_of_factors(left, right), want, atol=1e-13 * size)


def test_the_distance_of_factors_keeps_the_digits_of_what_is_small():
    scales = np.array([4e5, 1.0, 1e-4])
    a = np.diag(scales) @ np.array([[1.0, 0, 0], [0.3, 1, 0], [0, 0, 1]])
    b = a.copy()
    b[2, 2] += 2e-7  # all that differs
    assert_allclose(gaussian.bures_of_factors(a, b), 4e-14, rtol=1e-2)
    assert gaussian.bures(a @ a.T, b @ b.T) != pytest.approx(4e-14, rel=0.5, abs=0)


@pytest.mark.parametrize("size", [3, 8, 20])
@pytest.mark.parametrize("share", [0.0, 1e-12, 1e-6, 0.1])
def test_the_root_of_the_distance_of_factors_is_exact_where_variances_are_far_apart(share, size):
    """With a symmetric positive definite map M from A to B the distance is |A - M A|."""
    rng = np.random.default_rng(size)
    scales = 10 ** rng.uniform(-8, 0, size)
    a = scales[:, None] * np.tril(rng.normal(size=(size, size)))
    shape = rng.uniform(-1, 1, (size, size))
    moved = share / size * scales[:, None] * ((shape + shape.T) @ (scales[:, None] * a))
    turn = np.linalg.qr(rng.normal(size=(size, size)))[0]
    found = np.sqrt(gaussian.bures_of_factors(a, (a + moved) @ turn))
    assert_allclose(found, np.linalg.norm(moved), rtol=1e-12, atol=1e-14 * np.linalg.norm(a))


def test_factors_of_different_numbers_of_variables_are_refused():
    with pytest.raises(ValueError, match="factor_b"):
        gaussian.bures_of_factors(np.eye(2), np.eye(3))
