"""Reconstructions of clips, and the pictures that are kept of them."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from neural.evaluation.reconstructions import reconstruct_training  # noqa: E402
from neural.tasks.clips import ClipTask  # noqa: E402
from tests.neural.small_clips import draw  # noqa: E402


def test_training_clips_are_what_the_decoders_make_of_them():
    class Codec:
        """Reconstructs its input plus the noise of its quantiser, or noise alone."""

        class shape:
            frames = 2

        class Noisy:
            def noisy(self, y, generator):
                return y + torch.rand(y.shape, generator=generator)

        quantisers = (Noisy(),)

        def represent(self, x, channel):
            return channel(0, x)

        def noise_shape(self, n):
            return n, 2, 1

        def reconstruct(self, plf, sent, noise):
            return sent if plf == "JD" else noise[:, :, :, None].expand(-1, -1, 64, 64)

    made = ClipTask({"kind": "digits"}, {"width": 4}, {"width": 4})
    seen = reconstruct_training(Codec(), made, ("JD", "SA"), 7, seed=3, chunk=3)
    shapes = {clips.shape for clips in (seen.source, seen.decoded["JD"], seen.decoded["SA"])}
    assert shapes == {(7, 2, 64, 64)}
    rest = seen.decoded["JD"] - seen.source
    assert 0 <= rest.min() < 0.01 < 0.99 < rest.max() <= 1
    assert len(seen.source.flatten(1).unique(dim=0)) == 7
    again = reconstruct_training(Codec(), made, ("JD", "SA"), 7, seed=3, chunk=3)
    assert torch.equal(again.decoded["SA"], seen.decoded["SA"])


def test_samples_are_the_first_clips_and_small(trained):
    with np.load(trained[3].with_name("points-samples.npz")) as stored:
        pictures = dict(stored)
    shared = {f"12-2/{name}" for name in ("source", "MMSE", "FMD", "JD", "SA")}
    assert set(pictures) == shared | {"12-2/own-JD"}
    for clip in pictures.values():
        assert clip.shape == (8, 2, 64, 64)
        assert clip.dtype == np.uint8
    source = draw(40, seed=7).frames[:8]  # as many as are measured, with their seed
    assert np.abs(pictures["12-2/source"] - 255 * source.numpy()).max() <= 2.51


def test_no_pictures_of_recordings_are_kept():
    people = ClipTask({"kind": "people"}, {}, {})
    assert not people.may_be_published
    assert ClipTask({"kind": "digits"}, {}, {}).may_be_published
