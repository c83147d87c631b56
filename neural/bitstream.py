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

from neural.entropy import Table
from neural.quantiser import shared_dither, shared_noise
from rdp.coding import CorruptStream, Decoder, Encoder, Reader, pack, unpack, varints

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
        Trained codec, with the methods of `neural.models.BlockCodec`.
    x : (n, T, ...) tensor
        Source frames.
    seed : int, 0 <= seed < 2**63
        Common randomness; it travels in the stream. The same seed gives the same bytes.
    kind : int
        What the stream holds, for `rdp.coding.pack`.

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

    def channel(frame: int, y: Tensor) -> Tensor:
        dither = shared_dither(seed, frame, y.shape).to(y.device)
        index = tables[frame].clip(codec.quantiser.index(y, dither))
        coder = Encoder()
        tables[frame].code(coder, dither, index)
        chunks.append(coder.finish())
        return codec.quantiser.value(index, dither)

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
    latents : list of T tensors (n, C)
        The representation.
    bits : (T,) array
        Bits of each frame for one sample; container and header are shared evenly among frames.
    """

    codec: Any
    seed: int
    latents: list[Tensor]
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
        n, frames, *rest = self.codec.noise_shape(len(self.latents[0]))
        noise = torch.stack([shared_noise(self.seed, t, (n, *rest)) for t in range(frames)], 1)
        return self.codec.show(plf, self.latents, noise.to(self.latents[0].device))


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
    device = next(codec.parameters()).device
    latents = []
    for frame, (table, chunk) in enumerate(zip(tables, chunks, strict=True)):
        dither = shared_dither(seed, frame, (n, len(table.pmf)))
        coder = Decoder(chunk)
        index = table.code(coder, dither)
        coder.finish()
        latents.append(codec.quantiser.value(index, dither).to(device))
    shared = (len(stream) - sum(map(len, chunks))) / len(chunks)
    bits = 8 * (np.array([len(chunk) for chunk in chunks]) + shared) / n
    return Message(codec, seed, latents, bits)


def fingerprint(codec: Any) -> bytes:
    """Return a digest of what decides the bytes: encoder and tables.

    Parameters
    ----------
    codec : torch.nn.Module
        Trained codec.
    """
    digest = hashlib.blake2b(digest_size=FINGERPRINT_BYTES)
    for module in codec.encoding_modules():
        for name, value in module.state_dict().items():
            if isinstance(value, Tensor):
                digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    for table in _tables(codec):
        digest.update(str(table.low).encode() + table.pmf.tobytes())
    return digest.digest()


def _tables(codec: Any) -> list[Table]:
    tables = [model.table for model in codec.entropy]
    if None in tables:
        raise ValueError("codec: expected a trained codec, got one without tables for coding")
    return tables
