"""The task of coding blocks."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from neural.tasks.blocks import BlockTask  # noqa: E402
from tests.neural.small import RATES, task  # noqa: E402


def test_blocks_have_the_covariance_of_the_source():
    made = task()
    x = made.batch(torch.Generator().manual_seed(0), 50_000)
    flat = x.transpose(1, 2).reshape(-1, 2).numpy()
    np.testing.assert_allclose(np.cov(flat.T), made.source.covariance(), atol=0.05)


def test_a_codec_has_as_many_frames_as_rates():
    assert task().make_codec(RATES).frames == 2
    assert task().make_codec(RATES[:1]).frames == 1
    for rates in ((), (1.0, 1.0, 1.0)):
        with pytest.raises(ValueError, match="rates: expected up to 2 frames"):
            task().make_codec(rates)


def test_frames_must_be_scalar():
    with pytest.raises(ValueError, match="rho: expected"):
        BlockTask({"sigma": [1.0, 2.0], "rho": [1.8]}, {}, {})
    with pytest.raises(ValueError, match="source: expected scalar frames, got modes"):
        BlockTask({"sigma": [[1.0, 2.0], [1.0, 2.0]], "rho": [[0.5, 0.5]]}, {}, {})
