import os
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
av = pytest.importorskip("av")

from neural.datasets.kth import decode, load_people, read_ranges, recordings  # noqa: E402

# Real recordings, for whoever has them: the tests that need them are skipped without.
REAL = Path(os.environ.get("KTH_FOLDER", "kth-recordings"))


def write_video(path, frames, grey):
    """A clip in which frame t has the grey level grey + t."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuvj420p"
        for t in range(frames):
            picture = np.full((120, 160), grey + t, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="gray").reformat(format="yuvj420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "boxing").mkdir()
    write_video(tmp_path / "boxing" / "person01_boxing_d1_uncomp.avi", 12, 20)
    write_video(tmp_path / "boxing" / "person22_boxing_d1_uncomp.avi", 6, 100)
    write_video(tmp_path / "person01_jogging_d2_uncomp.avi", 5, 180)
    return tmp_path


def levels(people):
    return sorted(set((people.pictures.float().mean((1, 2))).round().int().tolist()))


def test_persons_and_actions_are_chosen(folder):
    assert [p.name[:16] for p in recordings(folder, [1])] == [
        "person01_boxing_",
        "person01_jogging",
    ]
    assert len(recordings(folder, range(1, 26), ["boxing"])) == 2
    with pytest.raises(ValueError, match="running"):
        recordings(folder, [1], ["running"])
    with pytest.raises(ValueError, match="none here"):
        recordings(folder / "none here", [1])


def test_clips_are_consecutive_frames_of_one_recording(folder):
    people = load_people(folder, [1], frames=3)
    clips = people.batch(torch.Generator().manual_seed(0), 200)
    assert clips.shape == (200, 3, 64, 64)
    step = clips.mean((2, 3)).diff(dim=1) * 255
    assert (step.round() == 1).all()
    assert len(people.starts) == (12 - 2) + (5 - 2)


def test_ranges_are_respected(folder):
    lines = "notes\n\nperson01_boxing_d1\tframes\t2-4, 7-9\nperson01_jogging_d2  frames  1-5\n"
    (folder / "00sequences.txt").write_text(lines)
    assert read_ranges(folder / "00sequences.txt")["person01_boxing_d1"] == [(1, 4), (6, 9)]
    people = load_people(folder, [1], actions=["boxing"], frames=3)
    assert levels(people) == [21, 22, 23, 26, 27, 28]
    assert people.starts.tolist() == [0, 3]
    (folder / "00sequences.txt").write_text("person01_boxing_d1 frames 2-400\n")
    with pytest.raises(ValueError, match="person01_boxing"):
        load_people(folder, [1])
    (folder / "00sequences.txt").write_text("\nperson01_boxing_d1 frames 9-2\n")
    with pytest.raises(ValueError, match="line 2"):
        load_people(folder, [1])


def test_decoding_happens_once(folder, tmp_path):
    cache = tmp_path / "cache"
    first = load_people(folder, [1], frames=2, cache=cache)
    for path in recordings(folder, [1]):  # the same size, and nothing to decode
        path.write_bytes(bytes(path.stat().st_size))
    again = load_people(folder, [1], frames=2, cache=cache)
    assert torch.equal(first.pictures, again.pictures)
    assert torch.equal(first.starts, again.starts)


def test_broken_recordings_are_named(folder):
    path = folder / "person01_jogging_d2_uncomp.avi"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match="person01_jogging"):
        load_people(folder, [1])
    with pytest.raises(ValueError, match="at least 50 frames"):
        load_people(folder, [22], frames=50)


@pytest.mark.skipif(not REAL.is_dir(), reason="no KTH recordings; KTH_FOLDER names their folder")
def test_real_recordings():
    path = recordings(REAL, range(1, 26))[0]
    (frames,) = decode(path)
    assert frames.shape[1:] == (64, 64)
    assert frames.std() > 1
