r"""A real clip as a Gauss-Markov source: `fit_clip` fits one stationary source to its DCT modes.

A clip becomes n samples of d modes. With ``transform="block"`` every block of N x N pixels is a
sample of the N^2 modes of its DCT. With ``transform="frame"`` the DCT is that of the whole frame,
and every cell of N x N neighbouring frequencies is one mode with N^2 samples. Both DCTs are
orthonormal, so the distortions of modes add up to the distortion of pixels. The model of a mode is

.. math:: x_t = \rho x_{t-1} + w_t, \qquad \operatorname{Var} x_t = \sigma^2.

It is centred, stationary, and the same for all samples of the mode. `rdp.clip.statistics` has the
formulas of all estimates. Only the mean luma of the clip is subtracted. The mean over time of each
pixel stays: a picture that stands still is information that the first frame must carry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from rdp import _check
from rdp.clip.orders import ModeOrders, mode_orders
from rdp.clip.read import MAX_PIXELS, ClipError, read_luma
from rdp.clip.statistics import mode_statistics, repeats_and_cuts
from rdp.source import GaussMarkov

if TYPE_CHECKING:
    import os

Array = np.ndarray

TRANSFORMS = ("block", "frame")


def sample_clip() -> Path:
    """Return the path of the clip that comes with the package.

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
    """Stationary Gauss-Markov model of a clip, and statistics that test it.

    Arrays have one entry for each of the d modes, row by row of the block (or of the plane of
    frequencies). Mode 0 is the mean; horizontal frequencies follow.

    Parameters
    ----------
    name : str
        Name of the clip.
    shape : tuple of int
        Frames, height and width in pixels, after cropping to whole blocks or cells.
    block : int
        Side N of a block (or cell) in pixels (or frequencies).
    transform : {"block", "frame"}
        DCT of blocks, or of the whole frame.
    mean : float
        Mean luma, which is subtracted.
    sigma : (d,) array
        Standard deviation of each mode, 8-bit luma units; 0 for modes that the clip does not use.
    rho : (d,) array
        Correlation of each mode with the frame before.
    sigma_se, rho_se : (d,) arrays
        Their standard errors: the largest of several. One holds under the model, one takes the
        samples of a mode as independent, and for rho one takes the frames as independent.
    whiteness : (d,) array
        Autocorrelation of the innovations at lag one, 0 for a Gauss-Markov source; nan for modes
        without innovations.
    whiteness_se : (d,) array
        Its standard error under the model.
    kurtosis : (d,) array
        Excess kurtosis of the innovations, 0 for a Gaussian source; nan for modes without
        innovations.
    kurtosis_se : float
        Its standard error under the model.
    samples : int
        Samples n of each mode in each frame.
    repeated : int
        Frames that repeat the one before: they change by at most 1 % of the median change.
    cuts : int
        Frames whose correlation with the one before is below 0.5.
    orders : ModeOrders or None
        An autoregressive source for each mode, if an order was asked for.
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
    orders: ModeOrders | None = None

    @property
    def modes(self) -> int:
        """Number of modes d; one sample of all modes covers d pixels."""
        return self.sigma.size

    @property
    def variance(self) -> float:
        """Variance of a pixel."""
        return float(np.mean(self.sigma**2))

    @property
    def innovation(self) -> float:
        """Variance of the innovation of a pixel in each frame."""
        return float(np.mean((1 - self.rho) * (1 + self.rho) * self.sigma**2))

    def source(self, frames: int) -> GaussMarkov:
        """Return the model over some frames, as a source with one mode for each sigma > 0."""
        used = self.sigma > 0
        return GaussMarkov.stationary(self.rho[used], frames, self.sigma[used])

    def failing(self, level: float = 0.01) -> dict[str, float]:
        """Return the shares of modes that a two-sided test of the model rejects at a level.

        The keys are "whiteness", "kurtosis" and "either". Shares are of the modes that have
        innovations, nan if none has. If the model was exact, a share would be the level in (0, 1).
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
    order: int | str | None = None,
    progress: Callable[[], object] = lambda: None,
) -> ClipFit:
    """Fit a stationary Gauss-Markov source to the DCT modes of a clip.

    Parameters
    ----------
    path : path-like
        A video file, a folder of images or a .npy array of frames; see `rdp.clip.read_luma`.
    block, transform : as for `dct_modes`
    start : int
        Number of frames to skip at the beginning.
    frames : int or None
        Number of frames to use; None uses all.
    order : int, "auto" or None
        Fit an autoregressive source of this order to each mode too; "auto" takes for each mode the
        order of least BIC, up to 4.
    progress : callable
        Called after each frame that is read.

    Raises
    ------
    ClipError
        The clip cannot be read, is smaller than a block, or does not vary.
    ValueError
        Bad block, transform, start or frames; an order not below the number of frames.

    Examples
    --------
    >>> fit = fit_clip(sample_clip(), frames=25)
    >>> fit.shape, fit.modes, fit.samples
    ((25, 176, 320), 64, 880)
    >>> float(fit.rho[0])
    0.99
    """
    _check_layout(block, transform)
    luma = read_luma(path, start, frames, progress=progress)
    return fit_luma(luma, block, transform, str(path), order)


def fit_luma(
    luma: object,
    block: int = 8,
    transform: str = "block",
    name: str = "luma",
    order: int | str | None = None,
) -> ClipFit:
    """Fit a stationary Gauss-Markov source to the DCT modes of frames in memory.

    Parameters
    ----------
    luma : (T, H, W) array, T >= 2
        Luma, 0 to 255.
    block, transform : as for `dct_modes`
    name : str
        Name of the clip, for the fit and for error messages.
    order : as for `fit_clip`

    Raises
    ------
    ClipError
        Smaller than a block, or constant.
    ValueError
        Bad luma, block, transform or order.
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
    found = mode_statistics(x, scale=max(mean, 1.0))
    if found is None:
        raise ClipError(name, "every frame is constant")
    repeated, cuts = repeats_and_cuts(pixels)
    return ClipFit(
        name=name,
        shape=(len(pixels), height, width),
        block=block,
        transform=transform,
        mean=mean,
        sigma=_check.frozen(found.sigma),
        rho=_check.frozen(found.rho),
        sigma_se=_check.frozen(found.sigma_se),
        rho_se=_check.frozen(found.rho_se),
        whiteness=_check.frozen(found.whiteness),
        whiteness_se=_check.frozen(found.whiteness_se),
        kurtosis=_check.frozen(found.kurtosis),
        kurtosis_se=found.kurtosis_se,
        samples=len(x),
        repeated=repeated,
        cuts=cuts,
        orders=None if order is None else mode_orders(x, np.isfinite(found.whiteness), order),
    )


def dct_modes(luma: Array, block: int = 8, transform: str = "block") -> Array:
    """Return the coefficients of the orthonormal DCT as samples of modes.

    Parameters
    ----------
    luma : (T, H, W) array
        Frames; H and W are multiples of `block`.
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
