"""The estimates of a fit, on samples of modes: no pixels, no DCT."""

import numpy as np
import pytest

from rdp import GaussMarkov
from rdp.clip.statistics import mode_statistics, repeats_and_cuts


def samples(frames=6, n=120):
    sigma, rho = np.linspace(1, 9, 16), np.linspace(-0.5, 0.98, 16)
    return GaussMarkov.stationary(rho, frames, sigma).sample(n, 12)


@pytest.mark.parametrize("modes_at_once", [1, 3, 16])
def test_the_number_of_modes_processed_at_once_does_not_matter(modes_at_once):
    x = samples()
    together = mode_statistics(x)
    parts = mode_statistics(x, at_once=modes_at_once * x.shape[0] * x.shape[1])
    for one, other in zip(together, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


def test_modes_do_not_depend_on_each_other():
    x = samples()
    together, alone = mode_statistics(x), mode_statistics(x[..., 5:6])
    for name in ("sigma", "sigma_se", "rho", "rho_se", "whiteness", "whiteness_se", "kurtosis"):
        np.testing.assert_allclose(getattr(alone, name)[0], getattr(together, name)[5], rtol=1e-9)


def test_no_signal_has_no_statistics():
    assert mode_statistics(np.zeros((5, 4, 2))) is None
    assert mode_statistics(np.full((5, 4, 2), 1e-11), scale=1.0) is None


def test_a_repeat_changes_nothing_and_a_cut_everything():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 8, 8))
    noise = 0.1 * rng.normal(size=(6, 8, 8))
    pixels = np.concatenate([first + noise[:3], second + noise[3:], second + noise[5:]])
    assert repeats_and_cuts(pixels) == (1, 1)
