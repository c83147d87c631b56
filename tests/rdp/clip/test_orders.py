"""Autoregressive sources of the modes of a clip."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rdp import AutoRegressive
from rdp.clip import ModeOrders, fit_clip, fit_luma, sample_clip
from rdp.clip.orders import mode_orders


def test_each_mode_has_its_own_order():
    sources = [AutoRegressive([0.7]), AutoRegressive([1.5, -0.8]), AutoRegressive([0.3, 0.2, 0.3])]
    x = np.stack([source.sample(200, 100, rng=i) for i, source in enumerate(sources)], axis=2)
    x = np.concatenate([x, np.zeros((200, 100, 1))], axis=2)
    found = mode_orders(x, np.array([True, True, True, False]))
    assert found.order.tolist() == [1, 2, 3, 0]
    assert found.fits[3] is None
    for fit, source in zip(found.sources, sources, strict=True):
        assert_allclose(fit.phi, source.phi, atol=0.03)
    gains = found.gains()
    assert [gain.order for gain in gains] == [1, 2, 3, 4]
    assert [gain.modes for gain in gains] == [1, 1, 1, 0]
    assert gains[0].innovation == 1.0
    shares = [gain.innovation for gain in gains]
    assert shares == sorted(shares, reverse=True)
    first = sum(source.sigma**2 * (1 - source.reflection[0] ** 2) for source in sources)
    assert_allclose(shares[2], sum(source.innovation for source in sources) / first, rtol=0.03)
    assert gains[2].whiteness < 0.02 < gains[0].whiteness + 0.02


def test_the_sample_clip_has_motion_that_order_1_misses():
    found = fit_clip(sample_clip(), transform="frame", order=2)
    assert isinstance(found.orders, ModeOrders)
    assert set(found.orders.order) == {2}
    lowest = found.orders.fits[0]
    assert lowest.innovation[2] < 0.5 * lowest.innovation[1]
    assert abs(lowest.correlation[2]) < 0.5 * abs(lowest.correlation[1])
    # order 1 is the model of the clip, but for the mean of the mode
    assert_allclose(lowest.innovation[1], (1 - found.rho[0] ** 2) * found.sigma[0] ** 2, rtol=0.05)
    assert fit_clip(sample_clip(), frames=12).orders is None


def test_orders_that_the_data_do_not_allow():
    luma = np.random.default_rng(0).integers(0, 256, (4, 16, 16)).astype(float)
    assert fit_luma(luma, order="auto").orders.order.max() <= 3
    with pytest.raises(ValueError, match="order: expected an order below the 4 frames"):
        fit_luma(luma, order=4)
    with pytest.raises(ValueError, match="order: expected an integer >= 1 or 'auto', got 0"):
        fit_luma(luma, order=0)
    with pytest.raises(ValueError, match="order: expected an integer or 'auto', got 'best'"):
        fit_luma(luma, order="best")
    still = np.repeat(luma[:1], 4, axis=0)
    with pytest.raises(ValueError, match="expected a clip with innovations"):
        fit_luma(still, order=2)
