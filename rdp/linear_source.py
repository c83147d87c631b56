r"""Linear Gaussian sources of any order: what they have in common.

.. math:: X_t = H S_t, \qquad S_{t+1} = A S_t + W_t, \qquad \operatorname{Cov} S_1 = \Pi,

with white Gaussian W_t. The horizon is an argument of the methods, not a part of the source, so
that one source serves a finite number of frames and the steady state.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, NoReturn, Protocol, runtime_checkable

import numpy as np

from rdp import _check

Array = np.ndarray

_EPS = np.finfo(np.float64).eps


class Realisation(NamedTuple):
    """Matrices of a linear Gaussian source.

    Parameters
    ----------
    transition : (n, n) array
        A.
    noise : (n, n) array
        Covariance of W_t, positive semidefinite.
    output : (d, n) array
        H; a scalar frame has d = 1.
    initial : (n, n) array
        Covariance of the first state S_1.
    """

    transition: Array
    noise: Array
    output: Array
    initial: Array


class Innovations(NamedTuple):
    r"""Innovations form of a scalar source: :math:`S_t = A S_{t-1} + b_t e_t + ...` given the past.

    Parameters
    ----------
    gain : (T, n) array
        :math:`b_t = E[S_t e_t]`, with e_t the innovation of X_t given X_1..X_{t-1}, scaled to unit
        variance. Zero where the past determines X_t.
    variance : (T,) array
        q_t, variance of the innovation of X_t before it is scaled.
    """

    gain: Array
    variance: Array


@runtime_checkable
class LinearSource(Protocol):
    """A centred Gaussian source with a finite state; frozen, so that it can be a key."""

    def __hash__(self) -> int: ...

    def realisation(self) -> Realisation:
        """Return the matrices of the source."""
        ...

    def covariance(self, frames: int) -> Array:
        """Return the covariance of the first frames, (T, T), or (T d, T d) for vector frames."""
        ...

    def factor(self, frames: int) -> Array:
        """Return the causal factor L of the covariance, X = L e with white e."""
        ...

    def sample(self, n: int, frames: int, rng: np.random.Generator | int) -> Array:
        """Draw n independent sequences, (n, T), or (n, T, d) for vector frames."""
        ...


_FIRST_ORDER = ("gain", "innovation", "mode", "part", "rho", "scaled", "transition")


@dataclass(frozen=True, eq=False)
class LinearFrames:
    """The first T frames of a linear source with scalar frames: what `Problem` holds of it.

    Parameters
    ----------
    source : AutoRegressive or StateSpace
        The source, of any order.
    frames : int
        Number of frames T.

    Raises
    ------
    ValueError
        Vector frames, no number of frames, frames of variance 0. Whatever exists for sources of
        first order only, such as `gain`, raises it too, and says so.

    Examples
    --------
    >>> from rdp.autoregressive import AutoRegressive
    >>> LinearFrames(AutoRegressive([0.5]), frames=2).covariance()
    array([[1. , 0.5],
           [0.5, 1. ]])
    """

    source: LinearSource
    frames: int

    def __post_init__(self) -> None:
        """Validate the arguments."""
        if not isinstance(self.source, LinearSource):
            raise ValueError(
                "source: expected an AutoRegressive or a StateSpace, got "
                f"{type(self.source).__name__}"
            )
        scalar(self.source)
        object.__setattr__(self, "frames", _check.count("frames", self.frames))
        if not self.variance.any():
            raise ValueError("source: expected frames that vary, got variance 0 in each of them")

    @property
    def modes(self) -> None:
        """None: the frames are scalars."""
        return

    @property
    def order(self) -> int:
        """Number of states n."""
        return len(self.source.realisation().transition)

    @cached_property
    def variance(self) -> Array:
        """Variance of each frame, (T,)."""
        a, w, h = scalar(self.source)
        state, out = self.source.realisation().initial, np.empty(self.frames)
        for t in range(self.frames):
            out[t] = h @ state @ h
            state = a @ state @ a.T + w
        return _check.frozen(np.maximum(out, 0.0))

    @cached_property
    def sigma(self) -> Array:
        """Standard deviation of each frame, (T,)."""
        return _check.frozen(np.sqrt(self.variance))

    def covariance(self) -> Array:
        """Return the covariance of all frames, (T, T)."""
        return self.source.covariance(self.frames)

    def factor(self) -> Array:
        """Return the causal factor L of the covariance, X = L e with white e, (T, T)."""
        return self.source.factor(self.frames)

    def sample(self, n: int, rng: np.random.Generator | int) -> Array:
        """Draw n independent sequences, (n, T).

        Parameters
        ----------
        n : int, >= 1
        rng : numpy.random.Generator, or int as a seed
        """
        return self.source.sample(n, self.frames, rng)

    def __getattr__(self, name: str) -> NoReturn:
        if name in _FIRST_ORDER:
            need_first_order(f"source: {name}", self)
        raise AttributeError(f"'LinearFrames' object has no attribute {name!r}")


def need_first_order(what: str, source: object) -> None:
    """Raise ValueError for an AutoRegressive, a StateSpace or frames of one.

    Parameters
    ----------
    what : str
        What needs a source of first order, for the message.
    source : object
        The source; any other object passes.

    Examples
    --------
    >>> from rdp.state_space import StateSpace
    >>> need_first_order("sweep", StateSpace.arma([0.5], [0.5]))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ValueError: sweep needs a first-order source (GaussMarkov), got StateSpace of order 2; ...
    """
    given = source.source if isinstance(source, LinearFrames) else source
    # one attribute first: to look at all of a protocol takes a tenth of the time of a small solve
    if hasattr(given, "realisation") and isinstance(given, LinearSource):
        order = len(given.realisation().transition)
        raise ValueError(
            f"{what} needs a first-order source (GaussMarkov), got {type(given).__name__} of order "
            f"{order}; use solve(problem), steady_state or solvers.linear"
        )


def stable(transition: Array) -> bool:
    """Whether all eigenvalues lie inside the unit circle."""
    return bool(np.abs(np.linalg.eigvals(transition)).max(initial=0.0) < 1)


def lyapunov(transition: Array, noise: Array) -> Array:
    r"""Solution of :math:`X = A X A^T + W`, the covariance of a stationary state.

    Parameters
    ----------
    transition : (n, n) array
        A, eigenvalues inside the unit circle.
    noise : (n, n) array
        W, symmetric; not necessarily positive.

    Raises
    ------
    ValueError
        An eigenvalue of A on or outside the unit circle, or too near it for float64.

    Notes
    -----
    Smith's doubling, :math:`X_{2k} = X_k + A^k X_k (A^k)^T`: about
    :math:`\log_2(1/(1-|\lambda|)) + 5` steps, and only sums of positive matrices where W is
    positive.

    Examples
    --------
    >>> float(lyapunov(np.array([[0.6]]), np.array([[0.64]]))[0, 0])
    1.0
    """
    return accumulated(doublings(transition), noise)


def doublings(transition: Array) -> list[Array]:
    """Powers A, A^2, A^4, .. as far as they matter to a covariance: for many calls with one A.

    Parameters
    ----------
    transition : (n, n) array
        A, eigenvalues inside the unit circle.
    """
    if not stable(transition):
        radius = np.abs(np.linalg.eigvals(transition)).max()
        raise ValueError(
            f"transition: expected poles inside the unit circle, got one of modulus {radius:.9g}"
        )
    power = np.array(transition, dtype=np.float64)
    powers = []
    for _ in range(64):
        powers.append(power)
        if float((power**2).sum()) <= 1e-3 * _EPS:
            break
        with np.errstate(over="ignore", invalid="ignore"):
            power = power @ power
    return powers


def accumulated(powers: list[Array], noise: Array) -> Array:
    """Solution of X = A X A' + W from the powers of A, see `lyapunov`.

    Parameters
    ----------
    powers : list of (n, n) arrays
        Those of `doublings`.
    noise : (n, n) array
        W, symmetric.
    """
    total = np.array(noise, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        for power in powers:
            total = total + power @ total @ power.T
    if not np.isfinite(total).all():
        raise ValueError("transition: poles too near the unit circle for float64")
    return 0.5 * (total + total.T)


def innovations(source: LinearSource, frames: int) -> Innovations:
    r"""Innovations form of the first frames: the Kalman filter that observes the frames exactly.

    Parameters
    ----------
    source : LinearSource
        Scalar frames.
    frames : int
        T.

    Raises
    ------
    ValueError
        Vector frames.

    Examples
    --------
    >>> from rdp.autoregressive import AutoRegressive
    >>> innovations(AutoRegressive([0.6]), frames=2).variance
    array([1.  , 0.64])
    """
    a, w, h = scalar(source)
    ahead = source.realisation().initial
    gains, variances = [], []
    for _ in range(_check.count("frames", frames)):
        gain, variance, ahead = observe_exactly(a, w, h, ahead)
        gains.append(gain)
        variances.append(variance)
    return Innovations(np.array(gains), np.array(variances))


def observe_exactly(
    transition: Array, noise: Array, output: Array, ahead: Array
) -> tuple[Array, float, Array]:
    """Observe one scalar frame without noise.

    `ahead` is the covariance of the state given the frames before. Returns b_t, q_t and the
    covariance of the next state given the frames up to this one.
    """
    column = ahead @ output
    variance = float(output @ column)
    size = float(np.abs(output) @ np.sqrt(np.maximum(np.diag(ahead), 0.0))) ** 2
    if variance <= 64 * len(output) * _EPS * size:
        gain, variance = np.zeros_like(column), 0.0
    else:
        gain = column / np.sqrt(variance)
    left = transition @ (ahead - np.outer(gain, gain)) @ transition.T + noise
    return gain, variance, 0.5 * (left + left.T)


def steady_innovations(source: LinearSource) -> tuple[Array, float]:
    """Gain b and variance q of the innovations form in the steady state, (n,) and a number.

    Raises
    ------
    ValueError
        Vector frames, poles outside the unit circle, or a filter that does not settle.

    Examples
    --------
    >>> from rdp.autoregressive import AutoRegressive
    >>> float(round(steady_innovations(AutoRegressive([0.6]))[1], 12))
    0.64
    """
    a, w, h = scalar(source)
    ahead = lyapunov(a, w)
    least, still = np.inf, 0
    for _ in range(100_000):
        gain, variance, ahead = observe_exactly(a, w, h, ahead)
        # a frame may say nothing about the next one and all about a later one: what n frames in
        # a row do not lower, n the size of the state, no later frame lowers
        still = still + 1 if least - variance <= 4 * _EPS * variance else 0
        if still == len(h):
            return gain, variance
        least = min(least, variance)
    raise ValueError("source: the innovations form does not settle; it has a zero on the circle")


def scalar(source: LinearSource) -> tuple[Array, Array, Array]:
    """Return A, W and h of a source with scalar frames, or raise ValueError."""
    parts = source.realisation()
    if parts.output.shape[0] != 1:
        raise ValueError(f"source: expected scalar frames, got {parts.output.shape[0]} outputs")
    return parts.transition, parts.noise, parts.output[0]


def covariance_matrix(name: str, value: object, size: int) -> Array:
    """Return a covariance of `size` variables, or raise ValueError naming `name`."""
    out = _check.finite(name, _check.array(name, value, ndim=2))
    if out.shape != (size, size):
        raise ValueError(f"{name}: expected shape {(size, size)}, got {out.shape}")
    scale = np.abs(out).max(initial=0.0)
    if np.abs(out - out.T).max(initial=0.0) > 1e-10 * scale:
        raise ValueError(f"{name}: expected a symmetric matrix")
    least = float(np.linalg.eigvalsh(out).min())
    if least < -1e-10 * scale:
        raise ValueError(
            f"{name}: expected a positive semidefinite matrix, got eigenvalue {least:g}"
        )
    return 0.5 * (out + out.T)
