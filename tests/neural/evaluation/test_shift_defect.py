"""The shift defect of clips whose answer is known."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from neural.codecs.shifts import shifts  # noqa: E402
from neural.evaluation.shift_defect import distance_to_shifts, shift_defect  # noqa: E402
from rdp.bounds import joint_support_bound  # noqa: E402
from tests.neural.small_clips import draw  # noqa: E402


def test_the_source_has_none():
    assert shift_defect(draw(40).frames).value == (0.0, 0.0)


def test_of_one_bright_pixel():
    """A pixel that gets brighter by .5 costs .25. One that jumps too far is wrong twice."""
    clips = torch.zeros(2, 2, 64, 64)
    clips[:, 0, 20, 20] = 0.5
    clips[0, 1, 24, 16] = 1.0
    clips[1, 1, 25, 20] = 0.5
    found = shift_defect(clips)
    assert found.value[1] * 64**2 == pytest.approx((0.25 + 0.5) / 2)
    assert found.half[0] == 0
    assert found.half[1] > 0


def test_frames_of_other_clips_have_some():
    x = draw(40).frames
    mixed = torch.cat([x[:, :1], x[:, 1:].roll(1, 0)], 1)
    assert shift_defect(mixed).value[1] > 0.01


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_equals_the_bound_of_joint_support_in_numpy(device):
    """Two routes: tensors in single precision, and arrays in double precision."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    x = draw(60).frames
    noisy = (x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    before = noisy[:, 0]
    candidates = (moved.numpy() for moved in shifts(before))
    expected = joint_support_bound(x[:, 1].numpy(), candidates) / 64**2
    found = distance_to_shifts(x[:, 1].to(device), before.to(device), chunk=25)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert expected.min() > 1e-4
