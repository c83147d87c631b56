"""Constructive codecs: from sequences to bytes and back, with measured rates.

`DitheredCodec` encodes sequences of a `rdp.GaussMarkov` source. `read` decodes the bytes once, and
the `DitheredMessage` that it returns reconstructs the frames for any perception loss.
`measure_codec` runs a codec on fresh samples and returns its operating points. `StreamCodec` and
`Message` are the contract that the trained codecs of `neural` also satisfy.

>>> from rdp import GaussMarkov
>>> source = GaussMarkov.stationary(rho=0.9, frames=2)
>>> codec = DitheredCodec.at_rates(source, [1.0, 1.0], lattice="E8")
>>> stream = codec.encode(source.sample(1000, rng=0), seed=1)
>>> read(stream).decode("JD").shape
(1000, 2)
"""

from rdp.codec.bitstream import CorruptStream
from rdp.codec.dithered import DitheredCodec, DitheredMessage, decode, read
from rdp.codec.evaluation import evaluate, measure_codec
from rdp.codec.interfaces import Message, StreamCodec
from rdp.codec.lattices import LATTICES, Lattice, lattice

__all__ = [
    "LATTICES",
    "CorruptStream",
    "DitheredCodec",
    "DitheredMessage",
    "Lattice",
    "Message",
    "StreamCodec",
    "decode",
    "evaluate",
    "lattice",
    "measure_codec",
    "read",
]
