"""Vector Gauss-Markov sources with general, non-commuting matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rdp import _check
from rdp.source import GaussMarkov

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class VectorGaussMarkov:
    r"""T frames in R^d, :math:`X_t = A_t X_{t-1} + W_t`, :math:`X_1 = W_1`, centred.

    If one basis diagonalises all matrices, use `GaussMarkov` with modes: that is much faster.

    Parameters
    ----------
    transition : (T-1, d, d) array
        A_2, ..., A_T.
    noise : (T, d, d) array
        Cov W_1, ..., Cov W_T, positive definite.

    Raises
    ------
    ValueError
        Shapes that do not match, NaN or inf, a noise covariance that is not positive definite.

    Notes
    -----
    The source of Tanaka et al., arXiv:1411.7632.

    Examples
    --------
    >>> source = VectorGaussMarkov([0.5 * np.eye(2)], [np.eye(2), np.eye(2)])
    >>> source.variance[1]
    array([[1.25, 0.  ],
           [0.  , 1.25]])
    """

    transition: Array
    noise: Array

    def __post_init__(self) -> None:
        """Validate the matrices and freeze them."""
        noise = _check.finite("noise", _check.array("noise", self.noise, ndim=3))
        if noise.shape[0] == 0 or noise.shape[1] != noise.shape[2]:
            raise ValueError(f"noise: expected shape (T, d, d), got {noise.shape}")
        frames, size, _ = noise.shape
        given: object = self.transition
        if isinstance(given, Sequence) and len(given) == 0:
            given = np.zeros((0, size, size))
        transition = _check.finite("transition", _check.array("transition", given, ndim=3))
        if transition.shape != (frames - 1, size, size):
            raise ValueError(
                f"transition: expected shape {(frames - 1, size, size)} for {frames} frames, "
                f"got {transition.shape}"
            )
        if not np.allclose(noise, np.swapaxes(noise, 1, 2), rtol=1e-10, atol=0):
            raise ValueError("noise: expected symmetric matrices")
        least = np.linalg.eigvalsh(noise).min()
        if not least > 0:
            raise ValueError(
                f"noise: expected positive definite matrices, got eigenvalue {least:g}"
            )
        object.__setattr__(self, "transition", _check.frozen(transition))
        object.__setattr__(self, "noise", _check.frozen(noise))

    @classmethod
    def from_modes(cls, source: GaussMarkov) -> VectorGaussMarkov:
        """Return a source of d independent modes, |rho| < 1, as one with diagonal matrices."""
        if source.modes is None:
            raise ValueError("source: expected vector frames of d modes, got scalar frames")
        unit = np.eye(source.modes)
        return cls(source.gain[1:, :, None] * unit, source.innovation[:, :, None] * unit)

    @property
    def frames(self) -> int:
        """Number of frames T."""
        return self.noise.shape[0]

    @property
    def size(self) -> int:
        """Dimension d of a frame."""
        return self.noise.shape[1]

    @cached_property
    def variance(self) -> Array:
        """Covariance of each frame, (T, d, d)."""
        out = [self.noise[0]]
        for a, w in zip(self.transition, self.noise[1:], strict=True):
            out.append(a @ out[-1] @ a.T + w)
        return _check.frozen(np.stack(out))

    @cached_property
    def reach(self) -> Array:
        """Products phi(t, s) = A_t ... A_{s+1} for s <= t, else 0: (T, T, d, d)."""
        out = np.zeros((self.frames, self.frames, self.size, self.size))
        for t in range(self.frames):
            out[t, t] = np.eye(self.size)
            if t:
                out[t, :t] = self.transition[t - 1] @ out[t - 1, :t]
        return _check.frozen(out)

    def covariance(self) -> Array:
        """Return the covariance of all frames, (T d, T d), frame after frame."""
        return spread(self.reach, self.variance)

    def sample(self, n: int, rng: np.random.Generator | int) -> Array:
        """Draw n independent sequences, (n, T, d); an int rng is a seed."""
        draw = _check.generator("rng", rng)
        x = draw.standard_normal((_check.count("n", n), self.frames, self.size))
        for t, root in enumerate(np.linalg.cholesky(self.noise)):
            x[:, t] = x[:, t] @ root.T
            if t:
                x[:, t] += x[:, t - 1] @ self.transition[t - 1].T
        return x


def spread(reach: Array, covariances: Array) -> Array:
    """Covariance (T d, T d) of a Markov sequence, from phi (T, T, d, d) and that of each frame."""
    frames, size = covariances.shape[:2]
    blocks = reach @ covariances[None]  # Cov(X_t, X_s) = phi(t, s) Cov(X_s) for s <= t
    lower = np.moveaxis(blocks, 2, 1).reshape(frames * size, frames * size)
    strict = lower * np.kron(np.tril(np.ones((frames, frames)), -1), np.ones((size, size)))
    return lower + strict.T
