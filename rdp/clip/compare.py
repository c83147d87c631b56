r"""`compare` says how far the statistics of a decoded clip are from those of its reference.

Both clips become samples of DCT modes (`rdp.clip.dct_modes`). A perception loss compares two
distributions of windows of up to ``memory`` frames. For every mode, with x of the reference and y
of the decoded clip,

===== ================================================== ==================================
loss  wanted                                             found
===== ================================================== ==================================
FMD   :math:`x_t`                                        :math:`y_t`
JD(w) :math:`x_{t-w+1}, \dots, x_t`                      :math:`y_{t-w+1}, \dots, y_t`
JD    the same with w = memory                           the same
SA    :math:`y_{t-w+1}, \dots, y_{t-1}, x_t`, w = memory :math:`y_{t-w+1}, \dots, y_t`
===== ================================================== ==================================

The estimate is the Gelbrich distance :math:`\|\mu_a-\mu_b\|^2 + \operatorname{Bures}(\Sigma_a,
\Sigma_b)` of the sample moments. It is summed over the modes and divided by their number, so it has
the units of the mean squared error of a pixel. A value of `Comparison.losses` takes the moments
over all samples of a mode and all frames t >= memory (stationarity in space and in time). A value
of `Comparison.perception` takes them over all samples at one frame t, whose window has at most t
frames.

**What it bounds.** Gelbrich's distance is at most squared W2, the sum over modes at most the
distance of all modes together, and the distance of pooled moments at most the mean of the squared
W2 distances at each place and time. So every estimate is, up to sampling error, a lower bound on
squared W2 under that loss. It is exact for stationary Gaussian clips of independent modes.

**Bias and intervals.** The samples of a mode are split into groups of neighbours, bands of blocks
for instance. The jackknife, which leaves out one group at a time, subtracts the bias and gives
Student's interval. A corrected value below 0 is set to 0. An interval is for the process that the
clip is a sample of: parts of the picture that differ make it wider.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from rdp import _check
from rdp._threads import one_thread
from rdp.clip._window_moments import jackknife, moments_at, student_quantile, window_moments
from rdp.clip.model import dct_modes
from rdp.clip.read import MAX_PIXELS, PEAK, ClipError
from rdp.operating_point import OperatingPoint
from rdp.perception import JD, Perception, perception, zero_loss_name

Array = np.ndarray

LAGS = 8
MEMORY = 8
WINDOWS = (2, 4)  # of PLF-JD, besides all frames of the memory
GROUPS = 10
METRIC = "gelbrich"
UNITS = "squared 8-bit luma, mean over pixels"
_STILL = 1e-12  # change over energy that is rounding


class Estimate(NamedTuple):
    """A bias-corrected estimate, and the ends of its interval.

    Parameters
    ----------
    value, low, high : float
        Squared 8-bit luma, mean over pixels; not negative.
    """

    value: float
    low: float
    high: float


class Band(NamedTuple):
    """What happens to the modes of one band of frequencies.

    Parameters
    ----------
    name : str
        "mean" is mode 0. The others are thirds of the frequencies: "low", "middle", "high".
    share : float
        Variance of the band over the variance of all modes, in the reference.
    variance : float
        Variance in the decoded clip over that in the reference; nan without variance.
    reference, decoded : float
        Correlation with the frame before, in either clip; nan without variance.
    """

    name: str
    share: float
    variance: float
    reference: float
    decoded: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """Error of a decoded clip, and the distance of its statistics from those of the reference.

    Parameters
    ----------
    shape : tuple of int
        Frames, height and width in pixels, after cropping to whole blocks or cells.
    block, transform : as for `rdp.clip.fit_clip`
    memory : int
        Frames of the longest window.
    groups : int
        Groups of samples behind bias and intervals.
    confidence : float
        Coverage of all intervals.
    variance, decoded_variance : float
        Variance of a pixel of the reference, and of the decoded clip, about the mean luma of the
        reference.
    distortion : (T,) array
        Mean squared error of each frame, squared 8-bit luma.
    distortion_interval : (T, 2) array
        Ends of its intervals.
    losses : dict of Estimate
        Distance under "FMD", "JD(2)", "JD(4)", "JD" and "SA", moments pooled over time. Windows of
        JD that exceed the memory are left out.
    plf : str
        Loss of `perception`; "MMSE" means that of FMD.
    perception : (T,) array
        Distance at each frame under that loss.
    perception_interval : (T, 2) array
        Ends of its intervals.
    correlation : (2, K) array
        Correlation of a pixel with itself 1..K frames before, in the reference and in the decoded
        clip.
    change : (K,) array
        Mean squared change of a pixel over 1..K frames, decoded over reference. Below 1 the clip
        freezes, above 1 it flickers; nan where the reference does not change.
    bands : tuple of Band
        Bands of frequencies.
    """

    shape: tuple[int, int, int]
    block: int
    transform: str
    memory: int
    groups: int
    confidence: float
    variance: float
    decoded_variance: float
    distortion: Array
    distortion_interval: Array
    losses: Mapping[str, Estimate]
    plf: str
    perception: Array
    perception_interval: Array
    correlation: Array
    change: Array
    bands: tuple[Band, ...]

    @property
    def psnr(self) -> float:
        """PSNR of the mean error over all frames, dB; inf without an error."""
        mean = float(self.distortion.mean())
        return float("inf") if mean == 0 else float(10 * np.log10(PEAK**2 / mean))

    @property
    def lost(self) -> float:
        """Variance that the decoded clip lacks, over the mean error; nan without an error.

        It is 1 for a decoder that returns the conditional mean given the bits (MMSE), 0 for one
        that keeps the variance, and -1 where independent noise is all of the error.
        """
        mean = float(self.distortion.mean())
        return float("nan") if mean == 0 else (self.variance - self.decoded_variance) / mean

    def point(self, label: str, rates: object, **fields: Any) -> OperatingPoint:
        """Return the operating point: rate, distortion and perception of each frame.

        Parameters
        ----------
        label : str
            Name of the codec.
        rates : (T,) array
            Bits of each frame.
        **fields : Any
            Other fields of `rdp.OperatingPoint`. What `to_json` returns is added to
            ``provenance``.
        """
        about = {**fields.pop("provenance", {}), "comparison": self.to_json()}
        return OperatingPoint(
            label,
            self.plf,
            _check.array("rates", rates, ndim=1),
            self.distortion,
            self.perception,
            metric=METRIC,
            units=UNITS,
            intervals={
                "distortion": self.distortion_interval,
                "perception": self.perception_interval,
            },
            confidence=self.confidence,
            provenance=about,
            **fields,
        )

    def to_json(self) -> dict[str, Any]:
        """Return all that is not one number for each frame, as what JSON can hold."""
        return {
            "shape": list(self.shape),
            "block": self.block,
            "transform": self.transform,
            "memory": self.memory,
            "groups": self.groups,
            "variance": self.variance,
            "decoded_variance": self.decoded_variance,
            "lost": _known(self.lost),
            "psnr_db": _known(self.psnr),
            "losses": {name: found._asdict() for name, found in self.losses.items()},
            "correlation_reference": [_known(value) for value in self.correlation[0]],
            "correlation_decoded": [_known(value) for value in self.correlation[1]],
            "change": [_known(value) for value in self.change],
            "bands": [
                {key: value if key == "name" else _known(value) for key, value in found.items()}
                for found in (band._asdict() for band in self.bands)
            ],
        }


def compare(
    reference: object,
    decoded: object,
    plf: Perception | str | None = None,
    *,
    block: int = 8,
    transform: str = "block",
    memory: int = MEMORY,
    groups: int = GROUPS,
    confidence: float = 0.95,
    name: str = "decoded",
) -> Comparison:
    r"""Compare a decoded clip with its reference: error, perception losses and correlations.

    Under each perception loss, estimate :math:`\sum_i W_2^2(P_i, \hat P_i) / d` over the d modes,
    of the distributions that the loss compares; the module says how.

    Parameters
    ----------
    reference, decoded : (T, H, W) arrays, T >= 2
        Luma, 0 to 255, from `rdp.clip.read_luma`. Both are cropped to whole blocks; the decoded
        clip may be so already.
    plf : FMD, JD, SA, {"MMSE", "FMD", "JD", "JD(w)", "SA"} or None
        Loss that the decoder was made for, at threshold 0; it chooses `Comparison.perception`.
    block, transform : as for `rdp.clip.fit_clip`
    memory : int
        Frames of the longest window, that of JD and SA; cut to T.
    groups : int, >= 2
        Groups of samples behind bias and intervals; cut to the number of samples.
    confidence : float, in (0, 1)
        Coverage of the intervals.
    name : str
        Name of the decoded clip, for error messages.

    Raises
    ------
    ClipError
        The clips have different shapes, or are smaller than two blocks.
    ValueError
        Bad luma or options.

    Notes
    -----
    Derived in this project from Gelbrich's bound. The losses are those of Salehkalaibar et al.,
    arXiv:2305.19301 and arXiv:2502.10628.

    Examples
    --------
    Noise of variance 4 on every pixel changes every mode with standard deviation s to
    sqrt(s^2 + 4):

    >>> rng = np.random.default_rng(0)
    >>> clip = 128 + 10 * rng.standard_normal((16, 64, 64))
    >>> found = compare(clip, clip + 2 * rng.standard_normal(clip.shape))
    >>> round(float(found.distortion.mean()), 1)
    4.0
    >>> found.losses["FMD"].low < (104**0.5 - 10) ** 2 < found.losses["FMD"].high
    True
    """
    own = zero_loss_name(plf, windows=True)
    memory, groups = _check.count("memory", memory), _check.count("groups", groups)
    if groups < 2:
        raise ValueError(f"groups: expected at least 2, got {groups}")
    coverage = float(_check.positive("confidence", confidence, ndim=0))
    if coverage >= 1:
        raise ValueError(f"confidence: expected a value in (0, 1), got {confidence!r}")
    x, y, shape = _modes(reference, decoded, block, transform, name)
    samples, frames, _ = x.shape
    memory, groups = min(memory, frames), min(groups, samples)
    if groups < 2:
        raise ClipError(name, f"expected at least 2 {transform}s of {block}x{block} pixels")
    _check_window(own, memory)
    parts = np.array_split(np.arange(samples), groups)
    quantile = student_quantile(coverage, groups)

    error = np.array([((x[part] - y[part]) ** 2).mean(axis=(0, 2)) for part in parts])
    weight = np.array([len(part) for part in parts]) / samples
    distortion = weight @ error
    half = quantile * np.sqrt((weight**2) @ (error - distortion) ** 2 * groups / (groups - 1))
    with one_thread():  # two threads on a busy machine: fourteen times the processor time
        pooled = window_moments(x, y, parts, memory)
        losses = {
            loss: Estimate(*(float(value) for value in jackknife(pooled, loss, quantile)))
            for loss in _names(memory)
        }
        each = [
            jackknife(moments_at(x, y, parts, t, memory), _at_frame(own, t), quantile)
            for t in range(frames)
        ]
    values = np.array(each)
    energy = _energies(x), _energies(y)
    squares, products = zip(*energy, strict=True)
    changes = [s.sum(axis=1) - 2 * p.sum(axis=1) for s, p in energy]
    still = changes[0] <= _STILL * energy[0][0].sum(axis=1)
    return Comparison(
        shape=shape,
        block=block,
        transform=transform,
        memory=memory,
        groups=groups,
        confidence=coverage,
        variance=float(np.mean(x**2)),
        decoded_variance=float(np.mean(y**2)),
        distortion=_check.frozen(distortion),
        distortion_interval=_check.frozen(_interval(distortion, half)),
        losses=losses,
        plf=own,
        perception=_check.frozen(values[:, 0]),
        perception_interval=_check.frozen(values[:, 1:]),
        correlation=_check.frozen(
            np.array([_ratio(2 * p.sum(axis=1), s.sum(axis=1)) for s, p in energy])
        ),
        change=_check.frozen(_ratio(np.maximum(changes[1], 0.0), np.where(still, 0.0, changes[0]))),
        bands=_bands(squares, products, _frequencies(shape, block, transform)),
    )


def _modes(
    reference: object, decoded: object, block: int, transform: str, name: str
) -> tuple[Array, Array, tuple[int, int, int]]:
    """Samples (n, T, d) of the modes of both clips, about the mean luma of the reference."""
    _check.count("block", block)
    first = _check.finite("reference", _check.array("reference", reference, ndim=3))
    second = _check.finite("decoded", _check.array("decoded", decoded, ndim=3))
    height, width = (side - side % block for side in first.shape[1:])
    if second.shape not in (first.shape, (len(first), height, width)):
        raise ClipError(name, f"expected {_size(first)} like the reference, got {_size(second)}")
    if len(first) < 2:
        raise ClipError(name, f"expected at least 2 frames, got {len(first)}")
    if first.size > MAX_PIXELS:
        raise ClipError(name, f"more than {MAX_PIXELS:,} luma samples; use fewer frames")
    if not height or not width:
        raise ClipError(name, f"frames of {_size(first)} are smaller than a block")
    first, second = first[:, :height, :width], second[:, :height, :width]
    mean = first.mean()
    x, y = (dct_modes(clip - mean, block, transform) for clip in (first, second))
    return x, y, (len(first), height, width)


def _size(clip: Array) -> str:
    return f"{clip.shape[0]} frames of {clip.shape[2]}x{clip.shape[1]}"


def _check_window(plf: str, memory: int) -> None:
    loss = perception(plf)
    if isinstance(loss, JD) and loss.window is not None and loss.window > memory:
        raise ValueError(f"plf: expected a window of at most {memory} frames, got {plf}")


def _names(memory: int) -> list[str]:
    """Losses that a memory allows."""
    return ["FMD", *(f"JD({w})" for w in WINDOWS if w < memory), "JD", "SA"]


def _at_frame(plf: str, t: int) -> str:
    """Loss at frame t, from 0: a window is cut to the frames that there are."""
    loss = perception(plf)
    cut = isinstance(loss, JD) and loss.window is not None and loss.window > t + 1
    return "JD" if cut else "FMD" if plf == "MMSE" else plf


def _energies(z: Array) -> tuple[Array, Array]:
    """Means over samples and frames of z_t^2 + z_(t-k)^2 and of z_t z_(t-k), each (K, d)."""
    lags = range(1, min(LAGS, z.shape[1] - 1) + 1)
    count = len(z)
    squares = np.einsum("ntd,ntd->td", z, z) / count
    sums = [(squares[k:] + squares[:-k]).mean(axis=0) for k in lags]
    products = [
        np.einsum("ntd,ntd->d", z[:, k:], z[:, :-k]) / (count * (z.shape[1] - k)) for k in lags
    ]
    return np.array(sums), np.array(products)


def _frequencies(shape: tuple[int, int, int], block: int, transform: str) -> Array:
    """Frequency of each mode, 0 to 1: the larger one of its two directions."""
    _, height, width = shape
    rows, columns = (block, block) if transform == "block" else (height // block, width // block)
    down, across = np.arange(rows)[:, None] / rows, np.arange(columns) / columns
    return np.maximum(down, across).ravel()


def _bands(squares: Any, products: Any, frequency: Array) -> tuple[Band, ...]:
    """Bands of frequencies, from the energies of both clips at lag one."""
    third = np.minimum((3 * frequency).astype(int), 2)
    third[0] = -1
    every = squares[0][0].sum()
    found = []
    for number, name in enumerate(("mean", "low", "middle", "high"), start=-1):
        band = third == number
        if not band.any():
            continue
        energy = [s[0][band].sum() for s in squares]
        moved = [2 * p[0][band].sum() for p in products]
        ratios = _ratio(
            np.array([energy[0], energy[1], *moved]),
            np.array([every, energy[0], *energy]),
        )
        found.append(Band(name, *(float(value) for value in ratios)))
    return tuple(found)


def _ratio(value: Array, scale: Array) -> Array:
    """Return value / scale, nan where the scale is 0."""
    return np.divide(value, scale, out=np.full(np.shape(value), np.nan), where=scale > 0)


def _interval(center: Array, half: Array) -> Array:
    return np.stack([np.maximum(center - half, 0.0), center + half], axis=1)


def _known(value: float) -> float | None:
    """A finite number, or None, which JSON can hold."""
    return float(value) if np.isfinite(value) else None
