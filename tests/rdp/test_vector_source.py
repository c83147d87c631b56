"""General vector sources compared with their samples and with sources with modes."""

import numpy as np
import pytest

from rdp import GaussMarkov
from rdp.vector_source import VectorGaussMarkov


def test_samples_have_the_covariance():
    rng = np.random.default_rng(0)
    noise = np.stack([np.diag([1.0, 2.0]), [[1.0, 0.5], [0.5, 1.0]], np.eye(2)])
    source = VectorGaussMarkov(rng.normal(size=(2, 2, 2)), noise)
    x = source.sample(200_000, rng).reshape(-1, 6)
    covariance = source.covariance()
    deviation = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)) * 2 / len(x))
    assert (np.abs(np.cov(x.T) - covariance) < 5 * deviation).all()


def test_modes_become_diagonal_matrices():
    modes = GaussMarkov([[1.0, 2.0], [0.5, 1.0], [1.0, 1.0]], [[0.9, -0.3], [0.2, 0.4]])
    source = VectorGaussMarkov.from_modes(modes)
    blocks = source.covariance().reshape(3, 2, 3, 2)
    for i in range(2):
        np.testing.assert_allclose(blocks[:, i, :, i], modes.covariance()[i], rtol=1e-12)
    np.testing.assert_allclose(blocks[:, 0, :, 1], 0.0)


def test_bad_matrices_are_named():
    eye = np.eye(2)
    with pytest.raises(ValueError, match="noise: expected positive definite"):
        VectorGaussMarkov([], [np.diag([1.0, 0.0])])
    with pytest.raises(ValueError, match="noise: expected symmetric"):
        VectorGaussMarkov([], [[[1.0, 0.5], [0.0, 1.0]]])
    with pytest.raises(ValueError, match=r"transition: expected shape \(1, 2, 2\)"):
        VectorGaussMarkov([eye, eye], [eye, eye])
    with pytest.raises(ValueError, match="source: expected vector frames"):
        VectorGaussMarkov.from_modes(GaussMarkov([1.0]))
