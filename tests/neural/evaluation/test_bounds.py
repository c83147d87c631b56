"""Bounds evaluated on clips whose answer is known."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from neural.evaluation.bounds import bounds_of  # noqa: E402
from neural.evaluation.gelbrich import dct_features  # noqa: E402
from tests.neural.small_clips import clips_of, draw  # noqa: E402


def test_joint_support_bound_on_shifts():
    """The bound is zero only if frame 2 is a shift of the reconstruction of frame 1."""
    drawn = draw(30)
    x = drawn.frames
    out = clips_of(x, drawn.labels, MMSE=x, JD=x)
    features = {"MMSE": dct_features(x), "JD": dct_features(x)}
    assert bounds_of(out, features, "JD").joint_support == (0.0, 0.0)
    far = torch.cat([draw(30, seed=9).frames[:, :1], x[:, 1:]], 1)
    out = clips_of(x, drawn.labels, MMSE=x, JD=far)
    found = bounds_of(out, features, "JD").joint_support[1]
    frame = torch.nn.functional.pad(far[:, 0], (4, 4, 4, 4))
    shifts = [
        (x[:, 1] - frame[:, 4 + dy : 68 + dy, 4 + dx : 68 + dx]).square().mean((1, 2))
        for dy in range(-4, 5)
        for dx in range(-4, 5)
    ]
    assert found == pytest.approx(float(torch.stack(shifts).amin(0).mean()), rel=1e-5)
    assert 0 < found <= float((x[:, 1] - far[:, 0]).square().mean())


def test_shared_encoder_gap_is_no_more_than_the_excess():
    x = draw(100).frames
    estimate, other = 0.5 * x, 0.8 * x + 0.05
    features = {"MMSE": dct_features(estimate), "FMD": dct_features(other)}
    found = bounds_of(clips_of(x, None, MMSE=estimate, FMD=other), features, "FMD")
    distance = (estimate - other).square().mean((0, 2, 3))
    assert (np.array(found.shared_encoder_gap) <= distance.numpy() + 1e-9).all()
    repeated = (x[:, 1] - 0.5 * x[:, 0]).square().mean()
    assert found.repeated_frame == pytest.approx((float(x[:, 0].square().mean()), float(repeated)))
