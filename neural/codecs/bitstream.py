"""Bytes of a neural codec: one stream for every decoder.

A stream holds the number of samples, the seed of the common randomness, a fingerprint of the
encoder and the integers of each frame. Reading one parses numbers and runs nothing from it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from neural.codecs.entropy import Table
from neural.codecs.quantiser import shared_dither, shared_noise
from rdp.codec.bitstream import CorruptStream, Decoder, Encoder, Reader, pack, unpack, varints

Array = np.ndarray
Tensor = torch.Tensor

KIND = 2
FINGERPRINT_BYTES = 8
MAX_SAMPLES = 1 << 24


@torch.no_grad()
def encode(codec: Any, x: Tensor, seed: int, kind: int = KIND) -> bytes:
    """Encode source frames into one stream.

    Parameters
    ----------
    codec : torch.nn.Module
        Trained codec, with the methods of `neural.codecs.block.BlockCodec`.
    x : (n, T, ...) tensor
        Source frames.
    seed : int, 0 <= seed < 2**63
        Common randomness; it travels in the stream. The same seed gives the same bytes.
    kind : int
        What the stream holds, for `rdp.codec.bitstream.pack`.

    Returns
    -------
    bytes

    Raises
    ------
    ValueError
        Frames that are not finite, a seed out of range, or a codec that is not trained.
    """
    if not bool(torch.isfinite(x).all()):
        raise ValueError("x: expected finite frames, got NaN or inf")
    if not 0 <= seed < 1 << 63:
        raise ValueError(f"seed: expected 0 <= seed < 2**63, got {seed}")
    tables = _tables(codec)
    chunks: list[bytes] = []

    def channel(number: int, y: Tensor) -> Tensor:
        dither = shared_dither(seed, number, y.shape).to(y.device)
        index = tables[number].clip(codec.quantisers[number].index(y, dither))
        coder = Encoder()
        tables[number].code(coder, dither, index)
        chunks.append(coder.finish())
        return codec.quantisers[number].value(index, dither)

    codec.represent(x, channel)
    return pack(kind, varints([len(x), seed]) + fingerprint(codec), chunks)


@dataclass(frozen=True, eq=False)
class Message:
    """What a stream says, before the choice of a perception loss.

    Parameters
    ----------
    codec : torch.nn.Module
        The codec that read it.
    seed : int
        Common randomness.
    samples : int
        Number of samples n.
    latents : object
        The representation, as the codec has it.
    bits : (T,) array
        Bits of each frame for one sample; container and header are shared evenly among frames.
    """

    codec: Any
    seed: int
    samples: int
    latents: Any
    bits: Array

    @torch.no_grad()
    def show(self, plf: str) -> Tensor:
        """Reconstruct the frames for one perception loss.

        Parameters
        ----------
        plf : {"MMSE", "FMD", "JD", "SA"}
            Which decoder.

        Returns
        -------
        (n, T, ...) tensor
        """
        if plf not in self.codec.decoders:
            raise ValueError(f"plf: expected one of {', '.join(self.codec.decoders)}, got {plf!r}")
        n, frames, *rest = self.codec.noise_shape(self.samples)
        noise = torch.stack([shared_noise(self.seed, t, (n, *rest)) for t in range(frames)], 1)
        return self.codec.show(plf, self.latents, noise.to(_device(self.codec)))


@torch.no_grad()
def read(codec: Any, stream: bytes, kind: int = KIND, max_samples: int = MAX_SAMPLES) -> Message:
    """Decode a stream up to the choice of the perception loss.

    Parameters
    ----------
    codec : torch.nn.Module
        The codec that wrote it, or one with the same encoder and other decoders.
    stream : bytes
        What `encode` returned.
    kind : int
        What the stream holds.
    max_samples : int
        Largest number of samples to accept.

    Returns
    -------
    Message

    Raises
    ------
    CorruptStream
        Damaged, cut, extended or foreign bytes, or bytes of another encoder.
    """
    header, chunks = unpack(stream, kind)
    reader = Reader(header)
    n, seed = reader.varint(), reader.varint()
    if reader.take(FINGERPRINT_BYTES) != fingerprint(codec):
        raise CorruptStream("stream: written by another encoder")
    reader.finish()
    tables = _tables(codec)
    if not 1 <= n <= max_samples or len(chunks) != len(tables):
        raise CorruptStream(f"stream: header of {n} samples, {len(chunks)} frames")
    device = _device(codec)

    def channel(number: int, y: None) -> Tensor:
        dither = shared_dither(seed, number, (n, tables[number].channels))
        coder = Decoder(chunks[number])
        index = tables[number].code(coder, dither)
        coder.finish()
        return codec.quantisers[number].value(index, dither).to(device)

    latents = codec.represent(None, channel)
    sizes = np.bincount(codec.frame_of, [len(chunk) for chunk in chunks])
    shared = (len(stream) - sizes.sum()) / len(sizes)
    return Message(codec, seed, n, latents, 8 * (sizes + shared) / n)


def fingerprint(codec: Any) -> bytes:
    """Return a digest of what decides the bytes: encoder and tables.

    Parameters
    ----------
    codec : torch.nn.Module
        Trained codec.
    """
    digest = hashlib.blake2b(digest_size=FINGERPRINT_BYTES)
    for module in codec.deciding_modules():
        for name, value in module.state_dict().items():
            if isinstance(value, Tensor):
                digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    for table in _tables(codec):
        digest.update(str(table.low).encode() + table.pmf.tobytes())
    return digest.digest()


def _device(codec: Any) -> torch.device:
    return next(codec.parameters()).device


def _tables(codec: Any) -> list[Table]:
    tables = codec.tables
    if any(table is None for table in tables):
        raise ValueError("codec: expected a trained codec, got one without tables for coding")
    return tables
