"""Frames to files."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rdp.clip import ClipError, luma_frames, read_luma, sample_clip
from rdp.clip_codec.write import write_frames

FRAMES = np.random.default_rng(0).integers(20, 230, (4, 18, 25)).astype(np.float64)


@pytest.mark.parametrize("name", ["clip.npy", "clip"])
def test_arrays_and_pictures_are_exact(name, tmp_path):
    assert write_frames(tmp_path / name, iter(FRAMES + 0.2)) == 4
    assert_allclose(read_luma(tmp_path / name), FRAMES)
    assert_allclose(np.stack(list(luma_frames(tmp_path / name))), FRAMES)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_videos_are_near(suffix, tmp_path):
    smooth = 60 + 100 * np.indices((30, 44)).sum(0)[None] / 74 + np.arange(5)[:, None, None]
    write_frames(tmp_path / f"clip{suffix}", smooth, rate=30)
    assert_allclose(read_luma(tmp_path / f"clip{suffix}"), smooth, atol=4)


def test_values_beyond_the_range_are_clipped(tmp_path):
    write_frames(tmp_path / "clip.npy", np.array([[[-5.0, 300.0]], [[1.5, 2.5]]]))
    assert (np.load(tmp_path / "clip.npy") == [[[0, 255]], [[2, 2]]]).all()


def test_wrong_places_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"out: expected .mp4, .mkv, .mov, .npy or a folder"):
        write_frames(tmp_path / "clip.avi", FRAMES)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("kept")
    with pytest.raises(ValueError, match="out: expected a new or empty folder"):
        write_frames(tmp_path / "full", FRAMES)
    assert (tmp_path / "full" / "mine.txt").read_text() == "kept"


def test_an_error_in_the_frames_leaves_the_old_file(tmp_path):
    path = tmp_path / "clip.npy"
    write_frames(path, FRAMES)

    def broken():
        yield FRAMES[0]
        raise RuntimeError("no more")

    for name in ("clip.npy", "clip.mp4"):
        with pytest.raises(RuntimeError, match="no more"):
            write_frames(tmp_path / name, broken())
    assert_allclose(read_luma(path), FRAMES)
    assert not (tmp_path / "clip.mp4").exists()


def test_frames_come_one_by_one_and_as_those_of_the_whole_clip(tmp_path):
    frames = luma_frames(sample_clip(), start=2, frames=3)
    whole = read_luma(sample_clip(), start=2, frames=3)
    assert_allclose(np.stack(list(frames)), whole)
    np.save(tmp_path / "rgb.npy", np.random.default_rng(0).random((3, 9, 10, 3)))
    assert_allclose(
        np.stack(list(luma_frames(tmp_path / "rgb.npy"))), read_luma(tmp_path / "rgb.npy")
    )
    with pytest.raises(ClipError, match="no such file"):
        next(luma_frames(tmp_path / "none.mp4"))
