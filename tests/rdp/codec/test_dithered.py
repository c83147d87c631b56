import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from rdp import closed_form
from rdp.codec.bitstream import CorruptStream, pack, unpack
from rdp.codec.dithered import KIND, READ_SAMPLES, DitheredCodec, decode, read
from rdp.codec.lattices import LATTICES, lattice
from rdp.mmse import mmse_recursion
from rdp.perception import JD, LOSSES
from rdp.source import GaussMarkov
from tests.strategies import CLOSED_FORMS

THREE = GaussMarkov(sigma=[1.0, 2.0, 0.5], rho=[0.9, -0.6])
NAMES = list(LATTICES)
COVERING_RADIUS = {"Z": 0.5, "E8": 2.0, "BW16": 6**0.5}  # largest norm in a Voronoi cell


def measure(codec, n, rng=0, seed=1):
    x = codec.source.sample(n, rng)
    return x, read(codec.encode(x, seed))


def standard_error(values):
    return values.std(axis=0) / np.sqrt(len(values))


@settings(max_examples=25)
@given(
    data=st.data(),
    name=st.sampled_from(NAMES),
    frames=st.integers(1, 4),
    modes=st.sampled_from([None, 1, 2]),
    n=st.integers(1, 40),
    seed=st.integers(0, 2**63 - 1),
)
def test_decoder_knows_all_from_the_bytes(data, name, frames, modes, n, seed):
    shape = (frames,) if modes is None else (frames, modes)
    fill = lambda low, high: np.array(  # noqa: E731
        data.draw(st.lists(st.floats(low, high), min_size=9, max_size=9))
    )
    sigma, rho, rates = fill(0.01, 100), fill(-1, 1), fill(0, 14)
    take = lambda a, s: np.resize(a, s)  # noqa: E731
    source = GaussMarkov(take(sigma, shape), take(rho, (frames - 1, *shape[1:])))
    codec = DitheredCodec.at_rates(source, take(rates, shape) * (take(rates, shape) > 0.5), name)
    x = source.sample(n, rng=seed)
    stream = codec.encode(x, seed)
    assert codec.encode(x, seed) == stream
    message = read(stream)
    assert message.seed == seed
    np.testing.assert_array_equal(message.codec.mmse, codec.mmse)
    np.testing.assert_array_equal(message.codec.source.sigma, source.sigma)
    np.testing.assert_array_equal(message.codec.source.rho, source.rho)
    assert message.rates.sum() == pytest.approx(8 * len(stream) / n)
    for plf in LOSSES:
        reconstruction = message.decode(plf)
        assert reconstruction.shape == x.shape
        np.testing.assert_array_equal(reconstruction, decode(stream, plf))
    # the prediction of the encoder is that of the decoder: y - e is never outside the cell
    estimate = message.decode("MMSE")
    previous = np.concatenate([np.zeros_like(x[:, :1]), estimate[:, :-1]], axis=1)
    error = x - source.gain * previous
    sent = codec.noise < np.inf
    noise = np.where(sent, codec.noise, 0.0)
    quantisation = np.abs(message.white * np.sqrt(codec.prediction_error + noise) - error)
    step = np.sqrt(noise / lattice(name).second_moment)
    reach = COVERING_RADIUS[name] * step + 1e-6 * source.sigma
    assert (quantisation <= reach)[:, sent].all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rate", [0.7, 5.0])
def test_samples_far_outside_the_distribution_survive(name, rate):
    codec = DitheredCodec.at_rates(THREE, [rate] * 3, name)
    x = THREE.sample(64, rng=0)
    x[3] = [1000.0, -1000.0, 300.0]
    message = read(codec.encode(x, seed=5))
    step = np.sqrt(codec.noise.max() / lattice(name).second_moment)
    estimate = message.decode("MMSE")
    assert np.isfinite(estimate).all()
    kept = codec.prediction_error[0] / (codec.prediction_error[0] + codec.noise[0])
    assert abs(estimate[3, 0] - kept * 1000.0) < 4 * step


def small_stream():
    codec = DitheredCodec.at_rates(GaussMarkov.stationary(0.9, 2), [1.0, 2.0], "E8")
    return codec.encode(codec.source.sample(16, rng=0), seed=7)


def test_damage_to_any_byte_and_any_cut_raises():
    stream = small_stream()
    for at in range(len(stream)):
        damaged = bytearray(stream)
        damaged[at] ^= 1 << at % 8
        with pytest.raises(CorruptStream):
            read(bytes(damaged))
        with pytest.raises(CorruptStream):
            read(stream[:at])
    with pytest.raises(CorruptStream):
        read(stream + b"\0")


def test_damage_behind_a_forged_digest_raises():
    """The checksum of the chunk stops an attacker, or a decoder with other arithmetic."""
    header, chunks = unpack(small_stream(), KIND)
    for frame in range(2):
        for at in range(len(chunks[frame])):
            damaged = bytearray(chunks[frame])
            damaged[at] ^= 64
            parts = [*chunks]
            parts[frame] = bytes(damaged)
            try:
                message = read(pack(KIND, header, parts))
            except CorruptStream:
                continue
            # bits that the range decoder does not use may change, the integers may not
            np.testing.assert_array_equal(message.white, read(small_stream()).white)


def test_forged_headers_raise_and_take_no_memory():
    header, chunks = unpack(small_stream(), KIND)
    for forged in (
        b"\xff\xff\xff\xff\xff\xff\x7f" + header[1:],  # sequences
        header[:1] + b"\x63" + header[2:],  # frames
        header[:2] + b"\x64" + header[3:],  # modes
        header[:3] + b"\x09" + header[4:],  # lattice
        header + b"\0",
        header[:-8] + np.array(np.nan).tobytes(),
        header[:-8] + np.array(1e9).tobytes(),
        header[:-8] + np.array(-1.0).tobytes(),
    ):
        with pytest.raises(CorruptStream):
            read(pack(KIND, forged, chunks))
    with pytest.raises(CorruptStream, match="expected at most 10 values"):
        read(small_stream(), max_samples=10)
    limited = DitheredCodec.at_rates(GaussMarkov.stationary(0.9, 2), [1.0, 2.0], levels=4)
    header, chunks = unpack(limited.encode(limited.source.sample(16, rng=0), seed=7), KIND)
    assert read(pack(KIND, header, chunks)).codec.levels == 4  # the last number of the header
    with pytest.raises(CorruptStream):
        read(pack(KIND, header + b"\0", chunks))


def silent_stream(n, frames=1, modes=1):
    """A valid stream of frames without bits: it is short, whatever n is."""
    source = GaussMarkov.stationary(np.full(modes, 0.5), frames)
    codec = DitheredCodec(source, source.variance)
    return codec, pack(KIND, codec._header(n, seed=3), [b""] * frames)


@pytest.mark.parametrize(
    ("n", "frames", "modes"), [(1 << 27, 1, 1), (1 << 18, 8, 16), (1, 300, 200)]
)
def test_a_short_stream_of_many_values_is_refused_before_memory_is_taken(n, frames, modes):
    """Many sequences; or few, whose decoders are large matrices."""
    codec, stream = silent_stream(n, frames, modes)
    for call in (read, codec.read, decode):
        tracemalloc.start()
        with pytest.raises(CorruptStream, match=r"at most 16777216 values, got .*; max_samples"):
            call(stream)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 10 << 20


def test_a_reader_may_allow_more():
    codec, stream = silent_stream(READ_SAMPLES + 1)
    tracemalloc.start()
    assert codec.read(stream, max_samples=2 * READ_SAMPLES).white.shape == (READ_SAMPLES + 1, 1, 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 * READ_SAMPLES


@pytest.mark.parametrize("name", ["Z", "E8", "BW16"])
@pytest.mark.parametrize("rate", [0.001, 3.0])
def test_memory_of_reading_is_within_the_stated_multiple(name, rate):
    n = 1 << 16
    stream = DitheredCodec.at_rates(THREE, [rate] * 3, name).encode(np.zeros((n, 3)), seed=1)
    tracemalloc.start()
    read(stream).decode("JD")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 * 3 * n


@pytest.mark.parametrize("rate", [0.05, 0.5, 2.0, 6.0])
def test_quadrature_is_the_entropy_given_the_dither(rate):
    """I(U; U + N) for one frame, as the entropy of the index averaged over the dither."""
    codec = DitheredCodec.at_rates(GaussMarkov([1.7]), [rate])
    step = np.sqrt(12 * codec.noise[0]) / 1.7
    k = np.arange(np.floor(-9 / step), np.ceil(9 / step) + 1)

    def entropy(shift):
        mass = np.diff(norm.cdf((np.append(k, k[-1] + 1) - 0.5 + shift) * step))
        return -(mass * np.log2(np.maximum(mass, 1e-300))).sum()

    average = np.mean([entropy((j + 0.5) / 200) for j in range(200)])
    np.testing.assert_allclose(codec.quadrature_rates(), average, atol=1e-7)


@pytest.mark.parametrize("rates", [[0.2, 0.2, 0.2], [1.0, 0.0, 3.0], [5.0, 2.0, 4.0]])
def test_measured_rate_is_the_rate_by_quadrature(rates):
    codec = DitheredCodec.at_rates(THREE, rates)
    expected = codec.quadrature_rates()
    n, repeats = 20_000, 12
    measured = np.array([measure(codec, n, rng=r, seed=r)[1].rates for r in range(repeats)])
    container = 8 * 160 / n  # bits for header, digest, checks
    error = 4 * standard_error(measured) + container
    assert (np.abs(measured.mean(axis=0) - expected) < error).all()


@pytest.mark.parametrize(("name", "allowed"), [("Z", 0.26), ("E8", 0.16), ("BW16", 0.125)])
@pytest.mark.parametrize("rate", [2.0, 4.0])
def test_gap_to_the_mmse_curve_at_high_rate(name, allowed, rate):
    codec = DitheredCodec.at_rates(GaussMarkov.stationary(0.9, 3), [rate] * 3, name)
    x, message = measure(codec, 160_000, rng=4)
    reached = np.mean((x - message.decode("MMSE")) ** 2, axis=0)
    gap = message.rates - closed_form.rate_for_distortion(codec.source, reached)
    assert (gap > lattice(name).gap - 0.01).all()
    assert (gap < allowed).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rate", [0.05, 0.5, 1.5])
def test_gap_never_exceeds_that_of_the_lattice(name, rate):
    codec = DitheredCodec.at_rates(GaussMarkov.stationary(0.9, 2), [rate] * 2, name)
    message = measure(codec, 60_000, rng=6)[1]
    assert (message.rates < rate + lattice(name).gap + 0.02).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rates", [[0.5, 0.5, 0.5], [0.1, 3.0, 1.0], [0.0, 2.0, 0.0]])
def test_white_variables_and_moments_of_all_decoders(name, rates):
    """Cov(u) = I, and the distortions of the closed forms, to four standard errors."""
    codec = DitheredCodec.at_rates(THREE, rates, name)
    x, message = measure(codec, 48_000, rng=2)
    u = message.white
    for s in range(3):
        for t in range(3):
            product = u[:, s] * u[:, t]
            assert abs(product.mean() - (s == t)) < 4 * standard_error(product)
    for plf, formula in CLOSED_FORMS.items():
        error = (x - message.decode(plf)) ** 2
        expected = formula(codec.source, rates)
        assert (np.abs(error.mean(axis=0) - expected) < 4 * standard_error(error) + 1e-12).all()


@pytest.mark.parametrize("rates", [[0.5, 0.5, 0.5], [0.0, 3.0, 0.0], [0.0, 0.0, 0.0]])
def test_decoders_have_zero_perception_loss_in_second_moments(rates):
    codec = DitheredCodec.at_rates(THREE, rates)
    source = codec.source
    framewise, joint, adaptive = (codec.decoder(plf) for plf in LOSSES[1:])
    np.testing.assert_allclose((framewise**2).sum(axis=1), source.variance)
    np.testing.assert_allclose(joint @ joint.T, source.covariance(), atol=1e-12)
    cov_xhat = adaptive @ adaptive.T
    np.testing.assert_allclose(np.diag(cov_xhat), source.variance)
    # E[Xhat_s X_t] = E[Xhat_s Xtil_t] for s < t must be E[Xhat_s Xhat_t]
    cross = adaptive @ codec.decoder("MMSE").T
    np.testing.assert_allclose(np.tril(cross.T, -1), np.tril(cov_xhat, -1), atol=1e-12)


def test_early_error_stays_for_jd_and_goes_for_fmd_and_sa():
    """A poor first frame, then good ones: measured, over eight frames."""
    source = GaussMarkov.stationary(rho=0.95, frames=8)
    rates = [0.1] + [4.0] * 7
    codec = DitheredCodec.at_rates(source, rates)
    x, message = measure(codec, 40_000, rng=3)
    late = {plf: np.mean((x - message.decode(plf)) ** 2, axis=0)[-1] for plf in LOSSES}
    expected = closed_form.zero_perception_joint(source, rates)[-1]
    error = standard_error((x - message.decode("JD")) ** 2)[-1]
    assert abs(late["JD"] - expected) < 4 * error
    assert late["JD"] > 100 * late["MMSE"]
    assert late["FMD"] < 2 * late["MMSE"]
    assert late["SA"] < 2 * late["MMSE"]


def test_distributions_approach_the_gaussian_as_the_rate_grows():
    """1-D W2^2 of the FMD reconstruction from the sorted sample against exact quantiles."""
    distance = []
    for rate in (0.05, 0.5, 3.0):
        codec = DitheredCodec.at_rates(GaussMarkov([1.0]), [rate])
        xhat = np.sort(measure(codec, 100_000)[1].decode("FMD")[:, 0])
        quantiles = norm.ppf((np.arange(xhat.size) + 0.5) / xhat.size)
        distance.append(((xhat - quantiles) ** 2).mean())
    assert distance[0] > 2 * distance[1] > 4 * distance[2]
    assert distance[2] < 2e-4


@pytest.mark.parametrize("name", NAMES)
def test_modes_are_coded_separately(name):
    source = GaussMarkov([[2.0, 0.5], [2.0, 0.5]], [[0.9, 0.1]])
    rates = np.array([[2.0, 0.5], [1.5, 0.0]])
    codec = DitheredCodec.at_rates(source, rates, name)
    x, message = measure(codec, 30_000)
    for plf in LOSSES:
        assert message.decode(plf).shape == x.shape
        for i in range(2):
            single = DitheredCodec.at_rates(source.mode(i), rates[:, i], name)
            assert single.decoder(plf) == pytest.approx(codec.decoder(plf)[i])
    error = (x - message.decode("MMSE")) ** 2
    assert (np.abs(error.mean(axis=0) - codec.mmse) < 4 * standard_error(error)).all()
    assert message.rates == pytest.approx(rates.sum(axis=1) + lattice(name).gap * 1.5, abs=0.3)


def test_other_seeds_give_other_bytes():
    codec = DitheredCodec.at_rates(THREE, [1.0, 1.0, 1.0])
    x = THREE.sample(100, rng=0)
    assert codec.encode(x, 1) != codec.encode(x, 2)


@pytest.mark.parametrize("name", ["Z", "E8", "BW16"])
def test_values_far_off_the_source_are_carried(name):
    codec = ok(name)
    x = np.zeros((20, 3))
    x[3, 0] = 1e6
    error = x - read(codec.encode(x, 1)).decode("MMSE")
    assert np.abs(error[3, 0]) < 0.51e6  # the linear estimate is half of the value
    assert np.abs(np.delete(error, 3, axis=0)).max() < 10


def test_a_loss_may_be_given_in_any_form():
    message = read(ok().encode(THREE.sample(8, rng=0), seed=4))
    np.testing.assert_array_equal(message.decode("jd"), message.decode("JD"))
    np.testing.assert_array_equal(message.decode(JD(0)), message.decode("JD"))
    np.testing.assert_array_equal(message.decode(), message.decode("MMSE"))
    with pytest.raises(ValueError, match="plf: expected JD at threshold 0"):
        message.decode(JD(0.1))


def test_a_codec_reads_its_own_streams_only():
    codec = ok()
    x = THREE.sample(8, rng=0)
    stream = codec.encode(x, seed=4)
    np.testing.assert_array_equal(codec.read(stream).white, read(stream).white)
    for other in (
        ok("E8"),
        DitheredCodec(THREE, [0.5, 0.5, 0.15]),
        DitheredCodec(THREE.scaled(2), [0.5] * 3),
    ):
        with pytest.raises(CorruptStream, match="written by a codec of another source"):
            other.read(stream)


def test_bytes_have_not_changed():
    """The format is fixed: this stream was written by version 1."""
    source = GaussMarkov([1.0, 2.0], [0.5])
    x = np.linspace(-2, 2, 16).reshape(8, 2)
    for name, digest in FIXED.items():
        stream = DitheredCodec(source, [0.25, 0.5], name).encode(x, seed=11)
        assert stream[-8:].hex() == digest


FIXED = {"Z": "b78c0521944bdb64", "E8": "b2ec1bd1adf408b1", "BW16": "cbe9e464cba30ebd"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: DitheredCodec(THREE, [1.0, 1.0]), "mmse: expected shape"),
        (lambda: DitheredCodec(THREE, [2.0, 1.0, 0.1]), "mmse: expected at most 1 at frame 1"),
        (lambda: DitheredCodec(THREE, [1.0, 0.0, 0.1]), "mmse: expected values > 0"),
        (lambda: DitheredCodec(THREE, [1e-12, 0.5, 0.1]), "mmse: expected rates of at most 16"),
        (lambda: DitheredCodec(THREE, [0.5, 0.5, 0.1], "D4"), "lattice: expected one of"),
        (lambda: ok().encode(np.zeros((4, 2)), 0), r"x: expected shape \(n, 3\)"),
        (lambda: ok().encode(np.zeros((0, 3)), 0), r"x: expected shape \(n, 3\)"),
        (lambda: ok().encode(np.full((4, 3), np.inf), 0), "x: expected finite"),
        (lambda: ok().encode(np.zeros((4, 3)), -1), "seed: expected"),
        (
            lambda: ok().encode([[0, 1e9, 0]], 0),
            "x: expected values within .* at frame 2, got one 1e",
        ),
        (lambda: ok().decoder("WGAN"), "plf: expected one of"),
        (lambda: ok("E8").quadrature_rates(), "lattice: expected 'Z'"),
    ],
)
def test_wrong_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def ok(name="Z"):
    return DitheredCodec(THREE, [0.5, 0.5, 0.1], name)


@pytest.mark.parametrize("modes", [None, 2])
def test_a_decoder_with_a_window_keeps_every_block_and_joins_the_ends(modes):
    rho = 0.9 if modes is None else [0.9, 0.5]
    source = GaussMarkov.stationary(rho=rho, frames=4)
    rates = np.tile([[0.5], [0.0], [2.0], [1.0]], modes or 1).reshape(source.sigma.shape)
    codec = DitheredCodec(source, mmse_recursion(source, rates).mmse)
    for window, name in ((1, "FMD"), (4, "JD")):
        same = codec.decoder(name)
        np.testing.assert_allclose(codec.decoder(JD(window=window)), same, atol=1e-9)
    kept = codec.decoder("JD(2)")
    covariance = kept @ np.swapaxes(kept, -1, -2)
    for t in range(3):
        block = np.s_[..., t : t + 2, t : t + 2]
        np.testing.assert_allclose(covariance[block], source.covariance()[block], atol=1e-9)
    with pytest.raises(ValueError, match="window: expected at most 4"):
        codec.decoder(JD(window=5))


@pytest.mark.parametrize("seed", [1.5, "a", None, True])
def test_a_seed_of_another_type_is_refused(seed):
    codec = DitheredCodec.at_rates(GaussMarkov.stationary(rho=0.9, frames=2), [1.0, 1.0])
    with pytest.raises(ValueError, match="seed"):
        codec.encode(np.zeros((4, 2)), seed=seed)


@pytest.mark.parametrize("stream", ["abc", 12, None])
def test_a_stream_of_another_type_is_refused(stream):
    codec = DitheredCodec.at_rates(GaussMarkov.stationary(rho=0.9, frames=2), [1.0, 1.0])
    with pytest.raises(ValueError, match="stream: expected bytes"):
        codec.read(stream)
