"""Gelbrich distance of clips: features, interval, bias."""

import numpy as np
import pytest

pytest.importorskip("torch")

from scipy.fft import dctn

from neural.evaluation.gelbrich import dct_features, gelbrich_interval
from rdp.gaussian import gelbrich
from tests.neural.small_clips import draw


def test_features_are_the_dct():
    x = draw(3).frames
    wanted = dctn(x.double().numpy(), axes=(2, 3), norm="ortho")[:, :, :12, :12] / 64
    np.testing.assert_allclose(dct_features(x), wanted.reshape(3, 2, 144), atol=1e-12)
    energy = (dct_features(x, 64) ** 2).sum(axis=2)
    np.testing.assert_allclose(energy, x.double().square().mean((2, 3)), rtol=1e-10)


def test_interval_of_the_gelbrich_distance():
    rng = np.random.default_rng(0)
    mix = rng.standard_normal((6, 6))
    truth = gelbrich(np.zeros(6), mix @ mix.T, np.ones(6), np.eye(6))
    hits = 0
    for _ in range(100):
        a = rng.standard_normal((600, 6)) @ mix.T
        value, half = gelbrich_interval(a, 1 + rng.standard_normal((600, 6)))
        hits += abs(value - truth) <= half
    assert hits >= 85  # of 100 at nominal 95 %: fewer has p = 0.00004
    value, half = gelbrich_interval(a, a)
    assert value <= 1e-12


def test_the_bias_of_two_samples_of_one_distribution_is_subtracted():
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, 500, 40))
    plain = float(gelbrich(a.mean(0), np.cov(a.T, ddof=0), b.mean(0), np.cov(b.T, ddof=0)))
    value, half = gelbrich_interval(a, b)
    assert value < 0.35 * plain
    assert value <= half
