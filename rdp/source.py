"""The source: a Gauss-Markov sequence of frames, scalar or with independent modes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from rdp import _check

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Array = np.ndarray

# numbers whose squares neither underflow nor overflow
_SQUARED = tuple(float(np.sqrt(x)) for x in (np.finfo(np.float64).tiny, np.finfo(np.float64).max))


@dataclass(frozen=True, eq=False)
class GaussMarkov:
    r"""Gauss-Markov source of T frames, :math:`X_t = a_t X_{t-1} + W_t`, centred.

    .. math::
        a_t = \rho_t \sigma_t / \sigma_{t-1}, \qquad
        q_t = \operatorname{Var} W_t = (1 - \rho_t^2) \sigma_t^2, \qquad
        \operatorname{Cov}(X_t, X_s) = a_{s+1} \cdots a_t\, \sigma_s^2 \quad (s \le t).

    Frames are scalars, or vectors of d independent modes: the coefficients of a frame in a basis
    that diagonalises every covariance, such as the DCT or the KLT.

    Parameters
    ----------
    sigma : (T,) or (T, d) array, > 0
        Standard deviation of each frame (and mode), in the units of the source.
    rho : (T-1,) or (T-1, d) array or scalar, in [-1, 1]
        Correlation of each frame with the one before. A scalar holds for all. May be omitted for
        T = 1.

    Raises
    ------
    ValueError
        sigma not positive and finite, |rho| > 1, NaN, or shapes that do not match. `variance` and
        `gain` raise it too, if sigma is so small or large that squares underflow or overflow.

    Notes
    -----
    The model of Salehkalaibar et al., arXiv:2305.19301, with any number of frames and any
    variances.

    Examples
    --------
    >>> source = GaussMarkov(sigma=[1, 2], rho=[0.5])
    >>> source.covariance()
    array([[1., 1.],
           [1., 4.]])
    """

    sigma: Array
    rho: Array = None  # type: ignore[assignment]

    if TYPE_CHECKING:  # types of the arguments; the fields have the types after validation

        def __init__(self, sigma: ArrayLike, rho: ArrayLike | None = None) -> None: ...

    def __post_init__(self) -> None:
        """Validate the arguments and freeze them."""
        sigma = _check.positive("sigma", self.sigma, ndim=(1, 2))
        if sigma.size == 0:
            raise ValueError(
                f"sigma: expected at least one frame and mode, got shape {sigma.shape}"
            )
        wanted = (sigma.shape[0] - 1, *sigma.shape[1:])
        if self.rho is None and wanted[0] > 0:
            raise ValueError(
                f"rho: expected shape {wanted} for {sigma.shape[0]} frames, got nothing"
            )
        rho = _check.array("rho", np.zeros(wanted) if self.rho is None else self.rho)
        if rho.ndim == 0:
            rho = np.full(wanted, rho)
        if rho.shape != wanted:
            raise ValueError(
                f"rho: expected shape {wanted} for {sigma.shape[0]} frames, got {rho.shape}"
            )
        if (np.abs(rho) > 1).any():
            raise ValueError(f"rho: expected |rho| <= 1, got {rho.flat[np.abs(rho).argmax()]:g}")
        object.__setattr__(self, "sigma", _check.frozen(sigma))
        object.__setattr__(self, "rho", _check.frozen(rho))

    @classmethod
    def stationary(cls, rho: ArrayLike, frames: int, sigma: ArrayLike = 1.0) -> GaussMarkov:
        """Return a stationary source: every frame has the same variance and correlation.

        Parameters
        ----------
        rho : float or (d,) array, in [-1, 1]
            Correlation between consecutive frames (of each mode).
        frames : int
            Number of frames T.
        sigma : float or (d,) array, > 0
            Standard deviation of a frame (of each mode).

        Examples
        --------
        >>> GaussMarkov.stationary(rho=0.9, frames=3).frames
        3
        """
        frames = _check.count("frames", frames)
        sd = _check.array("sigma", sigma, ndim=(0, 1))
        corr = _check.array("rho", rho, ndim=(0, 1))
        try:
            sd, corr = np.broadcast_arrays(sd, corr)
        except ValueError:
            raise ValueError(
                f"rho: expected shape {sd.shape} to match sigma, got {corr.shape}"
            ) from None
        return cls(np.repeat(sd[None], frames, 0), np.repeat(corr[None], frames - 1, 0))

    @property
    def frames(self) -> int:
        """Number of frames T."""
        return self.sigma.shape[0]

    @property
    def modes(self) -> int | None:
        """Number of modes d of a vector frame; None for scalar frames."""
        return self.sigma.shape[1] if self.sigma.ndim == 2 else None

    @cached_property
    def variance(self) -> Array:
        """Variance of each frame and mode, shape of `sigma`."""
        least, most = _SQUARED
        for value in (self.sigma.min(), self.sigma.max()):
            if not least <= value <= most:
                raise ValueError(
                    f"sigma: expected values between {least:.2g} and {most:.2g}, whose squares "
                    f"are within the range of numbers, got {value:g}"
                )
        return _check.frozen(self.sigma**2)

    @cached_property
    def gain(self) -> Array:
        """Regression coefficient a_t of each frame on the one before; a_1 = 0."""
        first = np.zeros((1, *self.sigma.shape[1:]))
        step = np.abs(np.diff(np.log(self.sigma), axis=0)).max(initial=0.0)
        if step > np.log(_SQUARED[1]):
            raise ValueError(
                f"sigma: expected consecutive frames within a factor of {_SQUARED[1]:.2g}, got "
                f"one of 1e{step / np.log(10):.0f}"
            )
        rest = self.rho * (self.sigma[1:] / self.sigma[:-1])
        return _check.frozen(np.concatenate([first, rest]))

    @cached_property
    def innovation(self) -> Array:
        """Variance q_t of the innovation of each frame; q_1 is the variance of the first frame."""
        new = (1 - self.rho) * (1 + self.rho)
        return _check.frozen(np.concatenate([self.variance[:1], new * self.variance[1:]]))

    def transition(self) -> Array:
        """Return phi(t, s) = a_{s+1} ... a_t for s <= t, else 0: (T, T), or (d, T, T)."""
        gain = self.gain.T
        phi = np.zeros((*gain.shape, self.frames))
        for t in range(self.frames):
            if t:
                phi[..., t, :t] = gain[..., t, None] * phi[..., t - 1, :t]
            phi[..., t, t] = 1.0
        return phi

    def covariance(self) -> Array:
        """Return the covariance of all frames: (T, T), or (d, T, T) for vector frames."""
        lower = self.transition() * self.variance.T[..., None, :]
        return lower + np.swapaxes(np.tril(lower, -1), -1, -2)

    def factor(self) -> Array:
        """Return the causal factor L of the covariance, X = L e with white e: (T, T), or (d, T, T).

        L[t, s] = phi(t, s) sqrt(q_s) for s <= t. Column s is zero if frame s has no innovation.
        """
        return self.transition() * np.sqrt(self.innovation.T)[..., None, :]

    def part(self, first: int, stop: int) -> GaussMarkov:
        """Return the source of some frames in a row.

        Parameters
        ----------
        first, stop : int, 0 <= first < stop <= T
            The frames first, ..., stop - 1, counted from 0.
        """
        return GaussMarkov(self.sigma[first:stop], self.rho[first : stop - 1])

    def mode(self, index: int) -> GaussMarkov:
        """Return one mode of a vector source as a scalar source.

        Parameters
        ----------
        index : int, 0 <= index < d
        """
        if self.modes is None:
            raise ValueError("mode: expected a source with vector frames, got scalar frames")
        if not -self.modes <= index < self.modes:
            raise ValueError(f"index: expected a mode below {self.modes}, got {index}")
        return GaussMarkov(self.sigma[:, index], self.rho[:, index])

    def scaled(self, factor: float) -> GaussMarkov:
        """Return the source multiplied by a constant.

        Parameters
        ----------
        factor : float, > 0
        """
        by = _check.positive("factor", factor, ndim=0)
        return self if by == 1 else GaussMarkov(self.sigma * by, self.rho)

    def sample(self, n: int, rng: np.random.Generator | int) -> Array:
        """Draw n independent sequences, (n, T) or (n, T, d).

        Parameters
        ----------
        n : int, >= 1
        rng : numpy.random.Generator, or int as a seed
        """
        x = _check.generator("rng", rng).standard_normal((_check.count("n", n), *self.sigma.shape))
        x *= np.sqrt(self.innovation)
        for t in range(1, self.frames):
            x[:, t] += self.gain[t] * x[:, t - 1]
        return x

    @staticmethod
    def from_samples(x: object) -> SourceFit:
        r"""Fit a source to sequences by moments: standard deviations and correlations of frames.

        .. math::
            \hat\sigma_t^2 = \tfrac1n \sum_i x_{it}^2, \qquad
            \hat\rho_t = \frac{\sum_i x_{it} x_{i,t-1}}{n\, \hat\sigma_t \hat\sigma_{t-1}},

        after the mean over the samples is subtracted from each frame and mode. These are the
        maximum likelihood estimates. Their standard errors are those of large Gaussian samples,
        :math:`\hat\sigma/\sqrt{2n}` and :math:`(1-\hat\rho^2)/\sqrt n`.

        Parameters
        ----------
        x : (n, T) or (n, T, d) array, n >= 2
            Independent sequences.

        Raises
        ------
        ValueError
            Fewer than two samples, a frame or mode that never varies, NaN, or inf.

        Examples
        --------
        >>> true = GaussMarkov.stationary(rho=0.8, frames=2)
        >>> fit = GaussMarkov.from_samples(true.sample(20_000, rng=0))
        >>> bool(abs(fit.source.rho[0] - 0.8) < 3 * fit.rho_se[0])
        True
        """
        data = _check.finite("x", _check.array("x", x, ndim=(2, 3)))
        n = data.shape[0]
        if n < 2:
            raise ValueError(f"x: expected at least 2 samples along the first axis, got {n}")
        data = data - data.mean(axis=0)
        # scaled first, so that tiny or huge units neither underflow nor overflow
        scale = np.abs(data).max(axis=0)
        if not (scale > 0).all():
            raise ValueError("x: expected every frame and mode to vary, got a constant one")
        unit = data / scale
        sd = np.sqrt((unit**2).mean(axis=0))
        rho = (unit[:, 1:] * unit[:, :-1]).mean(axis=0) / (sd[1:] * sd[:-1])
        rho = np.clip(rho, -1.0, 1.0)
        sigma = sd * scale
        return SourceFit(
            source=GaussMarkov(sigma, rho),
            sigma_se=_check.frozen(sigma / np.sqrt(2 * n)),
            rho_se=_check.frozen((1 - rho**2) / np.sqrt(n)),
            samples=n,
        )


@dataclass(frozen=True, eq=False)
class SourceFit:
    """A fitted source with the standard errors of its parameters.

    Parameters
    ----------
    source : GaussMarkov
        The fitted source.
    sigma_se : array, shape of source.sigma
        Standard errors of sigma.
    rho_se : array, shape of source.rho
        Standard errors of rho.
    samples : int
        Number of samples used for the fit.
    """

    source: GaussMarkov
    sigma_se: Array
    rho_se: Array
    samples: int
