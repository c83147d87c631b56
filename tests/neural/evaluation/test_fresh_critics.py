"""W1 from critics that are trained for the measurement alone."""

import pytest

torch = pytest.importorskip("torch")

from neural.evaluation.fresh_critics import fresh_w1  # noqa: E402
from neural.tasks.clips import ClipTask  # noqa: E402
from tests.neural.small_clips import clips_of, draw  # noqa: E402


def test_a_fresh_critic_distinguishes_dark_frames_from_digits():
    made = ClipTask({"kind": "digits"}, {"width": 4}, {"width": 4})
    seen, held = (
        clips_of(x, None, FMD=torch.zeros_like(x), SA=x)
        for x in (draw(200).frames, draw(100, 1).frames)
    )
    dark = fresh_w1(made, seen, held, "FMD", "FMD", 40, 0, batch=16)
    same = fresh_w1(made, seen, held, "SA", "SA", 40, 0, batch=16)
    assert dark.value - dark.half > 0.5
    assert len(dark.path) == 4
    assert dark.path[0] < dark.path[-1] == pytest.approx(dark.value, rel=1e-4)
    assert abs(same.value) <= same.half + 1e-6
