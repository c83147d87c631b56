"""Curves in the long run for modes of any order."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rdp import AutoRegressive, GaussMarkov
from solvers import steady_state
from solvers.steady_prediction import LOSSES, predict_steady

RATES = np.array([0.002, 0.02, 0.3, 1.1, 4.5, 9.0])


def test_one_mode_is_its_steady_state_to_one_percent():
    sources = (
        GaussMarkov.stationary(0.95, 2, 3.0),
        AutoRegressive.from_poles([0.95, 0.5], 3.0),
    )
    for source in sources:
        found = predict_steady([source], RATES, peak=3.0)
        for name, loss in LOSSES.items():
            exact = [steady_state(source, rate, loss).mean for rate in RATES]
            assert_allclose(found.distortion[name], exact, rtol=0.01)
            assert_allclose(found.psnr(name), -10 * np.log10(found.distortion[name] / 9))
    table = found.to_dataframe()
    assert list(table) == ["bits_per_pixel", "plf", "mse", "psnr_db"]
    assert len(table) == 4 * len(RATES)


def test_the_split_is_reverse_water_filling_for_frames_without_memory():
    sigma, rate = np.array([4.0, 2.0, 1.0, 0.3]), 0.6
    sources = [GaussMarkov.stationary(0.0, 2, sd) for sd in sigma]
    found = predict_steady(sources, [rate], pixels=5)
    level = np.linspace(0.001, 16, 400_001)
    bits = 0.5 * np.log2(np.maximum(sigma[:, None] ** 2 / level, 1.0)).sum(axis=0)
    best = np.minimum(level[np.argmin(abs(bits - 5 * rate))], sigma**2).sum()
    assert_allclose(found.distortion["MMSE"], best / 5, rtol=0.01)
    # realism spends bits on the modes that mean squared error leaves out
    assert (found.distortion["FMD"] > found.distortion["MMSE"]).all()


def test_no_bits_and_many():
    found = predict_steady([AutoRegressive([0.9])], [1e-9, 30.0])
    assert_allclose(found.distortion["MMSE"], [1.0, 0.0], atol=1e-4)
    assert_allclose(found.distortion["JD"], [2.0, 0.0], atol=1e-2)


def test_errors():
    with pytest.raises(ValueError, match="sources: expected at least one mode"):
        predict_steady([], [1.0])
    with pytest.raises(ValueError, match="pixels: expected at least 2"):
        predict_steady([GaussMarkov.stationary(0.9, 2)] * 2, [1.0], pixels=1)
    with pytest.raises(ValueError, match="bits_per_pixel: expected values > 0"):
        predict_steady([GaussMarkov.stationary(0.9, 2)], [0.0])
