r"""Clips to bytes and back: one stream, and a decoder for each loss.

The luma of a clip is cut into blocks of 8 x 8 pixels; the 64 coefficients of their orthonormal DCT
are the modes of a stationary Gauss-Markov source, fitted to the clip and sent in the header. Each
frame is predicted from the one before and quantised with dither (`rdp.clip_codec.coder`). A stream
is that of `rdp.codec.bitstream.pack` with one chunk for each frame, so damage is detected, frames
are decoded one after the other, and nothing in a stream is run.

The rate of a stream is that of its bytes, header and container included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from rdp import _check
from rdp.clip.model import dct_modes
from rdp.clip.read import PEAK
from rdp.clip_codec.coder import ModeCoder
from rdp.clip_codec.decoders import Reconstruction
from rdp.clip_codec.model import ModeModel, fit_model
from rdp.codec.bitstream import CorruptStream, Reader, pack, unpack, varints
from rdp.perception import Perception

Array = np.ndarray
Frames = Callable[[], Iterable[Array]]

KIND = 3  # of the container
BLOCK = 8  # side of a block, pixels
MAX_SIDE = 1 << 14  # pixels
MAX_PIXELS = 1 << 24  # of a frame that is decoded
_PASSES = 12  # over the clip, in search of a rate
_MEANS = 16  # steps of the mean luma in one unit


@dataclass(frozen=True, eq=False)
class ClipStream:
    """A clip as bytes.

    Parameters
    ----------
    data : bytes
        The stream.
    size : (int, int)
        Height and width, pixels.
    frame_bits : (T,) array
        Bits of each frame; header and container are shared out equally.
    first_bits : int
        Bits of the first frame alone, to compare with what it was given.
    finest : (bool, bool)
        Whether the first frame, and the others, have the finest quality: more bits are of no use.
    """

    data: bytes
    size: tuple[int, int]
    frame_bits: Array
    first_bits: int
    finest: tuple[bool, bool]

    @property
    def bits_per_pixel(self) -> float:
        """Rate of the whole stream."""
        return float(self.frame_bits.mean() / (self.size[0] * self.size[1]))


@dataclass(frozen=True, eq=False)
class _Header:
    """What the decoder needs before the first frame."""

    size: tuple[int, int]
    rate: Fraction  # frames a second
    seed: int
    mean: int  # of the luma, in steps of 1/16
    model: ModeModel

    def to_bytes(self) -> bytes:
        numbers = (*self.size, self.rate.numerator, self.rate.denominator, self.seed, self.mean)
        return (
            varints(numbers) + self.model.deviations.tobytes() + self.model.correlations.tobytes()
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> _Header:
        reader = Reader(data)
        height, width, over, under, seed, mean = (reader.varint() for _ in range(6))
        modes = [np.frombuffer(reader.take(BLOCK**2), np.uint8) for _ in range(2)]
        reader.finish()
        if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE and over and under):
            raise CorruptStream(f"stream: {width}x{height} pixels, {over}/{under} frames a second")
        if height * width > MAX_PIXELS:
            raise CorruptStream(
                f"stream: frames of {width}x{height}, more than {MAX_PIXELS:,} pixels"
            )
        return cls((height, width), Fraction(over, under), seed, mean, ModeModel(*modes))

    @property
    def blocks(self) -> int:
        height, width = (-(-side // BLOCK) for side in self.size)
        return height * width


def encode_clip(
    frames: Array | Frames,
    bpp: float,
    first_bpp: float | None = None,
    seed: int = 0,
    rate: Fraction | int = 25,
    progress: Callable[[], None] = lambda: None,
) -> ClipStream:
    r"""Encode the luma of a clip at a mean rate.

    Parameters
    ----------
    frames : (T, H, W) array, or callable
        Luma, 0 to 255; or a function without arguments whose result yields the frames, (H, W), each
        time from the first one on: then memory does not grow with the clip.
    bpp : float, > 0
        Bits per pixel, the mean over all frames. The stream has at most that many, unless the
        coarsest quality needs more, and a few percent fewer, as qualities have steps: up to a
        tenth where strong modes begin to be sent at a step. Far fewer where the finest quality
        needs no more.
    first_bpp : float or None
        Bits per pixel of the first frame alone; None gives it the quality of the others. It has at
        most that many, unless the coarsest quality needs more.
    seed : int, 0 <= seed < 2**63
        Seed of the dither, which the stream carries.
    rate : Fraction or int
        Frames a second, for players.
    progress : callable
        Called after each frame of each pass over the clip.

    Returns
    -------
    ClipStream

    Raises
    ------
    ValueError
        Bad frames or rates.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> luma = np.clip(128 + 20 * rng.standard_normal((4, 32, 40)).cumsum(axis=0), 0, 255)
    >>> stream = encode_clip(luma, bpp=1.0)
    >>> stream.bits_per_pixel <= 1.0, decode_clip(stream.data, "JD").shape
    (True, (4, 32, 40))
    """
    aim = float(_check.finite("bpp", _check.positive("bpp", bpp, ndim=0)))
    starved = None
    if first_bpp is not None:
        starved = float(_check.finite("first_bpp", _check.positive("first_bpp", first_bpp, ndim=0)))
    clip = _Clip(frames, progress)
    header = _Header(
        clip.size, Fraction(rate), _check.seed("seed", seed), round(_MEANS * clip.mean), clip.model
    )
    pixels = clip.size[0] * clip.size[1]
    first = None
    if starved is not None:
        first = _coarsest(lambda q: len(_chunks(clip, header, q, q, 1)[0]) * 8, starved * pixels)
    most = aim * pixels * clip.count
    kept: dict[bool, bytes] = {}  # the last stream that has few enough bits, and the last other one

    def bits(quality: int) -> float:
        chunks = _chunks(clip, header, quality if first is None else first, quality, None)
        stream = pack(KIND, header.to_bytes(), chunks)
        kept[8 * len(stream) <= most] = stream
        return 8.0 * len(stream)

    quality = _coarsest(bits, most)
    finest = (quality if first is None else first) == 0, quality == 0
    data = kept.get(True) or kept[False]
    _, chunks = _opened(data)
    return ClipStream(data, clip.size, stream_bits(data), 8 * len(chunks[0]), finest)


def decode_frames(
    stream: bytes, plf: Perception | str | None = None, clip: bool = True
) -> Iterator[Array]:
    """Yield the frames of a stream for one loss, (H, W) luma, one after the other.

    Parameters
    ----------
    stream : bytes
        What `encode_clip` wrote.
    plf : {"MMSE", "FMD", "JD", "SA"}, a loss at threshold 0, or None
        The loss of the decoder; None is MMSE. All of them read the same bytes.
    clip : bool
        Clip the luma to 0..255.

    Raises
    ------
    CorruptStream
        The bytes are damaged or of another kind. The digest of the stream is checked before the
        first frame.
    """
    header, chunks = _opened(stream)
    model = header.model
    coder = ModeCoder(model, header.blocks, header.seed)
    decoder = Reconstruction(model, plf)
    for chunk in chunks:
        luma = _pixels(decoder.next(coder.decode(chunk)), header)
        yield np.clip(luma, 0.0, PEAK) if clip else luma


def decode_clip(stream: bytes, plf: Perception | str | None = None) -> Array:
    """Return all frames of a stream for one loss, (T, H, W); see `decode_frames`."""
    return np.stack(list(decode_frames(stream, plf)))


def about(stream: bytes) -> tuple[tuple[int, int], Fraction, int]:
    """Return size (height, width), frames a second and number of frames of a stream."""
    header, chunks = _opened(stream)
    return header.size, header.rate, len(chunks)


def _opened(stream: bytes) -> tuple[_Header, list[bytes]]:
    head, chunks = unpack(stream, KIND)
    if not chunks:
        raise CorruptStream("stream: expected at least 1 frame, got none")
    return _Header.from_bytes(head), chunks


def stream_bits(stream: bytes) -> Array:
    """Return the bits of each frame of a stream, (T,); header and container are shared out equally.

    Raises
    ------
    CorruptStream
        The bytes are damaged or of another kind.
    """
    _, chunks = _opened(stream)
    sizes = np.array([len(chunk) for chunk in chunks])
    return 8 * (sizes + (len(stream) - sizes.sum()) / len(sizes))


class _Clip:
    """Frames that can be read again and again, and their statistics."""

    def __init__(self, frames: Array | Frames, progress: Callable[[], None]) -> None:
        if callable(frames):
            self._frames: Frames = frames
        else:
            whole = _check.finite("frames", _check.array("frames", frames, ndim=3))
            self._frames = lambda: whole
        self._progress = progress
        self.count, self.mean, self.size = self._measure()
        self.model = fit_model(self.modes())

    def _measure(self) -> tuple[int, float, tuple[int, int]]:
        count, total, size = 0, 0.0, (0, 0)
        for frame in self._read():
            count, total, size = count + 1, total + float(frame.mean()), frame.shape
        if not count:
            raise ValueError("frames: expected at least 1, got none")
        if min(size) < BLOCK or max(size) > MAX_SIDE or size[0] * size[1] > MAX_PIXELS:
            raise ValueError(
                f"frames: expected {BLOCK} to {MAX_SIDE} pixels a side and at most "
                f"{MAX_PIXELS:,} in all, got {size[1]}x{size[0]}"
            )
        return count, total / count, size

    def _read(self) -> Iterator[Array]:
        size = None
        for frame in self._frames():
            luma = np.asarray(frame, dtype=np.float64)
            if luma.ndim != 2 or (size is not None and luma.shape != size):
                raise ValueError(f"frames: expected pictures of one size {size}, got {luma.shape}")
            size = luma.shape
            yield luma
            self._progress()

    def modes(self, count: int | None = None) -> Iterator[Array]:
        """Yield the modes of the first frames, (n, 64)."""
        mean = round(_MEANS * self.mean) / _MEANS
        for number, luma in enumerate(self._read(), start=1):
            over = [(0, -side % BLOCK) for side in luma.shape]
            yield dct_modes(np.pad(luma - mean, over, "edge")[None], BLOCK)[:, 0]
            if number == count:
                return


def _chunks(
    clip: _Clip, header: _Header, first: int, quality: int, count: int | None
) -> list[bytes]:
    """Encode the clip, or its first frames, at given qualities."""
    coder = ModeCoder(header.model, header.blocks, header.seed)
    return [
        coder.encode(modes, quality if t else first) for t, modes in enumerate(clip.modes(count))
    ]


def _coarsest(bits: Callable[[int], float], most: float) -> int:
    """Least quality index tried whose bits are at most `most`, by secants on their logarithm.

    A larger index is a larger error, so fewer bits. 255 where none has so few.
    """
    low, high, guess = -1, 256, 144  # too many bits at low, few enough at high; 144: an error of 32
    tried: dict[int, float] = {}
    while high - low > 1 and len(tried) < _PASSES:
        tried[guess] = float(np.log(bits(guess) / most))
        low, high = (guess, high) if tried[guess] > 0 else (low, guess)
        guess = _between(tried, low, high)
    return high if high in tried else low


def _between(tried: dict[int, float], low: int, high: int) -> int:
    """Next index: by a secant, or a step from the known end, an octave for each factor e."""
    if low in tried and high in tried:
        step = low + round(tried[low] / (tried[low] - tried[high]) * (high - low))
    elif low in tried:
        step = low + max(1, round(16 * tried[low]))
    else:
        step = high + min(-1, round(16 * tried[high]))
    return min(max(step, low + 1), high - 1)


def _pixels(modes: Array, header: _Header) -> Array:
    """Luma of one frame, (H, W), from its modes, (n, 64)."""
    from scipy.fft import idctn

    rows, columns = (-(-side // BLOCK) for side in header.size)
    blocks = idctn(modes.reshape(rows, columns, BLOCK, BLOCK), axes=(2, 3), norm="ortho")
    luma = blocks.transpose(0, 2, 1, 3).reshape(rows * BLOCK, columns * BLOCK)
    return luma[: header.size[0], : header.size[1]] + header.mean / _MEANS
