import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from rdp.codec.bitstream import (
    DIGEST_BYTES,
    CorruptStream,
    Decoder,
    Encoder,
    Reader,
    _digest,
    pack,
    unpack,
    varints,
)

chunks = st.lists(st.binary(max_size=40), max_size=4)
OVERHEAD = 8 * 16  # bits of a chunk beyond its integers: sizes, check, and the last word


@given(kind=st.integers(0, 255), header=st.binary(max_size=40), parts=chunks)
def test_unpack_inverts_pack(kind, header, parts):
    assert unpack(pack(kind, header, parts), kind) == (header, parts)


def test_every_changed_byte_every_cut_and_every_extension_raises():
    stream = pack(3, b"some header", [b"first chunk", b"", b"third"])
    for at in range(len(stream)):
        for flip in (1, 128, 255):
            damaged = bytearray(stream)
            damaged[at] ^= flip
            with pytest.raises(CorruptStream):
                unpack(bytes(damaged), 3)
        with pytest.raises(CorruptStream):
            unpack(stream[:at], 3)
    with pytest.raises(CorruptStream):
        unpack(stream + b"\0", 3)
    with pytest.raises(CorruptStream, match="kind 4"):
        unpack(stream, 4)


def test_another_version_with_a_good_digest_is_refused():
    body = bytearray(pack(3, b"header", [b"chunk"])[:-DIGEST_BYTES])
    assert unpack(bytes(body) + _digest(bytes(body)), 3) == (b"header", [b"chunk"])
    body[4] += 1
    with pytest.raises(CorruptStream, match=r"expected version 1 of kind 3, got \(2, 3\)"):
        unpack(bytes(body) + _digest(bytes(body)), 3)


def test_bytes_after_the_chunks_with_a_good_digest_are_refused():
    body = pack(3, b"header", [b"chunk"])[:-DIGEST_BYTES] + b"more"
    with pytest.raises(CorruptStream, match="4 bytes too many"):
        unpack(body + _digest(body), 3)


def test_numbers_that_nobody_decodes_are_noticed():
    encoder = Encoder()
    encoder.table(np.ones((3, 2)), np.array([0, 1, 1]))
    encoder.number(5)
    decoder = Decoder(encoder.finish())
    decoder.table(np.ones((3, 2)))
    with pytest.raises(CorruptStream, match="1 bytes too many"):
        decoder.finish()


@given(st.binary(max_size=80))
def test_foreign_bytes_raise(data):
    with pytest.raises(CorruptStream):
        unpack(data, 0)


@given(st.lists(st.integers(0, 2**63 - 1), max_size=10))
def test_varints_are_read_back(values):
    reader = Reader(varints(values))
    assert [reader.varint() for _ in values] == values
    reader.finish()


def test_varints_of_hostile_length_raise():
    assert Reader(b"\x80" * 8 + b"\x7f").varint() == 127 << 56
    for long in (b"\xff" * 20, b"\x80" * 9 + b"\x01"):
        with pytest.raises(CorruptStream, match=r"expected an integer below 2\*\*63"):
            Reader(long).varint()
    with pytest.raises(ValueError, match="values"):
        varints([-1])


@settings(max_examples=60, deadline=None)
@given(data=st.data(), values=st.lists(st.integers(-300, 300), min_size=1, max_size=30))
def test_any_integers_survive_any_models(data, values):
    symbols = np.array(values)
    numbers = st.floats(-400, 400)
    mean = np.array(data.draw(st.lists(numbers, min_size=len(values), max_size=len(values))))
    sd = data.draw(st.floats(1e-6, 1e6))
    sds = np.full(len(values), sd)
    pmf = [1e-9, data.draw(st.floats(0, 1)), data.draw(st.floats(0, 1))]
    rows = np.tile(pmf, (len(values), 1))
    choice = symbols % 3

    def code(coder, symbols=None, choice=None, size=None):
        return (
            coder.gaussian(mean, sd, symbols),
            coder.table(rows, choice),
            coder.gaussian(mean, sds, symbols),
            coder.adaptive(len(values), symbols),
            coder.number(size),
        )

    encoder = Encoder()
    code(encoder, symbols, choice, 7)
    decoder = Decoder(encoder.finish())
    for got, expected in zip(code(decoder), (symbols, choice, symbols, symbols, 7), strict=True):
        np.testing.assert_array_equal(got, expected)
    decoder.finish()


def test_bytes_are_the_ideal_code_length():
    rng = np.random.default_rng(0)
    mean, sd = rng.uniform(-3, 3, 20_000), rng.uniform(0.3, 5, 20_000)
    symbols = np.rint(rng.normal(mean, sd)).astype(int)
    encoder = Encoder()
    encoder.gaussian(mean, sd, symbols)
    mass = norm.cdf((symbols + 0.5 - mean) / sd) - norm.cdf((symbols - 0.5 - mean) / sd)
    ideal = -np.log2(mass).sum()
    assert 0 <= 8 * len(encoder.finish()) - ideal < OVERHEAD + 1e-4 * ideal


def test_tables_reach_the_ideal_code_length():
    rng = np.random.default_rng(0)
    pmf = rng.dirichlet(np.ones(5), 20_000)
    symbols = (pmf.cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1)
    encoder = Encoder()
    encoder.table(pmf, symbols)
    ideal = -np.log2(pmf[np.arange(len(pmf)), symbols]).sum()
    assert 0 <= 8 * len(encoder.finish()) - ideal < OVERHEAD + 1e-4 * ideal


def test_adaptive_model_learns_an_unknown_distribution():
    rng = np.random.default_rng(1)
    symbols = rng.geometric(0.4, 50_000) - 5
    count = np.unique(symbols, return_counts=True)[1]
    entropy = -(count * np.log2(count / count.sum())).sum()
    encoder = Encoder()
    encoder.adaptive(symbols.size, symbols)
    chunk = encoder.finish()
    assert entropy < 8 * len(chunk) < 1.005 * entropy
    np.testing.assert_array_equal(Decoder(chunk).adaptive(symbols.size), symbols)


@pytest.mark.parametrize("shift", [1e-6, 0.3])
def test_decoding_with_another_model_raises(shift):
    rng = np.random.default_rng(2)
    symbols = np.rint(rng.normal(0, 3, 500)).astype(int)
    encoder = Encoder()
    encoder.gaussian(np.zeros(500), 3.0, symbols)
    decoder = Decoder(encoder.finish())

    def decode():
        decoder.gaussian(np.full(500, shift), 3.0)
        decoder.finish()

    with pytest.raises(CorruptStream):
        decode()


def test_decoding_too_little_raises():
    encoder = Encoder()
    encoder.gaussian(np.zeros(500), 3.0, np.arange(500) % 3)
    decoder = Decoder(encoder.finish())
    decoder.gaussian(np.zeros(499), 3.0)
    with pytest.raises(CorruptStream):
        decoder.finish()


@pytest.mark.parametrize(("zigzag", "span"), [(2**33, 1), (2**33 + 1, 1), (0, 2**23), (0, 0)])
def test_ranges_out_of_bounds_raise(zigzag, span):
    """A chunk says which integers it has before memory is taken for their model."""
    encoder = Encoder()
    encoder.number(zigzag)
    encoder.number(span)
    with pytest.raises(CorruptStream, match=r"range of integers .* is out of bounds"):
        Decoder(encoder.finish()).adaptive(3)


def test_no_integers_cost_next_to_nothing():
    encoder = Encoder()
    none = np.empty(0, dtype=int)
    encoder.gaussian(none.astype(float), 1.0, none)
    decoder = Decoder(encoder.finish())
    assert decoder.gaussian(none.astype(float), 1.0).size == 0
    decoder.finish()


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_foreign_chunks_raise_or_decode_to_what_the_check_says(data):
    try:
        decoder = Decoder(data)
        out = decoder.gaussian(np.zeros(5), 1.0)
        decoder.finish()
    except CorruptStream:
        return
    encoder = Encoder()
    encoder.gaussian(np.zeros(5), 1.0, out)
    Decoder(encoder.finish()).gaussian(np.zeros(5), 1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.gaussian(np.zeros(2), 1.0, np.zeros(3, int)), "symbols: expected shape"),
        (lambda c: c.gaussian(np.zeros(2), 1.0, np.zeros(2)), "symbols: expected integers"),
        (lambda c: c.gaussian(np.zeros(2), 1.0), "symbols: expected integers"),
        (lambda c: c.gaussian(np.zeros(2), 0.0, np.zeros(2, int)), "sd: expected"),
        (lambda c: c.gaussian(np.zeros(2), np.nan, np.zeros(2, int)), "sd: expected"),
        (lambda c: c.gaussian(np.full(2, np.inf), 1.0, np.zeros(2, int)), "mean: expected"),
        (lambda c: c.gaussian(np.zeros(2), 1.0, np.array([0, 2**31])), "32 bits"),
        (lambda c: c.gaussian(np.zeros(2), 1.0, np.array([0, 2**23])), "range"),
        (lambda c: c.table(np.zeros((2, 3)), np.zeros(2, int)), "pmf: expected"),
        (lambda c: c.table(np.ones(3), np.zeros(3, int)), "pmf: expected"),
        (lambda c: c.table(np.ones((1, 3)), np.array([3])), r"expected 0\.\.2, got 3\.\.3"),
        (lambda c: c.number(), "value: expected"),
    ],
)
def test_wrong_input_to_the_encoder_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(Encoder())


def test_a_decoder_takes_no_integers():
    encoder = Encoder()
    encoder.gaussian(np.zeros(2), 1.0, np.zeros(2, int))
    with pytest.raises(ValueError, match="symbols: expected None"):
        Decoder(encoder.finish()).gaussian(np.zeros(2), 1.0, np.zeros(2, int))


def test_wrong_kind_is_refused():
    with pytest.raises(ValueError, match=r"kind: expected 0\.\.255, got 256"):
        pack(256, b"", [])
