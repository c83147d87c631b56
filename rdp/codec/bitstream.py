r"""Bytes: a container that detects damage, and an entropy coder for arrays of integers.

Container. A stream is ``magic, version, kind, header, chunks, digest``. The digest covers all bytes
before it. Every chunk also holds a checksum of its integers. So a damaged stream raises
`CorruptStream`, and so does a decoder whose probability models differ from the encoder's.

Entropy coder. The ideal code length of integers :math:`k_i` under models :math:`p_i` is
:math:`-\sum_i \log_2 p_i(k_i)` bits. A range coder needs only a few bytes more. It comes from the
package `constriction`; probabilities are rounded to 24 bits.
"""

from __future__ import annotations

import hashlib
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

Array = np.ndarray

MAGIC = b"GMRD"
VERSION = 1
DIGEST_BYTES = 8
CHECK_BYTES = 4
# Each integer in the range of a model gets a probability of at least 2**-24.
MAX_RANGE = 1 << 22
MIN_SD = 1e-3


class CorruptStream(ValueError):
    """The bytes are not a complete, undamaged stream of the expected kind."""


def pack(kind: int, header: bytes, chunks: Sequence[bytes]) -> bytes:
    """Return one stream with a header and chunks, which `unpack` separates again.

    Parameters
    ----------
    kind : int
        Type of the stream, 0..255; `unpack` must be given the same number.
    header : bytes
        What the decoder needs before the first chunk.
    chunks : sequence of bytes
        For instance one chunk per frame.

    Examples
    --------
    >>> unpack(pack(7, b"head", [b"one", b""]), kind=7)
    (b'head', [b'one', b''])
    """
    if not 0 <= kind <= 255:
        raise ValueError(f"kind: expected 0..255, got {kind}")
    sizes = varints([len(header), len(chunks), *map(len, chunks)])
    body = MAGIC + bytes([VERSION, kind]) + sizes + header + b"".join(chunks)
    return body + _digest(body)


def unpack(stream: bytes, kind: int) -> tuple[bytes, list[bytes]]:
    """Return the header and the chunks of a stream made by `pack`.

    Raises CorruptStream if the stream is damaged, cut, extended, or of another kind or version.
    """
    if not isinstance(stream, bytes | bytearray | memoryview):
        raise ValueError(f"stream: expected bytes, got {type(stream).__name__}")
    stream = bytes(stream)
    body, digest = stream[:-DIGEST_BYTES], stream[-DIGEST_BYTES:]
    if body[: len(MAGIC)] != MAGIC:
        raise CorruptStream(f"stream: expected it to begin with {MAGIC!r}, got {stream[:4]!r}")
    if _digest(body) != digest:
        raise CorruptStream(f"stream: damaged or cut ({len(stream)} bytes, wrong digest)")
    if len(body) < len(MAGIC) + 2 or body[4] != VERSION or body[5] != kind:
        raise CorruptStream(
            f"stream: expected version {VERSION} of kind {kind}, got {tuple(body[4:6])}"
        )
    reader = Reader(body[6:])
    header_size, count = reader.varint(), reader.varint()
    if count > len(body):
        raise CorruptStream(f"stream: expected at most {len(body)} chunks, got {count}")
    sizes = [reader.varint() for _ in range(count)]
    header = reader.take(header_size)
    chunks = [reader.take(size) for size in sizes]
    reader.finish()
    return header, chunks


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=DIGEST_BYTES).digest()


def varints(values: Sequence[int]) -> bytes:
    """Return integers >= 0 as bytes of variable length; `Reader.varint` reads one of them.

    Each byte holds seven bits; the last byte of an integer is below 128.

    Examples
    --------
    >>> varints([5, 300]).hex()
    '05ac02'
    """
    out = bytearray()
    for value in values:
        if value < 0:
            raise ValueError(f"values: expected integers >= 0, got {value}")
        while value > 127:
            out.append(value & 127 | 128)
            value >>= 7
        out.append(value)
    return bytes(out)


class Reader:
    """Reads values from the front of some bytes; missing or extra bytes raise CorruptStream."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, size: int) -> bytes:
        """Return the next bytes."""
        left = len(self._data) - self._at
        if size > left:
            raise CorruptStream(f"stream: expected {size} more bytes, got {left}")
        self._at += size
        return self._data[self._at - size : self._at]

    def varint(self) -> int:
        """Return the next integer, below 2**63."""
        value = 0
        for shift in range(0, 63, 7):
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise CorruptStream("stream: expected an integer below 2**63")

    def floats(self, count: int) -> Array:
        """Return the next float64 numbers, (count,)."""
        return np.frombuffer(self.take(8 * count), "<f8").astype(np.float64)

    def rest(self) -> bytes:
        """Return all remaining bytes."""
        return self.take(len(self._data) - self._at)

    @property
    def left(self) -> int:
        """Number of bytes that remain."""
        return len(self._data) - self._at

    def finish(self) -> None:
        """Raise CorruptStream if bytes remain."""
        if self._at != len(self._data):
            raise CorruptStream(f"stream: {len(self._data) - self._at} bytes too many")


class Coder(ABC):
    """Common part of `Encoder` and `Decoder`: codes integers under models, one call after another.

    The same calls encode and decode, so the two cannot use different models. An `Encoder` takes
    the integers as `symbols` and returns them. A `Decoder` takes ``symbols=None`` and returns the
    encoded integers. Every integer can be coded under every model; it costs at most 24 bits.

    Examples
    --------
    >>> def code(coder, first=None, second=None):
    ...     first = coder.gaussian(np.array([2.5, 0.0, 0.1]), 1.0, first)
    ...     return first, coder.table(np.array([[0.9, 0.1], [0.2, 0.8]]), second)
    >>> encoder = Encoder()
    >>> _ = code(encoder, np.array([3, -1, 0]), np.array([0, 1]))
    >>> decoder = Decoder(encoder.finish())
    >>> code(decoder)
    (array([ 3, -1,  0]), array([0, 1]))
    >>> decoder.finish()
    """

    _check = 0

    def gaussian(self, mean: Array, sd: Array | float, symbols: Array | None = None) -> Array:
        r"""Code integers k with :math:`p(k) = \Pr(k - \frac12 < N(\mu, sd^2) < k + \frac12)`.

        Parameters
        ----------
        mean : array
            Means of the model.
        sd : float or array that broadcasts with mean, > 0
            Standard deviations of the model.
        symbols : array of int, shape of mean, or None
            Integers to encode; None to decode.

        Returns
        -------
        array of int, shape of mean
        """
        mean = np.asarray(mean, dtype=np.float64)
        if not np.isfinite(mean).all():
            raise ValueError("mean: expected finite numbers, got NaN or inf")
        if not np.all(np.isfinite(sd) & (np.asarray(sd) > 0)):
            raise ValueError(f"sd: expected finite numbers > 0, got {np.min(sd)}")
        symbols = self._validated(symbols, mean.shape)
        low, high = self._range(symbols)
        sd = np.maximum(sd, MIN_SD)
        if sd.ndim == 0:
            model = _models().QuantizedGaussian(low, high, None, float(sd))
            return self._code(symbols, mean.size, model, mean.ravel()).reshape(mean.shape)
        sd = np.broadcast_to(sd, mean.shape).ravel()
        model = _models().QuantizedGaussian(low, high)
        return self._code(symbols, mean.size, model, mean.ravel(), sd).reshape(mean.shape)

    def table(self, pmf: Array, symbols: Array | None = None) -> Array:
        """Code n integers 0..K-1, each under its own probabilities: one row of pmf, (n, K).

        The rows need not be normalised. Returns the integers, (n,).
        """
        pmf = np.ascontiguousarray(pmf, dtype=np.float64)
        if pmf.ndim != 2 or pmf.shape[1] < 2:
            raise ValueError(f"pmf: expected shape (n, K) with K >= 2, got {pmf.shape}")
        if not (np.isfinite(pmf).all() and (pmf >= 0).all() and (pmf.sum(1) > 0).all()):
            raise ValueError("pmf: expected rows of finite weights >= 0, not all zero")
        symbols = self._validated(symbols, pmf.shape[:1])
        if symbols is not None and np.any((symbols < 0) | (symbols >= pmf.shape[1])):
            raise ValueError(
                f"symbols: expected 0..{pmf.shape[1] - 1}, got {symbols.min()}..{symbols.max()}"
            )
        return self._code(symbols, len(pmf), _models().Categorical(perfect=False), pmf)

    def adaptive(self, count: int, symbols: Array | None = None) -> Array:
        """Code integers of one unknown distribution; encoder and decoder learn it as they go.

        Blocks have doubling lengths. A block is coded under the counts of all blocks before it,
        plus one half, so no table is sent. It is quick if the range of the integers is below a few
        thousand. Returns the integers, (count,).
        """
        symbols = self._validated(symbols, (count,))
        low, high = self._range(symbols)
        counts = np.full(high - low + 1, 0.5)
        out = np.empty(count, dtype=np.int64)
        for start, stop in _doubling(count):
            part = None if symbols is None else symbols[start:stop] - low
            model = _models().Categorical(counts / counts.sum(), perfect=False)
            part = self._code(part, stop - start, model)
            counts += np.bincount(part, minlength=counts.size)
            out[start:stop] = part + low
        return out

    @abstractmethod
    def number(self, value: int | None = None) -> int:
        """Code one integer >= 0 without a model, such as a size; None decodes it."""

    @abstractmethod
    def _validated(self, symbols: Array | None, shape: tuple[int, ...]) -> Array | None:
        """Return validated symbols of that shape; None while decoding."""

    @abstractmethod
    def _code(self, symbols: Array | None, count: int, model: Any, *parameters: Array) -> Array:
        """Code symbols under a model and return them."""

    def _range(self, symbols: Array | None) -> tuple[int, int]:
        """Code the smallest and the largest integer and return them."""
        low = span = None
        if symbols is not None:
            low, high = (int(symbols.min()), int(symbols.max())) if symbols.size else (0, 0)
            span = max(high - low, 1)
            if span >= MAX_RANGE:
                raise ValueError(f"symbols: expected a range below {MAX_RANGE}, got {span}")
        zigzag = self.number(None if low is None else -2 * low - 1 if low < 0 else 2 * low)
        span = self.number(span)
        low = -(zigzag + 1) // 2 if zigzag % 2 else zigzag // 2
        if not (-(1 << 31) < low < (1 << 31) - span and 0 < span < MAX_RANGE):
            raise CorruptStream(f"chunk: range of integers {low}..{low + span} is out of bounds")
        return low, low + span


class Encoder(Coder):
    """Entropy encoder of integers into one chunk of bytes; see `Coder` for the models."""

    def __init__(self) -> None:
        self._side = bytearray()
        self._coder = _queue().RangeEncoder()

    def number(self, value: int | None = None) -> int:
        """Encode one integer >= 0 without a model."""
        if value is None:
            raise ValueError("value: expected an integer to encode, got None")
        self._side += varints([value])
        return value

    def finish(self) -> bytes:
        """Return the chunk."""
        words = self._coder.get_compressed().astype("<u4").tobytes()
        side = bytes(self._side)
        return varints([len(side)]) + side + self._check.to_bytes(CHECK_BYTES, "little") + words

    def _validated(self, symbols: Array | None, shape: tuple[int, ...]) -> Array:
        out = np.asarray(symbols)
        if out.dtype.kind not in "iu":
            raise ValueError(f"symbols: expected integers to encode, got {out.dtype}")
        if out.shape != shape:
            raise ValueError(f"symbols: expected shape {shape}, got {out.shape}")
        if out.size and max(-int(out.min()), int(out.max())) >= 1 << 31:
            raise ValueError("symbols: expected integers of 32 bits, got larger ones")
        return out.astype(np.int64)

    def _code(self, symbols: Array | None, count: int, model: Any, *parameters: Array) -> Array:
        assert symbols is not None
        words = np.ascontiguousarray(symbols.ravel(), dtype=np.int32)
        if count:
            self._coder.encode(words, model, *parameters)
        self._check = zlib.crc32(words.astype("<i4").tobytes(), self._check)
        return symbols


class Decoder(Coder):
    """Entropy decoder of a chunk made by `Encoder.finish`; see `Coder` for the models.

    Call `finish` last: it raises CorruptStream if the decoded integers are not the encoded ones.
    """

    def __init__(self, chunk: bytes) -> None:
        reader = Reader(chunk)
        self._side = Reader(reader.take(reader.varint()))
        self._expected = int.from_bytes(reader.take(CHECK_BYTES), "little")
        words = reader.rest()
        if len(words) % 4:
            raise CorruptStream(f"chunk: expected whole words of 4 bytes, got {len(words)} bytes")
        self._coder = _queue().RangeDecoder(np.frombuffer(words, "<u4").astype(np.uint32))

    def number(self, value: int | None = None) -> int:
        """Decode one integer >= 0; value must be None."""
        return self._side.varint()

    def finish(self) -> None:
        """Raise CorruptStream unless exactly the encoded integers have been decoded."""
        self._side.finish()
        if self._check != self._expected:
            raise CorruptStream("chunk: the integers differ from those that were encoded")

    def _validated(self, symbols: Array | None, shape: tuple[int, ...]) -> None:
        if symbols is not None:
            raise ValueError("symbols: expected None, as a decoder returns them")

    def _code(self, symbols: Array | None, count: int, model: Any, *parameters: Array) -> Array:
        try:
            args = parameters or (count,)
            out = self._coder.decode(model, *args) if count else np.empty(0, np.int32)
        except AssertionError as error:
            raise CorruptStream(f"chunk: {error}") from None
        self._check = zlib.crc32(out.astype("<i4").tobytes(), self._check)
        return out.astype(np.int64)


def _doubling(count: int) -> Iterator[tuple[int, int]]:
    start, size = 0, 32
    while start < count:
        stop = min(start + size, count)
        yield start, stop
        start, size = stop, 2 * size


def _models() -> Any:
    import constriction

    return constriction.stream.model


def _queue() -> Any:
    import constriction

    return constriction.stream.queue
