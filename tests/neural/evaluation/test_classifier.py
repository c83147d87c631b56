"""The classifier of digits, and wrong digits that stay wrong."""

import pytest

torch = pytest.importorskip("torch")

from neural.datasets.moving_digits import MovingDigits, load_digits  # noqa: E402
from neural.evaluation.classifier import centred, permanence, train_classifier  # noqa: E402
from tests.neural.small_clips import clips_of, draw  # noqa: E402


def test_permanence_of_known_mistakes():
    class Oracle(torch.nn.Module):
        """Reads the digit from the brightness of the frame."""

        def __init__(self):
            super().__init__()
            self.none = torch.nn.Parameter(torch.zeros(()))

        def forward(self, frames):
            level = (10 * frames.mean((1, 2, 3))).round().long()
            return torch.nn.functional.one_hot(level, 10).float()

    def frame(*levels):
        return torch.stack([torch.full((1, 64, 64), k / 10) for k in levels])

    labels = torch.tensor([1, 1, 1, 1])
    x = torch.cat([frame(1, 1, 1, 1), frame(1, 1, 1, 1)], 1)
    made = torch.cat([frame(1, 2, 3, 4), frame(1, 2, 1, 5)], 1)
    found = permanence(Oracle(), clips_of(x, labels, FMD=made), "FMD")
    assert found.accuracy == 1
    assert found.wrong_before == 0.75
    assert found.wrong_now == 0.5
    assert found.stay_wrong == pytest.approx(2 / 3)
    assert found.same_digit == pytest.approx(1 / 3)


def test_a_digit_is_found_wherever_it_is():
    spots = torch.zeros(2, 1, 64, 64)
    spots[0, 0, 10:14, 20:24] = 1
    spots[1, 0, 60:64, 0:4] = 0.3
    cut = centred(spots)
    for k, level in enumerate((1, 0.3)):
        wanted = torch.zeros(32, 32)
        wanted[14:18, 14:18] = level
        assert torch.equal(cut[k, 0], wanted)


def test_the_classifier_learns():
    drawn = draw(500)
    classifier = train_classifier(MovingDigits(load_digits("train")), 60, seed=0, batch=32)
    found = permanence(classifier, clips_of(drawn.frames, drawn.labels, MMSE=drawn.frames), "MMSE")
    assert found.accuracy > 0.6
