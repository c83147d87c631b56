"""The Gaussian model of clips."""

import pytest

torch = pytest.importorskip("torch")

from neural.evaluation.gaussian_model import gaussian_reference  # noqa: E402
from neural.tasks.clips import ClipTask  # noqa: E402


def test_gaussian_reference_is_below_the_variance_and_falls_with_rate():
    pytest.importorskip("numba")
    task = ClipTask({"kind": "digits"}, {}, {})
    low, high = (gaussian_reference(task, (12, r), 400, 0) for r in (2, 16))
    x = task.batch(torch.Generator().manual_seed(0), 400)
    variance = float((x - x.mean(0)).square().mean())
    assert low[0] == pytest.approx(high[0])
    assert high[1] < low[1] < variance
