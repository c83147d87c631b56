"""State-space sources compared with autoregressive ones, closed forms and their samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from rdp.autoregressive import AutoRegressive
from rdp.linear_source import innovations, lyapunov, scalar, steady_innovations
from rdp.state_space import StateSpace


def test_arma_without_moving_average_is_autoregressive():
    phi = [1.5, -0.8]
    assert_allclose(
        StateSpace.arma(phi, [], sigma=2.0).covariance(6),
        AutoRegressive(phi, sigma=2.0).covariance(6),
        atol=1e-10,
    )


@given(st.floats(-0.95, 0.95), st.floats(-0.9, 0.9))
def test_arma_of_order_one_one(phi, theta):
    source = StateSpace.arma([phi], [theta])
    power = 1 + 2 * phi * theta + theta**2
    if power < 1e-3:
        return
    rho = (1 + phi * theta) * (phi + theta) / power
    row = source.covariance(3)[0]
    assert_allclose(row, [1, rho, phi * rho], atol=1e-9)
    # the moving average is of minimum phase, so its noise is the innovation
    assert_allclose(steady_innovations(source)[1], (1 - phi**2) / power, rtol=1e-6)


def test_constant_velocity_moves_on():
    source = StateSpace.constant_velocity(acceleration=0.1, position=1.0, velocity=0.5)
    cov = source.covariance(3)
    assert_allclose(np.diag(cov), [1, 1.25, 1 + 4 * 0.25 + 0.01])
    factor = source.factor(3)
    assert_allclose(factor @ factor.T, cov, atol=1e-12)
    assert (np.triu(factor, 1) == 0).all()
    assert_allclose(innovations(source, 3).variance, np.diag(factor) ** 2)


@given(st.integers(0, 10_000))
def test_factor_and_covariance_agree_for_any_source(seed):
    rng = np.random.default_rng(seed)
    n, d = rng.integers(1, 4), rng.integers(1, 3)
    a, root, first = rng.normal(size=(3, n, n))
    source = StateSpace(0.7 * a, root @ root.T, rng.normal(size=(d, n)), first @ first.T)
    cov = source.covariance(4)
    factor = source.factor(4)
    assert_allclose(factor @ factor.T, cov, atol=1e-8 * np.abs(cov).max())
    assert (np.triu(factor, 1) == 0).all()


def test_a_part_of_the_state_that_no_frame_shows_is_left_out():
    full = StateSpace([[0.5, 0.0], [0.3, 1.7]], np.eye(2), [1.0, 0.0], np.eye(2))
    small = full.observable()
    assert small.order == 1
    assert_allclose(small.covariance(6), full.covariance(6), rtol=1e-12)
    assert_allclose(small.factor(6), full.factor(6), atol=1e-9)


def test_samples_have_the_covariance_of_vector_frames_too():
    source = StateSpace([[0.9, 0.2], [0.0, 0.5]], np.eye(2), np.eye(2))
    n = 50_000
    x = source.sample(n, 3, rng=0)
    assert x.shape == (n, 3, 2)
    flat, cov = x.reshape(n, 6), source.covariance(3)
    error = np.sqrt((np.outer(np.diag(cov), np.diag(cov)) + cov**2) / n)
    assert (np.abs(flat.T @ flat / n - cov) < 4 * error).all()


def test_a_repeated_pole_has_a_stationary_covariance():
    a = np.array([[0.9, 1.0], [0.0, 0.9]])
    solved = np.linalg.solve(np.eye(4) - np.kron(a, a), np.eye(2).ravel()).reshape(2, 2)
    assert_allclose(lyapunov(a, np.eye(2)), solved, rtol=1e-11)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1.0]], [[1.0]], [1.0]), "transition: expected poles inside the unit circle"),
        (([[1.0, 0.0]], [[1.0]], [1.0]), "transition: expected shape"),
        (([[0.5]], [[-1.0]], [1.0]), "noise: expected a positive semidefinite"),
        (([[0.5]], [[1.0]], [1.0, 0.0]), "output: expected 1 columns"),
        (([[0.5]], [[1.0]], [0.0]), "output: expected a matrix that is not zero"),
        (([[0.5]], [[1.0]], [1.0], np.eye(2)), "initial: expected shape"),
        ((np.eye(2) / 2, [[1.0, 1.0], [0.0, 1.0]], [1.0, 0.0]), "noise: expected a symmetric"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        StateSpace(*arguments)


def test_vector_frames_are_named_where_scalar_ones_are_needed():
    with pytest.raises(ValueError, match="expected scalar frames, got 2 outputs"):
        scalar(StateSpace(np.eye(2) / 2, np.eye(2), np.eye(2)))
