"""Random crops of videos: where they come from, and what a folder must hold."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
av = pytest.importorskip("av")

from neural.datasets.crops import Crops, load_crops, split_videos  # noqa: E402
from neural.tasks.clips import ClipTask  # noqa: E402


def write_video(path, frames, height=80, width=96, grey=0):
    """A clip of a ramp along both axes that gets brighter, without loss."""
    path.parent.mkdir(exist_ok=True)
    ramp = grey + np.arange(height)[:, None] // 2 + np.arange(width)[None] // 3
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "gray"
        for t in range(frames):
            picture = (ramp + t).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="gray")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five videos of two sizes, and a file that is no video."""
    root = tmp_path_factory.mktemp("videos")
    for number in range(4):
        write_video(root / f"{number}.mkv", 4, grey=40 * number)
    write_video(root / "more" / "4.MKV", 3, 64, 70, grey=160)
    (root / "notes.txt").write_text("no video")
    return root


def test_a_file_is_in_one_split_and_the_seed_decides(folder):
    splits = {split: split_videos(folder, split) for split in ("train", "heldout")}
    assert [len(found) for found in splits.values()] == [4, 1]
    assert {p.name for found in splits.values() for p in found} == {
        "0.mkv", "1.mkv", "2.mkv", "3.mkv", "4.MKV"
    }  # fmt: skip
    assert split_videos(folder, "heldout") == splits["heldout"]
    chosen = {split_videos(folder, "heldout", seed=seed)[0].name for seed in range(20)}
    assert len(chosen) > 2
    assert len(split_videos(folder, "heldout", heldout=0.4)) == 2
    assert len(split_videos(folder, "heldout", heldout=0.999)) == 4


def test_clips_are_windows_of_consecutive_frames(folder):
    crops = load_crops(folder, "train", frames=3)
    clips = crops.batch(torch.Generator().manual_seed(0), 100)
    assert clips.shape == (100, 3, 64, 64)
    assert clips.dtype == torch.float32
    torch.testing.assert_close((clips.diff(dim=1) * 255).mean(), torch.tensor(1.0))
    assert (255 * clips.diff(dim=1)).round().eq(1).all()
    again = crops.batch(torch.Generator().manual_seed(0), 100)
    assert torch.equal(clips, again)
    other = load_crops(folder, "heldout", frames=3).batch(torch.Generator().manual_seed(0), 5)
    assert other.shape == (5, 3, 64, 64)


def test_every_place_is_reached_and_no_window_leaves_its_video():
    """Each pixel holds its own video, frame, row and column, so that a clip says where it is."""
    sizes, frames = torch.tensor([[2, 65, 66], [3, 64, 65], [2, 64, 64]]), 2
    parts = [
        [torch.full(size, video), *torch.meshgrid(*map(torch.arange, size), indexing="ij")]
        for video, size in enumerate(sizes.tolist())
    ]
    pixels = [torch.cat([part[axis].flatten() for part in parts]).byte() for axis in range(4)]
    found = torch.stack([
        (255 * Crops(held, sizes, frames).batch(torch.Generator().manual_seed(0), 150)).round()
        for held in pixels
    ]).int()  # fmt: skip
    corner = found[..., :1, :1, :1]
    assert (found[0] == corner[0]).all()
    expected = torch.meshgrid(*map(torch.arange, (frames, 64, 64)), indexing="ij")
    for axis in range(3):
        assert (found[axis + 1] - corner[axis + 1] == expected[axis]).all()
    places = {tuple(place) for place in corner[..., 0, 0, 0].T.tolist()}
    assert len(places) == 1 * 2 * 3 + 2 * 1 * 2 + 1


def test_a_folder_that_will_not_do_is_explained(tmp_path, folder):
    with pytest.raises(ValueError, match="nowhere: expected a folder of videos"):
        split_videos(tmp_path / "nowhere", "train")
    with pytest.raises(ValueError, match="one of them to hold out, found 0"):
        load_crops(tmp_path, "train")
    write_video(tmp_path / "one.mkv", 3)
    with pytest.raises(ValueError, match="found 1"):
        load_crops(tmp_path, "train")
    for name, more, message in (
        ("small.mkv", {"height": 60}, "small.mkv: expected frames of at least 64x64, got 96x60"),
        ("broken.mkv", None, "broken.mkv"),
        ("short.mkv", {"frames": 2}, "short.mkv: expected at least 3 frames, got 2"),
    ):
        bad = tmp_path / name
        write_video(bad, **({"frames": 3} | (more or {})))
        if more is None:
            bad.write_bytes(bad.read_bytes()[:200])
        split = "train" if bad in split_videos(tmp_path, "train") else "heldout"
        with pytest.raises(ValueError, match=message):
            load_crops(tmp_path, split, frames=3)
        bad.unlink()
    with pytest.raises(ValueError, match="split"):
        split_videos(folder, "test")
    for share in (0, 1, 2):
        with pytest.raises(ValueError, match="heldout"):
            split_videos(folder, "train", share)


def test_a_task_reads_a_folder(folder, monkeypatch):
    monkeypatch.setenv("SOME_VIDEOS", str(folder))
    data = {"kind": "folder", "folder": "$SOME_VIDEOS", "frames": 2, "most_frames": 2}
    task = ClipTask(data, {}, {})
    for split in ("train", "heldout"):
        assert set(task.source(split).sizes[:, 0].tolist()) == {2}
    assert task.batch(torch.Generator().manual_seed(0), 3).shape == (3, 2, 64, 64)
    assert not task.may_be_published
    with pytest.raises(ValueError, match="folder"):
        ClipTask({"kind": "folder"}, {}, {}).source("train")
