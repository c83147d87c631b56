"""Bytes of a neural codec: one stream for every decoder.

A stream holds the number of samples, the seed of the common randomness, a fingerprint of the
encoder and the integers of each frame. Reading a stream parses numbers and runs nothing from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from neural.codecs.quantiser import shared_dither, shared_noise
from neural.interfaces import Codec, LatentTable, Representation
from rdp._check import seed as check_seed
from rdp.codec.bitstream import CorruptStream, Decoder, Encoder, Reader, pack, unpack, varints
from rdp.perception import Perception, zero_loss_name

Array = np.ndarray
Tensor = torch.Tensor

KIND = 2
FINGERPRINT_BYTES = 8


@torch.no_grad()
def encode(codec: Codec, x: Tensor, seed: int, chosen: Mapping[int, Tensor] | None = None) -> bytes:
    """Return source frames as one stream. The same seed gives the same bytes.

    Parameters
    ----------
    codec : Codec
        Trained codec.
    x : (n, T, ...) tensor
        Source frames.
    seed : int, 0 <= seed < 2**63
        Common randomness; it is part of the stream.
    chosen : mapping of int to tensor, or None
        Integers to send for some latent vectors, by number, in place of those of the encoder.

    Raises
    ------
    ValueError
        Frames that are not finite, a seed out of range, or a codec that is not trained.
    """
    if not bool(torch.isfinite(x).all()):
        raise ValueError("x: expected finite frames, got NaN or inf")
    seed = check_seed("seed", seed)
    tables = _tables(codec)
    chunks: list[bytes] = []

    def channel(number: int, y: Tensor) -> Tensor:
        dither = shared_dither(seed, number, y.shape).to(y.device)
        known = (chosen or {}).get(number)
        index = codec.quantisers[number].index(y, dither) if known is None else known
        index = tables[number].clip(index)
        coder = Encoder()
        tables[number].code(coder, dither, index)
        chunks.append(coder.finish())
        return codec.quantisers[number].value(index, dither)

    codec.represent(x, channel)
    return pack(KIND, varints([len(x), seed]) + fingerprint(codec), chunks)


@dataclass(frozen=True, eq=False)
class StreamMessage:
    """What a stream says, before a perception loss is chosen.

    Parameters
    ----------
    codec : Codec
        The codec that read it.
    seed : int
        Seed of the common randomness.
    samples : int
        Number of samples n.
    representation : object
        What was sent, in the form that the codec gives it.
    rates : (T,) array
        Bits of each frame for one sample (a block or a clip). The frames share the bytes of
        container and header evenly.
    """

    codec: Codec
    seed: int
    samples: int
    representation: Representation
    rates: Array

    @torch.no_grad()
    def decode(self, plf: Perception | str | None) -> Tensor:
        """Return the reconstruction for one loss, such as "JD", JD(0) or None, like the source."""
        name = zero_loss_name(plf, windows=True)
        if name not in self.codec.decoders:
            raise ValueError(f"plf: expected one of {', '.join(self.codec.decoders)}, got {plf!r}")
        n, frames, *rest = self.codec.noise_shape(self.samples)
        noise = torch.stack([shared_noise(self.seed, t, (n, *rest)) for t in range(frames)], 1)
        return self.codec.reconstruct(name, self.representation, noise.to(_device(self.codec)))


@torch.no_grad()
def read(codec: Codec, stream: bytes, max_samples: int | None = None) -> StreamMessage:
    """Decode a stream up to the choice of the perception loss.

    Parameters
    ----------
    codec : Codec
        The codec that wrote it, or one with the same encoder and other decoders.
    stream : bytes
        From `encode`.
    max_samples : int or None
        Largest number of samples to accept, before memory is taken for them: a short stream may
        declare many. None takes `most_samples` of the codec.

    Raises
    ------
    CorruptStream
        Damaged, cut, extended or foreign bytes, or bytes of another encoder.
    """
    header, chunks = unpack(stream, KIND)
    reader = Reader(header)
    n, seed = reader.varint(), reader.varint()
    if reader.take(FINGERPRINT_BYTES) != fingerprint(codec):
        raise CorruptStream("stream: written by another encoder")
    reader.finish()
    tables = _tables(codec)
    most = codec.most_samples if max_samples is None else max_samples
    if not 1 <= n <= most or len(chunks) != len(tables):
        raise CorruptStream(
            f"stream: header of {n} samples, {len(chunks)} frames; expected {len(tables)} frames "
            f"of 1 to {most} samples (max_samples)"
        )
    device = _device(codec)

    def channel(number: int, y: None) -> Tensor:
        dither = shared_dither(seed, number, (n, tables[number].channels))
        coder = Decoder(chunks[number])
        index = tables[number].code(coder, dither)
        coder.finish()
        return codec.quantisers[number].value(index, dither).to(device)

    representation = codec.represent(None, channel)
    sizes = np.bincount(codec.frame_of, [len(chunk) for chunk in chunks])
    shared = (len(stream) - sizes.sum()) / len(sizes)
    return StreamMessage(codec, seed, n, representation, 8 * (sizes + shared) / n)


def decode(codec: Codec, stream: bytes, plf: Perception | str | None) -> Tensor:
    """Return the reconstruction of a stream for one loss, such as "JD" or JD(0), (n, T, ...)."""
    return read(codec, stream).decode(plf)


class Streams:
    """Gives a codec the methods of `rdp.codec.interfaces.StreamCodec`."""

    most_samples = 1 << 18  # that a stream may have, unless its reader allows more

    def encode(self: Codec, x: Tensor, seed: int) -> bytes:
        """Return source frames as one stream; see `neural.codecs.bitstream.encode`."""
        return encode(self, x, seed)

    def read(self: Codec, stream: bytes, max_samples: int | None = None) -> StreamMessage:
        """Decode a stream up to the choice of the loss; see `neural.codecs.bitstream.read`."""
        return read(self, stream, max_samples)


def fingerprint(codec: Codec) -> bytes:
    """Return a digest of what decides the bytes of a trained codec: networks and tables."""
    digest = hashlib.blake2b(digest_size=FINGERPRINT_BYTES)
    for module in codec.stream_modules():
        for name, value in module.state_dict().items():
            if isinstance(value, Tensor):
                digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    for table in _tables(codec):
        digest.update(table.signature())
    return digest.digest()


def _device(codec: Codec) -> torch.device:
    return next(codec.parameters()).device


def _tables(codec: Codec) -> Sequence[LatentTable]:
    found = [table for table in codec.tables if table is not None]
    if len(found) < len(codec.tables):
        raise ValueError("codec: expected a trained codec, got one without tables for coding")
    return found
