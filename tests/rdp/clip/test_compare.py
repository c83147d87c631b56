"""`compare`: distances of clips whose distributions are known, and what always holds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import idctn

from rdp.clip import ClipError, compare, dct_modes
from rdp.clip.compare import LAGS
from rdp.gaussian import bures
from rdp.operating_point import OperatingPoint

BLOCK = 4
SIGMA = np.geomspace(40, 1, BLOCK**2)
RHO = np.linspace(0.95, 0.2, BLOCK**2)


def pixels(modes):
    """Luma (T, H, W) whose blocks have these modes (n, T, 16), n a square."""
    samples, frames, _ = modes.shape
    side = int(np.sqrt(samples))
    blocks = idctn(modes.reshape(side, side, frames, BLOCK, BLOCK), axes=(3, 4), norm="ortho")
    clip = blocks.transpose(2, 0, 3, 1, 4).reshape(frames, side * BLOCK, side * BLOCK)
    return clip + 128


def draw(rng, samples=225, frames=30, sigma=SIGMA, rho=RHO):
    """Modes of a stationary Gauss-Markov clip, (n, T, 16)."""
    x = rng.standard_normal((samples, frames, len(sigma)))
    for t in range(1, frames):
        x[:, t] = rho * x[:, t - 1] + np.sqrt(1 - rho**2) * x[:, t]
    return sigma * x


def toeplitz(frames, sigma=SIGMA, rho=RHO):
    lag = np.abs(np.subtract.outer(np.arange(frames), np.arange(frames)))
    return sigma[:, None, None] ** 2 * rho[:, None, None] ** lag


def exact(plf, made, crossed, memory):
    """Distance of two Gaussian processes of known covariances, mean over modes."""
    window = {"FMD": 1, "JD(2)": 2, "JD(4)": 4}.get(plf, memory)
    if plf != "SA":
        return bures(toeplitz(window), made[:, :window, :window]).mean()
    wanted = made[:, :window, :window].copy()
    wanted[:, -1, :-1] = wanted[:, :-1, -1] = crossed[:, :window, :window][:, -1, :-1]
    wanted[:, -1, -1] = toeplitz(1)[:, 0, 0]
    return bures(wanted, made[:, :window, :window]).mean()


def test_the_modes_of_the_clips_are_those_drawn():
    x = draw(np.random.default_rng(0), samples=9, frames=3)
    np.testing.assert_allclose(dct_modes(pixels(x) - 128, BLOCK), x, atol=1e-10)


def test_identical_clips_are_at_distance_zero():
    clip = pixels(draw(np.random.default_rng(1)))
    found = compare(clip, clip, "JD", block=BLOCK)
    assert found.distortion.max() == 0
    assert np.isinf(found.psnr)
    assert max(value.high for value in found.losses.values()) < 1e-11 * found.variance
    assert found.perception.max() < 1e-11 * found.variance
    np.testing.assert_array_equal(found.correlation[0], found.correlation[1])
    np.testing.assert_allclose(found.change, 1)
    assert [band.variance for band in found.bands] == pytest.approx([1] * 4)


# Covariance of the decoded modes and E[decoded_s x_t], for three ways to spoil a clip.
NOISE, SCALE, SHARE = 5.0, 0.7, 0.5


def noisy(x, rng):
    return x + NOISE * rng.standard_normal(x.shape)


def shrunk(x, rng):
    return SCALE * x


def independent(x, rng):
    return draw(rng, len(x), x.shape[1])


def shuffled(x, rng):
    """Right frames, wrong motion: each frame is drawn anew with a chance of one half."""
    fresh = SIGMA * rng.standard_normal(x.shape)
    return np.where(rng.random(x.shape) < SHARE, x, fresh)


SPOILED = {
    noisy: lambda lags: (toeplitz(lags) + NOISE**2 * np.eye(lags), toeplitz(lags)),
    shrunk: lambda lags: (SCALE**2 * toeplitz(lags), SCALE * toeplitz(lags)),
    independent: lambda lags: (toeplitz(lags), 0 * toeplitz(lags)),
    shuffled: lambda lags: (
        toeplitz(lags) * (SHARE**2 + (1 - SHARE**2) * np.eye(lags)),
        SHARE * toeplitz(lags),
    ),
}


@pytest.mark.parametrize("spoil", SPOILED)
def test_estimates_agree_with_the_exact_distances(spoil):
    rng = np.random.default_rng(7)
    x = draw(rng)
    memory = 6
    found = compare(pixels(x), pixels(spoil(x, rng)), block=BLOCK, memory=memory)
    made, crossed = SPOILED[spoil](memory)
    for plf, (value, low, high) in found.losses.items():
        truth = exact(plf, made, crossed, memory)
        half = high - value + 2e-5 * found.variance
        assert low == pytest.approx(max(2 * value - high, 0), abs=1e-9)
        assert abs(value - truth) < 2.5 * half, plf
        assert half < 0.1 * max(truth, 0.1 * memory * found.variance), plf


def test_intervals_cover_the_truth_and_the_bias_is_gone():
    rng = np.random.default_rng(3)
    truth = exact("JD(2)", *SPOILED[noisy](4), 4)
    covered, values = 0, []
    for _ in range(40):
        x = draw(rng, samples=100, frames=8)
        y = noisy(x, rng)
        found = compare(pixels(x), pixels(y), block=BLOCK, memory=4).losses["JD(2)"]
        covered += found.low <= truth <= found.high
        values.append(found.value)
    assert covered >= 32  # 38 expected; below 32 with a chance of 1e-3
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values) - truth) < 4 * error + 0.01 * truth


def test_bias_of_clips_of_one_distribution_is_subtracted():
    rng = np.random.default_rng(4)
    clips = [(draw(rng, 100, 10), draw(rng, 100, 10)) for _ in range(20)]
    found = [compare(pixels(x), pixels(y), block=BLOCK, memory=4).losses["JD"] for x, y in clips]
    plain = []  # without the correction
    for x, y in clips:
        sample = [
            np.stack([np.cov(z[:, 6:, i].reshape(-1, 4), rowvar=False) for i in range(16)])
            for z in (x, y)
        ]
        plain.append(bures(*sample).mean())
    assert np.mean([one.value for one in found]) < 0.25 * np.mean(plain)


@given(
    seed=st.integers(0, 2**32 - 1),
    memory=st.integers(1, 6),
    scale=st.floats(0, 2),
    transform=st.sampled_from(["block", "frame"]),
)
@settings(max_examples=25, deadline=None)
def test_laws_of_every_comparison(seed, memory, scale, transform):
    rng = np.random.default_rng(seed)
    x = draw(rng, samples=36, frames=10)
    y = scale * x + rng.standard_normal() * draw(rng, samples=36, frames=10)
    one, other = pixels(x), pixels(y)
    found = compare(one, other, block=BLOCK, memory=memory, transform=transform)
    assert found.distortion == pytest.approx(((one - other) ** 2).mean(axis=(1, 2)))
    assert found.variance == pytest.approx(one.var())
    # a pair of clips is a coupling of what FMD and JD compare, so the error is above the distance
    slack = found.distortion.mean() + 1e-9
    assert found.losses["FMD"].low <= slack * 10 / (10 - memory + 1)
    for value, low, high in found.losses.values():
        assert 0 <= low <= value <= high
    lags = min(LAGS, 9)
    for clip, row in zip((one, other), found.correlation, strict=True):
        z = clip - one.mean()
        for k in range(1, lags + 1):
            late, early = z[k:], z[:-k]
            plain = 2 * (late * early).sum() / ((late**2).sum() + (early**2).sum())
            assert row[k - 1] == pytest.approx(plain, abs=1e-9)
    moved = [((clip[1:] - clip[:-1]) ** 2).mean() for clip in (one, other)]
    assert found.change[0] == pytest.approx(moved[1] / moved[0])
    assert sum(band.share for band in found.bands) == pytest.approx(1)


def test_freezing_and_flicker():
    clip = pixels(draw(np.random.default_rng(5)))
    frozen = np.repeat(clip[::2], 2, axis=0)
    flickering = clip + 10 * np.random.default_rng(6).standard_normal(clip.shape)
    # every second change is one over two frames, the others are none
    expected = (SIGMA**2 @ (1 - RHO**2)) / (2 * SIGMA**2 @ (1 - RHO))
    assert compare(clip, frozen, block=BLOCK).change[0] == pytest.approx(expected, rel=0.1)
    assert compare(clip, flickering, block=BLOCK).change[0] > 1.2
    assert compare(clip, frozen, block=BLOCK).losses["JD(2)"].low > 0
    still = np.repeat(clip[:1], len(clip), axis=0)
    assert np.isnan(compare(still, still, block=BLOCK).change).all()


def test_the_variance_that_a_decoder_loses_says_what_it_is():
    rng = np.random.default_rng(11)
    x = draw(rng)
    error = SIGMA**2 / 3
    received = x + np.sqrt(error * SIGMA**2 / (SIGMA**2 - error)) * rng.standard_normal(x.shape)
    mean = (1 - error / SIGMA**2) * received  # the conditional mean, whose error is `error`
    real = mean * SIGMA / np.sqrt(SIGMA**2 - error)
    kinds = [compare(pixels(x), pixels(y), block=BLOCK) for y in (mean, real, noisy(x, rng))]
    assert [one.lost for one in kinds] == pytest.approx([1, 0, -1], abs=0.1)
    assert kinds[0].distortion.mean() == pytest.approx(error.mean(), rel=0.05)
    assert kinds[0].decoded_variance == pytest.approx((SIGMA**2 - error).mean(), rel=0.1)
    same = compare(pixels(x), pixels(x), block=BLOCK)
    assert np.isnan(same.lost)
    assert same.to_json()["lost"] is None


@pytest.mark.parametrize("level", [0.0, 128.0, 1e-9, 77.7])
def test_a_grey_clip_lacks_all_variance(level):
    clip = pixels(draw(np.random.default_rng(12), samples=100, frames=6))
    grey = np.full_like(clip, level)
    for plf in ("MMSE", "JD", "SA"):
        found = compare(clip, grey, plf, block=BLOCK, memory=3)
        far = (clip.mean() - level) ** 2
        assert found.distortion.mean() == pytest.approx(clip.var() + far)
        value = found.losses["FMD"].value
        assert value == pytest.approx(clip.var() + far, rel=0.1)  # the same, from frame 3 on
        assert found.losses["JD"].value == pytest.approx(3 * value, rel=0.1)


def test_each_frame_has_the_loss_of_its_decoder():
    rng = np.random.default_rng(8)
    x = draw(rng, frames=6)
    y = x.copy()
    y[:, 3:] = noisy(x[:, 3:], rng)
    for plf in ("FMD", "JD(2)", "JD", "SA"):
        found = compare(pixels(x), pixels(y), plf, block=BLOCK, memory=4)
        assert found.plf == plf
        assert found.perception[:3].max() < 1e-9 * found.variance
        assert (found.perception[3:] > 0.1).all()
    none = compare(pixels(x), pixels(y), None, block=BLOCK)
    same = compare(pixels(x), pixels(y), "FMD", block=BLOCK)
    assert none.plf == "MMSE"
    np.testing.assert_array_equal(none.perception, same.perception)


def test_a_comparison_becomes_an_operating_point():
    rng = np.random.default_rng(9)
    x = draw(rng, samples=36, frames=5)
    found = compare(pixels(x), pixels(noisy(x, rng)), "JD", block=BLOCK)
    point = found.point("codec", np.arange(5.0), provenance={"quality": 3}, seed=1)
    again = OperatingPoint.from_json(point.to_json())
    assert (again.label, again.plf, again.metric) == ("codec", "JD", "gelbrich")
    np.testing.assert_array_equal(again.distortion, found.distortion)
    np.testing.assert_array_equal(again.perception, found.perception)
    assert again.provenance["quality"] == 3
    about = again.provenance["comparison"]
    assert about["losses"]["SA"]["value"] == found.losses["SA"].value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decoded": np.zeros((3, 8, 12))}, "decoded: expected 3 frames of 8x8 like the reference"),
        ({"reference": np.zeros((1, 8, 8)), "decoded": np.zeros((1, 8, 8))}, "at least 2 frames"),
        ({"block": 16}, "decoded: .*smaller than a block"),
        ({"block": 8}, "at least 2 blocks of 8x8"),
        ({"transform": "wavelet"}, "transform: expected one of block, frame"),
        ({"groups": 1}, "groups: expected at least 2"),
        ({"memory": 0}, "memory: "),
        ({"confidence": 1.0}, "confidence: expected a value in"),
        ({"plf": "JD(3)", "memory": 2}, "plf: expected a window of at most 2"),
        ({"plf": "CP"}, "plf: expected one of"),
        ({"decoded": np.full((3, 8, 8), np.nan)}, "decoded: "),
    ],
)
def test_bad_input_is_refused(change, message):
    given = {"reference": np.zeros((3, 8, 8)), "decoded": np.zeros((3, 8, 8)), "block": 4}
    with pytest.raises(ValueError, match=message):
        compare(**given | change)


def test_a_decoded_clip_may_be_cropped_to_whole_blocks():
    clip = np.random.default_rng(0).random((3, 10, 9)) * 255
    whole = compare(clip, clip[:, :8, :8], block=4)
    assert whole.shape == (3, 8, 8)
    assert whole.distortion.max() == 0
    with pytest.raises(ClipError, match="expected 3 frames of 9x10"):
        compare(clip, clip[:, :9, :8], block=4)
