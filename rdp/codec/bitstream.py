r"""Bytes: a container that detects damage, and an entropy coder for arrays of integers.

The ideal code length of integers :math:`k_i` under models :math:`p_i` is
:math:`-\sum_i \log_2 p_i(k_i)` bits; a range coder comes within a few bytes of it. The coder is
that of the package `constriction`, with probabilities rounded to 24 bits.

A stream is ``magic, version, kind, header, chunks, digest``. The digest covers every byte before
it, and every chunk ends with a check of the integers themselves, so that neither a damaged stream
nor a decoder whose models differ from the encoder's goes unnoticed: both raise `CorruptStream`.
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
# The coder gives each integer of a model's range at least 2**-24 of probability.
MAX_RANGE = 1 << 22
MIN_SD = 1e-3


class CorruptStream(ValueError):
    """The bytes are not a whole, undamaged stream of the kind asked for."""


def pack(kind: int, header: bytes, chunks: Sequence[bytes]) -> bytes:
    """Join a header and chunks into one stream that `unpack` takes apart.

    Parameters
    ----------
    kind : int
        What the stream holds, 0..255; `unpack` asks for the same.
    header : bytes
        What the decoder needs before the first chunk.
    chunks : sequence of bytes
        For instance one chunk per frame.

    Returns
    -------
    bytes

    Raises
    ------
    ValueError
        A kind outside 0..255.

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
    """Return header and chunks of a stream made by `pack`.

    Parameters
    ----------
    stream : bytes
        A whole stream.
    kind : int
        What the stream should hold.

    Returns
    -------
    header : bytes
    chunks : list of bytes

    Raises
    ------
    CorruptStream
        A stream that is damaged, cut, extended, of another kind or another version.
    """
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
    """Return integers >= 0 as bytes, seven bits each, the last byte of each below 128.

    Parameters
    ----------
    values : sequence of int, >= 0
        Read back one by one by `Reader.varint`.

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
    """Reads bytes from the front; what is missing or left over raises CorruptStream.

    Parameters
    ----------
    data : bytes
        What to read.
    """

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, size: int) -> bytes:
        """Return the next bytes.

        Parameters
        ----------
        size : int
            How many.
        """
        if size > len(self._data) - self._at:
            raise CorruptStream(f"stream: expected {size} more bytes, got fewer")
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
        """Return the next float64 numbers.

        Parameters
        ----------
        count : int
            How many.
        """
        return np.frombuffer(self.take(8 * count), "<f8").astype(np.float64)

    def rest(self) -> bytes:
        """Return all that is left."""
        return self.take(len(self._data) - self._at)

    def finish(self) -> None:
        """Raise CorruptStream if anything is left."""
        if self._at != len(self._data):
            raise CorruptStream(f"stream: {len(self._data) - self._at} bytes too many")


class Coder(ABC):
    """What encoder and decoder share: integers under models, in order.

    The same code drives both: an `Encoder` is given the integers and returns them, a `Decoder`
    is given none and returns what was encoded. So the models cannot get out of step. Every
    integer can be coded under every model, at up to 24 bits.

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
        r"""Integers k with :math:`p(k) = \Pr(k - \frac12 < N(\mu, sd^2) < k + \frac12)`.

        Parameters
        ----------
        mean : array
            Means of the model.
        sd : float or array that broadcasts with mean, > 0
            Standard deviations of the model.
        symbols : array of int, shape of mean, or None
            What to encode; None to decode.

        Returns
        -------
        array of int, shape of mean
        """
        mean = np.asarray(mean, dtype=np.float64)
        if not np.isfinite(mean).all():
            raise ValueError("mean: expected finite numbers, got NaN or inf")
        if not np.all(np.isfinite(sd) & (np.asarray(sd) > 0)):
            raise ValueError(f"sd: expected finite numbers > 0, got {np.min(sd)}")
        symbols = self._given(symbols, mean.shape)
        low, high = self._range(symbols)
        sd = np.maximum(sd, MIN_SD)
        if sd.ndim == 0:
            model = _models().QuantizedGaussian(low, high, None, float(sd))
            return self._code(symbols, mean.size, model, mean.ravel()).reshape(mean.shape)
        sd = np.broadcast_to(sd, mean.shape).ravel()
        model = _models().QuantizedGaussian(low, high)
        return self._code(symbols, mean.size, model, mean.ravel(), sd).reshape(mean.shape)

    def table(self, pmf: Array, symbols: Array | None = None) -> Array:
        """Integers 0..K-1 under one table of probabilities each.

        Parameters
        ----------
        pmf : (n, K) array, >= 0
            Weights; the coder normalises the rows.
        symbols : (n,) array of int, or None
            What to encode; None to decode.

        Returns
        -------
        (n,) array of int
        """
        pmf = np.ascontiguousarray(pmf, dtype=np.float64)
        if pmf.ndim != 2 or pmf.shape[1] < 2:
            raise ValueError(f"pmf: expected shape (n, K) with K >= 2, got {pmf.shape}")
        if not (np.isfinite(pmf).all() and (pmf >= 0).all() and (pmf.sum(1) > 0).all()):
            raise ValueError("pmf: expected rows of finite weights >= 0, not all zero")
        symbols = self._given(symbols, pmf.shape[:1])
        if symbols is not None and np.any((symbols < 0) | (symbols >= pmf.shape[1])):
            raise ValueError(f"symbols: expected 0..{pmf.shape[1] - 1}, got others")
        return self._code(symbols, len(pmf), _models().Categorical(perfect=False), pmf)

    def adaptive(self, count: int, symbols: Array | None = None) -> Array:
        """Integers of one unknown law, learnt on the way.

        Blocks of doubling length are coded under the counts of all blocks before (plus one half);
        no table is sent.

        Parameters
        ----------
        count : int
            How many integers.
        symbols : (count,) array of int, or None
            What to encode; None to decode. A range of a few thousand at most keeps it quick.

        Returns
        -------
        (count,) array of int
        """
        symbols = self._given(symbols, (count,))
        low, high = self._range(symbols)
        seen = np.full(high - low + 1, 0.5)
        out = np.empty(count, dtype=np.int64)
        for start, stop in _doubling(count):
            part = None if symbols is None else symbols[start:stop] - low
            model = _models().Categorical(seen / seen.sum(), perfect=False)
            part = self._code(part, stop - start, model)
            seen += np.bincount(part, minlength=seen.size)
            out[start:stop] = part + low
        return out

    @abstractmethod
    def number(self, value: int | None = None) -> int:
        """One integer >= 0 outside the entropy coder, such as a size.

        Parameters
        ----------
        value : int or None
            What to encode; None to decode.

        Returns
        -------
        int
        """

    @abstractmethod
    def _given(self, symbols: Array | None, shape: tuple[int, ...]) -> Array | None:
        """Symbols in their shape; None while decoding."""

    @abstractmethod
    def _code(self, symbols: Array | None, count: int, model: Any, *parameters: Array) -> Array:
        """Code symbols under a model; return them."""

    def _range(self, symbols: Array | None) -> tuple[int, int]:
        """Smallest and largest integer, which the decoder is told."""
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
        """Encode one integer >= 0 outside the entropy coder.

        Parameters
        ----------
        value : int
            What to encode.
        """
        if value is None:
            raise ValueError("value: expected an integer to encode, got None")
        self._side += varints([value])
        return value

    def finish(self) -> bytes:
        """Return the chunk."""
        words = self._coder.get_compressed().astype("<u4").tobytes()
        side = bytes(self._side)
        return varints([len(side)]) + side + self._check.to_bytes(CHECK_BYTES, "little") + words

    def _given(self, symbols: Array | None, shape: tuple[int, ...]) -> Array:
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
    """Entropy decoder of a chunk made by `Encoder`; call `finish` last. See `Coder`.

    Parameters
    ----------
    chunk : bytes
        What `Encoder.finish` returned.

    Raises
    ------
    CorruptStream
        A chunk that is not of this form, or, in `finish`, integers that differ from those encoded.
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
        """Decode one integer >= 0.

        Parameters
        ----------
        value : None
            Only an encoder is given one.
        """
        return self._side.varint()

    def finish(self) -> None:
        """Raise CorruptStream unless exactly what was encoded has been decoded."""
        self._side.finish()
        if self._check != self._expected:
            raise CorruptStream("chunk: the integers differ from those that were encoded")

    def _given(self, symbols: Array | None, shape: tuple[int, ...]) -> None:
        if symbols is not None:
            raise ValueError("symbols: expected None, for a decoder returns them")

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
