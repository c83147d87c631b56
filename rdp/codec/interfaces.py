"""The contract of codecs that write bytes, constructive or trained.

The encoder writes one stream for all perception losses. `StreamCodec.read` decodes the
representation once and returns a `Message`; `Message.decode` reconstructs the frames for one loss.
`Frames` is the type of the frames: a numpy array or a torch tensor, sequences first.

`rdp.codec.dithered.DitheredCodec` satisfies the contract, and so do the trained codecs of `neural`.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

import numpy as np

from rdp.perception import Perception

Frames = TypeVar("Frames")
Frames_co = TypeVar("Frames_co", covariant=True)


class Message(Protocol[Frames_co]):
    """A stream that has been read: the representation, before a perception loss is chosen."""

    @property
    def seed(self) -> int:
        """Seed of the common randomness, 0 <= seed < 2**63."""

    @property
    def rates(self) -> np.ndarray:
        """Bits of each frame for one sequence, (T,); their sum covers all bytes of the stream."""

    def decode(self, plf: Perception | str | None) -> Frames_co:
        """Return the reconstructed frames for one loss, shaped like the source.

        A loss is "MMSE", "FMD", "JD", "SA", a loss function at threshold 0, or None for no loss.
        A codec may have decoders for some losses only; it raises ValueError for the others.
        """


class StreamCodec(Protocol[Frames]):
    """A codec between frames and bytes."""

    def encode(self, x: Frames, seed: int) -> bytes:
        """Return one stream for frames of independent sequences, (n, T, ...).

        The stream carries the seed. The same frames and the same seed give the same bytes.
        """

    def read(self, stream: bytes) -> Message[Frames]:
        """Decode a stream of this codec up to the choice of the perception loss.

        Raises `rdp.codec.bitstream.CorruptStream` if the stream is damaged or another codec wrote
        it.
        """
