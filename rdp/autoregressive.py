"""Stationary autoregressive sources of any order, and their fit to samples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from rdp import _burg, _check
from rdp.linear_source import Realisation

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class AutoRegressive:
    r"""Stationary scalar source of order p, :math:`X_t = \sum_{j=1}^p \phi_j X_{t-j} + W_t`.

    The first frame has the variance of all others. The innovation has the variance

    .. math:: q = \operatorname{Var} W_t = \sigma^2 \prod_{j=1}^p (1 - \kappa_j^2),

    with the reflection coefficients (partial correlations) :math:`\kappa_j`.

    Parameters
    ----------
    phi : float or (p,) array
        Coefficients. All roots of :math:`z^p - \phi_1 z^{p-1} - \dots - \phi_p` (the poles) lie
        inside the unit circle. Zeros at the end are removed.
    sigma : float, > 0
        Standard deviation of a frame, in the units of the source.

    Raises
    ------
    ValueError
        A source that is not stationary, NaN, inf, or sigma <= 0.

    Notes
    -----
    The step-down recursion of Levinson and Durbin gives the reflection coefficients and decides
    whether the source is stationary. Close to the unit circle the variances depend on the last
    digits of phi: with a double pole at 1 - d, a rounding error in phi changes q / sigma^2 by a
    relative 1e-16 / d^2.

    Examples
    --------
    >>> AutoRegressive([0.5]).covariance(frames=2)
    array([[1. , 0.5],
           [0.5, 1. ]])
    >>> AutoRegressive.from_poles([0.95 * np.exp(0.3j), 0.95 * np.exp(-0.3j)]).phi.round(4)
    array([ 1.8151, -0.9025])
    """

    phi: Array
    sigma: float = 1.0

    if TYPE_CHECKING:  # types of the arguments; the fields have the types after validation

        def __init__(self, phi: ArrayLike, sigma: float = 1.0) -> None: ...

    def __post_init__(self) -> None:
        """Validate the arguments and freeze them."""
        phi = np.atleast_1d(_check.finite("phi", _check.array("phi", self.phi, ndim=(0, 1))))
        if phi.size == 0:
            raise ValueError("phi: expected at least one coefficient, got none")
        phi = phi[: max(1, int(np.max(np.nonzero(phi)[0], initial=0)) + 1)]
        sigma = float(_check.positive("sigma", self.sigma, ndim=0))
        object.__setattr__(self, "phi", _check.frozen(phi))
        object.__setattr__(self, "sigma", sigma)
        if not (np.abs(self.reflection) < 1).all():
            radius = np.abs(np.roots(np.concatenate([[1.0], -phi]))).max()
            raise ValueError(
                "phi: expected poles inside the unit circle (a stationary source), got one of "
                f"modulus {radius:.9g}, on, outside or too near it for float64; StateSpace takes "
                "sources that are not stationary"
            )

    @classmethod
    def from_poles(cls, poles: ArrayLike, sigma: float = 1.0) -> AutoRegressive:
        """Return the source with given poles.

        Parameters
        ----------
        poles : (p,) array, modulus < 1
            Real, or in conjugate pairs; a pole may be repeated.
        sigma : float, > 0
            Standard deviation of a frame.
        """
        given = np.atleast_1d(np.asarray(poles))
        if given.ndim != 1 or given.size == 0:
            raise ValueError(f"poles: expected one or more in a list, got shape {given.shape}")
        polynomial = np.poly(given)
        if np.abs(np.imag(polynomial)).max() > 1e-12 * np.abs(polynomial).max():
            raise ValueError("poles: expected real poles or conjugate pairs")
        return cls(-np.real(polynomial[1:]), sigma)

    @property
    def order(self) -> int:
        """Order p."""
        return len(self.phi)

    @property
    def poles(self) -> Array:
        """Poles, (p,) complex array, largest modulus first."""
        roots = np.roots(np.concatenate([[1.0], -self.phi])).astype(complex)
        return roots[np.argsort(-np.abs(roots), kind="stable")]

    @cached_property
    def _predictors(self) -> list[Array]:
        """Best predictors from the last 0, 1, .., p frames; void if not stationary."""
        found = [self.phi]
        for _ in range(self.order):
            last = found[-1]
            kappa = last[-1]
            if abs(kappa) >= 1:
                return [np.full(1, kappa)] * (self.order + 1)
            rest = last[:-1]
            # (a + kappa b) / (1 - kappa^2), without cancellation where |kappa| is near 1
            even, odd = rest + rest[::-1], rest - rest[::-1]
            found.append(0.5 * (even / (1 - kappa) + odd / (1 + kappa)))
        return found[::-1]

    @cached_property
    def reflection(self) -> Array:
        """Reflection coefficients kappa_1, .., kappa_p, in (-1, 1)."""
        return _check.frozen(np.array([row[-1] for row in self._predictors[1:]]))

    @cached_property
    def prediction_variance(self) -> Array:
        """Error variance of the best prediction from the last 0, 1, .., p frames, (p + 1,)."""
        unexplained = np.cumprod((1 - self.reflection) * (1 + self.reflection))
        return _check.frozen(self.sigma**2 * np.concatenate([[1.0], unexplained]))

    @property
    def innovation(self) -> float:
        """Variance q of the innovation given the whole past."""
        return float(self.prediction_variance[-1])

    def autocovariance(self, lags: int) -> Array:
        """Return Cov(X_t, X_{t-k}) for k = 0, .., lags - 1.

        Parameters
        ----------
        lags : int, >= 1
        """
        out = np.empty(_check.count("lags", lags))
        out[0] = self.sigma**2
        for k in range(1, len(out)):
            row = self._predictors[min(k, self.order)]
            # with k <= p frames, the last coefficient is the partial correlation of lag k
            out[k] = row @ out[k - len(row) : k][::-1]
        return out

    def covariance(self, frames: int) -> Array:
        """Return the covariance of T consecutive frames, (T, T).

        Parameters
        ----------
        frames : int
            T.
        """
        row = self.autocovariance(frames)
        return row[np.abs(np.subtract.outer(np.arange(frames), np.arange(frames)))]

    def factor(self, frames: int) -> Array:
        """Return the causal factor L of the covariance, X = L e with white e, (T, T).

        Parameters
        ----------
        frames : int
            T.
        """
        out = np.zeros((_check.count("frames", frames), frames))
        for t in range(frames):
            known = min(t, self.order)
            if known:
                out[t] = self._predictors[known] @ out[t - known : t][::-1]
            out[t, t] = np.sqrt(self.prediction_variance[known])
        return out

    def spectrum(self, frequencies: Array) -> Array:
        """Spectral density S(w), whose mean over (-pi, pi) is the variance of a frame.

        Parameters
        ----------
        frequencies : array, radians per frame
        """
        lags = np.arange(1, self.order + 1)
        transfer = 1 - np.exp(-1j * np.multiply.outer(frequencies, lags)) @ self.phi
        return self.innovation / np.abs(transfer) ** 2

    def realisation(self) -> Realisation:
        """Return the companion form; the state holds the last p frames, newest first."""
        size = self.order
        transition = np.eye(size, k=-1)
        transition[0] = self.phi
        noise = np.zeros((size, size))
        noise[0, 0] = self.innovation
        return Realisation(transition, noise, np.eye(1, size), self.covariance(size))

    def sample(self, n: int, frames: int, rng: np.random.Generator | int) -> Array:
        """Draw n independent sequences of T frames, (n, T).

        Parameters
        ----------
        n : int, >= 1
        frames : int
            T.
        rng : numpy.random.Generator, or int as a seed
        """
        shape = _check.count("n", n), _check.count("frames", frames)
        x = _check.generator("rng", rng).standard_normal(shape)
        for t in range(frames):
            known = min(t, self.order)
            x[:, t] *= np.sqrt(self.prediction_variance[known])
            if known:
                x[:, t] += x[:, t - known : t][:, ::-1] @ self._predictors[known]
        return x

    @staticmethod
    def from_samples(
        x: object, order: int | str = "auto", max_order: int = 8, criterion: str = "bic"
    ) -> AutoRegressiveFit:
        r"""Fit a source to sequences by Burg's method; the order by an information criterion.

        Burg's reflection coefficients minimise the sum of squared forward and backward prediction
        errors, order after order, so every order gives a stationary source. The criterion is

        .. math:: -2 \ln p(x; \hat\phi, \hat\sigma) + (p + 1) \cdot \{\ln (nT) \text{ or } 2\},

        with the exact Gaussian likelihood, in which the first p frames of a sequence are predicted
        from the frames that exist.

        Parameters
        ----------
        x : (n, T) array
            Independent sequences of one source. Their common mean is subtracted.
        order : int or "auto"
            p >= 0, below T; "auto" takes the order of the least criterion.
        max_order : int
            Largest order that "auto" tries; never above T - 1.
        criterion : {"bic", "aic"}
            Schwarz's or Akaike's criterion.

        Raises
        ------
        ValueError
            An order not below T, samples that do not vary or that an order predicts exactly, NaN.

        Examples
        --------
        >>> true = AutoRegressive([1.5, -0.8])
        >>> fit = AutoRegressive.from_samples(true.sample(50, frames=200, rng=0))
        >>> fit.source.order, bool((abs(fit.source.phi - true.phi) < 4 * fit.phi_se).all())
        (2, True)
        """
        data = _check.array("x", x, ndim=2)
        path = _burg.fit(data, order, max_order, criterion)
        phi = path.predictors[path.chosen] if path.chosen else [0.0]
        source = AutoRegressive(phi, path.sigma)
        n, frames = data.shape
        return AutoRegressiveFit(
            source=source,
            phi_se=_check.frozen(_phi_errors(source, n * frames)),
            sigma_se=_sigma_error(source, n, frames),
            criterion=_check.frozen(path.criterion),
            innovation=_check.frozen(path.innovation),
            correlation=_check.frozen(path.correlation),
            samples=n * frames,
        )


@dataclass(frozen=True, eq=False)
class AutoRegressiveFit:
    """A fitted autoregressive source, its standard errors, and what each order would give.

    Parameters
    ----------
    source : AutoRegressive
        The fitted source.
    phi_se : (p,) array
        Standard errors of phi, from large Gaussian samples.
    sigma_se : float
        Standard error of sigma.
    criterion : array
        Value of the information criterion at the orders 0, 1, .., as far as they were tried.
    innovation : array
        Variance of the innovation at the same orders.
    correlation : array
        Correlation of the prediction error with the one before at the same orders: near 0 where
        the order explains the samples.
    samples : int
        Number of frames in all sequences.
    """

    source: AutoRegressive
    phi_se: Array
    sigma_se: float
    criterion: Array
    innovation: Array
    correlation: Array
    samples: int


def fit_modes(
    x: object, order: int | str = "auto", max_order: int = 8, criterion: str = "bic"
) -> tuple[AutoRegressiveFit, ...]:
    """Fit one autoregressive source to each mode of vector frames.

    Parameters
    ----------
    x : (n, T, d) array
        Independent sequences of d independent modes.
    order : int or "auto"
        p >= 0, below T; "auto" takes the order of least criterion, for each mode by itself.
    max_order : int
        Largest order that "auto" tries.
    criterion : {"bic", "aic"}
        As for `AutoRegressive.from_samples`.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal((5, 100, 2))
    >>> [fit.source.phi.shape for fit in fit_modes(x, order=1)]
    [(1,), (1,)]
    """
    data = _check.array("x", x, ndim=3)
    return tuple(
        AutoRegressive.from_samples(data[:, :, mode], order, max_order, criterion)
        for mode in range(data.shape[2])
    )


def _phi_errors(source: AutoRegressive, samples: int) -> Array:
    """Square roots of the diagonal of q Gamma^-1 / samples."""
    gamma = source.covariance(source.order)
    return np.sqrt(source.innovation * np.diag(np.linalg.inv(gamma)) / samples)


def _sigma_error(source: AutoRegressive, n: int, frames: int) -> float:
    """Standard error of sigma; Var of the mean square is 2 sum_k (1 - |k|/T) r_k^2 / (n T)."""
    r = source.autocovariance(frames)
    pairs = 2 * (1 - np.arange(frames) / frames)
    pairs[0] = 1.0
    spread = np.sqrt(2 * float(pairs @ r**2) / (n * frames))
    return float(spread / (2 * source.sigma))
