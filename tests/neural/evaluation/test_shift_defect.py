"""The shift defect of clips whose answer is known."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from neural.codecs.shifts import shifts  # noqa: E402
from neural.evaluation.shift_defect import (  # noqa: E402
    distance_to_shifts,
    known_shift,
    mean_distance_to_shifts,
    shift_defect,
)
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


def test_known_shift_is_between_its_two_ends():
    """With a perfect MMSE decoder it is joint support; with a shifted one it is that shift."""
    x = draw(20).frames
    own = draw(20, seed=9).frames
    perfect = known_shift(x, own, x)
    support = mean_distance_to_shifts(x, own)
    assert perfect.distortion.value == pytest.approx(support.value)
    assert perfect.distortion.half == pytest.approx(support.half)
    assert perfect.share == (1.0, 1.0)
    # an MMSE reconstruction that is a shift of the frame before
    moved = torch.nn.functional.pad(own[:, :1, :, :-2], (2, 0))
    other = known_shift(x, own, torch.cat([x[:, :1], moved], 1))
    error = (x[:, 1:] - moved).square().mean()
    assert other.distortion.value == pytest.approx((0.0, float(error)))
    assert other.distortion.value[1] > perfect.distortion.value[1]
    assert other.share[1] < 1
