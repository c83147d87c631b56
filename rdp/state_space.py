"""Linear Gaussian sources in state-space form: ARMA, constant velocity, vectors, unstable ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rdp import _check
from rdp.gaussian import psd_cholesky, psd_sqrt
from rdp.linear_source import Realisation, covariance_matrix, innovations, lyapunov

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Array = np.ndarray

_RANK = 1e-10  # relative singular value below which a direction of the state is unobservable


@dataclass(frozen=True, eq=False)
class StateSpace:
    r"""Linear Gaussian source :math:`X_t = H S_t`, :math:`S_{t+1} = A S_t + W_t`, centred.

    Parameters
    ----------
    transition : (n, n) array
        A. Poles outside the unit circle are allowed; such a source has no steady state.
    noise : (n, n) array
        Covariance of W_t, positive semidefinite, singular or not.
    output : (n,) or (d, n) array
        H. One row gives scalar frames.
    initial : (n, n) array or None
        Covariance of the first state. None is the stationary covariance.

    Raises
    ------
    ValueError
        Shapes that do not match, NaN or inf, covariances that are not positive semidefinite, None
        for `initial` with a pole on or outside the unit circle, an output that is zero.

    Examples
    --------
    >>> walk = StateSpace([[1.0]], [[0.5]], [1.0], initial=[[1.0]])
    >>> walk.covariance(frames=2)
    array([[1. , 1. ],
           [1. , 1.5]])
    """

    transition: Array
    noise: Array
    output: Array
    initial: Array = None  # type: ignore[assignment]

    if TYPE_CHECKING:  # types of the arguments; the fields have the types after validation

        def __init__(
            self,
            transition: ArrayLike,
            noise: ArrayLike,
            output: ArrayLike,
            initial: ArrayLike | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        """Validate the matrices and freeze them."""
        a = _check.finite("transition", _check.array("transition", self.transition, ndim=2))
        n = len(a)
        if a.shape != (n, n) or n == 0:
            raise ValueError(f"transition: expected shape (n, n), got {a.shape}")
        w = covariance_matrix("noise", self.noise, n)
        h = _check.finite("output", _check.array("output", self.output, ndim=(1, 2)))
        h = np.atleast_2d(h)
        if h.shape[1] != n:
            raise ValueError(f"output: expected {n} columns for {n} states, got {h.shape}")
        if not h.any():
            raise ValueError("output: expected a matrix that is not zero")
        given = self.initial
        first = lyapunov(a, w) if given is None else covariance_matrix("initial", given, n)
        for name, value in (("transition", a), ("noise", w), ("output", h), ("initial", first)):
            object.__setattr__(self, name, _check.frozen(value))

    @classmethod
    def arma(cls, phi: ArrayLike, theta: ArrayLike, sigma: float = 1.0) -> StateSpace:
        r"""Return an autoregressive source with moving-average noise.

        .. math:: X_t = \sum_j \phi_j X_{t-j} + W_t + \sum_j \theta_j W_{t-j}, \text{ stationary}.

        Parameters
        ----------
        phi, theta : (p,) and (q,) arrays
            Coefficients; poles inside the unit circle.
        sigma : float, > 0
            Standard deviation of a frame.

        Examples
        --------
        >>> StateSpace.arma([], [1.0]).covariance(frames=2)
        array([[1. , 0.5],
               [0.5, 1. ]])
        """
        ar = _check.finite("phi", _check.array("phi", phi, ndim=1))
        ma = _check.finite("theta", _check.array("theta", theta, ndim=1))
        n = max(len(ar), len(ma) + 1)
        transition = np.eye(n, k=1)
        transition[: len(ar), 0] = ar
        drive = np.zeros(n)
        drive[0] = 1.0
        drive[1 : len(ma) + 1] = ma
        unscaled = cls(transition, np.outer(drive, drive), np.eye(1, n)[0])
        scale = float(_check.positive("sigma", sigma, ndim=0)) ** 2 / unscaled.initial[0, 0]
        return cls(transition, scale * unscaled.noise, unscaled.output, scale * unscaled.initial)

    @classmethod
    def constant_velocity(
        cls, acceleration: float, position: float = 1.0, velocity: float = 0.0, damping: float = 1.0
    ) -> StateSpace:
        r"""Return a moving point: :math:`X_{t+1} = X_t + V_t`, :math:`V_{t+1} = c V_t + W_t`.

        Parameters
        ----------
        acceleration : float, >= 0
            Standard deviation of W_t, units of the source per frame.
        position, velocity : float, >= 0
            Standard deviations of X_1 and V_1, independent.
        damping : float
            c; with 1 the velocity is a random walk and the source has no steady state.

        Examples
        --------
        >>> StateSpace.constant_velocity(0.0, velocity=1.0).covariance(frames=2)
        array([[1., 1.],
               [1., 2.]])
        """
        given = {"acceleration": acceleration, "position": position, "velocity": velocity}
        w, x, v = (float(_check.nonnegative(name, of, ndim=0)) ** 2 for name, of in given.items())
        transition = [[1.0, 1.0], [0.0, float(_check.array("damping", damping, ndim=0))]]
        return cls(transition, np.diag([0.0, w]), [1.0, 0.0], np.diag([x, v]))

    @property
    def order(self) -> int:
        """Number of states n."""
        return len(self.transition)

    @property
    def size(self) -> int:
        """Number d of values in a frame; 1 for scalar frames."""
        return len(self.output)

    @property
    def poles(self) -> Array:
        """Eigenvalues of the transition matrix, largest modulus first."""
        values = np.linalg.eigvals(self.transition).astype(complex)
        return values[np.argsort(-np.abs(values), kind="stable")]

    def observable(self) -> StateSpace:
        """Return the same source without the directions of the state that no frame shows.

        Examples
        --------
        >>> StateSpace(np.diag([0.5, 0.9]), np.eye(2), [1.0, 0.0]).observable().order
        1
        """
        rows, seen = [], self.output / np.linalg.norm(self.output)
        for _ in range(self.order):
            rows.append(seen)
            seen = seen @ self.transition
            seen = seen / max(1.0, float(np.linalg.norm(seen)))
        _, values, right = np.linalg.svd(np.concatenate(rows))
        rank = int((values > _RANK * values[0]).sum())
        if rank == self.order:
            return self
        v = right[:rank].T
        return StateSpace(
            v.T @ self.transition @ v,
            v.T @ self.noise @ v,
            self.output @ v,
            v.T @ self.initial @ v,
        )

    def realisation(self) -> Realisation:
        """Return the matrices of the source."""
        return Realisation(self.transition, self.noise, self.output, self.initial)

    def state_covariances(self, frames: int) -> Array:
        """Return the covariance of the state at each frame, (T, n, n).

        Parameters
        ----------
        frames : int
            T.
        """
        out = [self.initial]
        for _ in range(_check.count("frames", frames) - 1):
            out.append(self.transition @ out[-1] @ self.transition.T + self.noise)
        return np.array(out)

    def covariance(self, frames: int) -> Array:
        """Return the covariance of the first T frames, (T, T), or (T d, T d) in blocks.

        Parameters
        ----------
        frames : int
            T.
        """
        size = self.size
        out = np.zeros((frames * size, frames * size))
        for s, state in enumerate(self.state_covariances(frames)):
            reached = state @ self.output.T
            for t in range(s, frames):
                block = self.output @ reached
                out[t * size : (t + 1) * size, s * size : (s + 1) * size] = block
                out[s * size : (s + 1) * size, t * size : (t + 1) * size] = block.T
                reached = self.transition @ reached
        return out

    def factor(self, frames: int) -> Array:
        """Return the causal factor L of the covariance, X = L e with white e.

        Parameters
        ----------
        frames : int
            T.
        """
        if self.size > 1:
            return psd_cholesky(self.covariance(frames))
        out = np.zeros((_check.count("frames", frames), frames))
        for s, gain in enumerate(innovations(self, frames).gain):
            for t in range(s, frames):
                out[t, s] = self.output[0] @ gain
                gain = self.transition @ gain
        return out

    def sample(self, n: int, frames: int, rng: np.random.Generator | int) -> Array:
        """Draw n independent sequences of T frames, (n, T), or (n, T, d) for d > 1.

        Parameters
        ----------
        n : int, >= 1
        frames : int
            T.
        rng : numpy.random.Generator, or int as a seed
        """
        return self.sample_states(n, frames, rng)[1]

    def sample_states(
        self, n: int, frames: int, rng: np.random.Generator | int
    ) -> tuple[Array, Array]:
        """Draw n sequences of states, (n, T, order), and their frames, as `sample`.

        Parameters
        ----------
        n : int, >= 1
        frames : int
            T.
        rng : numpy.random.Generator, or int as a seed
        """
        draw = _check.generator("rng", rng)
        shape = _check.count("n", n), _check.count("frames", frames), self.order
        states = draw.standard_normal(shape)
        root = psd_sqrt(self.noise)
        states[:, 0] = states[:, 0] @ psd_sqrt(self.initial)
        for t in range(1, frames):
            states[:, t] = states[:, t - 1] @ self.transition.T + states[:, t] @ root
        x = states @ self.output.T
        return states, x[:, :, 0] if self.size == 1 else x
