"""Fitting clips: the fit of a clip drawn from a known model is that model."""

import numpy as np
import pytest
from scipy.fft import idctn

from rdp import GaussMarkov
from rdp.clip import ClipError, dct_modes, fit_clip, fit_luma, sample_clip

SIGMA = np.linspace(1, 9, 16)
RHO = np.linspace(-0.5, 0.98, 16)


def clip_of(source, rng, rows=12, columns=10):
    """Luma whose 4 x 4 block DCT coefficients are drawn from a source of 16 modes."""
    x = source.sample(rows * columns, rng).reshape(rows, columns, source.frames, 4, 4)
    blocks = idctn(x, axes=(3, 4), norm="ortho").transpose(2, 0, 3, 1, 4)
    return blocks.reshape(source.frames, 4 * rows, 4 * columns)


@pytest.mark.parametrize("frames", [3, 20])
def test_a_known_model_comes_back_within_its_standard_errors(frames):
    rng = np.random.default_rng(7)
    source = GaussMarkov.stationary(RHO, frames, SIGMA)
    fits = [fit_luma(128 + clip_of(source, rng), block=4) for _ in range(30)]
    errors = {
        "sigma": [(fit.sigma - SIGMA) / fit.sigma_se for fit in fits],
        "rho": [(fit.rho - RHO) / fit.rho_se for fit in fits],
        "whiteness": [fit.whiteness / fit.whiteness_se for fit in fits],
        "kurtosis": [fit.kurtosis / fit.kurtosis_se for fit in fits],
    }
    for name, scores in errors.items():
        scores = np.array(scores)[:, 1:]  # 480 - 30 of them, unit variance if the errors are right
        assert 0.85 < np.sqrt(np.mean(scores**2)) < 1.15, name
        if name != "kurtosis":  # which is skewed
            assert np.abs(scores).max() < 4.5, name
    rejected = np.mean([fit.failing(0.05)["whiteness"] for fit in fits])
    assert 0.02 < rejected < 0.09


def test_the_mean_luma_is_all_that_is_removed():
    luma = clip_of(GaussMarkov.stationary(RHO, 5, SIGMA), 3)
    fit = fit_luma(100 + luma, block=4)
    assert fit.mean == pytest.approx(100 + luma.mean())
    x = dct_modes(luma - luma.mean(), block=4)
    np.testing.assert_allclose(fit.sigma**2, (x**2).mean(axis=(0, 1)))
    early, late = x[:, :-1], x[:, 1:]
    rho = 2 * (early * late).sum(axis=(0, 1)) / (early**2 + late**2).sum(axis=(0, 1))
    np.testing.assert_allclose(fit.rho, rho)


def test_a_still_picture_is_all_in_the_first_frame():
    picture = np.random.default_rng(0).uniform(0, 255, (16, 24))
    fit = fit_luma(np.repeat(picture[None], 4, axis=0))
    np.testing.assert_array_equal(fit.rho, 1.0)
    assert fit.innovation == 0
    assert fit.repeated == 3
    assert np.isnan(list(fit.failing().values())).all()
    assert fit.source(3).innovation[1:].max() == 0


@pytest.mark.parametrize("transform", ["block", "frame"])
def test_modes_carry_the_variance_of_the_pixels(transform):
    luma = np.random.default_rng(1).uniform(0, 255, (4, 16, 24))
    fit = fit_luma(luma, transform=transform)
    assert fit.variance == pytest.approx(luma.var())
    assert fit.modes * fit.samples == 16 * 24
    assert fit.source(3).sigma.shape == (3, fit.modes)


def test_frame_cells_hold_neighbouring_frequencies():
    from scipy.fft import dctn

    luma = np.random.default_rng(2).normal(size=(3, 4, 6))
    plane = dctn(luma[1], norm="ortho")
    cells = dct_modes(luma, block=2, transform="frame")  # 2 x 3 cells
    np.testing.assert_allclose(cells[:, 1, 4].ravel(), plane[2:4, 2:4].ravel())


def test_frames_are_cropped_to_whole_blocks():
    luma = np.random.default_rng(3).uniform(0, 255, (3, 19, 33))
    fit = fit_luma(luma)
    assert fit.shape == (3, 16, 32)
    assert fit.variance == pytest.approx(luma[:, :16, :32].var())


def test_modes_that_the_clip_does_not_use_are_left_out():
    across = np.random.default_rng(4).uniform(0, 255, (5, 1, 32))
    fit = fit_luma(np.repeat(across, 16, axis=1))  # nothing varies downwards
    used = np.arange(64) < 8
    np.testing.assert_array_equal(fit.sigma > 0, used)
    np.testing.assert_array_equal(np.isfinite(fit.whiteness), used)
    np.testing.assert_array_equal(np.isfinite(fit.kurtosis), used)
    assert fit.source(2).modes == 8
    assert fit.source(2).variance[0].sum() == pytest.approx(64 * fit.variance)


def test_heavy_tails_and_memory_are_found():
    rng = np.random.default_rng(5)
    source = GaussMarkov.stationary(RHO, 20, SIGMA)
    size = np.exp(rng.normal(size=(12, 1, 10, 1))).repeat(4, 1).repeat(4, 3).reshape(48, 40)
    assert fit_luma(clip_of(source, rng) * size, block=4).failing()["kurtosis"] == 1
    long = clip_of(GaussMarkov.stationary(RHO, 21, SIGMA), rng)
    smooth = long[1:] + long[:-1]  # a moving average is not Markov
    assert fit_luma(smooth, block=4).failing()["whiteness"] > 0.8


def test_repeats_and_cuts_are_counted():
    source = GaussMarkov.stationary(0.98, 10, SIGMA)
    first, second = clip_of(source, 6), clip_of(source, 8)
    fit = fit_luma(np.concatenate([first, first[-1:], second]), block=4)
    assert (fit.repeated, fit.cuts) == (1, 1)


def test_estimates_scale_with_the_units():
    luma = clip_of(GaussMarkov.stationary(RHO, 6, SIGMA), 9)
    one, ten = fit_luma(luma, 4), fit_luma(10 * luma, 4)
    np.testing.assert_allclose(ten.sigma, 10 * one.sigma)
    np.testing.assert_allclose(ten.sigma_se, 10 * one.sigma_se)
    for name in ("rho", "rho_se", "whiteness", "whiteness_se", "kurtosis"):
        np.testing.assert_allclose(getattr(ten, name), getattr(one, name), rtol=1e-9, atol=1e-12)


def test_the_sample_clip():
    fit = fit_clip(sample_clip())
    assert (fit.shape, fit.modes, fit.samples) == ((132, 176, 320), 64, 880)
    assert (fit.repeated, fit.cuts) == (5, 0)  # 24 frames a second stored at 25
    assert fit.rho[0] > 0.99 > fit.rho[1:].max()  # the mean of a block changes least
    assert (fit.sigma[0] > fit.sigma[1:]).all()
    assert fit.failing()["kurtosis"] == 1  # pictures are far from Gaussian
    assert 0 < fit.innovation < 0.1 * fit.variance


def test_two_frames_are_enough_and_say_nothing_of_whiteness():
    fit = fit_luma(clip_of(GaussMarkov.stationary(RHO, 2, SIGMA), 10), block=4)
    assert np.isfinite(fit.rho_se).all()
    assert np.isnan(fit.whiteness).all()


@pytest.mark.parametrize(
    ("luma", "arguments", "error", "message"),
    [
        (np.ones((4, 16, 16)), {}, ClipError, "luma: every frame is constant"),
        (np.ones((1, 16, 16)), {}, ClipError, "luma: expected at least 2 frames, got 1"),
        (np.ones((4, 7, 16)), {}, ClipError, "luma: frames of 16x7 are smaller than a block"),
        (np.ones((4, 16)), {}, ValueError, "luma: expected 3 dimension"),
        (np.full((4, 16, 16), np.nan), {}, ValueError, "luma: expected numbers, got NaN"),
        (np.ones((4, 16, 16)), {"block": 0}, ValueError, "block: expected an integer >= 1, got 0"),
        (
            np.ones((4, 16, 16)),
            {"transform": "wavelet"},
            ValueError,
            "transform: expected one of block, frame, got 'wavelet'",
        ),
    ],
)
def test_bad_input_is_named(luma, arguments, error, message):
    with pytest.raises(error, match=message):
        fit_luma(luma, **arguments)


def test_a_level_is_a_probability():
    fit = fit_luma(clip_of(GaussMarkov.stationary(RHO, 3, SIGMA), 11), block=4)
    with pytest.raises(ValueError, match=r"level: expected a number in \(0, 1\), got 1"):
        fit.failing(1)
