"""The contract of codecs: what holds for one codec holds for any object with the same methods."""

from dataclasses import dataclass

import numpy as np
import pytest

from rdp import GaussMarkov
from rdp.codec import CorruptStream, DitheredCodec
from rdp.codec.bitstream import Reader, pack, unpack, varints
from rdp.codec.evaluation import transmit

SOURCE = GaussMarkov.stationary(rho=0.9, frames=2)


@dataclass(frozen=True)
class PlainMessage:
    """Frames as they are: the same reconstruction for all losses."""

    seed: int
    rates: np.ndarray
    x: np.ndarray

    def decode(self, plf):
        return self.x


class PlainCodec:
    """Sends float64 frames as they are."""

    def encode(self, x, seed):
        return pack(250, varints([seed, len(x)]), [frame.tobytes() for frame in x.T])

    def read(self, stream):
        header, chunks = unpack(stream, 250)
        reader = Reader(header)
        seed, n = reader.varint(), reader.varint()
        x = np.stack([Reader(chunk).floats(n) for chunk in chunks], axis=1)
        return PlainMessage(seed, np.full(len(chunks), 8 * len(stream) / n / len(chunks)), x)


@pytest.mark.parametrize("codec", [PlainCodec(), DitheredCodec.at_rates(SOURCE, [1.0, 2.0])])
def test_any_codec_can_be_transmitted(codec):
    samples = [SOURCE.sample(50, rng) for rng in range(3)]
    messages = transmit(codec, samples, seed=7)
    assert [message.seed for message in messages] == [7, 8, 9]
    for i, (x, message) in enumerate(zip(samples, messages, strict=True)):
        stream = codec.encode(x, 7 + i)
        assert message.rates.sum() == pytest.approx(8 * len(stream) / len(x))
        for plf in ("MMSE", "FMD", "JD", "SA"):
            assert message.decode(plf).shape == x.shape
        with pytest.raises(CorruptStream):
            codec.read(stream[:-1])


def test_codecs_do_not_read_the_streams_of_others():
    dithered = DitheredCodec.at_rates(SOURCE, [1.0, 2.0])
    with pytest.raises(CorruptStream, match="kind 1"):
        dithered.read(PlainCodec().encode(SOURCE.sample(5, 0), seed=1))
