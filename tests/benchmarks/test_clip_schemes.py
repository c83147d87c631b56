"""The quantiser without dither that the transform codec is compared with."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from benchmarks import bench_clip_schemes as schemes
from rdp.clip_codec.coder import ModeCoder
from rdp.clip_codec.model import ModeModel


@pytest.mark.parametrize("sd", [0.25, 1.0, 6.0])
def test_cells_cover_the_line_and_their_centroids_are_means(sd):
    rng = np.random.default_rng(0)
    draws = sd * rng.standard_normal(400_000)
    points, length = schemes._quantise(draws, np.full(draws.size, sd))
    assert_allclose(np.mean(points * (draws - points)), 0, atol=0.01 * sd**2)
    assert_allclose(np.mean(points**2), schemes._conveyed(sd), rtol=0.03)
    _, counts = np.unique(points, return_counts=True)
    share = counts / draws.size
    assert length / draws.size == pytest.approx(-(share * np.log2(share)).sum(), abs=0.01)


def test_fine_steps_leave_a_twelfth_of_their_square():
    assert schemes._conveyed(30.0) == pytest.approx(900 - 1 / 12, rel=1e-6)


def test_schemes_come_near_the_variances_that_they_predict():
    rng = np.random.default_rng(1)
    model = ModeModel.nearest(np.array([30.0, 12.0, 6.0, 2.0]), np.array([0.9, 0.8, 0.5, 0.0]))
    x = [model.sigma * rng.standard_normal((6000, 4))]
    for _ in range(9):
        new = np.sqrt(1 - model.rho**2) * model.sigma * rng.standard_normal((6000, 4))
        x.append(model.rho * x[-1] + new)
    modes = np.array(x)
    quality = 90
    for frames in (
        schemes.dithered(model, modes, quality, 2.05),
        schemes.dead_zone(model, modes, quality),
    ):
        mmse = np.array([frame.mmse for frame in frames])
        error, lost = np.mean((modes - mmse) ** 2), np.mean(modes**2 - mmse**2)
        assert_allclose(lost, error, rtol=0.2)  # the mark of the conditional mean
        joint = np.array([frame.joint for frame in frames])
        assert_allclose((joint**2).mean((0, 1)), model.sigma**2, rtol=0.25)
    coder = ModeCoder(model, 6000, 0)
    chunks = [coder.encode(frame, quality) for frame in modes]
    same = schemes.dithered(model, modes, quality, 2.05)
    assert [frame.bits for frame in same] == [8.0 * len(chunk) for chunk in chunks]
