"""Mixtures of two decoders by other routes, and the gain of an encoder trained for one loss."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from neural.evaluation.gelbrich import (  # noqa: E402
    compared_features,
    gelbrich_interval,
    gelbrich_without,
)
from neural.evaluation.intervals import jackknife  # noqa: E402
from neural.evaluation.mixtures import SHARES, mixtures, universal_gap  # noqa: E402
from neural.evaluation.reconstructions import Reconstructions  # noqa: E402
from rdp import closed_form  # noqa: E402
from rdp.gaussian import gelbrich  # noqa: E402
from rdp.source import GaussMarkov  # noqa: E402

KNOWN = 0.6  # share of the variance that the Gaussian codec keeps
SPREAD = 0.1


def gaussian(n, keep=KNOWN, seed=0, scale=1.0):
    """Two independent frames of 8 x 8 independent Gaussian pixels, and their reconstructions."""
    rng = torch.Generator().manual_seed(seed)
    x = SPREAD * torch.randn(n, 2, 8, 8, generator=rng)
    other = torch.Generator().manual_seed(seed + 1)
    noise = SPREAD * torch.randn(x.shape, generator=other)
    estimate = keep * x + (keep * (1 - keep)) ** 0.5 * noise
    made = scale * estimate / keep**0.5
    frames = {"MMSE": estimate, "FMD": made, "JD": made, "SA": made}
    clips = Reconstructions(x, None, frames, np.zeros(2))
    return clips, features(clips)


def features(clips):
    """Pixels over the square root of their number: with all modes, errors are those of pixels."""
    clips = {"source": clips.source, **clips.decoded}
    return {name: c.double().flatten(2).numpy() / 8 for name, c in clips.items()}


def test_ends_and_error_between_them():
    clips, found = gaussian(200)
    out = mixtures(clips, found, "JD")
    assert out.share == SHARES
    for k, share in enumerate(SHARES):
        mixed = (1 - share) * clips.decoded["MMSE"] + share * clips.decoded["JD"]
        error = (clips.source - mixed).square().mean((0, 2, 3))
        np.testing.assert_allclose(out.distortion[k], error, rtol=1e-5)
    last = gelbrich_interval(*compared_features("JD", 1, found["source"], found["JD"]))[0]
    assert out.perception[-1][1] == pytest.approx(last)
    halfway = found["JD"].copy()
    halfway[:, 1] = (halfway[:, 1] + found["MMSE"][:, 1]) / 2  # the frame before stays
    middle = gelbrich_interval(*compared_features("JD", 1, found["source"], halfway))[0]
    assert out.perception[2][1] == pytest.approx(middle)


def test_the_straight_path_is_the_closed_form_of_gaussian_frames():
    clips, found = gaussian(4000)
    out = mixtures(clips, found, "FMD")
    source = GaussMarkov([SPREAD], [])
    rate = -0.5 * np.log2(1 - KNOWN)  # bits of a pixel
    for distortion, perception in zip(out.distortion, out.perception, strict=True):
        least = closed_form.framewise(source, [rate], [perception[0]])
        # the loss of 64 pixels that are alike, per pixel, is that of one
        assert distortion[0] == pytest.approx(least[0], rel=0.02)


def test_no_gap_to_itself_and_the_right_one_to_a_worse_codec():
    clips, found = gaussian(1000)
    own = universal_gap(clips, found, clips, found, "FMD", [1, 2])
    assert own.frames == (1, 2)
    np.testing.assert_allclose(own.gap, 0, atol=1e-12)
    for plf in ("FMD", "SA"):
        less = 0.5
        worse, of_worse = gaussian(1000, keep=less, scale=0.95)
        out = universal_gap(worse, of_worse, clips, found, plf, [2])
        level = SPREAD**2 * (1 - 0.95) ** 2  # equal for both, so that distortions differ by that
        source = GaussMarkov([SPREAD], [])
        at = [
            closed_form.framewise(source, [-0.5 * np.log2(1 - keep)], [level])[0]
            for keep in (less, KNOWN)
        ]
        assert abs(out.gap[0] - (at[0] - at[1])) <= 2 * out.half[0]
        assert 0 < out.half[0] < 0.2 * out.gap[0]
        assert out.outside is False
        errors = [(s.source - s.decoded[plf])[:, 1].square().mean() for s in (worse, clips)]
        assert out.unmixed[0] == pytest.approx(float(errors[0] - errors[1]), rel=1e-4)
        assert 0 < out.unmixed_half[0] < 0.2 * out.unmixed[0]


def test_a_perception_off_the_curve_is_flagged_and_the_nearer_end_taken():
    clips, found = gaussian(400, scale=0.9)
    perfect, of_perfect = gaussian(400)
    out = universal_gap(perfect, of_perfect, clips, found, "FMD", [2])
    assert out.outside is True
    error = [(s.source - s.decoded["FMD"])[:, 1].square().mean() for s in (perfect, clips)]
    assert out.gap[0] == pytest.approx(float(error[0] - error[1]), rel=0.01)
    other, _ = gaussian(400, seed=5)
    with pytest.raises(ValueError, match="same clips"):
        universal_gap(other, of_perfect, clips, found, "FMD", [2])


def test_the_interval_of_the_gap_covers_the_truth():
    """Codecs of equal worth, with noise of their own: the gap is zero."""
    hits = 0
    for seed in range(40):
        clips, found = gaussian(200, seed=10 * seed)
        rng = torch.Generator().manual_seed(seed)
        noise = SPREAD * torch.randn(clips.source.shape, generator=rng)
        estimate = KNOWN * clips.source + (KNOWN * (1 - KNOWN)) ** 0.5 * noise
        own = Reconstructions(clips.source, None, {"FMD": 0.9 * estimate / KNOWN**0.5}, np.zeros(2))
        out = universal_gap(own, features(own), clips, found, "FMD", [1])
        hits += abs(out.gap[0]) <= out.half[0]
    assert hits >= 32  # of 40 at nominal 95 %


def test_leaving_clips_out_is_doing_without_them():
    rng = np.random.default_rng(0)
    wanted, made = rng.standard_normal((2, 40, 5))
    values = gelbrich_without(wanted, made, 4)
    kept = np.delete(np.arange(40), np.arange(10, 20))
    for value, chosen in ((values[0], np.arange(40)), (values[2], kept)):
        moments = []
        for sample in (wanted[chosen], made[chosen]):
            moments += [sample.mean(0), np.cov(sample.T, ddof=0)]
        assert value == pytest.approx(float(gelbrich(*moments)), rel=1e-9)
    assert jackknife(np.array([2.0, 2.0, 2.0, 2.0])) == (2.0, 0.0)
