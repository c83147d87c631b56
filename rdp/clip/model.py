r"""A real clip as a Gauss-Markov source: DCT modes, their statistics, and how far they fit.

A clip becomes samples of d modes. With ``transform="block"`` every block of N x N pixels is a
sample of the N^2 modes of its DCT; with ``transform="frame"`` the DCT is that of the whole frame
and every cell of N x N neighbouring frequencies is one mode with N^2 samples. Both DCTs are
orthonormal, so distortions of modes add up to those of pixels. The model of a mode is stationary,

.. math:: x_t = \rho x_{t-1} + w_t, \qquad \operatorname{Var} x_t = \sigma^2,

centred, with the same law at all its samples. The mean luma of the clip is subtracted from every
pixel and nothing else: a picture that stands still is information that the first frame has to
carry, and taking means over time at every place would remove it.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from rdp import _check
from rdp.clip.read import MAX_PIXELS, ClipError, read_luma
from rdp.source import GaussMarkov

if TYPE_CHECKING:
    import os

Array = np.ndarray

__all__ = ["ClipError", "ClipFit", "dct_modes", "fit_clip", "fit_luma", "sample_clip"]

TRANSFORMS = ("block", "frame")
_DEAD = 1e-10  # a mode this far below the largest is rounding
_TOGETHER = 1 << 22  # coefficients worked on at once, which bounds the memory
_REPEATED = 0.01  # change to the next frame, relative to the median change
_CUT = 0.5  # correlation of a frame with the one before


def sample_clip() -> Path:
    """Path of the clip that comes with the package.

    132 frames of Big Buck Bunny, 320 x 180; (c) 2008 Blender Foundation, www.bigbuckbunny.org,
    CC BY 3.0.

    Examples
    --------
    >>> sample_clip().name
    'big_buck_bunny_320x180.mp4'
    """
    return Path(str(files("rdp") / "data" / "big_buck_bunny_320x180.mp4"))


@dataclass(frozen=True, eq=False)
class ClipFit:
    """Stationary Gauss-Markov model of a clip, and how far the clip is from it.

    Arrays have one entry for each of the d modes, row by row of the block (or of the frequency
    plane): mode 0 is the mean, then frequencies across.

    Parameters
    ----------
    name : str
        The clip.
    shape : tuple of int
        Frames, height and width in pixels, after cropping to whole blocks or cells.
    block : int
        Side N of a block (or cell) in pixels (or frequencies).
    transform : {"block", "frame"}
        DCT of blocks, or of the whole frame.
    mean : float
        Mean luma, which the model removes.
    sigma : (d,) array
        Standard deviation of each mode, 8-bit luma units; 0 for modes that the clip does not use.
    rho : (d,) array
        Correlation of each mode with the frame before.
    sigma_se, rho_se : (d,) arrays
        Their standard errors: the largest of those under the model, with places as the
        independent samples, and (for rho) with frames as the independent samples.
    whiteness : (d,) array
        Autocorrelation of the innovations at lag one, 0 for a Gauss-Markov source; nan for modes
        without innovations.
    whiteness_se : (d,) array
        Its standard error under the model.
    kurtosis : (d,) array
        Excess kurtosis of the innovations, 0 for a Gaussian source; nan without innovations.
    kurtosis_se : float
        Its standard error under the model.
    samples : int
        Samples n of each mode in each frame.
    repeated : int
        Frames that repeat the one before (change under 1% of the median change).
    cuts : int
        Frames that correlate less than 0.5 with the one before.
    """

    name: str
    shape: tuple[int, int, int]
    block: int
    transform: str
    mean: float
    sigma: Array
    rho: Array
    sigma_se: Array
    rho_se: Array
    whiteness: Array
    whiteness_se: Array
    kurtosis: Array
    kurtosis_se: float
    samples: int
    repeated: int
    cuts: int

    @property
    def modes(self) -> int:
        """Number of modes d, hence pixels for each sample of all modes."""
        return self.sigma.size

    @property
    def variance(self) -> float:
        """Variance of a pixel."""
        return float(np.mean(self.sigma**2))

    @property
    def innovation(self) -> float:
        """Variance of a pixel that is new in each frame."""
        return float(np.mean((1 - self.rho) * (1 + self.rho) * self.sigma**2))

    def source(self, frames: int) -> GaussMarkov:
        """Return the model over some frames, from a first frame without a past.

        Parameters
        ----------
        frames : int
            Number of frames T.

        Returns
        -------
        GaussMarkov
            Vector frames; modes that the clip does not use (sigma = 0) are left out.
        """
        used = self.sigma > 0
        return GaussMarkov.stationary(self.rho[used], frames, self.sigma[used])

    def failing(self, level: float = 0.01) -> dict[str, float]:
        """Share of the modes that a test of the model rejects.

        Parameters
        ----------
        level : float, in (0, 1)
            Level of each two-sided test: the share that would fail were the model exact.

        Returns
        -------
        dict
            "whiteness" and "kurtosis" of the innovations, and "either"; shares of the modes that
            have innovations, nan if none has.
        """
        if not 0 < level < 1:
            raise ValueError(f"level: expected a number in (0, 1), got {level!r}")
        bound = NormalDist().inv_cdf(1 - level / 2)
        tested = np.isfinite(self.whiteness) & np.isfinite(self.kurtosis)
        if not tested.any():
            return dict.fromkeys(("whiteness", "kurtosis", "either"), float("nan"))
        coloured = (np.abs(self.whiteness) > bound * self.whiteness_se)[tested]
        peaked = (np.abs(self.kurtosis) > bound * self.kurtosis_se)[tested]
        return {
            "whiteness": float(coloured.mean()),
            "kurtosis": float(peaked.mean()),
            "either": float((coloured | peaked).mean()),
        }


def fit_clip(
    path: str | os.PathLike[str],
    block: int = 8,
    transform: str = "block",
    start: int = 0,
    frames: int | None = None,
) -> ClipFit:
    """Fit a stationary Gauss-Markov source to the DCT modes of a clip.

    Parameters
    ----------
    path : path-like
        A video file, a folder of images or a .npy array of frames; see `rdp.clip.read.read_luma`.
    block : int
        Side N of the blocks, or of the cells of frequencies.
    transform : {"block", "frame"}
        DCT of blocks, or of the whole frame.
    start : int
        Frames to leave out at the beginning.
    frames : int or None
        Frames to use; None uses all.

    Returns
    -------
    ClipFit

    Raises
    ------
    ClipError
        The clip cannot be read, is smaller than a block, or does not vary.
    ValueError
        Bad block, transform, start or frames.

    Examples
    --------
    >>> fit = fit_clip(sample_clip(), frames=25)
    >>> fit.shape, fit.modes, fit.samples
    ((25, 176, 320), 64, 880)
    >>> float(fit.rho[0])
    0.99
    """
    _check_layout(block, transform)
    return fit_luma(read_luma(path, start, frames), block, transform, str(path))


def fit_luma(luma: object, block: int = 8, transform: str = "block", name: str = "luma") -> ClipFit:
    r"""Fit a stationary Gauss-Markov source to the DCT modes of frames in memory.

    For each mode, with sums over samples and frames,

    .. math:: \hat\sigma^2 = \tfrac1{nT} \sum x_t^2, \qquad
              \hat\rho = \frac{2 \sum x_t x_{t-1}}{\sum (x_t^2 + x_{t-1}^2)}.

    Parameters
    ----------
    luma : (T, H, W) array, T >= 2
        Luma, 0 to 255.
    block : int
        Side N of the blocks, or of the cells of frequencies.
    transform : {"block", "frame"}
        DCT of blocks, or of the whole frame.
    name : str
        What to call the clip.

    Returns
    -------
    ClipFit

    Raises
    ------
    ClipError
        Smaller than a block, or constant.
    ValueError
        Bad luma, block or transform.

    Notes
    -----
    rho is Burg's estimate, which minimises the errors of prediction forwards and backwards and
    cannot leave [-1, 1]. Standard errors under the model are for independent samples of a
    Gaussian process, exact to first order at any T:

    .. math:: \operatorname{Var} \hat\sigma^2 = \frac{2\sigma^4}{nT^2} (T + 2 S_T), \qquad
              \operatorname{Var} \hat\rho = \frac{(1-\rho^2)^2}{n(T-1)^2} (T - 1 + S_{T-1}), \qquad
              S_T = \sum_{k<T} (T-k) \rho^{2k}

    (derived in this project). The lag-one autocorrelation of the residuals has, to first order,

    .. math:: \frac1{n(T-2)} + \operatorname{Var} \hat\rho - \frac{2 (1-\rho^2)}{n(T-1)}
              \Big(1 - \frac1{T-2} \sum_{k=1}^{T-2} \rho^{2k}\Big),

    which tends to rho^2 / (nT), Box and Pierce, J. Amer. Statist. Assoc. 65 (1970) 1509; their
    kurtosis 24 / (n(T-1)). Samples of real pictures depend on each other, so a rejection says
    less than its level promises; the sizes of whiteness and kurtosis say more.
    """
    pixels = _check.finite("luma", _check.array("luma", luma, ndim=3))
    _check_layout(block, transform)
    if len(pixels) < 2:
        raise ClipError(name, f"expected at least 2 frames, got {len(pixels)}")
    if pixels.size > MAX_PIXELS:
        raise ClipError(name, f"more than {MAX_PIXELS:,} luma samples; use fewer frames")
    height, width = (side - side % block for side in pixels.shape[1:])
    if not height or not width:
        raise ClipError(
            name, f"frames of {pixels.shape[2]}x{pixels.shape[1]} are smaller than a block"
        )
    pixels = pixels[:, :height, :width]
    mean = float(pixels.mean())
    x = dct_modes(pixels - mean, block, transform)
    n, frames, d = x.shape
    together = max(1, _TOGETHER // (n * frames))
    parts = [_estimates(x[..., i : i + together]) for i in range(0, d, together)]
    found = np.concatenate(parts, axis=1)
    dead = ~(found[0] > _DEAD * max(found[0].max(), mean, 1.0))
    if dead.all():
        raise ClipError(name, "every frame is constant")
    found[:4, dead], found[4:, dead] = 0.0, np.nan
    sigma, sigma_se, rho, rho_se, whiteness, kurtosis = found
    repeated, cuts = _events(pixels)
    return ClipFit(
        name=name,
        shape=(frames, height, width),
        block=block,
        transform=transform,
        mean=mean,
        sigma=_check.frozen(sigma),
        rho=_check.frozen(rho),
        sigma_se=_check.frozen(sigma_se),
        rho_se=_check.frozen(rho_se),
        whiteness=_check.frozen(whiteness),
        whiteness_se=_check.frozen(_whiteness_se(rho, n, frames)),
        kurtosis=_check.frozen(kurtosis),
        kurtosis_se=float(np.sqrt(24 / (n * (frames - 1)))),
        samples=n,
        repeated=repeated,
        cuts=cuts,
    )


def dct_modes(luma: Array, block: int = 8, transform: str = "block") -> Array:
    """Coefficients of the orthonormal DCT as samples of modes.

    Parameters
    ----------
    luma : (T, H, W) array
        Frames; H and W multiples of `block`.
    block : int
        Side N of the blocks, or of the cells of frequencies.
    transform : {"block", "frame"}
        "block": DCT of every N x N block, N^2 modes with one sample in each block. "frame": DCT of
        the whole frame, one mode for each N x N cell of frequencies, which holds N^2 samples.

    Returns
    -------
    (n, T, d) array
        n samples of d modes, n d = H W.

    Examples
    --------
    >>> dct_modes(np.ones((2, 8, 16)))[:, 0, 0]
    array([8., 8.])
    """
    from scipy.fft import dctn

    _check_layout(block, transform)
    frames, height, width = luma.shape
    if height % block or width % block:
        raise ValueError(f"luma: expected sides divisible by {block}, got {luma.shape}")
    rows, columns = height // block, width // block
    if transform == "block":
        tiles = luma.reshape(frames, rows, block, columns, block)
        modes = dctn(tiles, axes=(2, 4), norm="ortho").transpose(1, 3, 0, 2, 4)
        return modes.reshape(rows * columns, frames, block**2)
    cells = dctn(luma, axes=(1, 2), norm="ortho").reshape(frames, rows, block, columns, block)
    return cells.transpose(2, 4, 0, 1, 3).reshape(block**2, frames, rows * columns)


def _check_layout(block: int, transform: str) -> None:
    _check.count("block", block)
    if transform not in TRANSFORMS:
        raise ValueError(f"transform: expected one of {', '.join(TRANSFORMS)}, got {transform!r}")


def _estimates(x: Array) -> Array:
    """Return sigma, rho with standard errors, whiteness and kurtosis of some modes, (6, d)."""
    sigma, sigma_se, rho, rho_se = _moments(x)
    innovation = x[:, 1:] - rho * x[:, :-1]
    shape = _whiteness(innovation, sigma), _kurtosis(innovation, sigma)
    return np.stack([sigma, sigma_se, rho, rho_se, *shape])


def _moments(x: Array) -> tuple[Array, Array, Array, Array]:
    """Return sigma and rho of every mode, each followed by its standard error."""
    n, frames, _ = x.shape
    power = np.einsum("ntd,ntd->nd", x, x) / frames
    variance = power.mean(axis=0)
    product = x[:, 1:] * x[:, :-1]
    square = x**2
    both = square[:, 1:] + square[:, :-1]
    weight = both.sum(axis=(0, 1))
    known = np.where(weight > 0, weight, 1.0)
    rho = np.clip(2 * product.sum(axis=(0, 1)) / known, -1.0, 1.0)

    score = 2 * product - rho * both
    by_model = np.sqrt(_rho_variance(rho, n, frames))
    by_place = _spread(score.sum(axis=1)) / known
    by_frame = _spread(score.sum(axis=0)) / known
    rho_se = np.maximum(np.maximum(by_model, by_place), by_frame)

    by_model = variance * np.sqrt((frames + 2 * _echo(frames, rho**2)) / (n / 2)) / frames
    by_place = _spread(power - variance) / n
    sigma = np.sqrt(variance)
    twice = np.where(sigma > 0, 2 * sigma, 1.0)
    return sigma, np.maximum(by_model, by_place) / twice, rho, rho_se


def _rho_variance(rho: Array, n: int, frames: int) -> Array:
    """Variance of Burg's estimate under the model, to first order."""
    pairs = frames - 1
    return (1 - rho**2) ** 2 * (pairs + _echo(pairs, rho**2)) / (n * pairs**2)


def _echo(count: int, ratio: Array) -> Array:
    """Sum over 0 < k < count of (count - k) ratio^k."""
    total, term = np.zeros_like(ratio), np.ones_like(ratio)
    for k in range(1, count):
        term = term * ratio
        total += (count - k) * term
    return total


def _spread(scores: Array) -> Array:
    """Standard deviation of a sum of independent scores of mean zero, (m, d) -> (d,)."""
    m = len(scores)
    if m < 2:
        return np.zeros(scores.shape[1:])
    return np.sqrt((scores**2).sum(axis=0) * (m / (m - 1)))


def _whiteness(innovation: Array, sigma: Array) -> Array:
    """Autocorrelation of innovations at lag one; nan where there are none."""
    if innovation.shape[1] < 2:
        return np.full_like(sigma, np.nan)
    late, early = innovation[:, 1:], innovation[:, :-1]
    product = (late * early).sum(axis=(0, 1))
    scale = np.sqrt((late**2).sum(axis=(0, 1)) * (early**2).sum(axis=(0, 1)))
    return _where_any(product, scale, (_DEAD * sigma) ** 2)


def _whiteness_se(rho: Array, n: int, frames: int) -> Array:
    """Standard error of `_whiteness` under the model, given that rho is estimated as well.

    The residuals are w_t - (rho_hat - rho) x_{t-1}, so the autocorrelation is that of w less the
    error of rho_hat; the two are correlated. The last term is of second order.
    """
    if frames < 3:
        return np.full_like(rho, np.nan)
    later, pairs = frames - 2, n * (frames - 1)
    kept = 1 - sum(rho ** (2 * k) for k in range(1, later + 1)) / later
    together = (1 - rho**2) * kept / pairs
    variance = 1 / (n * later) + _rho_variance(rho, n, frames) - 2 * together
    return np.sqrt(np.maximum(variance, 0.0) + 1 / (n * later * pairs))


def _kurtosis(innovation: Array, sigma: Array) -> Array:
    """Excess kurtosis of innovations; nan where there are none."""
    square = innovation**2
    variance = square.mean(axis=(0, 1))
    fourth = (square**2).mean(axis=(0, 1))
    return _where_any(fourth, variance**2, (_DEAD * sigma) ** 4) - 3


def _where_any(value: Array, scale: Array, floor: Array) -> Array:
    out = np.full_like(value, np.nan)
    return np.divide(value, scale, out=out, where=scale > floor)


def _events(pixels: Array) -> tuple[int, int]:
    """Count frames that repeat the one before, and cuts."""
    change = np.array([np.mean((b - a) ** 2) for a, b in pairwise(pixels)])
    repeated = change <= _REPEATED * np.median(change)
    cuts = change > 2 * (1 - _CUT) * pixels.var()
    return int(repeated.sum()), int(cuts.sum())
